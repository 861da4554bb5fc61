"""Privacy of local state: what commands write is for its owner alone, whatever the user's umask."""

import os
import stat
from pathlib import Path

from lakehouse.errors import Unusable
from lakehouse.service import Say
from lakehouse.settings import Settings
from lakehouse.storage import is_folder

# Of a file or folder, what others than its owner may not have.
OTHERS = 0o077


def protect(settings: Settings, say: Say) -> None:
    """Set this process's umask, and take from others what they may do with an existing home.

    Homes of earlier versions, and lakes beside them, have the mode that the user's umask gave
    them.

    Raises:
        Unusable: the home belongs to another user, or its mode can't be changed.
    """
    os.umask(OTHERS)
    _restrict(settings.home, "CHURN_HOME", say)
    lake = Path(settings.lake_uri)
    if is_folder(settings.lake_uri) and settings.home not in lake.parents:
        _restrict(lake, "CHURN_LAKE_URI", say)


def _restrict(folder: Path, variable: str, say: Say) -> None:
    if not folder.is_dir():
        return  # made later, by this umask
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise Unusable(
            f"{folder} belongs to user {found.st_uid}, this command runs as user {os.geteuid()}",
            where=variable,
            remedy="run the command as that user, or choose another folder",
        )
    if not found.st_mode & OTHERS:
        return
    mode = stat.S_IMODE(found.st_mode)
    try:
        folder.chmod(mode & ~OTHERS)
        fault = "its file system keeps no modes" if folder.stat().st_mode & OTHERS else None
    except OSError as refused:
        fault = refused.strerror
    if fault:
        raise Unusable(
            f"{folder} is open to other users (mode {mode:04o}), and can't be closed: {fault}",
            where=variable,
            remedy="`chmod 700` it, or choose a folder of a file system that keeps modes",
        )
    say(f"{folder} was open to other users of this machine (mode {mode:04o}); it is closed now")
