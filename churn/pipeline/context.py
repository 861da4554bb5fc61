"""Define what the pipeline's steps share: the request, the run's state, and write access."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql.connect.session import SparkSession

from churn.pipeline.lineage import emit_lineage
from churn.pipeline.notifications import send_notifications
from churn.pipeline.server_watchdog import watch_server
from lakehouse import commit_metadata, spark_process, spark_server, spark_session
from lakehouse.error_translation import translate_errors
from lakehouse.errors import GateRefusedError
from lakehouse.log_format import set_run
from lakehouse.process import Log, ProcessInfo
from lakehouse.progress import Step, Steps
from lakehouse.published_files import has_superseded_files, remove_superseded_files
from lakehouse.run_lock import HeldLock, run_lock
from lakehouse.run_log import begin_run
from lakehouse.settings import Settings
from seeds_loader.source_format import UNSTATED, SourceFormat

if TYPE_CHECKING:  # the trainer takes seconds to import: only where used
    from trainer.record import ModelRecord

STARTED = "started; stays warm for 30 idle minutes, `churn down` ends it"
RESTARTED = "restarted after an interruption"


@dataclass(frozen=True)
class Request:
    """Workbook to load, and the options for reading it."""

    workbook: Path
    sheet: str | None = None
    extract_date: date | None = None
    source_format: SourceFormat = UNSTATED


def new_run_id() -> str:
    """Return a name that sorts by time; its random suffix separates runs of the same second."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@dataclass
class RunContext:
    """State of a run in progress.

    `summary` becomes the run's summary.json: every step adds its part. `record` is the model that
    the run trained. `is_alias_moved` says whether the run found that a person moved MLflow's alias.
    """

    settings: Settings
    steps: Steps
    summary: dict[str, Any] = field(default_factory=lambda: {"run_id": new_run_id()})
    record: "ModelRecord | None" = None
    is_alias_moved: bool = False

    @property
    def run_id(self) -> str:
        """Return the run's name."""
        return str(self.summary["run_id"])

    @property
    def folder(self) -> Path:
        """Return the run's folder below CHURN_HOME/runs."""
        return self.settings.home / "runs" / self.run_id

    @property
    def counts(self) -> dict[str, Any]:
        """Return the counts of the summary, to which each step adds its own."""
        counts: dict[str, Any] = self.summary.setdefault("counts", {})
        return counts


@contextmanager
def writer_session(
    settings: Settings, command: str, steps: Steps, run_id: str | None = None
) -> Iterator[SparkSession]:
    """Open the lake for writing: the run lock, then the server, then a session.

    The server of an interrupted command is terminated in the step "server", under the lock and
    before anything is written. Lineage is emitted, and notifications are sent, after the lock is
    released.

    Args:
        settings: The settings of this CHURN_HOME.
        command: The command, which names the lock's owner and the lineage job.
        steps: Progress display; this adds the step "server".
        run_id: The run that the command belongs to; by default the command is its own run.

    Yields:
        A Spark Connect session.
    """
    purpose = f"{command} {run_id}" if run_id else command
    run_id = run_id or new_run_id()
    set_run(run_id)
    with (
        send_notifications(settings, steps.log),
        emit_lineage(settings, command, run_id, steps),
        run_lock(settings, purpose, steps.log, ends_left_work=False) as lock,
        translate_errors(settings),
    ):
        begin_run(run_id)
        with steps.step("server") as step:
            running, step.outcome = _open_server(settings, lock, step.log)
        with watch_server(settings, running), spark_session.session(settings) as spark:
            commit_metadata.set_commit_metadata(spark, run_id)
            try:
                yield spark
            except GateRefusedError:
                _remove_superseded(settings, spark)
                raise
            # Done as late as possible, so that readers of superseded files have had time to finish.
            _remove_superseded(settings, spark)


def _open_server(settings: Settings, lock: HeldLock, log: Log) -> tuple[ProcessInfo, str]:
    """Start the server, again if an interrupted command may have left statements running."""
    before = spark_process.find(settings)
    lock.end_left_work(settings, log)
    running, outcome = start_server(settings, log)
    return running, outcome if before in (None, running) else RESTARTED


def start_server(settings: Settings, log: Log) -> tuple[ProcessInfo, str]:
    """Start the Spark server unless it is running; return it, and which of both was the case."""
    before = spark_process.find(settings)
    running = spark_server.ensure_running(settings, log)
    return running, "running" if running == before else STARTED


def _remove_superseded(settings: Settings, spark: SparkSession) -> None:
    """Remove all files of gold's folders that are not published, regardless of their load."""
    if has_superseded_files(settings):
        remove_superseded_files(settings, spark)


@contextmanager
def writer_step(
    settings: Settings, command: str, name: str, steps: Steps
) -> Iterator[tuple[SparkSession, Step]]:
    """Open the lake for writing, with one displayed step, for a command that does one thing.

    Yields:
        A Spark Connect session, and the step.
    """
    with writer_session(settings, command, steps) as spark, steps.step(name) as step:
        yield spark, step
