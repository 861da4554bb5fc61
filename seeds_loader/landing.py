"""The landing place: a folder, or a prefix of an object store, where workbooks arrive.

A workbook is taken once. Who takes it leaves a claim, a small file whose creation either succeeds
or does not, so that two takers never share one; the taker that failed may take it again.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pyarrow import fs

from lakehouse.errors import Unavailable
from lakehouse.settings import Settings

SUFFIXES = (".xlsx", ".xls", ".csv")


@dataclass(frozen=True)
class Arrival:
    """A workbook in the landing place, as it was when it was looked at."""

    path: str
    size: int
    modified: datetime

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def key(self) -> str:
        """Tells this arrival from others: the same file changed later is another one."""
        text = f"{self.path}|{self.size}|{self.modified.timestamp()}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def arrivals(settings: Settings) -> list[Arrival]:
    """The workbooks of the landing place, oldest first; none where the place does not exist.

    Raises:
        Unavailable: the object store does not answer.
    """
    place, folder = _open(settings)
    try:
        found = place.get_file_info(fs.FileSelector(folder, allow_not_found=True, recursive=True))
    except OSError as fault:
        raise Unavailable(
            f"The landing place does not answer: {fault}",
            where=f"CHURN_LANDING, {settings.landing}",
            remedy="check the address and the AWS_* variables",
        ) from fault
    return sorted(
        (Arrival(each.path, each.size, each.mtime) for each in found if _is_workbook(each)),
        key=lambda each: (each.modified, each.path),
    )


def untaken(settings: Settings) -> list[Arrival]:
    """The arrivals that nobody has taken, oldest first."""
    return [each for each in arrivals(settings) if _taker(settings, each) is None]


def take(settings: Settings, taker: str, key: str | None = None) -> Arrival | None:
    """Take the oldest arrival that waits, or the one of that key; None where there is none.

    A taker that has one already is given the same again.
    """
    there = [each for each in arrivals(settings) if key in (None, each.key)]
    mine = [each for each in there if _taker(settings, each) == taker]
    return next((each for each in mine or there if _claim(settings, each, taker)), None)


def _taker(settings: Settings, arrival: Arrival) -> str | None:
    path = _claim_file(settings, arrival)
    return str(json.loads(path.read_text())["taker"]) if path.exists() else None


def _claim(settings: Settings, arrival: Arrival, taker: str) -> bool:
    path = _claim_file(settings, arrival)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"taker": taker, "path": arrival.path}))
    try:
        # A link is there whole or not at all, and for one taker only.
        os.link(draft, path)
    except FileExistsError:
        return _taker(settings, arrival) == taker
    finally:
        draft.unlink()
    return True


def fetch(settings: Settings, arrival: Arrival) -> Path:
    """The arrival as a file of this machine, with its own name and time."""
    if "://" not in settings.landing:
        return Path(arrival.path)
    place, _ = _open(settings)
    copy = settings.home / "landed" / arrival.key / arrival.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    with place.open_input_stream(arrival.path) as source, copy.open("wb") as target:
        while block := source.read(1 << 20):
            target.write(block)
    # Where a workbook has no date inside, the file's counts.
    os.utime(copy, (arrival.modified.timestamp(),) * 2)
    return copy


def _open(settings: Settings) -> tuple[fs.FileSystem, str]:
    _, _, rest = settings.landing.partition("://")
    if not rest:
        return fs.LocalFileSystem(), settings.landing
    address: dict[str, str] = {}
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        address["scheme"], _, address["endpoint_override"] = endpoint.partition("://")
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        address["region"] = region
    return fs.S3FileSystem(**address), rest.rstrip("/")


def _is_workbook(found: fs.FileInfo) -> bool:
    name = found.base_name
    # Names that begin so are of unfinished copies and open workbooks.
    hidden = name.startswith((".", "_", "~$"))
    return found.is_file and not hidden and name.lower().endswith(SUFFIXES)


def _claim_file(settings: Settings, arrival: Arrival) -> Path:
    return settings.home / "landed" / f"{arrival.key}.json"
