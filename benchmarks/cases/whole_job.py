"""The whole job on a workbook, with a warm server and from nothing."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from benchmarks import ours
from benchmarks.measure import Measured, in_turns, measuring


def run(folder: Path, workbook: Path, rounds: int) -> dict[str, Measured]:
    """Sides `ours, warm` and `ours, cold`.

    Warm: the server is up and has done the job once; the workbook comes as another month's, so
    that every step has all its work to do. Cold: the command is called in a home with nothing in
    it.
    """
    with ours.home(folder / "job") as home:
        days = _days()
        home.churn("run", workbook, "--extract-date", str(next(days)))
        sides = {
            "ours, warm": lambda into: _warm(home, workbook, next(days), into),
            "ours, cold": lambda into: _cold(folder / "cold", workbook, into),
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
