"""The landing place: what counts as a workbook, whose it is, and that no two takers share one."""

import multiprocessing
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakehouse.settings import Settings, read_settings
from seeds_loader.landing import arrivals, fetch, take, untaken

TAKERS = 8


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"CHURN_HOME": str(tmp_path)})


def land(settings: Settings, name: str, day: int, content: str = "x") -> Path:
    path = Path(settings.landing) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    moment = datetime(2025, 1, day, tzinfo=UTC).timestamp()
    os.utime(path, (moment, moment))
    return path


def test_no_landing_place_is_an_empty_one(settings: Settings) -> None:
    assert arrivals(settings) == []
    assert take(settings, "run") is None


def test_workbooks_are_found_oldest_first_and_nothing_else(settings: Settings) -> None:
    for day, name in enumerate(["c.xlsx", "north/a.XLS", "b.csv", ".a.xlsx", "~$c.xlsx", "a.pdf"]):
        land(settings, name, 20 - day)
    (Path(settings.landing) / "folder.xlsx").mkdir()
    assert [each.name for each in arrivals(settings)] == ["b.csv", "a.XLS", "c.xlsx"]


def test_each_is_taken_once_oldest_first(settings: Settings) -> None:
    first, second = land(settings, "late.csv", 2), land(settings, "early.csv", 1)
    taken = [take(settings, run) for run in ("one", "two", "three")]
    assert [each and fetch(settings, each) for each in taken] == [second, first, None]
    assert untaken(settings) == []


def test_a_taker_is_given_the_same_again(settings: Settings) -> None:
    land(settings, "a.csv", 2)
    taken = take(settings, "one")
    land(settings, "older.csv", 1)
    assert take(settings, "one") == taken


def test_an_arrival_of_another_run_is_not_shared(settings: Settings) -> None:
    land(settings, "a.csv", 1)
    (arrival,) = untaken(settings)
    assert take(settings, "one", arrival.key) == arrival
    assert take(settings, "two", arrival.key) is None
    assert take(settings, "two") is None


def test_a_file_that_was_changed_is_another_arrival(settings: Settings) -> None:
    land(settings, "a.csv", 1)
    first = take(settings, "one")
    land(settings, "a.csv", 2, "longer")
    second = take(settings, "two")
    assert first and second and first.path == second.path and first != second


def _take(settings: Settings, taker: str) -> str | None:
    taken = take(settings, taker)
    return taken.name if taken else None


def test_takers_at_the_same_moment_share_none(settings: Settings) -> None:
    names = [f"{number}.csv" for number in range(TAKERS - 2)]
    for name in names:
        land(settings, name, 1)
    with multiprocessing.get_context("fork").Pool(TAKERS) as pool:
        taken = pool.starmap(_take, [(settings, str(number)) for number in range(TAKERS)])
    assert sorted(each for each in taken if each) == names
    assert taken.count(None) == 2
