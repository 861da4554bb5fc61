"""Privacy of local state: what commands write is for its owner alone, whatever the user's umask."""

import os
import stat
from pathlib import Path

from lakehouse.errors import InvalidInputError
from lakehouse.process import Say
from lakehouse.settings import Settings
from lakehouse.storage import is_folder

# Of a file or folder, what others than its owner may not have.
OTHERS = 0o077


def protect(settings: Settings, say: Say) -> None:
    """Set this process's umask, and take from others what they may do with an existing home.

    Homes of earlier versions, and lakes beside them, have the mode that the user's umask gave
    them.

    Of a lake that can't be closed a line is said.

    Raises:
        InvalidInputError: the home belongs to another user, or its mode can't be changed.
    """
    os.umask(OTHERS)
    if (problem := _closed(settings.home, say)) is not None:
        raise InvalidInputError(
            problem,
            where="CHURN_HOME",
            remedy="run the command as its owner, `chmod 700` it, or choose another folder",
        )
    lake = Path(settings.lake_uri)
    is_beside = is_folder(settings.lake_uri) and settings.home not in lake.parents
    # It was somebody's decision to have it where others look after the modes.
    if is_beside and (problem := _closed(lake, say)) is not None:
        say(f"CHURN_LAKE_URI: {problem}")


def _closed(folder: Path, say: Say) -> str | None:
    """Close an existing folder to others; what is in the way of that, if anything."""
    if not folder.is_dir():
        return None  # made later, by this umask
    found = folder.stat()
    if found.st_uid != os.geteuid():
        return f"{folder} belongs to user {found.st_uid}, this command runs as user {os.geteuid()}"
    if not found.st_mode & OTHERS:
        return None
    mode = stat.S_IMODE(found.st_mode)
    try:
        folder.chmod(mode & ~OTHERS)
        fault = "its file system keeps no modes" if folder.stat().st_mode & OTHERS else None
    except OSError as refused:
        fault = refused.strerror
    if fault:
        return f"{folder} is open to other users (mode {mode:04o}), and can't be closed: {fault}"
    say(f"{folder} was open to other users of this machine (mode {mode:04o}); it is closed now")
    return None
