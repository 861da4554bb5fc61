"""Check at once that an address can be a backup, before what restores it is imported."""

from lakehouse.errors import InvalidInputError
from lakehouse.near_matches import find_near_files, format_meant
from lakehouse.storage import Storage


def require_backup_folder(address: str) -> None:
    """Check that a local address is a folder; an object store is opened by the restore itself.

    Raises:
        InvalidInputError: There is no such folder.
    """
    given = Storage(address).folder
    if given is None or given.expanduser().is_dir():
        return
    folder = given.expanduser().absolute()
    if folder.exists():
        what, meant = f"{folder.name} is a file, and a backup is a folder", ""
    else:
        what, meant = f"there is no folder {folder.name}", format_meant(find_near_files(folder))
    raise InvalidInputError(
        what,
        where=str(folder),
        hint=f"{meant}name the folder that `churn backup` printed",
    )
