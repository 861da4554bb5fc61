"""Emit the lineage of a command when it has ended, successfully or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from lakehouse.progress import Steps
from lakehouse.settings import Settings


@contextmanager
def emit_lineage(settings: Settings, command: str, run_id: str, steps: Steps) -> Iterator[None]:
    """Emit what the steps of the `with` body read and wrote; nothing if no step recorded any.

    Args:
        settings: The settings of this CHURN_HOME.
        command: The name of the command.
        run_id: The run that the command belongs to.
        steps: Progress display, whose completed steps have the recorded lineage.
    """
    begun, failed = datetime.now(UTC), True
    before = len(steps.done)
    try:
        yield
        failed = False
    finally:
        done = [each for each in steps.done[before:] if each.works or each.failed]
        if any(each.works for each in done):
            # This import is slow; by now the lock of the lake is released.
            from lakehouse.lineage_events import Command, emit

            ended = Command(command, run_id, begun, datetime.now(UTC), failed)
            emit(settings, ended, done, steps.say)
