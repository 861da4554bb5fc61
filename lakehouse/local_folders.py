"""Explain why the operating system refuses a folder of local state."""

import errno
from pathlib import Path

from lakehouse.errors import InvalidInputError
from lakehouse.settings import Settings

CAUSES = {
    errno.EROFS: "its file system is read-only",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.EEXIST: "it is a file, not a folder",
    errno.ENOTDIR: "it, or what it is in, is a file, not a folder",
    errno.ENAMETOOLONG: "its path is too long for the file system",
    errno.ELOOP: "its links lead in a circle",
}


def folder_refused_error(settings: Settings, error: OSError) -> InvalidInputError | None:
    """Return the error to report if the system refuses a path in CHURN_HOME or in a local lake."""
    cause = CAUSES.get(error.errno or 0)
    if cause is None or not isinstance(error.filename, str):
        return None
    path = Path(error.filename)
    folders = {"CHURN_HOME": settings.home}
    if lake := settings.lake.folder:
        folders["CHURN_LAKE_URI"] = lake
    for name, folder in folders.items():
        # If the folder is missing, the refused path may be its parent.
        if path == folder or folder in path.parents or path in folder.parents:
            return InvalidInputError(
                f"{name} can't be used: {cause}",
                where=f"{name}={folder}" + ("" if path == folder else f", {path}"),
                hint=f"set {name} to a folder in which this user may write",
            )
    return None
