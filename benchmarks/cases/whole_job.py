"""The whole job on a workbook: ours, and the pipeline of scripts that ends with Feast."""

import shutil
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from environments import quiet_port
from faults import OwnRedis

from benchmarks import ours
from benchmarks.measure import Measured, call, in_turns, measuring

SCRIPTS = [sys.executable, "-m", "benchmarks.peers.spark_steps"]


def run(folder: Path, workbook: Path, rounds: int) -> dict[str, Measured]:
    """Sides `ours, warm`, `ours, cold`, `scripts`.

    Warm: the server is up and has done the job once; the workbook comes as another month's, so
    that every step has all its work to do. Cold: the command is called in a home with nothing in
    it. The scripts train nothing, and ours does.
    """
    with ours.home(folder / "job") as home:
        days = _days()
        home.churn("run", workbook, "--extract-date", str(next(days)))
        sides = {
            "ours, warm": lambda into: _warm(home, workbook, next(days), into),
            "ours, cold": lambda into: _cold(folder / "cold", workbook, into),
            "scripts": lambda into: _scripts(folder / "scripts", workbook, into),
        }
        return in_turns(sides, rounds)


def _days() -> Iterator[date]:
    day = date(2024, 1, 1)
    while True:
        yield day
        day += timedelta(days=30)


def _warm(home: ours.ChurnHome, workbook: Path, day: date, into: Measured) -> None:
    with measuring(into, home.processes):
        home.churn("run", workbook, "--extract-date", str(day))


def _cold(folder: Path, workbook: Path, into: Measured) -> None:
    with ours.home(folder) as home, measuring(into, home.processes):
        home.churn("run", workbook)


def _scripts(folder: Path, workbook: Path, into: Measured) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    bronze, out = folder / "bronze", folder / "out"
    folder.mkdir(parents=True)
    redis = OwnRedis(quiet_port(), folder)
    redis.start()
    try:
        address = {"PEER_REDIS": f"127.0.0.1:{redis.port},password={redis.password}"}
        with measuring(into):
            call([*SCRIPTS, workbook, bronze, "read"])
            for step in ("clean", "engineer", "validate"):
                call([*SCRIPTS, bronze, out, step])
            call([sys.executable, "-m", "benchmarks.peers.feast_push", out], address)
    finally:
        redis.kill()
        shutil.rmtree(folder)
