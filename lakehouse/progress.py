"""Shows people how far a command is: a live bar on a terminal, plain lines elsewhere.

Everything goes to standard error; standard output belongs to results.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed

from lakehouse.lineage import DbtArtifacts, StepIO, StepRun

# Between two lines that say how far a step is.
LINE_SECONDS = 10


def format_bytes(size: int) -> str:
    """A number of bytes, for people."""
    amount, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{size} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"


class Steps:
    """The steps of a command, timed; `seconds` holds what each took, `done` what each did."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.seconds: dict[str, float] = {}
        self.done: list[StepRun] = []
        # The stream of now: what is redirected for a guest's sake is not ours.
        self._console = Console(file=sys.stderr, highlight=False)

    @contextmanager
    def step(self, name: str) -> Iterator["Step"]:
        """Run one step and keep its seconds, whether it ends well or not."""
        number = len(self.seconds) + 1
        start, begun = time.monotonic(), datetime.now(UTC)
        step = Step(self, name, f"{number}/{self.total} {name}")
        failed = True
        try:
            with step.shown():
                yield step
            failed = False
        finally:
            self.seconds[name] = round(time.monotonic() - start, 2)
            self.done.append(StepRun(name, begun, datetime.now(UTC), failed, step.works))
        took = f"{self.seconds[name]:6.1f} s"
        self.line(f"✓ {step.title:<24}{took}  {step.outcome}")

    @property
    def on_terminal(self) -> bool:
        return sys.stderr.isatty()

    def say(self, text: str) -> None:
        """A remark for people."""
        self.line(f"  {text}")

    def line(self, text: str) -> None:
        """A line as it is: no markup, since file names may look like it, and no wrapping."""
        self._console.print(text, markup=False, soft_wrap=True)


class Step:
    """One step while it runs; `works` is what it has read and written, for its lineage."""

    def __init__(self, steps: Steps, name: str, title: str) -> None:
        self.title = title
        self.name = name
        self.outcome = ""
        self.works: list[StepIO | DbtArtifacts] = []
        self._steps = steps
        self._bar: Progress | None = None
        self._told = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The live bar, where there is a terminal to draw it on."""
        if not self._steps.on_terminal:
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

    def say(self, text: str) -> None:
        """A line about the step."""
        self._steps.say(text)

    def advance(self, done: int, total: int, what: str) -> None:
        """How far the step is: `done` of `total`, and at what; a line now and then, or the bar."""
        if self._bar is not None:
            self._bar.update(
                self._task, completed=done, total=total, description=f"{self.title}: {what}"
            )
        elif time.monotonic() - self._told > LINE_SECONDS:
            self._told = time.monotonic()
            self.say(f"{self.name}: {done:,} of {total:,} ({what})")
