"""Copy files between storages so that each copy can be compared with its original."""

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
# Progress callback: items completed, total items, and what is being processed.
Advance = Callable[[int, int, str], None]


@dataclass(frozen=True)
class FileCopy:
    """A file in a set of copies.

    `path` is relative to the set, `size` is in bytes, `mtime_ns` in nanoseconds since 1970;
    `sha256` is the hexadecimal digest of the content.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str


def copy_file(source: Storage, target: Storage) -> tuple[int, str]:
    """Copy a file between storages; return its size in bytes and its SHA-256 in hexadecimal."""
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
    """Set a file's modification time to that of its original, if the file system supports it.

    Delta's history and the landing zone depend on it.
    """
    if _is_local(place):
        os.utime(place.root, ns=(mtime_ns, mtime_ns))


def is_complete(found: "FileInfo", place: Storage, copy: FileCopy) -> bool:
    """Return whether the file found at a location is a complete copy.

    The time is set after the last byte is written; objects of an object store are always complete.
    """
    same_time = found.mtime_ns == copy.mtime_ns or not _is_local(place)
    return found.is_file and found.size == copy.size and same_time


def run_concurrently(
    work: Callable[[Item], Result], items: Sequence[Item], advance: Advance, what: str
) -> list[Result]:
    """Run `work` for each item, up to `AT_ONCE` at a time, and return the results in order.

    Stops at the first error.
    """
    results = []
    with ThreadPoolExecutor(AT_ONCE) as workers:
        for result in workers.map(work, items):
            results.append(result)
            advance(len(results), len(items), what)
    return results


def make_folder_of(place: Storage) -> None:
    """Create the parent folder of a file on a local file system.

    An object store has no folders; creating one would leave an object of that name.
    """
    if _is_local(place):
        Path(place.root).parent.mkdir(parents=True, exist_ok=True)


def _is_local(place: Storage) -> bool:
    from pyarrow import fs

    return isinstance(place.files, fs.LocalFileSystem)
