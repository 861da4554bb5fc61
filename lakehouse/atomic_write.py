"""Atomic file writes: a file is either complete or absent."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DRAFT = re.compile(r"\.[0-9a-f]{16}\.part")


def _draft_path(path: Path) -> Path:
    # Unique, since threads may write files of the same folder at once. It does not include the name
    # of `path`, which may already have the maximum length.
    return path.with_name(f".{secrets.token_hex(8)}.part")


def remove_drafts(folder: Path) -> None:
    """Remove drafts below a folder that killed processes left; no process may write there."""
    for path in folder.rglob(".*.part"):
        if DRAFT.fullmatch(path.name):
            path.unlink(missing_ok=True)


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
