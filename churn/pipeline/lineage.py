"""A command's lineage: told when it has ended, whether well or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from lakehouse.progress import Steps
from lakehouse.settings import Settings


@contextmanager
def emit_lineage(settings: Settings, command: str, run_id: str, steps: Steps) -> Iterator[None]:
    """Tell what the steps of the body have read and written; nothing where none of them says."""
    begun, failed = datetime.now(UTC), True
    before = len(steps.done)
    try:
        yield
        failed = False
    finally:
        done = [each for each in steps.done[before:] if each.works or each.failed]
        if any(each.works for each in done):
            # Takes its time to import, and by now nobody waits for the lake.
            from lakehouse.lineage_events import Command, emit

            ended = Command(command, run_id, begun, datetime.now(UTC), failed)
            emit(settings, ended, done, steps.say)
