"""The runs that left a summary under `$CHURN_HOME/runs`."""

import difflib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakehouse.errors import InvalidInputError
from lakehouse.settings import Settings

RUNS_NAMED = 3
# What to do where nothing is there yet.
MAKES_A_RUN = "`churn run WORKBOOK` makes what is missing"


def run_ids(settings: Settings) -> list[str]:
    """Runs that came as far as a summary, by name, which is by time."""
    return sorted(each.parent.name for each in _folder(settings).glob("*/summary.json"))


def read_summary(settings: Settings, run_id: str, otherwise: str = "") -> dict[str, Any]:
    """The summary of a run; `otherwise` ends the remedy where there is none.

    Raises:
        InvalidInputError: there is no such run, or it did not come as far as a summary.
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
    """Of the latest run that left one; empty where none did."""
    found = (
        read_json_or_empty(_summary(settings, run_id)) for run_id in reversed(run_ids(settings))
    )
    return next(filter(None, found), {})


def read_json_or_empty(path: Path) -> dict[str, Any]:
    """A JSON object; nothing where the file is damaged: one old run must not cost the page."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def started_at(run_id: str) -> datetime:
    """When a run began, as its name says.

    Raises:
        ValueError: it is no name that a run gives itself.
    """
    return datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def ended_at(settings: Settings, run_id: str) -> datetime:
    """When a run ended that left a summary: it is the last that a run writes of its work."""
    return datetime.fromtimestamp(_summary(settings, run_id).stat().st_mtime, UTC)


def _summary(settings: Settings, run_id: str) -> Path:
    return _folder(settings) / run_id / "summary.json"


def _folder(settings: Settings) -> Path:
    return settings.home / "runs"
