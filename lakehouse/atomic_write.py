"""Atomic file writes: a file is either complete or absent."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

# The system tells when a process started to about a second.
CLOCK_SECONDS = 2
# The number of the writing process is missing in drafts of earlier versions.
DRAFT = re.compile(r"\.[0-9a-f]{16}(-(?P<writer>\d+))?\.part")


def _draft_path(path: Path) -> Path:
    # Unique, since threads may write files of the same folder at once. It does not include the name
    # of `path`, which may already have the maximum length.
    return path.with_name(f".{secrets.token_hex(8)}-{os.getpid()}.part")


def remove_drafts(folder: Path, is_exclusive: bool = False) -> None:
    """Remove drafts below a folder that killed processes left.

    Args:
        folder: The folder.
        is_exclusive: Whether no process is writing there, so that all drafts are left behind.
    """
    for path in folder.rglob(".*.part"):
        found = DRAFT.fullmatch(path.name)
        if found and (is_exclusive or is_left_behind(path, found["writer"])):
            path.unlink(missing_ok=True)


def is_left_behind(path: Path, writer: str | None) -> bool:
    """Return whether the process that writes a file or folder has ended.

    Args:
        path: The file or folder.
        writer: The number of the process; None for a path of an earlier version, which does not
            have it: that process is assumed to have ended.
    """
    if writer is None:
        return True
    try:
        process = psutil.Process(int(writer))
        # A process that started later has got the number of one that ended.
        is_writer = process.create_time() <= path.stat().st_ctime + CLOCK_SECONDS
        return not is_writer or process.status() == psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, FileNotFoundError):
        return True


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path` that replaces `path` when the body completes.

    The replacement is a single step, so readers never see a partial file. If the body raises,
    `path` is unchanged.
    """
    draft = _draft_path(path)
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read.

    The write is atomic, since a partial secret is useless.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with atomic_write(path) as draft:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            # For any umask.
            os.fchmod(descriptor, 0o600)
            file.write(text)


def generate_secret(path: Path) -> str:
    """Return the secret stored in the file; generate it on the first call.

    If two processes start at the same time, one generates the secret and the other reads it.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = _draft_path(path)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                os.fchmod(descriptor, 0o600)
                file.write(secrets.token_urlsafe(32))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            except OSError:  # a file system without hard links
                os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return path.read_text().strip()
