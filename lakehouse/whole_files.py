"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to, which takes the place of `path` when the body is done.

    In one step, so that nobody reads half a file. After a fault `path` is as it was.
    """
    # Without the name of `path`, which may be as long as names can be.
    draft = path.with_name(f".{os.getpid()}.part")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
