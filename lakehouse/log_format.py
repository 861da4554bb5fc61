"""The format of messages: plain text, or JSON lines with the run.

Messages on standard error have the format; the log of a run (`lakehouse.run_log`) has time, level
and run on each line in both formats. A command sets the format once, at its start; it is a property
of the process, as that of `logging`.
"""

import json
import logging
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lakehouse.command_name import format_commands
from lakehouse.settings import Settings

TEXT_FORMAT = "%(asctime)s %(levelname)s %(message)s"
DEBUG, INFO, WARNING, ERROR = "debug", "info", "warning", "error"
# How messages of steps begin that need attention.
WARNINGS = ("warning:", "alert:")


@dataclass
class LogState:
    """The format of this process, and the run that it works on."""

    is_json: bool = False
    run_id: str | None = None


_state = LogState()


def configure_log(settings: Settings) -> None:
    """Set the format of this process's messages, those of libraries too."""
    _state.is_json = settings.log_format == "json"
    if _state.is_json:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def is_json_log() -> bool:
    """Return whether messages are JSON lines."""
    return _state.is_json


def set_run(run_id: str | None) -> None:
    """Set the run that all further messages belong to."""
    _state.run_id = run_id


def find_level(text: str) -> str:
    """Return the level of a message, which its first word states."""
    return WARNING if text.strip().startswith(WARNINGS) else INFO


def format_message(text: str, level: str | None = None, **facts: Any) -> str:
    """Return a message in the format of this process; `facts` are fields of a JSON line only."""
    return format_json(text, level, **facts) if _state.is_json else format_commands(text)


def format_json(
    text: str, level: str | None = None, time: datetime | None = None, **facts: Any
) -> str:
    """Return a message as a JSON line; `time` is when it happened, by default now."""
    line = {
        "time": format_time(time or datetime.now(UTC)),
        "level": level or find_level(text),
        "run_id": _state.run_id,
        "message": format_commands(text.strip()),
        **facts,
    }
    return json.dumps(line, ensure_ascii=False, default=str)


def format_log_lines(text: str, level: str, time: datetime) -> str:
    """Return a message for a log file; further lines of a text are indented."""
    if _state.is_json:
        return format_json(text, level, time)
    text = text.strip()
    if level == WARNING:  # the level says so
        text = text.removeprefix(f"{WARNING}:").lstrip()
    first, *others = format_commands(text).splitlines() or [""]
    start = f"{format_time(time)} {level.upper():<7} {_state.run_id or '-'}"
    return "\n".join([f"{start} {first}", *(f"    {line}" for line in others)])


def format_time(time: datetime) -> str:
    """Return a time in UTC, to the millisecond; such times sort as text."""
    return time.isoformat(timespec="milliseconds")


class JsonFormatter(logging.Formatter):
    """Formats the records of `logging` as JSON lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a JSON line, with its stack if it has one."""
        facts: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1]:
            facts["stack"] = "".join(traceback.format_exception(record.exc_info[1]))
        return format_message(record.getMessage(), record.levelname.lower(), **facts)
