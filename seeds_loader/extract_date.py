"""Determine the extract date of a workbook."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from lakehouse.errors import InvalidInputError
from seeds_loader.reader.extract import Extract

# Earlier saved dates come from programs that do not know the time (1601, 1970, 1980).
EARLIEST_DATE = date(2000, 1, 1)
# The user's local date may be ahead of UTC's.
MAX_AHEAD = timedelta(days=1)
# A date in a file's name: 2026-12-01 or 20261201, not a part of a longer number.
DATE_IN_NAME = re.compile(r"(?<!\d)([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})(?!\d)", re.ASCII)


@dataclass(frozen=True)
class ExtractDate:
    """An extract date, its source, and a warning for the user, if any."""

    date: date
    source: Literal["given", "workbook", "file"]
    warning: str | None = None


def choose_extract_date(
    given: date | None, extract: Extract, now: datetime | None = None
) -> ExtractDate:
    """Return the given date, else the saved date in the file, else its modification date.

    All dates are in UTC. An implausible saved date (before 2000, or more than a day ahead of `now`)
    is ignored. If the file's name has another date, the result warns of it: saving a correction
    changes the saved date.

    Raises:
        InvalidInputError: The given date is implausible, or the modification date is needed and the
            file no longer exists.
    """
    latest = (now or datetime.now(UTC)).astimezone(UTC).date() + MAX_AHEAD
    if given is not None:
        _require_plausible_date(given, latest)
        return ExtractDate(given, "given")
    saved = extract.saved_at.astimezone(UTC).date() if extract.saved_at else None
    if saved is not None and EARLIEST_DATE <= saved <= latest:
        origin = "the day on which the workbook was saved"
        return ExtractDate(saved, "workbook", _format_other_date(extract, saved, origin))
    modified = _read_modification_date(extract)
    origin = "the file's modification date"
    if other := _format_other_date(extract, modified, origin):
        return ExtractDate(modified, "file", other)
    reason = f"says it was saved on {saved}" if saved else "does not say when it was saved"
    return ExtractDate(
        modified,
        "file",
        f"{extract.path.name} {reason}: the extract date {modified} is the file's modification "
        "date, which a copy may change; give the right one with --extract-date YYYY-MM-DD",
    )


def _format_other_date(extract: Extract, chosen: date, origin: str) -> str | None:
    """Return the warning if the file's name has a date, but not the chosen one."""
    name = extract.path.name
    named = [day for day in _find_dates(name) if day >= EARLIEST_DATE]
    if not named or chosen in named:
        return None
    return (
        f"the extract date is {chosen}, {origin}, but the file's name has {named[0]} ({name}); "
        f"if it corrects the extract of {named[0]}, give --extract-date {named[0]}"
    )


def _find_dates(name: str) -> Iterator[date]:
    for year, _, month, day in DATE_IN_NAME.findall(name):
        with suppress(ValueError):  # such as month 13: another number
            yield date(int(year), int(month), int(day))


def _require_plausible_date(given: date, latest: date) -> None:
    if EARLIEST_DATE <= given <= latest:
        return
    reason = f"before {EARLIEST_DATE}" if given < EARLIEST_DATE else "in the future"
    raise InvalidInputError(
        f"the extract date {given} lies {reason}",
        where="--extract-date",
        hint=f"give the day that the workbook describes, from {EARLIEST_DATE} to {latest}",
    )


def _read_modification_date(extract: Extract) -> date:
    try:
        stamp = extract.path.stat().st_mtime
    except OSError as error:
        raise InvalidInputError(
            f"{extract.path.name} is gone since it was read",
            where=str(extract.path),
            hint="put the file back, or give --extract-date",
        ) from error
    return datetime.fromtimestamp(stamp, UTC).date()
