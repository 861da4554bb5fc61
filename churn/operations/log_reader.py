"""Read the log of a run, on request with what the Spark server logged during the run.

The server outlives a run and knows none. Only one run writes at a time, and its record names the
time at which it had the run lock: what the server logged from then to the end of the run belongs to
it. Statements of commands that only read, and of analysts, are among it if they were sent at the
same time.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from churn.provenance.run_history import list_runs, suggest_runs
from lakehouse import run_log, spark_process
from lakehouse.errors import InvalidInputError
from lakehouse.log_format import DEBUG
from lakehouse.process import Log
from lakehouse.run_lock import format_holder, read_holder
from lakehouse.run_log import RUNNING, RunRecord, find_record, read_records
from lakehouse.settings import Settings

POLL_SECONDS = 0.5
# How a message begins in both formats and in the server's log. Times in UTC sort as text.
START = re.compile(r'(?:\{"time": ")?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00)')
SPARK_LINE = re.compile(rf"{START.pattern} (?P<level>[A-Z]+) +(?P<message>.*)", re.DOTALL)
# Spark's names of levels that have another one in a run's log.
LEVELS = {"WARN": "WARNING", "FATAL": "ERROR", "TRACE": "DEBUG"}
# The level of a message in either format of a run's log.
LEVEL = re.compile(rf'{START.pattern}(?: |", "level": ")(?P<level>\w+)')
# What the Spark server logs of a normal call: a session that has ended, a library of linear algebra
# that is not installed, the signal of a normal stop, tables that a build replaces, with the whole
# snapshots of both. A detail in the view; the file is unchanged.
NOISE = re.compile(
    r"SessionHolder not found|JNI(?:BLAS|LAPACK|ARPACK)|netlib|RECEIVED SIGNAL TERM"
    r"|Change in the table id detected",
    re.IGNORECASE,
)
# Length of a time without fractions of a second, which records of runs do not have.
TO_SECOND = len("2025-01-31T00:00:00")


@dataclass(frozen=True)
class Message:
    """A message of a log, with all its lines."""

    time: str
    text: str

    @property
    def is_debug(self) -> bool:
        """Return whether it is a detail that matters only to those who search for an error."""
        level = LEVEL.match(self.text)
        return level is not None and level["level"].lower() == DEBUG


class LogTail:
    """A log file that may grow, or appear later."""

    def __init__(self, path: Path) -> None:
        """Begin with the first line of the file."""
        self._path = path
        self._file: TextIO | None = None
        self._time = self._rest = ""

    def read(self) -> Iterator[Message]:
        """Yield the messages that were added since the last call, as far as lines are complete."""
        if self._file is None and self._path.exists():
            self._file = self._path.open(encoding="utf-8", errors="replace")
        lines: list[str] = []
        for part in self._file or ():
            line, self._rest = self._rest + part, ""
            if not line.endswith("\n"):
                self._rest = line
                break
            if (start := START.match(line)) is not None:
                if lines:
                    yield Message(self._time, "".join(lines))
                self._time, lines = start[1], []
            lines.append(line)
        if lines:
            yield Message(self._time, "".join(lines))


def find_log(settings: Settings, run_id: str | None) -> RunRecord:
    """Return the record of a run, or of the latest one.

    Raises:
        InvalidInputError: The run has no log.
    """
    records = read_records(settings)
    found = [record for record in records if run_id in (None, record.run_id)]
    if found and Path(found[-1].log).exists():
        return found[-1]
    if found:
        raise InvalidInputError(
            f"The log of run {found[-1].run_id} was removed, or could not be written",
            where=found[-1].log,
            hint="`churn runs --json` prints what is known of the run",
        )
    if run_id in list_runs(settings):
        raise InvalidInputError(
            f"Run {run_id} has no log here: it ran in Airflow, or its log was removed",
            where=str(run_log.folder(settings)),
            hint="read the logs of its tasks in Airflow",
        )
    raise InvalidInputError(
        f"There is no run {run_id!r}" if run_id else "There is no log yet",
        where=str(run_log.folder(settings)),
        hint=suggest_runs(run_id or "", [record.run_id for record in records], "a log"),
    )


def wait_for_log(settings: Settings, log: Log) -> RunRecord:
    """Return the record of the run that has the lock, as soon as its log begins.

    If the lock is free, or its holder ends without a log, return the record of the latest run.

    Args:
        settings: The settings of this CHURN_HOME.
        log: Reports whose log is waited for.

    Raises:
        InvalidInputError: There is no log.
    """
    is_reported = False
    while (holder := read_holder(settings)) is not None:
        for record in reversed(read_records(settings)):
            is_holder = record.result == RUNNING and record.pid == holder["pid"]
            if is_holder and Path(record.log).exists():
                return record
        if not is_reported:
            log(f"waiting for the log of {format_holder(holder)}")
            is_reported = True
        time.sleep(POLL_SECONDS)
    return find_log(settings, None)


def read_log(
    settings: Settings,
    record: RunRecord,
    follow: bool,
    with_spark: bool = False,
    with_debug: bool = False,
) -> Iterator[str]:
    """Yield the log of a run in parts.

    Args:
        settings: The settings of this CHURN_HOME.
        record: The run.
        follow: Whether to wait for further parts until the run ends.
        with_spark: Whether to add what the Spark server logged during the run.
        with_debug: Whether to include messages of level DEBUG.
    """
    own, spark = LogTail(Path(record.log)), LogTail(spark_process.service(settings).log)
    begin, is_json = "", False
    while True:
        # Before reading: what the run wrote at last is read too.
        is_running = follow and _is_running(settings, record.run_id)
        messages = list(own.read())
        if messages and not begin:
            # Records of earlier versions do not name the time.
            begin = record.begun or messages[0].time
            is_json = messages[0].text.startswith("{")
        if with_spark and begin:
            end = _find_end(settings, record.run_id)
            messages += [
                _format_spark(message, record.run_id, is_json)
                for message in spark.read()
                if begin[:TO_SECOND] <= message.time[:TO_SECOND] <= end
            ]
            messages.sort(key=lambda message: message.time)
        shown = [each.text for each in messages if with_debug or not each.is_debug]
        if shown:
            yield "".join(shown if is_json else _remove_run(shown, record.run_id))
        if not is_running:
            return
        time.sleep(POLL_SECONDS)


def _remove_run(texts: list[str], run_id: str) -> list[str]:
    """Return messages in text without the run, which the caller knows."""
    return [text.replace(f" {run_id}", "", 1) for text in texts]


def _is_running(settings: Settings, run_id: str) -> bool:
    record = find_record(settings, run_id)
    return record is not None and record.result == RUNNING


def _find_end(settings: Settings, run_id: str) -> str:
    """Return the second in which a run ended, or in which the next one began if it was killed."""
    records = read_records(settings)
    ends = [record.ended for record in records if record.run_id == run_id and record.ended]
    later = [record.started for record in records if record.run_id > run_id]
    return min(ends or later, default="9999")[:TO_SECOND]


def _format_spark(message: Message, run_id: str, is_json: bool) -> Message:
    """Format a message of the Spark server like those of the run, marked `spark`."""
    line = SPARK_LINE.match(message.text.rstrip())
    level, text = (line["level"], line["message"]) if line else ("INFO", message.text.rstrip())
    level = DEBUG.upper() if NOISE.search(text) else LEVELS.get(level, level)
    if is_json:
        facts = {"time": message.time, "level": level.lower(), "run_id": run_id}
        shown = json.dumps({**facts, "message": text, "logger": "spark"}, ensure_ascii=False)
    else:
        shown = f"{message.time} {level:<7} {run_id} spark: {text}".replace("\n", "\n    ")
    return Message(message.time, f"{shown}\n")
