"""Locks on files, which the kernel releases when their holder dies, however it dies."""

import errno
import fcntl
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from lakehouse.errors import InvalidInputError

POLL_SECONDS = 0.2
# What file systems answer that have no locks, as some network file systems.
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def try_lock(file: IO[str], path: Path, mode: int = fcntl.LOCK_EX) -> bool:
    """Lock the open file of this path; return False if another process has locked it.

    Raises:
        InvalidInputError: its file system has no locks.
    """
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        raise InvalidInputError(
            f"The file system of {path.parent} has no file locks: {error.strerror}",
            where=str(path),
            remedy="set CHURN_HOME and CHURN_LAKE_URI to folders of a local file system: without "
            "locks two writers would overwrite each other's work",
        ) from error
    return True


def lock_within(
    file: IO[str], path: Path, seconds: float, on_wait: Callable[[], None] = lambda: None
) -> bool:
    """Lock the open file of this path, waiting for another process; return False on time-out.

    `on_wait` is called once, before the first wait. Raises what `try_lock` raises.
    """
    deadline = time.monotonic() + seconds
    is_first = True
    while not try_lock(file, path):
        if time.monotonic() > deadline:
            return False
        if is_first:
            on_wait()
            is_first = False
        time.sleep(POLL_SECONDS)
    return True
