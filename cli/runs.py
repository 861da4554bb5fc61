"""What past runs left below `$CHURN_HOME/runs`."""

import difflib
import json
from typing import Any

from lakehouse.errors import Unusable
from lakehouse.settings import Settings

NAMED = 3


def summary_of(settings: Settings, run_id: str, otherwise: str = "") -> dict[str, Any]:
    """The summary of a run; `otherwise` ends the remedy where there is none.

    Raises:
        Unusable: there is no such run, or it did not come as far as a summary.
    """
    folder = settings.home / "runs"
    known = sorted(each.parent.name for each in folder.glob("*/summary.json"))
    if run_id not in known:
        nearest = difflib.get_close_matches(run_id, known, NAMED) or known[-NAMED:]
        there = f" ({', '.join(nearest)})" if nearest else ""
        raise Unusable(
            f"There is no run {run_id!r} that came as far as a summary",
            where=str(folder),
            remedy=f"name a run that is there{there}{otherwise}",
        )
    summary: dict[str, Any] = json.loads((folder / run_id / "summary.json").read_text())
    return summary
