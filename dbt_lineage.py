"""dbt plugin that emits lineage when a `dbt` command that builds or tests exits.

It applies to calls from a shell and to the Airflow task that calls dbt. `churn` emits its own
lineage, together with its other steps (churn/pipeline/lineage.py).
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

TOLD = {"build", "run", "retry", "test"}


class Lineage(dbtPlugin):
    """Record when the call began and read its artifacts from the target folder at exit."""

    def initialize(self) -> None:
        """Register the lineage emitter if this process is a `dbt` build, run or test command."""
        flags = get_flags()
        command = str(getattr(flags, "WHICH", ""))
        if Path(sys.argv[0]).name == "dbt" and command in TOLD:
            target = Path(flags.PROJECT_DIR) / (flags.TARGET_PATH or "target")
            atexit.register(_tell, command, target, datetime.now(UTC))


def _tell(command: str, target: Path, begun: datetime) -> None:
    work = read_dbt(target)
    if work is None or work.results["metadata"]["generated_at"] < begun.isoformat():
        return  # the call ended before it wrote any results
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
