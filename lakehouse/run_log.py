"""The log of a run, one file per run, and the run's record, which `churn runs` lists.

A command that writes to the lake begins its log when it has the run lock. What it reported before
is in the log too, with the time at which it was reported. A command that refuses its input, or that
only reads, leaves no file. A log that cannot be written stops no command.
"""

import json
import logging
import statistics
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from lakehouse.atomic_write import atomic_write
from lakehouse.log_format import (
    DEBUG,
    INFO,
    WARNING,
    format_log_lines,
    format_time,
    set_run,
)
from lakehouse.sample_home import demo_environment
from lakehouse.settings import Settings

# Lines that a command reports before its log begins; a server reports without end.
BUFFERED_LINES = 1000
# An estimate is the median of so many runs.
RUNS_OF_ESTIMATE = 5
RUNNING, DONE, UNCHANGED = "running", "done", "unchanged"
# The commands that do the whole job, with the same steps.
RUN_COMMAND, DEMO_COMMAND = "churn run", "churn demo"
SAME_JOB = (RUN_COMMAND, DEMO_COMMAND)
REFUSED, FAILED, INTERRUPTED = "refused", "failed", "interrupted"
# What an interrupted run has changed.
NOTHING_PUBLISHED = "nothing was published"
MAYBE_PUBLISHED = "the extract may be published already"
IS_PUBLISHED = "the extract is published"


@dataclass
class RunRecord:
    """A run: what was called, when, its result, and how long its steps took.

    `started` is when the command began, `begun` when it had the run lock: what other processes
    logged between the two is of another run. `step` is the step that is running, or in which the
    run ended, with its number. `effect` is what the run has changed so far. `pid` and `created`
    identify the process. `summary` is that of an unchanged run, which has no folder with a
    summary.json.
    """

    run_id: str
    command: str
    started: str
    log: str
    begun: str | None = None
    workbook: str | None = None
    ended: str | None = None
    result: str = RUNNING
    exit_code: int | None = None
    step: str | None = None
    effect: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    pid: int = 0
    created: float = 0.0
    summary: dict[str, Any] | None = None


class RunLog:
    """The log of this process's command; nothing is written before `begin`."""

    def __init__(self, settings: Settings, command: str) -> None:
        """Create the log of a command, such as `churn run`."""
        self.settings = settings
        self.command = command
        self.started = datetime.now(UTC)
        self.workbook: str | None = None
        self.effect: str | None = None
        self.step: str | None = None
        self.unchanged: dict[str, Any] | None = None
        self.record: RunRecord | None = None
        self._buffer: deque[tuple[datetime, str, str]] = deque(maxlen=BUFFERED_LINES)
        # Threads report at the same time: a line's time is taken when it is its turn to be written.
        self._turn = threading.RLock()
        self._repeated: Counter[str] = Counter()
        self._last_message = time.monotonic()

    @property
    def path(self) -> Path | None:
        """Return the path of the file, or None if the log has not begun."""
        return Path(self.record.log) if self.record is not None else None

    @property
    def silent_seconds(self) -> float:
        """Return the seconds since the last message that the log shows without details."""
        return time.monotonic() - self._last_message

    def begin(self, run_id: str) -> None:
        """Begin the file of a run with what was reported so far; the first run counts."""
        if self.record is not None:
            return
        with self._turn:
            set_run(run_id)
            process = psutil.Process()
            with suppress(OSError):
                folder(self.settings).mkdir(parents=True, exist_ok=True)
            self.record = RunRecord(
                run_id=run_id,
                command=self.command,
                started=self.started.isoformat(timespec="seconds"),
                log=str(folder(self.settings) / f"{run_id}.log"),
                begun=format_time(datetime.now(UTC)),
                pid=process.pid,
                created=process.create_time(),
            )
            named = f" {self.workbook}" if self.workbook else ""
            self._append(f"{self.command}{named}", INFO, self.started)
            while self._buffer:
                moment, level, text = self._buffer.popleft()
                self._append(text, level, moment)
        self.update()

    def write(self, text: str, level: str) -> None:
        """Add a message; a warning that was added before is only counted."""
        with self._turn:
            if level != DEBUG:
                self._last_message = time.monotonic()
            if level == WARNING:
                self._repeated[text] += 1
                if self._repeated[text] > 1:
                    return
            if self.record is None:
                self._buffer.append((datetime.now(UTC), level, text))
            else:
                self._append(text, level)

    def update(self, seconds: dict[str, float] | None = None) -> None:
        """Write the record with the current state."""
        if self.record is None:
            return
        self.record.workbook, self.record.effect = self.workbook, self.effect
        self.record.step = self.step
        if seconds is not None:
            self.record.seconds = dict(seconds)
        with suppress(OSError), atomic_write(_record_path(Path(self.record.log))) as draft:
            draft.write_text(json.dumps(asdict(self.record)) + "\n")

    def end(self, result: str, exit_code: int) -> None:
        """Complete the record, and state how often warnings were repeated."""
        if self.record is None:
            return
        for text, count in self._repeated.items():
            if count > 1:
                self._append(f"repeated {count - 1:,} times: {text}", INFO)
        if result == DONE and self.unchanged is not None:
            result, self.record.summary = UNCHANGED, self.unchanged
        self.record.result = result
        self.record.exit_code = exit_code
        self.record.ended = datetime.now(UTC).isoformat(timespec="seconds")
        outcome = format_result(result, sum_seconds(self.record.seconds))
        self._append(f"{outcome}, exit code {exit_code}", INFO)
        self.update()

    def _append(self, text: str, level: str, moment: datetime | None = None) -> None:
        assert self.record is not None
        lines = format_log_lines(text, level, moment or datetime.now(UTC))
        # Opened for each message: the erasure of a customer replaces the file.
        with suppress(OSError), Path(self.record.log).open("ab") as file:
            file.write(f"{lines}\n".encode(errors="backslashreplace"))


class LibraryHandler(logging.Handler):
    """Writes warnings of libraries to the log of the run; without one, `logging` prints them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, with its stack if it has one."""
        if _current is None or _current.record is None:
            if logging.lastResort is not None:
                logging.lastResort.handle(record)
            return
        text = f"{record.name}: {record.getMessage()}"
        if record.exc_info and record.exc_info[1]:
            text += "\n" + "".join(traceback.format_exception(record.exc_info[1]))
        _current.write(text, record.levelname.lower())


_current: RunLog | None = None
_handler = LibraryHandler(logging.WARNING)


def start_log(settings: Settings, command: str) -> RunLog:
    """Start the log of this process's command, and write what libraries warn of to it."""
    global _current
    _current = RunLog(settings, command)
    set_run(None)
    if _handler not in logging.root.handlers:
        logging.root.addHandler(_handler)
    return _current


def stop_log() -> None:
    """Forget the log at the end of the command, for processes that call several."""
    global _current
    _current = None
    logging.root.removeHandler(_handler)


def current_log() -> RunLog | None:
    """Return the log of this process's command; None outside the command line, as in Airflow."""
    return _current


def begin_run(run_id: str) -> None:
    """Begin the log of the run, if this process has one."""
    if _current is not None:
        _current.begin(run_id)


def write_log(text: str, level: str = INFO) -> None:
    """Add a message to the log, if this process has one."""
    if _current is not None:
        _current.write(text, level)


def set_workbook(name: str) -> None:
    """Set the name of the workbook that the command reads."""
    if _current is not None:
        _current.workbook = name


def set_effect(effect: str) -> None:
    """Set what the command has changed so far."""
    if _current is not None:
        _current.effect = effect
        _current.update()


def mark_unchanged(summary: dict[str, Any]) -> None:
    """Record that the command found its work done; its record keeps the summary."""
    if _current is not None:
        _current.unchanged = summary


def folder(settings: Settings) -> Path:
    """Return the folder of the logs and records."""
    return settings.home / "logs" / "runs"


def read_records(settings: Settings) -> list[RunRecord]:
    """Return the records of all runs, oldest first; damaged ones are left out."""
    records = (_read(path) for path in _list_paths(settings).values())
    return sorted(filter(None, records), key=lambda record: (record.started, record.run_id))


def find_record(settings: Settings, run_id: str) -> RunRecord | None:
    """Return the record of a run, or None if it has none."""
    path = _list_paths(settings).get(run_id)
    return _read(path) if path is not None else None


def _list_paths(settings: Settings) -> dict[str, Path]:
    """Return the files of the records by run; no name of a run leads to another folder."""
    return {path.stem: path for path in folder(settings).glob("*.json")}


def read_estimates(settings: Settings, command: str) -> dict[str, float]:
    """Return the expected seconds of a command's steps, the median of its last complete runs.

    `churn run` and `churn demo` do the same job. Before the first run of a home, those of the
    demo's home count.
    """
    complete = _list_complete(settings, (command,))
    if not complete and command in SAME_JOB:
        demo = replace(settings, home=Path(demo_environment(settings)["CHURN_HOME"]))
        complete = _list_complete(settings, SAME_JOB) or _list_complete(demo, SAME_JOB)
    steps: dict[str, list[float]] = {}
    for seconds in complete[-RUNS_OF_ESTIMATE:]:
        for step, took in seconds.items():
            steps.setdefault(step, []).append(took)
    return {step: statistics.median(times) for step, times in steps.items()}


def _list_complete(settings: Settings, commands: Sequence[str]) -> list[dict[str, float]]:
    """Return the seconds of the steps of the complete runs of these commands, oldest first."""
    return [
        record.seconds
        for record in read_records(settings)
        if record.command in commands and record.result == DONE and record.seconds
    ]


def _read(path: Path) -> RunRecord | None:
    known = {each.name for each in fields(RunRecord)}
    try:
        values = json.loads(path.read_text())
        record = RunRecord(**{name: values[name] for name in known if name in values})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    # The home may have been moved or restored.
    record.log = str(path.with_suffix(".log"))
    if record.result == RUNNING and not is_alive(record):
        record.result = INTERRUPTED
    return record


def is_alive(record: RunRecord) -> bool:
    """Return whether the process of a run is running; process ids are reused."""
    try:
        return bool(psutil.Process(record.pid).create_time() == record.created)
    except (psutil.Error, ValueError, TypeError):
        return False


def _record_path(log: Path) -> Path:
    return log.with_suffix(".json")


def sum_seconds(seconds: Mapping[str, float]) -> float:
    """Return the duration of a run, in seconds: the sum of its steps.

    Every view of a run shows this one: `churn runs`, `churn status`, pages, metrics and the log.
    Steps are all that a run in Airflow records, where tasks wait for each other in between.
    """
    return sum(seconds.values())


def format_duration(seconds: float) -> str:
    """Format a duration in seconds or minutes, such as `2 min 33 s`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def format_result(result: str, seconds: float) -> str:
    """Format how a run ended: its result, and its duration if a step was measured."""
    return f"{result} in {format_duration(seconds)}" if seconds else result


def format_interruption(log: RunLog | None) -> str:
    """Return the message for a command that the user interrupted."""
    if log is None or (log.record is None and log.step is None):
        return "Interrupted"
    step = f" in {log.step}" if log.step else ""
    effect = f"; {log.effect}" if log.effect else ""
    return f"Interrupted{step}{effect}; repeat the command to continue where it stopped"
