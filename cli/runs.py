"""The runs that left a summary under `$CHURN_HOME/runs`."""

import difflib
import json
from pathlib import Path
from typing import Any

from lakehouse.errors import Unusable
from lakehouse.settings import Settings

RUNS_NAMED = 3


def run_ids(settings: Settings) -> list[str]:
    """Runs that came as far as a summary, by name, which is by time."""
    return sorted(each.parent.name for each in _folder(settings).glob("*/summary.json"))


def summary_file(settings: Settings, run_id: str, otherwise: str = "") -> Path:
    """The file of a run's summary; `otherwise` ends the remedy where there is none.

    Raises:
        Unusable: there is no such run, or it did not come as far as a summary.
    """
    known = run_ids(settings)
    if run_id not in known:
        nearest = difflib.get_close_matches(run_id, known, RUNS_NAMED) or known[-RUNS_NAMED:]
        there = f" ({', '.join(nearest)})" if nearest else ""
        raise Unusable(
            f"There is no run {run_id!r} that came as far as a summary",
            where=str(_folder(settings)),
            remedy=f"name a run that is there{there}{otherwise}",
        )
    return _folder(settings) / run_id / "summary.json"


def summary_of(settings: Settings, run_id: str, otherwise: str = "") -> dict[str, Any]:
    """The summary of a run; see `summary_file`."""
    summary: dict[str, Any] = json.loads(summary_file(settings, run_id, otherwise).read_text())
    return summary


def _folder(settings: Settings) -> Path:
    return settings.home / "runs"
