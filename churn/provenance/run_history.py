"""Read the runs that have a summary under `$CHURN_HOME/runs`."""

import difflib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakehouse.errors import InvalidInputError
from lakehouse.settings import Settings

RUNS_NAMED = 3
# Hint for when the requested data does not exist yet.
MAKES_A_RUN = "`churn run WORKBOOK` makes what is missing"


def run_ids(settings: Settings) -> list[str]:
    """Return the names of runs with a summary; the order of names is the order of time."""
    return sorted(each.parent.name for each in _folder(settings).glob("*/summary.json"))


def read_summary(settings: Settings, run_id: str, otherwise: str = "") -> dict[str, Any]:
    """Return the summary of a run.

    Args:
        settings: The settings of this CHURN_HOME.
        run_id: Name of the run.
        otherwise: Text to append to the error's hint.

    Raises:
        InvalidInputError: There is no such run, or it was interrupted before its summary.
    """
    known = run_ids(settings)
    if run_id not in known:
        nearest = difflib.get_close_matches(run_id, known, RUNS_NAMED) or known[-RUNS_NAMED:]
        named = f"name a run that is there ({', '.join(nearest)})"
        raise InvalidInputError(
            f"There is no run {run_id!r} that came as far as a summary",
            where=str(_folder(settings)),
            remedy=f"{named if known else MAKES_A_RUN}{otherwise}",
        )
    summary: dict[str, Any] = json.loads(_summary(settings, run_id).read_text())
    return summary


def last_summary(settings: Settings) -> dict[str, Any]:
    """Return the summary of the latest run that has a readable one; empty if there is none."""
    found = (
        read_json_or_empty(_summary(settings, run_id)) for run_id in reversed(run_ids(settings))
    )
    return next(filter(None, found), {})


def read_json_or_empty(path: Path) -> dict[str, Any]:
    """Return a JSON object; empty if the file is damaged, so that one old run breaks no page."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def started_at(run_id: str) -> datetime:
    """Return the start time of a run, which is part of its name.

    Raises:
        ValueError: The name is not one that a run generates.
    """
    return datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def ended_at(settings: Settings, run_id: str) -> datetime:
    """Return the end time of a run with a summary, which is the last file that a run writes."""
    return datetime.fromtimestamp(_summary(settings, run_id).stat().st_mtime, UTC)


def _summary(settings: Settings, run_id: str) -> Path:
    return _folder(settings) / run_id / "summary.json"


def _folder(settings: Settings) -> Path:
    return settings.home / "runs"
