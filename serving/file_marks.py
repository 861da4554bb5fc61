"""Detect that a file has changed, from its metadata."""

from pathlib import Path

# Identifies a state of a file: time, inode and size; None if there is no file.
Mark = tuple[int, int, int] | None


def mark(path: Path) -> Mark:
    """Return the state of a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
