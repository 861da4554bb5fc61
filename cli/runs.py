"""The runs that left a summary under `$CHURN_HOME/runs`."""

import difflib
from pathlib import Path

from lakehouse.errors import Unusable
from lakehouse.settings import Settings

RUNS_NAMED = 3


def run_ids(settings: Settings) -> list[str]:
    """Runs that came as far as a summary, by name, which is by time."""
    return sorted(each.parent.name for each in _folder(settings).glob("*/summary.json"))


def summary_of(settings: Settings, run_id: str) -> Path:
    """The summary of a run.

    Raises:
        Unusable: there is no such run.
    """
    known = run_ids(settings)
    if run_id not in known:
        nearest = difflib.get_close_matches(run_id, known, RUNS_NAMED) or known[-RUNS_NAMED:]
        named = f"name a run that is there ({', '.join(nearest)}), or " if nearest else ""
        raise Unusable(
            f"There is no run {run_id!r} that came as far as a summary",
            where=str(_folder(settings)),
            remedy=f"{named}leave --run out, which takes the latest",
        )
    return _folder(settings) / run_id / "summary.json"


def _folder(settings: Settings) -> Path:
    return settings.home / "runs"
