"""List the runs of a home, interrupted ones included, and print their logs."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from churn.provenance.run_history import (
    HINT_RUN_FIRST,
    list_runs,
    parse_start_time,
    read_end_time,
    read_summary_or_empty,
)
from lakehouse import run_log
from lakehouse.errors import InvalidInputError
from lakehouse.run_log import INTERRUPTED, RUNNING, RunRecord, read_records
from lakehouse.settings import Settings

POLL_SECONDS = 0.5
# The commands whose runs have a summary.
WITH_SUMMARY = ("churn run", "churn demo")
# Columns of the list; the rest of the line is what was called.
RUN, WHEN, RESULT, SECONDS = 23, 16, 11, 7
NARROW = 100


@dataclass(frozen=True)
class Run:
    """A run, as `churn runs` lists it; `step` is the step in which it was interrupted or failed."""

    run_id: str
    started: str
    command: str | None
    workbook: str | None
    result: str
    step: str | None
    seconds: float
    log: str | None


def list_all_runs(settings: Settings, limit: int | None = None) -> list[Run]:
    """Return the runs, newest first: those with a log, and those with a summary alone.

    Runs in Airflow, and runs of before logs were introduced, have a summary alone.

    Args:
        settings: The settings of this CHURN_HOME.
        limit: Maximum number of runs.
    """
    logged = [_from_record(record) for record in read_records(settings)]
    known = {run.run_id for run in logged}
    others = [
        _from_summary(settings, run_id) for run_id in list_runs(settings) if run_id not in known
    ]
    runs = sorted([*logged, *others], key=lambda run: (run.started, run.run_id), reverse=True)
    return runs[:limit]


def _from_record(record: RunRecord) -> Run:
    is_incomplete = record.result not in (run_log.DONE, run_log.UNCHANGED, run_log.REFUSED)
    return Run(
        run_id=record.run_id,
        started=record.started,
        command=record.command,
        workbook=record.workbook,
        result=record.result,
        step=record.step if is_incomplete else None,
        seconds=round(sum(record.seconds.values()), 1),
        log=record.log,
    )


def _from_summary(settings: Settings, run_id: str) -> Run:
    summary = read_summary_or_empty(settings, run_id)
    seconds = sum(summary.get("seconds", {}).values())
    workbook = summary.get("workbook", {}).get("path")
    try:
        started = parse_start_time(run_id)
    except ValueError:  # the name is Airflow's
        started = read_end_time(settings, run_id)
    verdict = summary.get("gate", {}).get("verdict")
    done = run_log.UNCHANGED if summary.get("unchanged") else run_log.DONE
    return Run(
        run_id=run_id,
        started=started.isoformat(timespec="seconds"),
        command=None,
        workbook=Path(workbook).name if workbook else None,
        result=run_log.REFUSED if verdict == "refused" else done,
        step=None,
        seconds=round(seconds, 1),
        log=None,
    )


def format_runs(settings: Settings, runs: list[Run], width: int | None) -> list[str]:
    """Format runs as a table, cut to the width of a terminal, and where their logs are.

    Args:
        settings: The settings of this CHURN_HOME.
        runs: The runs.
        width: Columns of the terminal; None if the output is none.
    """
    if not runs:
        return [f"no run yet: {HINT_RUN_FIRST}"]
    # The name of a run has its time: a narrow terminal needs no second one.
    has_time = width is None or width >= NARROW
    lines = [_format_row("RUN", "WHEN (UTC)" if has_time else "", "RESULT", "SECONDS", "WORKBOOK")]
    for run in runs:
        when = f"{datetime.fromisoformat(run.started):%Y-%m-%d %H:%M}" if has_time else ""
        called = run.workbook or run.command or "-"
        if run.step:
            called += f" (in {run.step})"
        lines.append(_format_row(run.run_id, when, run.result, f"{run.seconds:.1f}", called))
    lines = [line if width is None else _cut(line, width) for line in lines]
    return [*lines, f"logs: {run_log.folder(settings)}/RUN.log, or `churn logs --run RUN`"]


def _format_row(run: str, when: str, result: str, seconds: str, called: str) -> str:
    time_column = f"{when:<{WHEN}}  " if when else ""
    return f"{run:<{RUN}}  {time_column}{result:<{RESULT}}  {seconds:>{SECONDS}}  {called}"


def _cut(line: str, width: int) -> str:
    return line if len(line) < width else f"{line[: width - 2]}…"


def read_last_run(settings: Settings) -> dict[str, Any] | None:
    """Return the latest run of a workbook if it is running, or ended without a summary."""
    records = [each for each in read_records(settings) if each.command in WITH_SUMMARY]
    if not records or records[-1].result not in (RUNNING, INTERRUPTED, run_log.FAILED):
        return None
    last = records[-1]
    if any(run_id > last.run_id for run_id in list_runs(settings)):  # Airflow ran since
        return None
    found = {
        "state": f"{last.result} in {last.step}" if last.step else last.result,
        "run": last.run_id,
        "workbook": last.workbook,
        "effect": last.effect,
        "log": last.log,
    }
    return {**found, "hint": "repeat the command"} if last.result == INTERRUPTED else found


def find_log(settings: Settings, run_id: str | None) -> RunRecord:
    """Return the record of a run, or of the latest one.

    Raises:
        InvalidInputError: The run has no log.
    """
    records = read_records(settings)
    found = [record for record in records if run_id in (None, record.run_id)]
    if found:
        return found[-1]
    newest = ", ".join(record.run_id for record in records[-3:])
    raise InvalidInputError(
        f"There is no log of run {run_id!r}" if run_id else "There is no log yet",
        where=str(run_log.folder(settings)),
        hint=f"name a run that has one ({newest}); `churn runs` lists them"
        if records
        else HINT_RUN_FIRST,
    )


def read_log(settings: Settings, record: RunRecord, follow: bool) -> Iterator[str]:
    """Yield the log of a run in parts.

    Args:
        settings: The settings of this CHURN_HOME.
        record: The run.
        follow: Whether to wait for further parts until the run ends.
    """
    with Path(record.log).open(encoding="utf-8", errors="replace") as file:
        while True:
            # Before reading: what the run wrote at last is read too.
            is_running = follow and _is_running(settings, record.run_id)
            if part := file.read():
                yield part
            if not is_running:
                return
            time.sleep(POLL_SECONDS)


def _is_running(settings: Settings, run_id: str) -> bool:
    return any(
        record.run_id == run_id and record.result == RUNNING for record in read_records(settings)
    )


def to_json(runs: list[Run]) -> list[dict[str, Any]]:
    """Return runs as JSON objects."""
    return [asdict(run) for run in runs]


def print_log(
    settings: Settings, run_id: str | None, follow: bool, write: Callable[[str], None]
) -> None:
    """Print the log of a run, or of the latest one."""
    for part in read_log(settings, find_log(settings, run_id), follow):
        write(part)
