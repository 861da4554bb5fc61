"""Privacy of local state: files are private to their owner, whatever the user's umask."""

import os
import stat
from pathlib import Path

from lakehouse.errors import InvalidInputError
from lakehouse.process import Log
from lakehouse.settings import Settings

# Permission bits of a file or folder that users other than its owner must not have.
OTHERS = 0o077


def protect(settings: Settings, log: Log) -> None:
    """Set this process's umask and remove other users' access to an existing CHURN_HOME and lake.

    A CHURN_HOME of an earlier version, and a lake outside CHURN_HOME, have the mode that the user's
    umask produced. If a lake cannot be closed to other users, a line is reported through `log`.

    Raises:
        InvalidInputError: If CHURN_HOME belongs to another user, or its mode cannot be changed.
    """
    os.umask(OTHERS)
    if (problem := _close_to_others(settings.home, log)) is not None:
        raise InvalidInputError(
            problem,
            where="CHURN_HOME",
            hint="run the command as its owner, `chmod 700` it, or choose another folder",
        )
    lake = settings.lake.folder
    # A lake outside CHURN_HOME was placed there deliberately, in a folder whose modes are
    # managed separately, so a failure is only reported.
    if (
        lake
        and settings.home not in lake.parents
        and (problem := _close_to_others(lake, log)) is not None
    ):
        log(f"CHURN_LAKE_URI: {problem}")


def _close_to_others(folder: Path, log: Log) -> str | None:
    """Remove other users' permissions from an existing folder; return the problem, if any."""
    if not folder.is_dir():
        return None  # created later with this umask
    status = folder.stat()
    if status.st_uid != os.geteuid():
        return f"{folder} belongs to user {status.st_uid}, this command runs as user {os.geteuid()}"
    if not status.st_mode & OTHERS:
        return None
    mode = stat.S_IMODE(status.st_mode)
    try:
        folder.chmod(mode & ~OTHERS)
        error = "its file system keeps no modes" if folder.stat().st_mode & OTHERS else None
    except OSError as refused:
        error = refused.strerror
    if error:
        return f"{folder} is open to other users (mode {mode:04o}), and can't be closed: {error}"
    log(f"{folder} was open to other users of this machine (mode {mode:04o}); it is closed now")
    return None
