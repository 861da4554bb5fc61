"""File locks, which the kernel releases when the holding process dies for any reason."""

import errno
import fcntl
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from lakehouse.errors import InvalidInputError

POLL_SECONDS = 0.2
# Error codes of file systems without locks, such as some network file systems.
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def try_lock(file: IO[str], path: Path, mode: int = fcntl.LOCK_EX) -> bool:
    """Lock the open file of this path; return False if another process has locked it.

    Raises:
        InvalidInputError: If the file system does not support locks.
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
            hint="set CHURN_HOME and CHURN_LAKE_URI to folders of a local file system: without "
            "locks two writers would overwrite each other's work",
        ) from error
    return True


def lock_within(
    file: IO[str], path: Path, seconds: float, on_wait: Callable[[], None] = lambda: None
) -> bool:
    """Lock the open file of this path, waiting for another process; return False on time-out.

    `on_wait` is called once, before the first wait.

    Raises:
        InvalidInputError: If the file system does not support locks.
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
