"""Progress of a command: a live bar on a terminal, plain lines elsewhere.

All progress is written to standard error; standard output is reserved for results.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.filesize import decimal as format_bytes
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed

from lakehouse.lineage import DbtArtifacts, StepIO, StepRun
from lakehouse.log_format import format_message, is_json_log

__all__ = ["Step", "Steps", "format_bytes"]

# Minimum time between two progress lines of a step.
LINE_SECONDS = 10


class Steps:
    """The steps of a command.

    `seconds` maps the name of each step to its duration; `done` lists the completed and failed
    steps.
    """

    def __init__(self, total: int) -> None:
        """Create the steps of a command that has `total` of them."""
        self.total = total
        self.seconds: dict[str, float] = {}
        self.done: list[StepRun] = []
        # The current stream, so that later redirections for other libraries do not affect it.
        self._console = Console(file=sys.stderr, highlight=False)

    @contextmanager
    def step(self, name: str) -> Iterator["Step"]:
        """Run one step and record its duration, whether or not it succeeds."""
        number = len(self.seconds) + 1
        start, started_at = time.monotonic(), datetime.now(UTC)
        step = Step(self, name, f"{number}/{self.total} {name}")
        failed = True
        try:
            with step.show_bar():
                yield step
            failed = False
        finally:
            self.seconds[name] = round(time.monotonic() - start, 2)
            self.done.append(StepRun(name, started_at, datetime.now(UTC), failed, step.io))
        took = f"{self.seconds[name]:6.1f} s"
        if is_json_log():
            self._print_json(step.outcome, step=name, seconds=self.seconds[name])
        else:
            self.line(f"✓ {step.title:<24}{took}  {step.outcome}")

    @property
    def is_on_terminal(self) -> bool:
        """Return whether standard error is a terminal, and messages are for people."""
        return sys.stderr.isatty() and not is_json_log()

    def log(self, text: str) -> None:
        """Print an indented message for the user."""
        self.line(f"  {text}")

    def line(self, text: str) -> None:
        """Print a line without wrapping and without markup, which file names may resemble."""
        if is_json_log():
            self._print_json(text)
        else:
            self._console.print(text, markup=False, soft_wrap=True)

    def _print_json(self, text: str, **facts: Any) -> None:
        # Not by the console, which would replace what resembles an emoji's name.
        print(format_message(text, **facts), file=self._console.file, flush=True)


class Step:
    """A running step; `works` lists its inputs and outputs, for its lineage."""

    def __init__(self, steps: Steps, name: str, title: str) -> None:
        """Create a step of `steps`; `title` is its name with its number."""
        self.title = title
        self.name = name
        self.outcome = ""
        self.io: list[StepIO | DbtArtifacts] = []
        self._steps = steps
        self._bar: Progress | None = None
        self._last_line = time.monotonic()

    @contextmanager
    def show_bar(self) -> Iterator[None]:
        """Display a live progress bar while the body runs, if there is a terminal."""
        if not self._steps.is_on_terminal:
            yield
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30))
        with Progress(
            *columns,
            MofNCompleteColumn(),
            Elapsed(),
            console=self._steps._console,
            transient=True,
        ) as bar:
            self._bar = bar
            self._task = bar.add_task(self.title, total=None)
            yield
            self._bar = None

    def log(self, text: str) -> None:
        """Print a message about the step."""
        self._steps.log(text)

    def advance(self, done: int, total: int, what: str) -> None:
        """Report that `done` of `total` items are complete, and what is being processed.

        Updates the bar, or prints a line at most every `LINE_SECONDS` if there is none.
        """
        if self._bar is not None:
            self._bar.update(
                self._task, completed=done, total=total, description=f"{self.title}: {what}"
            )
        elif time.monotonic() - self._last_line > LINE_SECONDS:
            self._last_line = time.monotonic()
            self.log(f"{self.name}: {done:,} of {total:,} ({what})")
