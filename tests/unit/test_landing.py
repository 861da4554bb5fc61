"""The landing place: what counts as a workbook, whose it is, and that no two takers share one."""

import multiprocessing
import os
import shutil
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from churn.pipeline.airflow_steps import workbook_for
from lakehouse.errors import InvalidInputError, UnavailableError
from lakehouse.settings import Settings, read_settings
from seeds_loader.landing_zone import (
    QUIET_PERIOD,
    LandedFile,
    claim,
    claim_file,
    copy_new_files,
    list_unclaimed,
)

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


def names(arrivals: list[LandedFile]) -> list[str]:
    return [each.path.name for each in arrivals]


def test_nothing_landed_yet(settings: Settings) -> None:
    assert copy_new_files(settings) == []
    assert claim(settings, "run") is None


def test_a_place_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    settings = read_settings({"CHURN_HOME": str(tmp_path), "CHURN_LANDING": str(tmp_path / "mnt")})
    with pytest.raises(UnavailableError, match=r"is not there[\s\S]*CHURN_LANDING"):
        copy_new_files(settings)


def test_workbooks_are_found_oldest_first_and_nothing_else(settings: Settings) -> None:
    files = ["c.xlsx", "a.XLS", "b.csv", ".a.xlsx", "~$c.xlsx", "a.pdf", "done/d.xlsx"]
    for day, name in enumerate(files):
        land(settings, name, 20 - day)
    (Path(settings.landing) / "folder.xlsx").mkdir()
    copy_new_files(settings)
    assert names(list_unclaimed(settings)) == ["b.csv", "a.XLS", "c.xlsx"]


def test_each_is_taken_once_oldest_first(settings: Settings) -> None:
    land(settings, "late.csv", 2)
    land(settings, "early.csv", 1)
    copy_new_files(settings)
    taken = [claim(settings, run) for run in ("one", "two", "three")]
    assert [each and each.path.name for each in taken] == ["early.csv", "late.csv", None]
    copy_new_files(settings)
    assert list_unclaimed(settings) == []


def test_what_was_received_does_not_depend_on_the_landing_place(settings: Settings) -> None:
    path = land(settings, "a.csv", 3, "first")
    copy_new_files(settings)
    (arrival,) = list_unclaimed(settings)
    shutil.rmtree(path.parent)
    taken = claim(settings, "one", arrival.key)
    assert taken and taken.path.read_text() == "first"
    assert taken.path.stat().st_mtime == datetime(2025, 1, 3, tzinfo=UTC).timestamp()


def test_a_taker_is_given_the_same_again(settings: Settings) -> None:
    land(settings, "a.csv", 2)
    copy_new_files(settings)
    taken = claim(settings, "one")
    land(settings, "older.csv", 1)
    copy_new_files(settings)
    assert claim(settings, "one") == taken


def test_an_arrival_of_another_run_is_not_shared(settings: Settings) -> None:
    land(settings, "a.csv", 1)
    copy_new_files(settings)
    (arrival,) = list_unclaimed(settings)
    assert claim(settings, "one", arrival.key) == arrival
    assert claim(settings, "two", arrival.key) is None
    assert claim(settings, "two") is None


def test_a_key_of_nothing_is_a_fault(settings: Settings) -> None:
    with pytest.raises(InvalidInputError, match="landing place again"):
        claim(settings, "one", "0123456789abcdef")


def test_a_file_that_was_changed_is_another_arrival(settings: Settings) -> None:
    land(settings, "a.csv", 1, "first")
    copy_new_files(settings)
    land(settings, "a.csv", 2, "second")
    copy_new_files(settings)
    taken = [claim(settings, run) for run in ("one", "two", "three")]
    assert [each and each.path.read_text() for each in taken] == ["first", "second", None]


def test_what_is_given_by_its_place_is_taken_too(settings: Settings, tmp_path: Path) -> None:
    path = land(settings, "a.csv", 1)
    elsewhere = shutil.copy2(path, tmp_path / "a.csv")
    claim_file(settings, Path(elsewhere), "one")
    copy_new_files(settings)
    assert names(list_unclaimed(settings)) == ["a.csv"]
    claim_file(settings, path, "one")
    assert list_unclaimed(settings) == []


def _receive_and_take(settings: Settings, taker: str) -> str | None:
    copy_new_files(settings)
    taken = claim(settings, taker)
    return taken.path.name if taken else None


def test_takers_at_the_same_moment_share_none(settings: Settings) -> None:
    files = [f"{number}.csv" for number in range(TAKERS - 2)]
    for name in files:
        land(settings, name, 1)
    with multiprocessing.get_context("fork").Pool(TAKERS) as pool:
        runs = [(settings, str(number)) for number in range(TAKERS)]
        taken = pool.starmap(_receive_and_take, runs)
    assert sorted(each for each in taken if each) == files
    assert taken.count(None) == 2


# --- which workbook a run is about -------------------------------------------------------------


def test_by_hand_the_oldest_that_waits_else_the_sample(settings: Settings) -> None:
    land(settings, "a.csv", 1)
    chosen = [workbook_for(settings, run, None, None, by_hand=True) for run in ("one", "two")]
    landed, sample = (each.name for each in chosen if each)
    assert landed == "a.csv"
    # Recent enough for the scoring API.
    extract_date = date.fromisoformat(sample.removeprefix("telco_customers_")[:10])
    assert timedelta(0) <= datetime.now(UTC).date() - extract_date <= timedelta(days=31)
    # tried again, each is about the same as before
    land(settings, "b.csv", 2)
    again = [workbook_for(settings, run, None, None, by_hand=True) for run in ("one", "two")]
    assert again == chosen


def test_a_lake_with_data_never_gets_the_sample(settings: Settings) -> None:
    (settings.home / "lake" / "bronze" / "loads").mkdir(parents=True)
    for by_hand in (True, False):
        assert workbook_for(settings, "one", None, None, by_hand) is None
    land(settings, "a.csv", 1)
    chosen = workbook_for(settings, "one", None, None, by_hand=True)
    assert chosen and chosen.name == "a.csv"


def test_by_schedule_none_where_nothing_waits(settings: Settings) -> None:
    assert workbook_for(settings, "one", None, None, by_hand=False) is None


def test_what_is_still_written_is_waited_for(settings: Settings) -> None:
    path = land(settings, "a.csv", 1)
    begun = time.time() - QUIET_PERIOD.total_seconds() + 2
    os.utime(path, (begun, begun))
    assert copy_new_files(settings) == ["a.csv"]
    assert list_unclaimed(settings) == []
    chosen = workbook_for(settings, "one", None, None, by_hand=True)
    assert chosen and chosen.name == "a.csv"
