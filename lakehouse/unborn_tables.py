"""Delta tables whose creation broke off: a folder with files, but without a first commit.

Nobody can read such a folder as a table, and Delta refuses to make a table where files lie.
"""

import shutil
from pathlib import Path

from lakehouse.service import Say

# Their tables are all Delta tables; in gold, those that have a log are.
DELTA_SCHEMAS = ("bronze", "silver", "audit")


def remove_unborn_tables(lake: Path, say: Say) -> None:
    """Remove those folders. Call it while no writer is at work, before the next one begins."""
    for folder in sorted(lake.glob("*/*")):
        log = folder / "_delta_log"
        is_delta = folder.parent.name in DELTA_SCHEMAS or log.is_dir()
        if folder.is_dir() and is_delta and not _has_commit(log):
            say(f"removing what is left of {folder.parent.name}.{folder.name}, never completed")
            shutil.rmtree(folder)


def _has_commit(log: Path) -> bool:
    # Delta names commits and checkpoints by their version; what has another name is a draft.
    return log.is_dir() and any(each.name[0].isdecimal() for each in log.iterdir())
