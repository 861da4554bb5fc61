import os
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.errors import InvalidInputError
from seeds_loader.extract_date import ExtractDate, choose_extract_date
from seeds_loader.reader.sandbox import Extract

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.xlsx"
    path.touch()
    # 23:30 UTC: the day differs in half of the world's zones
    stamp = datetime(2026, 2, 28, 23, 30, tzinfo=UTC).timestamp()
    os.utime(path, (stamp, stamp))
    return path


def extract(path: Path, saved_at: datetime | None = None) -> Extract:
    return Extract(path, "", "Data", pa.table({}), saved_at, 1)


def test_the_given_date_comes_first(book):
    chosen = choose_extract_date(date(2026, 1, 31), extract(book, NOW), NOW)
    assert chosen == ExtractDate(date(2026, 1, 31), "given", None)


def test_the_saved_date_counts_in_utc(book):
    saved = datetime(2026, 2, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    chosen = choose_extract_date(None, extract(book, saved), NOW)
    assert chosen == ExtractDate(date(2026, 1, 31), "workbook", None)


def test_the_modification_date_comes_last_and_warns(book):
    chosen = choose_extract_date(None, extract(book), NOW)
    assert (chosen.date, chosen.source) == (date(2026, 2, 28), "file")
    assert chosen.warning is not None
    for word in ("book.xlsx", "2026-02-28", "--extract-date"):
        assert word in chosen.warning


@pytest.mark.parametrize("year", [1601, 1980, 2027])
def test_a_saved_date_that_cannot_be_true_is_passed_over(book, year):
    chosen = choose_extract_date(None, extract(book, datetime(year, 5, 1, tzinfo=UTC)), NOW)
    assert chosen.source == "file"
    assert chosen.warning is not None
    assert f"{year}-05-01" in chosen.warning


def test_tomorrow_may_be_given(book):
    assert choose_extract_date(date(2026, 3, 11), extract(book), NOW).date == date(2026, 3, 11)


@pytest.mark.parametrize(
    ("given", "told"), [(date(2026, 3, 12), "future"), (date(1999, 12, 31), "before 2000-01-01")]
)
def test_an_impossible_date_is_refused(book, given, told):
    with pytest.raises(InvalidInputError, match=told) as caught:
        choose_extract_date(given, extract(book), NOW)
    assert "--extract-date" in str(caught.value)
    assert "from 2000-01-01 to 2026-03-11" in caught.value.hint


def test_a_vanished_file_is_told(tmp_path):
    with pytest.raises(InvalidInputError, match="gone"):
        choose_extract_date(None, extract(tmp_path / "book.xlsx"), NOW)


@pytest.mark.parametrize(
    "name", ["base 2026-01-31 corrected.xlsx", "base_20260131.xlsx", "2026-01-31T20991399.xlsx"]
)
@pytest.mark.parametrize("saved", [datetime(2026, 3, 9, tzinfo=UTC), None])
def test_a_date_in_the_files_name_that_differs_is_told(book, name, saved):
    """Saving a correction changes the saved date, and with it the extract that it corrects."""
    path = book.rename(book.with_name(name))
    chosen = choose_extract_date(None, extract(path, saved), NOW)
    warning = chosen.warning or ""
    assert f"the extract date is {chosen.date}" in warning
    assert "if it corrects the extract of 2026-01-31, give --extract-date 2026-01-31" in warning
    assert ("saved" in warning) == (saved is not None)
    assert choose_extract_date(date(2026, 3, 1), extract(path, saved), NOW).warning is None


@pytest.mark.parametrize(
    "name", ["2026-03-09.xlsx", "20260309 of 20260131.xlsx", "9920260131.xlsx", "1999-01-31.xlsx"]
)
def test_the_same_date_or_another_number_in_the_name_causes_no_warning(book, name):
    path = book.rename(book.with_name(name))
    assert choose_extract_date(None, extract(path, datetime(2026, 3, 9, tzinfo=UTC)), NOW) == (
        ExtractDate(date(2026, 3, 9), "workbook")
    )
