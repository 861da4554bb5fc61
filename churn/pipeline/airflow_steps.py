"""Run the pipeline's steps as Airflow tasks: a process per step, which passes the summary on.

A task receives the run's summary so far and returns its own part of it. Each acquires the run
lock and calls the same step as `churn run`.
"""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyspark.sql.connect.session import SparkSession

from churn.pipeline import commands, steps
from churn.pipeline.context import Request, RunContext, writer_session
from churn.pipeline.failed_tests import failing_rows
from churn.pipeline.mlflow_sync import sync_registry_or_raise
from churn.pipeline.notifications import record_failed_task, record_overdue, send_notifications
from churn.pipeline.refusals import run_refused_error, warn_of_refused
from churn.pipeline.run import write_sample_workbook
from churn.pipeline.summary import update_gate_summary, write_final_summary
from churn.provenance import load_state
from lakehouse import spark_server, spark_session
from lakehouse.errors import InvalidInputError
from lakehouse.process import Log
from lakehouse.progress import Steps
from lakehouse.run_lock import find_holder, run_lock
from lakehouse.settings import Settings
from seeds_loader import landing_zone
from seeds_loader.landing_zone import LandedFile
from trainer import manual_promotion, mlflow_alias

Summary = dict[str, Any]


class NothingToDoError(Exception):
    """Raised by a step that has nothing to do in this run."""


def start_server(settings: Settings, log: Log) -> None:
    """Start the Spark server, for a dbt call that does not start it."""
    spark_server.ensure_running(settings, log)


def list_unclaimed_files(settings: Settings) -> list[LandedFile]:
    """Return the unclaimed files of the landing zone, oldest first."""
    landing_zone.copy_new_files(settings)
    return landing_zone.list_unclaimed(settings)


def workbook_for(
    settings: Settings, run_id: str, given: str | None, arrival: str | None, by_hand: bool
) -> Path | None:
    """Return the workbook of the run; claim it, so that repeated calls return the same one.

    A manual run without a waiting file gets the sample if the lake is empty. Files that are still
    being written are waited for.

    Args:
        settings: The settings of this CHURN_HOME.
        run_id: The run that claims the workbook.
        given: Path of a workbook; takes precedence.
        arrival: Key of a landed file; default: the oldest unclaimed file.
        by_hand: Whether the run was started manually.

    Returns:
        The path; None if another run has claimed the arrival, or if no file is waiting and the run
        was not started manually, or the lake has data.
    """
    if given:
        landing_zone.claim_file(settings, Path(given), run_id)
        return Path(given)
    is_of_sample = settings.home / "runs" / run_id / "of_sample"
    if not is_of_sample.exists():
        while arrival is None and landing_zone.copy_new_files(settings):
            time.sleep(1)
        claimed = landing_zone.claim(settings, run_id, arrival)
        if claimed is not None:
            return claimed.path
        if arrival is not None or not by_hand or has_data(settings):
            return None
        is_of_sample.parent.mkdir(parents=True, exist_ok=True)
        is_of_sample.touch()
    return write_sample_workbook(settings)


def has_data(settings: Settings) -> bool:
    """Return whether a workbook was loaded into the lake: beside it the sample has no place."""
    return settings.lake.join("bronze", "loads").exists()


def report_overdue(settings: Settings, is_waiting: bool) -> None:
    """Notify if no workbook has arrived by the expected day.

    Args:
        settings: The settings of this CHURN_HOME.
        is_waiting: Whether a workbook waits for its run.
    """
    with send_notifications(settings, print):
        if record_overdue(settings, datetime.now(UTC).date(), is_waiting):
            print(f"no workbook has arrived by day {settings.expected_day} of this month")


def report_failure(settings: Settings, run_id: str, task: str) -> None:
    """Notify of a task that failed for another reason than a refusal."""
    with send_notifications(settings, print):
        record_failed_task(settings, run_id, task)


def ingest(settings: Settings, run_id: str, request: Request) -> Summary:
    """Load the workbook into bronze; first build loads that an interrupted run left pending.

    Raises:
        lakehouse.errors.InvalidInputError: The workbook is unusable; nothing was written.
    """
    run = RunContext(settings, Steps(4), {"run_id": run_id})
    extract, extract_date = steps.read(request, run.steps)
    with writer_session(settings, "churn ingest", run.steps, run_id) as spark:
        if load_state.has_unevaluated_loads(spark, but=extract.sha256):
            with run.steps.step("build") as step:
                left = steps.build_pending(settings, spark, run_id, step)
                warn_of_refused(settings, spark, run_id, step)
                step.outcome = f"what was left: {left.format_tests()}"
        loaded = steps.ingest(run, spark, extract, extract_date)
        run.summary["unchanged"] = load_state.load_state(spark, loaded.batch_id).is_settled
    return {**run.summary, "seconds": run.steps.seconds}


def feast_apply(settings: Settings, summary: Summary) -> Summary:
    """Register entity, view and service, if the run's load was published.

    Raises:
        GateRefusedError: The gate refused the load, regardless of dbt's test results.
        InvalidInputError: The load was not published for another reason.
    """
    run = RunContext(settings, Steps(2), dict(summary))
    with writer_session(settings, "churn features apply", run.steps, run.run_id) as spark:
        _require_published(run, spark)
        steps.apply(run)
    return {"seconds": run.steps.seconds}


def feast_materialize(settings: Settings, summary: Summary) -> Summary:
    """Write the latest published extract to the online store."""
    run = RunContext(settings, Steps(2), dict(summary))
    with writer_session(settings, "churn features materialize", run.steps, run.run_id) as spark:
        online = steps.materialize(run, spark)
    return {"unchanged": not online.written, "seconds": run.steps.seconds}


def feast_verify(settings: Settings, summary: Summary) -> Summary:
    """Compare every online customer with gold; rewrite a store that has lost customers."""
    run = RunContext(settings, Steps(2), {"run_id": summary["run_id"]})
    with writer_session(settings, "churn features verify", run.steps, run.run_id) as spark:
        is_rewritten = steps.verify(run, spark, repair=True)
    return {"unchanged": not is_rewritten, "counts": run.counts, "seconds": run.steps.seconds}


def train_model(settings: Settings, summary: Summary) -> Summary:
    """Train a model on the published extracts, unless it exists already; print its metrics."""
    run = RunContext(settings, Steps(2), dict(summary))
    with writer_session(settings, "churn train", run.steps, run.run_id) as spark:
        training = steps.train(run, spark)
    model = run.summary["model"]
    print(json.dumps({"model": model}, indent=2))
    return {"unchanged": not training.is_new, "model": model, "seconds": run.steps.seconds}


def score(settings: Settings, summary: Summary) -> Summary:
    """Score the latest extract, write the run's report, and return the final summary."""
    from trainer.registry import find

    run = RunContext(settings, Steps(4), dict(summary))
    with writer_session(settings, "churn score", run.steps, run.run_id) as spark:
        _require_published(run, spark)
        run.summary["counts"] |= summary["counts"]
        scores = steps.score(run, spark)
        run.record = find(settings, summary["model"]["version"])
        run.summary["unchanged"] = summary["unchanged"] and not (scores and scores.written)
        steps.monitor(run, spark)
        steps.report(run, spark)
        return write_final_summary(run, spark)


def adopt_moved_alias(settings: Settings) -> Summary:
    """Promote the version that a person moved MLflow's alias to, and score with it.

    Raises:
        NothingToDoError: The alias was not moved, or a run holds the lake, which adopts it itself.
        lakehouse.errors.UnavailableError: MLflow does not respond.
    """
    moved = manual_promotion.moved_alias(settings, mlflow_alias.read(settings))
    if moved is None:
        raise NothingToDoError("MLflow's alias was not moved")
    holder = find_holder(settings)
    if holder is not None:
        raise NothingToDoError(f"MLflow's alias was moved to {moved.version}; {holder} is at work")
    progress = Steps(3)
    scores = commands.score(settings, progress)
    return {"model": scores.record.version, "seconds": progress.seconds}


def log_to_mlflow(settings: Settings, summary: Summary) -> Summary:
    """Synchronise MLflow with the registry, including what it lacks of earlier runs.

    Raises:
        lakehouse.errors.UnavailableError: MLflow does not respond; no other step depends on it.
    """
    progress = Steps(1)
    with run_lock(settings, "churn train", progress.log):
        sync_registry_or_raise(settings, progress)
    return {"seconds": progress.seconds}


def print_alerts(settings: Settings, summary: Summary) -> Summary:
    """Print why the gate refused the load, or what the latest extract alerts to about the champion.

    Raises:
        NothingToDoError: There is no alert.
    """
    if "batch_id" in summary and "watch" not in summary:
        refusal, _ = explain_refusal(settings, summary, [])
        if not refusal:
            raise NothingToDoError("the run did not complete; the log of the red task tells why")
        print(refusal)
        return {"alert": refusal, "refused_load": summary["batch_id"], "seconds": {}}
    proposal = (summary.get("watch") or {}).get("proposal")
    if not proposal:
        raise NothingToDoError("the champion is as it was: no alert")
    print(json.dumps(summary["watch"]["alerts"], indent=2))
    return {"alert": proposal, "seconds": {}}


def explain_refusal(settings: Settings, summary: Summary, tests: Sequence[str]) -> tuple[str, bool]:
    """Explain failed dbt tests: the gate's metrics, the failing rows, the path of the rejects.

    Writes the report of a refused run, and notifies of the refusal.

    Args:
        settings: The settings of this CHURN_HOME.
        summary: The run's summary so far.
        tests: Names of the failed dbt tests.

    Returns:
        The explanation as text, and whether the gate refused the load.
    """
    spark_server.ensure_running(settings, lambda _: None)
    with send_notifications(settings, print), spark_session.session(settings) as spark:
        run = RunContext(settings, Steps(1), dict(summary))
        texts = []
        is_refused = update_gate_summary(run, spark).verdict == "refused"
        if is_refused:
            texts.append(str(run_refused_error(run, spark, [])))
        rows = failing_rows(settings, spark, tests)
        return "\n".join([*texts, *(f"{name} found\n{rows[name]}" for name in rows)]), is_refused


def merge_summaries(parts: Sequence[Summary | None]) -> Summary:
    """Merge the parts that the run's steps returned into the run's summary so far."""
    summary: Summary = {"unchanged": True, "counts": {}, "seconds": {}}
    for part in filter(None, parts):
        unchanged = summary["unchanged"] and part.get("unchanged", True)
        counts = {**summary["counts"], **part.get("counts", {})}
        seconds = {**summary["seconds"], **part["seconds"]}
        summary |= {**part, "unchanged": unchanged, "counts": counts, "seconds": seconds}
    return summary


def _require_published(run: RunContext, spark: SparkSession) -> None:
    """Add the state of the run's load to the summary; raise an error unless it is in gold.

    Usually a failed dbt test stops a refused load earlier; this check covers the case in which
    the test no longer sees the load.
    """
    state = update_gate_summary(run, spark)
    if state.verdict == "refused":
        raise run_refused_error(run, spark, [])
    if state.published is None:
        raise InvalidInputError(
            f"The run's load is not in gold; its verdict: {state.verdict}",
            where=f"load {run.summary['batch_id']}, extract of {run.summary['extract_date']}",
            hint="do nothing if a later workbook of that date has replaced it; otherwise clear the "
            "tasks of `publish`",
        )
