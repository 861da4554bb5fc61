"""Receive workbooks from the landing zone: a folder or a prefix of an object store.

A workbook is first received, that is copied to this machine, so that later changes in the landing
zone lose nothing. It is then claimed once: the claimant creates a claim file, and because its
creation either succeeds or fails, two claimants never share a workbook.

CHURN_HOME/landed/<key>/<name> is the copy, CHURN_HOME/landed/<key>.json the claim.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

from pyarrow import fs

from lakehouse.errors import InvalidInputError, UnavailableError
from lakehouse.settings import Settings
from lakehouse.storage import Storage

SUFFIXES = (".xlsx", ".xls", ".csv")
# A workbook that was last written this long ago is complete.
SETTLES = timedelta(seconds=30)


@dataclass(frozen=True)
class Arrival:
    """A received workbook.

    Attributes:
        key: Identifies the arrival; the same file changed later is another arrival.
        path: The copy, with the name and the modification time of the original.
    """

    key: str
    path: Path


def receive(settings: Settings) -> list[str]:
    """Copy new workbooks from the landing zone; return the names of those still being written.

    Subfolders of the landing zone are not searched.

    Raises:
        UnavailableError: The landing zone does not exist or does not respond.
    """
    arriving = []
    try:
        place = _open(settings)
        for each in filter(_is_workbook, place.children()):
            # A modification time in the future is another machine's error, not a sign of writing.
            if timedelta() <= datetime.now(UTC) - each.mtime < SETTLES:
                arriving.append(each.base_name)
            elif not _copies(settings, _key(each)).exists():
                _copy(settings, place.files, each)
    except OSError as fault:
        raise UnavailableError(
            f"The landing place does not answer: {fault}",
            where=f"CHURN_LANDING, {settings.landing}",
            remedy="check the address and the AWS_* variables",
        ) from fault
    return arriving


def untaken(settings: Settings) -> list[Arrival]:
    """Return the received workbooks without a claim, oldest first."""
    return [each for each in _received(settings) if _taker(settings, each.key) is None]


def take(settings: Settings, taker: str, key: str | None = None) -> Arrival | None:
    """Claim the oldest waiting arrival, or the one with the key; return None if there is none.

    A claimant that already has a claim gets the same arrival again.

    Raises:
        InvalidInputError: No workbook with the key was received.
    """
    there = [each for each in _received(settings) if key in (None, each.key)]
    if key is not None and not there:
        raise InvalidInputError(
            f"No workbook of the key {key} was received",
            where=str(_copies(settings, key)),
            remedy="lay the workbook into the landing place again",
        )
    mine = [each for each in there if _taker(settings, each.key) == taker]
    return next((each for each in mine or there if _claim(settings, each.key, taker)), None)


def take_file(settings: Settings, path: Path, taker: str) -> None:
    """Claim a workbook by its path if it is in the landing zone, so that it need not run again."""
    if path.absolute().parent == settings.landing_zone.folder and path.exists():
        _claim(settings, _key(fs.LocalFileSystem().get_file_info(str(path.absolute()))), taker)


def _received(settings: Settings) -> list[Arrival]:
    """Return the received workbooks, oldest first."""
    # Not by one pattern: a draft, whose name begins with a dot, may disappear during the scan.
    folders = [each for each in _landed(settings).glob("[!.]*") if each.is_dir()]
    copies = [copy for folder in folders for copy in folder.iterdir()]
    copies.sort(key=lambda path: (path.stat().st_mtime, path.name))
    return [Arrival(path.parent.name, path) for path in copies]


def _copy(settings: Settings, place: fs.FileSystem, info: fs.FileInfo) -> None:
    """Copy a workbook; discard the copy if the workbook changed meanwhile."""
    landed = _landed(settings)
    landed.mkdir(parents=True, exist_ok=True)
    draft = Path(mkdtemp(prefix=".", dir=landed))
    try:
        copy = draft / info.base_name
        with place.open_input_stream(info.path) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
        # If a workbook has no saved date inside, the file's modification date is used.
        os.utime(copy, ns=(info.mtime_ns, info.mtime_ns))
        after = place.get_file_info(info.path)
        if _is_workbook(after) and _key(after) == _key(info):
            _rename(draft, _copies(settings, _key(info)))
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _rename(draft: Path, folder: Path) -> None:
    try:
        draft.rename(folder)
    except OSError:
        # Another process received it at the same moment.
        if not folder.exists():
            raise


def _taker(settings: Settings, key: str) -> str | None:
    path = _claim_file(settings, key)
    return str(json.loads(path.read_text())["taker"]) if path.exists() else None


def _claim(settings: Settings, key: str, taker: str) -> bool:
    path = _claim_file(settings, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"taker": taker}))
    try:
        # A link is created completely or not at all, and for one claimant only.
        os.link(draft, path)
    except FileExistsError:
        return _taker(settings, key) == taker
    finally:
        draft.unlink()
    return True


def _open(settings: Settings) -> Storage:
    """Return the landing zone; unless it was configured by name, it may not exist yet."""
    place = settings.landing_zone
    is_default = place.folder == settings.home / "landing"
    if place.folder and not (is_default or place.folder.is_dir()):
        raise UnavailableError(
            "The landing place is not there",
            where=f"CHURN_LANDING, {place.address}",
            remedy="make the folder, or correct the address",
        )
    return place


def _is_workbook(found: fs.FileInfo) -> bool:
    name = found.base_name
    # Names with these prefixes are those of unfinished copies and open workbooks.
    hidden = name.startswith((".", "_", "~$"))
    return found.is_file and not hidden and name.lower().endswith(SUFFIXES)


def _key(info: fs.FileInfo) -> str:
    text = f"{info.path}|{info.size}|{info.mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _landed(settings: Settings) -> Path:
    return settings.home / "landed"


def _copies(settings: Settings, key: str) -> Path:
    return _landed(settings) / key


def _claim_file(settings: Settings, key: str) -> Path:
    return _landed(settings) / f"{key}.json"
