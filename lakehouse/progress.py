"""Progress of a command: a live bar on a terminal, plain lines elsewhere.

All progress is written to standard error; standard output is reserved for results. The log of the
run has every message and detail, whatever is shown.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.filesize import decimal as format_bytes
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from lakehouse.command_name import format_commands
from lakehouse.lineage import DbtArtifacts, StepIO, StepRun
from lakehouse.log_format import (
    DEBUG,
    ERROR,
    INFO,
    WARNING,
    find_level,
    format_message,
    is_json_log,
)
from lakehouse.run_log import current_log, format_duration, read_estimates, write_log
from lakehouse.terminal import (
    Detail,
    get_detail,
    get_width,
    is_animated,
    is_utf8,
    make_console,
    wrap_for_terminal,
)

__all__ = ["Step", "Steps", "format_bytes"]

# Minimum time between two progress lines of a step.
LINE_SECONDS = 10
REFRESHES_PER_SECOND = 8
# A step that logs nothing for this long is logged as running; each further pause is twice as long.
HEARTBEAT_SECONDS, LONGEST_PAUSE = 15.0, 600.0
# Column in which the duration of a step ends.
DURATION_END = 34
# Columns of the live line. A narrow terminal gets a shorter bar and a shorter estimate.
TITLE, COUNT, CLOCK = 18, 13, 7
WIDE, BAR, NARROW_BAR = 80, 20, 8
NARROWEST = 60


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
        self._file = sys.stderr
        self._console = make_console(sys.stderr)
        self._start = time.monotonic()
        self._running: Step | None = None
        self._warnings: set[str] = set()
        log = current_log()
        self._estimates = read_estimates(log.settings, log.command) if log else {}

    @contextmanager
    def step(self, name: str) -> Iterator["Step"]:
        """Run one step and record its duration, whether or not it succeeds."""
        number = len(self.seconds) + 1
        start, started_at = time.monotonic(), datetime.now(UTC)
        step = Step(self, name, f"{number}/{self.total} {name}")
        self._note(step)
        failed: BaseException | None = None
        try:
            with step.log_heartbeats(), step.show_bar():
                yield step
        except BaseException as error:
            failed = error
            raise
        finally:
            self.seconds[name] = round(time.monotonic() - start, 2)
            is_failed = failed is not None
            self.done.append(StepRun(name, started_at, datetime.now(UTC), is_failed, step.io))
            self._note(step)
            # An interruption is reported once, at the end of the command.
            if failed is None or isinstance(failed, Exception):
                self._report(step, is_failed)

    def _note(self, step: "Step") -> None:
        """Record which step is running, for `churn status` and the message of an interruption."""
        if (log := current_log()) is not None:
            log.step = step.title
            log.update(self.seconds)

    def _report(self, step: "Step", is_failed: bool) -> None:
        """Report a step that has ended."""
        seconds = self.seconds[step.name]
        took = format_duration(seconds)
        outcome = "failed" if is_failed else format_commands(step.outcome)
        level = ERROR if is_failed else INFO
        write_log(f"{step.title} {took}  {outcome}".rstrip(), level)
        if get_detail() == Detail.QUIET and not is_failed:
            return
        if is_json_log():
            self._print_json(outcome, level, step=step.name, seconds=seconds)
            return
        mark = ("✗" if is_failed else "✓") if is_utf8(self._file) else "!" if is_failed else "*"
        start = f"{mark} {step.title} "
        line = f"{start}{took.rjust(DURATION_END - len(start))}  {outcome}".rstrip()
        text = Text(_wrap_outcome(line, outcome, get_width(self._file)))
        text.stylize("bold red" if is_failed else "green", 0, 1)
        self._console.print(text, soft_wrap=True)

    @property
    def is_on_terminal(self) -> bool:
        """Return whether standard error is a terminal, and messages are for people."""
        return is_animated(self._file) and not is_json_log()

    def estimate_remaining(self, step: "Step") -> float | None:
        """Return the seconds until the end of the command; None if no earlier run was complete."""
        if step.name not in self._estimates:
            return None
        later = sum(
            seconds
            for name, seconds in self._estimates.items()
            if name not in self.seconds and name != step.name
        )
        return later + max(0.0, self._estimates[step.name] - step.running_seconds)

    @property
    def running_seconds(self) -> float:
        """Return the seconds since the command began."""
        return time.monotonic() - self._start

    def log(self, text: str) -> None:
        """Report a message for the user.

        On a terminal, a message of a running step replaces the one before; warnings remain. A
        warning that was reported before is not repeated.
        """
        level = find_level(text)
        write_log(text, level)
        if level == WARNING:
            if text in self._warnings:
                return
            self._warnings.add(text)
        elif get_detail() == Detail.QUIET:
            return
        elif self._running is not None and get_detail() != Detail.VERBOSE:
            self._running.detail = text
            return
        self.line(f"  {text}")

    def line(self, text: str) -> None:
        """Print a line without markup, which file names may resemble; wrapped on a terminal."""
        if is_json_log():
            self._print_json(text)
        else:
            style = "yellow" if find_level(text) == WARNING else ""
            wrapped = wrap_for_terminal(format_commands(text), get_width(self._file))
            self._console.print(Text(wrapped, style=style), soft_wrap=True)

    def _print_json(self, text: str, level: str | None = None, **facts: Any) -> None:
        # Not by the console, which would replace what resembles an emoji's name. Text and newline
        # in one call, because folds report from threads: `print` makes two calls of it.
        self._file.write(f"{format_message(text, level, **facts)}\n")
        self._file.flush()


class Step:
    """A running step; `io` lists its inputs and outputs, for its lineage.

    `unit` names what `advance` counts, and `state` is the last count; `detail` is what the step
    does at the moment.
    """

    def __init__(self, steps: Steps, name: str, title: str) -> None:
        """Create a step of `steps`; `title` is its name with its number."""
        self.title = title
        self.name = name
        self.outcome = ""
        self.unit = ""
        self.detail = ""
        self.state = ""
        self.count: tuple[int, int] | None = None
        self.io: list[StepIO | DbtArtifacts] = []
        self.live: Live | None = None
        self.steps = steps
        self._start = self._last_line = time.monotonic()
        self._has_lines = False

    @property
    def running_seconds(self) -> float:
        """Return the seconds since the step began."""
        return time.monotonic() - self._start

    @contextmanager
    def show_bar(self) -> Iterator[None]:
        """Display a live bar while the body runs, if there is a terminal."""
        if not self.steps.is_on_terminal or get_detail() == Detail.QUIET:
            yield
            return
        self.steps._running = self
        try:
            with Live(
                _LiveStep(self),
                console=self.steps._console,
                refresh_per_second=REFRESHES_PER_SECOND,
                transient=True,
            ) as self.live:
                yield
        finally:
            self.steps._running = None

    @contextmanager
    def log_heartbeats(self) -> Iterator[None]:
        """Log that the step is running while the body logs nothing, with the last count."""
        ended = threading.Event()
        thread = threading.Thread(target=self._log_until, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _log_until(self, ended: threading.Event) -> None:
        log, pause = current_log(), HEARTBEAT_SECONDS
        while log is not None and not ended.wait(max(0.0, pause - log.silent_seconds)):
            if log.silent_seconds >= pause:
                state = f", {self.state}" if self.state else ""
                text = f"{self.title}: running for {format_duration(self.running_seconds)}{state}"
                log.write(text, INFO)
                pause = min(2 * pause, LONGEST_PAUSE)

    def log(self, text: str) -> None:
        """Report a message about the step."""
        self.steps.log(text)

    def describe(self, what: str) -> None:
        """Show what the step does at the moment, below the bar; the log has it as a detail."""
        self.detail = what
        write_log(f"{self.name}: {what}", DEBUG)
        if get_detail() == Detail.VERBOSE:
            self.steps.line(f"  {self.name}: {what}")

    def advance(self, done: int, total: int, what: str) -> None:
        """Report that `done` of `total` items are complete, and what is being processed.

        Updates the bar, or prints a line at most every `LINE_SECONDS` if there is none. If lines
        were printed, the last one has the total.
        """
        unit = f" {self.unit}" if self.unit else ""
        self.state = f"{done:,} of {total:,}{unit} ({what})"
        text = f"{self.name}: {self.state}"
        write_log(text, DEBUG)
        self.count, self.detail = (done, total), f"{self.unit}: {what}" if self.unit else what
        detail = get_detail()
        if detail == Detail.VERBOSE:
            self.steps.line(f"  {text}")
            return
        is_last = self._has_lines and done == total
        is_line_due = is_last or time.monotonic() - self._last_line > LINE_SECONDS
        if is_line_due and self.steps._running is None and detail != Detail.QUIET:
            self._last_line, self._has_lines = time.monotonic(), not is_last
            self.steps.line(f"  {text}")


class _LiveStep:
    """Two lines about a running step: bar, count, clock and estimate; then the current detail."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._spinner = Spinner("dots" if is_utf8(step.steps._file) else "line", style="cyan")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # The last column stays free: some terminals begin a line of their own after it.
        width = options.max_width - 1
        step = self._step
        table = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
        cells: list[Any] = [self._spinner.render(console.get_time()), Text(step.title)]
        table.add_column(width=1)
        table.add_column(width=TITLE, no_wrap=True, overflow="ellipsis")
        clock = Text(format_clock(step.steps.running_seconds), style="cyan")
        if width + 1 >= NARROWEST:
            is_wide = width + 1 >= WIDE
            done, total = step.count or (0, 0)
            bar_width = BAR if is_wide else NARROW_BAR
            table.add_column(width=bar_width)
            table.add_column(width=COUNT, justify="right", no_wrap=True)
            # Without a count the bar moves: an empty one looks like a full one without colours.
            bar = ProgressBar(total=total or None, completed=done, width=bar_width)
            cells += [bar, Text(format_count(step.count))]
            remaining = step.steps.estimate_remaining(step)
            table.add_column(width=CLOCK, justify="right", no_wrap=True)
            table.add_column(no_wrap=True, overflow="ellipsis")
            cells += [clock, Text(format_remaining(remaining, is_wide), style="dim")]
        else:
            table.add_column(width=CLOCK, justify="right", no_wrap=True)
            cells.append(clock)
        table.add_row(*cells)
        yield table
        doing = format_commands(" ".join(step.detail.split()))
        detail = Text(f"  {doing}", style="dim", no_wrap=True)
        detail.truncate(width, overflow="ellipsis")
        yield detail


def format_clock(seconds: float) -> str:
    """Format a duration as minutes and seconds, or hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_count(count: tuple[int, int] | None) -> str:
    """Format how many items are complete, in percent where the numbers are too long."""
    if count is None or not count[1]:
        return ""
    text = f"{count[0]:,}/{count[1]:,}"
    return text if len(text) <= COUNT else f"{count[0] / count[1]:.0%}"


def format_remaining(seconds: float | None, is_wide: bool) -> str:
    """Format the estimate of the remaining time, or nothing where there is none."""
    if seconds is None:
        return ""
    clock = format_clock(round(seconds))
    return f"about {clock} left" if is_wide else f"~{clock}"


def _wrap_outcome(line: str, outcome: str, width: int | None) -> str:
    """Return the line, with the outcome on lines of its own if it does not fit the terminal."""
    if width is None or len(line) < width or not outcome:
        return line
    start = line.removesuffix(outcome).rstrip()
    wrapped = wrap_for_terminal(outcome, width - 4)
    # A word that is longer than the line is not moved to the right either.
    parts = (part if len(part) + 4 >= width else f"    {part}" for part in wrapped.splitlines())
    return "\n".join([start, *parts])
