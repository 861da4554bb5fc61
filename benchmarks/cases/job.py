"""The whole job on a workbook of 7,043 customers, from a warm server and from an empty home."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

import psutil
from event_log import EventLog

from benchmarks import churn_pipeline
from benchmarks.churn_pipeline import ChurnHome
from benchmarks.measure import Measurement, in_turns, measuring
from seeds_loader.sample import SampleParameters, write_samples

CUSTOMERS = 7043


def run(folder: Path, rounds: int) -> dict[str, Measurement]:
    """Measure the sides `warm` and `cold`.

    Warm: the server runs and has done the job once; the workbook comes as another month's, so that
    every step has all its work. Cold: the home is empty and no server runs.
    """
    (workbook,) = _workbooks(folder, 1)
    with churn_pipeline.home(folder / "job") as home:
        dates = _dates()
        home.churn("run", workbook, "--extract-date", next(dates))

        def warm(into: Measurement) -> None:
            with measuring(into, home.processes):
                home.churn("run", workbook, "--extract-date", next(dates))

        def cold(into: Measurement) -> None:
            with churn_pipeline.home(folder / "cold") as empty, measuring(into, empty.processes):
                empty.churn("run", workbook)

        return in_turns({"warm": warm, "cold": cold}, rounds)


def count(folder: Path) -> dict[str, float]:
    """Count what the second monthly build asks of the server, and its CPU seconds."""
    log = EventLog(folder / "events")
    first, second = _workbooks(folder, 2)
    with churn_pipeline.home(folder / "counted", **log.environ) as home:
        home.churn("ingest", first)
        home.churn("build")
        home.churn("ingest", second)
        before, clients = _cpu_seconds(home), _children_cpu_seconds()
        since = time.time()
        home.churn("build")
        server = _cpu_seconds(home) - before
        home.churn("down")
        counted = asdict(log.counts(since))
    return counted | {
        "server_cpu_s": round(server, 1),
        "client_cpu_s": round(_children_cpu_seconds() - clients, 1),
    }


def _workbooks(folder: Path, months: int) -> list[Path]:
    target = folder / f"workbooks-{CUSTOMERS}-{months}"
    if not target.exists():
        write_samples(SampleParameters(CUSTOMERS, months), target)
    return sorted(target.glob("*.xlsx"))


def _dates() -> Iterator[str]:
    day = date(2024, 1, 1)
    while True:
        yield str(day)
        day += timedelta(days=30)


def _cpu_seconds(home: ChurnHome) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in home.processes()]
    return sum(each.user + each.system for each in times)


def _children_cpu_seconds() -> float:
    times = psutil.Process().cpu_times()
    return float(times.children_user + times.children_system)
