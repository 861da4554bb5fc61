"""Read the summaries of runs: `$CHURN_HOME/runs`, and the records of runs that changed nothing."""

import difflib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakehouse.errors import InvalidInputError
from lakehouse.run_log import DONE, REFUSED, UNCHANGED, find_record
from lakehouse.settings import Settings

RUNS_SHOWN = 3
# The list of customers to call, beside a run's report.
LIST = "retention_list.xlsx"
# Hint for when the requested data does not exist yet.
HINT_RUN_FIRST = "run a workbook first: `churn run WORKBOOK`"
# What else can be done about a run that has no summary: end of the hint.
HINT_LATEST = ", or leave --run out, which takes the latest load"
HINT_NOW = ", or omit --run for the current state"


def list_runs(settings: Settings) -> list[str]:
    """Return the names of runs with a summary.json; the order of names is the order of time."""
    return sorted(path.parent.name for path in _folder(settings).glob("*/summary.json"))


def read_summary(settings: Settings, run_id: str, otherwise: str = "") -> dict[str, Any]:
    """Return the summary of a run.

    Args:
        settings: The settings of this CHURN_HOME.
        run_id: Name of the run.
        otherwise: Text to append to the error's hint.

    Raises:
        InvalidInputError: There is no such run, or it has no summary: it was interrupted before,
            or its command writes none.
    """
    run_names = list_runs(settings)
    if run_id in run_names:
        summary: dict[str, Any] = json.loads(_summary(settings, run_id).read_text())
        return summary
    record = find_record(settings, run_id)
    if record is not None and record.summary is not None:
        return record.summary
    message = f"There is no run {run_id!r}"
    if record is not None:
        step = f" in {record.step}" if record.step else ""
        message = f"Run {run_id} has no summary: `{record.command}`, {record.result}{step}"
    hint = suggest_runs(run_id, run_names, "a summary")
    raise InvalidInputError(message, where=str(_folder(settings)), hint=f"{hint}{otherwise}")


def suggest_runs(run_id: str, names: list[str], what: str) -> str:
    """Return the hint to name one of these runs, which have `what`: the nearest, or the latest."""
    if not names:
        return HINT_RUN_FIRST
    nearest = difflib.get_close_matches(run_id, names, RUNS_SHOWN) or names[-RUNS_SHOWN:]
    return f"name a run that has {what} ({', '.join(nearest)}); `churn runs` lists all"


def read_last_summary(settings: Settings) -> dict[str, Any]:
    """Return the summary of the latest run that has a readable one; empty if there is none."""
    summaries = (
        read_json_or_empty(_summary(settings, run_id)) for run_id in reversed(list_runs(settings))
    )
    return next(filter(None, summaries), {})


def read_summary_or_empty(settings: Settings, run_id: str) -> dict[str, Any]:
    """Return the summary of a run; empty if it is missing or damaged."""
    return read_json_or_empty(_summary(settings, run_id))


def find_champion(summary: Mapping[str, Any]) -> str | None:
    """Return the champion at the end of a run; None if the run ended before training."""
    model = summary.get("model")
    if model is None:
        return None
    champion: str = model.get("promotion", {}).get("champion") or model["version"]
    return champion


def find_result(summary: Mapping[str, Any]) -> str:
    """Return the result of a run by its summary, in the words of its record (`RunRecord`)."""
    if (summary.get("gate") or {}).get("verdict") in ("refused", "failed"):
        return REFUSED
    return UNCHANGED if summary.get("unchanged") else DONE


def find_run_of_load(settings: Settings, batch_id: str) -> str | None:
    """Return the latest run that published a load, or found it published, and has a report."""
    for run_id in reversed(list_runs(settings)):
        path = _summary(settings, run_id)
        summary = read_json_or_empty(path)
        is_published = summary.get("counts", {}).get("gold") is not None
        is_of_load = summary.get("batch_id") == batch_id and is_published
        if is_of_load and (path.parent / "report.html").exists():
            return run_id
    return None


def read_json_or_empty(path: Path) -> dict[str, Any]:
    """Return a JSON object; empty if the file is damaged, so that one old run breaks no page."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def parse_start_time(run_id: str) -> datetime:
    """Return the start time of a run, which is part of its name.

    Raises:
        ValueError: The name is not one that a run generates.
    """
    return datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def format_start_time(run_id: str) -> str:
    """Return the start time of a run as text; empty if its name does not begin with a time."""
    try:
        return f"{parse_start_time(run_id):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return ""


def read_end_time(settings: Settings, run_id: str) -> datetime:
    """Return the end time of a run with a summary; its file is the last one that a run writes."""
    path = _summary(settings, run_id)
    record = None if path.exists() else find_record(settings, run_id)
    if record is not None and record.ended is not None:
        return datetime.fromisoformat(record.ended)
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _summary(settings: Settings, run_id: str) -> Path:
    return _folder(settings) / run_id / "summary.json"


def _folder(settings: Settings) -> Path:
    return settings.home / "runs"
