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
    start, failed = datetime.now(UTC), True
    before = len(steps.done)
    try:
        yield
        failed = False
    finally:
        done = [step for step in steps.done[before:] if step.io or step.failed]
        if any(step.io for step in done):
            # This import is slow; by now the lock of the lake is released.
            from lakehouse.lineage_events import Command, emit

            ended = Command(command, run_id, start, datetime.now(UTC), failed)
            emit(settings, ended, done, steps.log)
