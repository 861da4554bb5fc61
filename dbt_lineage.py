"""Plugin of dbt: a call of the command `dbt` that builds or tests tells its lineage at its end.

For who calls it from a shell, and for Airflow's task that does; `churn` tells its own, with what
else it did (churn/pipeline/lineage.py).
"""

import atexit
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from dbt.flags import get_flags
from dbt.plugins.manager import dbtPlugin

from lakehouse.commit_metadata import RUN
from lakehouse.lineage import StepRun, read_dbt
from lakehouse.settings import read_settings

TOLD = {"build", "run", "test"}


class Lineage(dbtPlugin):
    """Remembers when the call began; what it did lies in its target folder when it ends."""

    def initialize(self) -> None:
        flags = get_flags()
        command = str(getattr(flags, "WHICH", ""))
        if Path(sys.argv[0]).name == "dbt" and command in TOLD:
            target = Path(flags.PROJECT_DIR) / (flags.TARGET_PATH or "target")
            atexit.register(_tell, command, target, datetime.now(UTC))


def _tell(command: str, target: Path, begun: datetime) -> None:
    work = read_dbt(target)
    if work is None or work.results["metadata"]["generated_at"] < begun.isoformat():
        return  # it ended before it came to anything
    from lakehouse.lineage_events import Command, emit

    ended = datetime.now(UTC)
    statuses = {each["status"] for each in work.results["results"]}
    failed = bool(statuses & {"error", "fail"})
    run_id = os.environ.get(RUN) or work.results["metadata"]["invocation_id"]
    emit(
        read_settings(),
        Command(f"dbt {command}", run_id, begun, ended, failed),
        [StepRun("nodes", begun, ended, failed, [work])],
        lambda text: print(text, file=sys.stderr),
    )


plugins = [Lineage]
