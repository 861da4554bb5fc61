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

from lakehouse.atomic_write import is_left_behind
from lakehouse.errors import InvalidInputError, UnavailableError
from lakehouse.settings import Settings
from lakehouse.storage import Storage

SUFFIXES = (".xlsx", ".xls", ".csv")
# A workbook that was last written this long ago is complete.
QUIET_PERIOD = timedelta(seconds=30)


@dataclass(frozen=True)
class LandedFile:
    """A received workbook.

    Attributes:
        key: Identifies the arrival; the same file changed later is another arrival.
        path: The copy, with the name and the modification time of the original.
    """

    key: str
    path: Path


def copy_new_files(settings: Settings) -> list[str]:
    """Copy new workbooks from the landing zone; return the names of those still being written.

    Subfolders of the landing zone are not searched.

    Raises:
        UnavailableError: The landing zone does not exist or does not respond.
    """
    being_written = []
    try:
        landing_zone = _open_storage(settings)
        for info in filter(_is_workbook, landing_zone.list_children()):
            # A modification time in the future is another machine's error, not a sign of writing.
            if timedelta() <= datetime.now(UTC) - info.mtime < QUIET_PERIOD:
                being_written.append(info.base_name)
            elif not _copy_folder(settings, _key_of(info)).exists():
                _copy(settings, landing_zone.files, info)
    except OSError as error:
        raise UnavailableError(
            f"The landing place does not answer: {error}",
            where=f"CHURN_LANDING, {settings.landing}",
            hint="check the address and the AWS_* variables",
        ) from error
    return being_written


def list_unclaimed(settings: Settings) -> list[LandedFile]:
    """Return the received workbooks without a claim, oldest first."""
    return [
        file for file in _list_landed_files(settings) if _read_claimant(settings, file.key) is None
    ]


def claim(settings: Settings, claimant: str, key: str | None = None) -> LandedFile | None:
    """Claim the oldest waiting arrival, or the one with the key; return None if there is none.

    A claimant that already has a claim gets the same arrival again.

    Raises:
        InvalidInputError: No workbook with the key was received.
    """
    landed = [file for file in _list_landed_files(settings) if key in (None, file.key)]
    if key is not None and not landed:
        raise InvalidInputError(
            f"No workbook of the key {key} was received",
            where=str(_copy_folder(settings, key)),
            hint="put the workbook into the landing place again",
        )
    claimed = [file for file in landed if _read_claimant(settings, file.key) == claimant]
    return next(
        (file for file in claimed or landed if _create_claim(settings, file.key, claimant)), None
    )


def claim_file(settings: Settings, path: Path, claimant: str) -> None:
    """Claim a workbook by its path if it is in the landing zone, so that it need not run again."""
    if path.absolute().parent == settings.landing_zone.folder and path.exists():
        _create_claim(
            settings, _key_of(fs.LocalFileSystem().get_file_info(str(path.absolute()))), claimant
        )


def _list_landed_files(settings: Settings) -> list[LandedFile]:
    """Return the received workbooks, oldest first."""
    # Not by one pattern: a draft, whose name begins with a dot, may disappear during the scan.
    folders = [folder for folder in _landed_folder(settings).glob("[!.]*") if folder.is_dir()]
    copies = [copy for folder in folders for copy in folder.iterdir()]
    copies.sort(key=lambda path: (path.stat().st_mtime, path.name))
    return [LandedFile(path.parent.name, path) for path in copies]


def _copy(settings: Settings, files: fs.FileSystem, info: fs.FileInfo) -> None:
    """Copy a workbook; discard the copy if the workbook changed meanwhile."""
    parent = _landed_folder(settings)
    parent.mkdir(parents=True, exist_ok=True)
    draft = Path(mkdtemp(prefix=f".{os.getpid()}-", dir=parent))
    try:
        copy = draft / info.base_name
        with files.open_input_stream(info.path) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
        # If a workbook has no saved date inside, the file's modification date is used.
        os.utime(copy, ns=(info.mtime_ns, info.mtime_ns))
        after = files.get_file_info(info.path)
        if _is_workbook(after) and _key_of(after) == _key_of(info):
            _rename(draft, _copy_folder(settings, _key_of(info)))
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def remove_drafts(settings: Settings) -> None:
    """Remove incomplete copies of workbooks that killed processes left."""
    for draft in _landed_folder(settings).glob(".*"):
        number, separator, _ = draft.name[1:].partition("-")
        # Copies of earlier versions do not have the number of the process.
        if is_left_behind(draft, number if separator else None):
            shutil.rmtree(draft, ignore_errors=True)


def _rename(draft: Path, folder: Path) -> None:
    try:
        draft.rename(folder)
    except OSError:
        # Another process received it at the same moment.
        if not folder.exists():
            raise


def _read_claimant(settings: Settings, key: str) -> str | None:
    path = _claim_path(settings, key)
    return str(json.loads(path.read_text())["taker"]) if path.exists() else None


def _create_claim(settings: Settings, key: str, claimant: str) -> bool:
    path = _claim_path(settings, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"taker": claimant}))
    try:
        # A link is created completely or not at all, and for one claimant only.
        os.link(draft, path)
    except FileExistsError:
        return _read_claimant(settings, key) == claimant
    finally:
        draft.unlink()
    return True


def _open_storage(settings: Settings) -> Storage:
    """Return the landing zone; unless it was configured by name, it may not exist yet."""
    place = settings.landing_zone
    is_default = place.folder == settings.home / "landing"
    if place.folder and not (is_default or place.folder.is_dir()):
        raise UnavailableError(
            "The landing place is not there",
            where=f"CHURN_LANDING, {place.address}",
            hint="make the folder, or correct the address",
        )
    return place


def _is_workbook(found: fs.FileInfo) -> bool:
    name = found.base_name
    # Names with these prefixes are those of unfinished copies and open workbooks.
    hidden = name.startswith((".", "_", "~$"))
    return found.is_file and not hidden and name.lower().endswith(SUFFIXES)


def _key_of(info: fs.FileInfo) -> str:
    text = f"{info.path}|{info.size}|{info.mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _landed_folder(settings: Settings) -> Path:
    return settings.home / "landed"


def _copy_folder(settings: Settings, key: str) -> Path:
    return _landed_folder(settings) / key


def _claim_path(settings: Settings, key: str) -> Path:
    return _landed_folder(settings) / f"{key}.json"
