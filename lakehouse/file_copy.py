"""Copy files between storages so that each copy can be compared with its original."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lakehouse.storage import Storage

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo

WORKERS = 8
CHUNK_BYTES = 1024 * 1024
Item = TypeVar("Item")
Result = TypeVar("Result")
# Progress callback: items completed, total items, and what is being processed.
ProgressCallback = Callable[[int, int, str], None]


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
    target.prepare_file()
    digest, size = hashlib.sha256(), 0
    with (
        source.files.open_input_stream(source.root) as original,
        target.files.open_output_stream(target.root) as copy,
    ):
        while chunk := original.read(CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def is_complete(found: "FileInfo", place: Storage, copy: FileCopy) -> bool:
    """Return whether the file found at a location is a complete copy.

    The time is set after the last byte is written; objects of an object store are always complete.
    """
    same_time = found.mtime_ns == copy.mtime_ns or not place.has_settable_mtime
    return found.is_file and found.size == copy.size and same_time


def run_concurrently(
    work: Callable[[Item], Result], items: Sequence[Item], advance: ProgressCallback, what: str
) -> list[Result]:
    """Run `work` for each item, up to `WORKERS` at a time, and return the results in order.

    Stops at the first error.
    """
    results = []
    with ThreadPoolExecutor(WORKERS) as workers:
        for result in workers.map(work, items):
            results.append(result)
            advance(len(results), len(items), what)
    return results
