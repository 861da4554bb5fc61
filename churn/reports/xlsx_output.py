"""Check and protect the output of commands that write a file, complete or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.errors import InvalidInputError


@contextmanager
def translate_write_errors(path: Path) -> Iterator[None]:
    """Translate a file system error into an error that names the file.

    Raises:
        InvalidInputError: The file can't be written.
    """
    try:
        yield
    except OSError as error:
        raise InvalidInputError(
            f"{path.name} can't be written: {error.strerror or error}",
            where=str(path),
            hint="check the rights to the folder, and the room on its disk and for temporary "
            "files; or name another place",
        ) from error


def require_writable(path: Path, suffix: str = ".xlsx") -> None:
    """Raise unless the file can be created; an existing one may have been edited.

    Args:
        path: The file.
        suffix: The ending that its name must have; empty for any.

    Raises:
        InvalidInputError: The name does not end in the suffix, the folder does not exist, or the
            file exists already.
    """
    with translate_write_errors(path):
        _check_writable(path, suffix)


def _check_writable(path: Path, suffix: str) -> None:
    if suffix and path.suffix.lower() != suffix:
        raise InvalidInputError(
            f"{path.name} does not end in {suffix}, which is what is written",
            where=str(path),
            hint=f"name a file that ends in {suffix}",
        )
    if not path.parent.is_dir():
        raise InvalidInputError(
            f"There is no folder {path.parent}",
            where=str(path),
            hint="make the folder, or name a file in one that exists",
        )
    if path.exists():
        raise InvalidInputError(
            f"{path.name} exists already",
            where=str(path),
            hint="name another file, or move this one away",
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
