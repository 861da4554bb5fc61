"""Files copied from one place to another, so that the copy can be held against the original."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lakehouse.storage import Storage

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo

AT_ONCE = 8
CHUNK = 1024 * 1024
Item = TypeVar("Item")
Result = TypeVar("Result")
# How many are done, of how many, and at what.
Advance = Callable[[int, int, str], None]


@dataclass(frozen=True)
class FileCopy:
    """A file of a set of copies: `path` in the set, bytes, time in ns since 1970, SHA-256."""

    path: str
    size: int
    mtime_ns: int
    sha256: str


def copy_file(source: Storage, target: Storage) -> tuple[int, str]:
    """Copy the file at one place to another; returns its bytes and their SHA-256."""
    make_folder_of(target)
    digest, size = hashlib.sha256(), 0
    with (
        source.files.open_input_stream(source.root) as original,
        target.files.open_output_stream(target.root) as copy,
    ):
        while chunk := original.read(CHUNK):
            digest.update(chunk)
            copy.write(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def set_mtime(place: Storage, mtime_ns: int) -> None:
    """Give a file its original's time, where the file system lets it be set.

    Delta's history and the landing place go by it.
    """
    if _is_local(place):
        os.utime(place.root, ns=(mtime_ns, mtime_ns))


def is_complete(found: "FileInfo", place: Storage, copy: FileCopy) -> bool:
    """Whether what was found at a place is that copy, whole.

    The time is set when the last byte is written; an object is there whole or not at all.
    """
    same_time = found.mtime_ns == copy.mtime_ns or not _is_local(place)
    return found.is_file and found.size == copy.size and same_time


def run_concurrently(
    work: Callable[[Item], Result], items: Sequence[Item], advance: Advance, what: str
) -> list[Result]:
    """Do the same for many, several at once; the results in order. The first fault ends it."""
    results = []
    with ThreadPoolExecutor(AT_ONCE) as workers:
        for result in workers.map(work, items):
            results.append(result)
            advance(len(results), len(items), what)
    return results


def make_folder_of(place: Storage) -> None:
    """Make the folder that the file is to lie in, where there are such things.

    An object store has no folders; to make one would leave an object of that name.
    """
    if _is_local(place):
        Path(place.root).parent.mkdir(parents=True, exist_ok=True)


def _is_local(place: Storage) -> bool:
    from pyarrow import fs

    return isinstance(place.files, fs.LocalFileSystem)
