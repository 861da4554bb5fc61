"""The format of messages on standard error: plain text, or JSON lines with the run.

A command sets the format once, at its start; it is a property of the process, as that of `logging`.
"""

import json
import logging
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lakehouse.settings import Settings

TEXT_FORMAT = "%(asctime)s %(levelname)s %(message)s"
WARNING, ERROR, INFO = "warning", "error", "info"
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


def set_run(run_id: str) -> None:
    """Set the run that all further messages belong to."""
    _state.run_id = run_id


def format_message(text: str, level: str | None = None, **facts: Any) -> str:
    """Return a message in the format of this process; `facts` are fields of a JSON line only."""
    if not _state.is_json:
        return text
    stripped = text.strip()
    found = WARNING if stripped.startswith(WARNINGS) else INFO
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": level or found,
        "run_id": _state.run_id,
        "message": stripped,
        **facts,
    }
    return json.dumps(line, ensure_ascii=False, default=str)


class JsonFormatter(logging.Formatter):
    """Formats the records of `logging` as JSON lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a JSON line, with its stack if it has one."""
        facts: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1]:
            facts["stack"] = "".join(traceback.format_exception(record.exc_info[1]))
        return format_message(record.getMessage(), record.levelname.lower(), **facts)
