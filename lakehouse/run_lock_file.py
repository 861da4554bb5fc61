"""The file of the run lock, for programs that know no Spark: see `lakehouse.run_lock`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.file_locks import try_lock
from lakehouse.settings import Settings


def lock_file(settings: Settings) -> Path:
    """Return the path of the lock file.

    It is in the lake's folder, beside the tables that it protects, or in CHURN_HOME if the lake is
    in an object store.
    """
    return (settings.lake.folder or settings.home) / "_run.lock"


def restoring_file(settings: Settings) -> Path:
    """Return the path of the file that names the backup being restored.

    It exists until the restore has completed.
    """
    return settings.home / "restoring.json"


def erasing_file(settings: Settings) -> Path:
    """Return the path of the file that names the customers being erased.

    It exists until their erasure has completed.
    """
    return settings.home / "erased" / "pending.json"


@contextmanager
def run_lock_if_free(settings: Settings) -> Iterator[bool]:
    """Hold the lock for a moment, and yield True; yield False if it is not free.

    It is not free if another process holds it, if a holder left interrupted work behind, or if this
    process may not write the file. There is no file before the first writer.
    """
    path = lock_file(settings)
    try:
        lock = path.open("r+")
    except OSError:
        yield False
        return
    with lock:
        is_free = try_lock(lock, path) and not lock.read().strip()
        is_whole = not restoring_file(settings).exists() and not erasing_file(settings).exists()
        yield is_free and is_whole
