"""Implement `churn run`: the complete pipeline, from the workbook to the report."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyspark.sql.connect.session import SparkSession

from churn.pipeline import steps
from churn.pipeline.context import Request, RunContext, new_run_id, writer_session
from churn.pipeline.libraries import ALL, preload, wait_for_import
from churn.pipeline.mlflow_sync import open_store_async, sync_registry
from churn.pipeline.notifications import record_interruption, send_notifications
from churn.pipeline.summary import (
    finish_unchanged,
    reuse_report,
    write_final_summary,
    write_summary,
)
from lakehouse.domain import DEFAULT, DOMAINS, domain_folder, read_domain
from lakehouse.errors import InvalidInputError
from lakehouse.log_format import set_run
from lakehouse.progress import Steps
from lakehouse.settings import Settings
from seeds_loader.extract_date import ExtractDate
from seeds_loader.reader.sandbox import Extract
from seeds_loader.sample import SampleParameters, write_samples

STEPS = 12


def run(settings: Settings, request: Request, progress: Steps) -> dict[str, Any]:
    """Run the complete pipeline and return the summary, which is also written to the run's folder.

    Args:
        settings: The settings of this CHURN_HOME.
        request: The workbook, and the options for reading it.
        progress: Progress display with `STEPS` steps.

    Returns:
        The run's summary, the content of summary.json. A run that changes nothing writes no files:
        `report_run` of its summary names the earlier run whose report is still true.

    Raises:
        lakehouse.errors.InvalidInputError: The workbook is unusable; nothing was written.
        lakehouse.errors.GateRefusedError: The gate refused the load; the summary is written.
        lakehouse.errors.UnavailableError: A service does not respond, or another run has the
            lock of the lake.
    """
    context = RunContext(settings, progress, {"run_id": new_run_id(), "unchanged": False})
    set_run(context.run_id)
    preload()
    # Read first, so that an unusable workbook has no side effects: not even a server is started.
    extract, extract_date = steps.read(request, progress)
    subject = f"{extract.sha256[:16]}-{extract_date.date}"
    with (
        send_notifications(settings, progress.log),
        record_interruption(settings, context.run_id, subject, request.workbook.name),
        writer_session(settings, "churn run", progress, context.run_id) as spark,
    ):
        return _run_steps(context, spark, extract, extract_date)


def write_sample_workbook(settings: Settings) -> Path:
    """Write the sample workbook, for a run without a given workbook, and return its path.

    Its extract date is the first day of the month in which the first call was: the scoring API
    refuses customers of old extracts. Later calls return the same workbook.

    Raises:
        InvalidInputError: Another domain than the sample's is selected.
    """
    if domain_folder() != DOMAINS / DEFAULT:
        raise InvalidInputError(
            f"the sample is of the domain {DEFAULT}, and {domain_folder().name} is selected",
            where="CHURN_DOMAIN",
            hint="name a workbook: `churn run WORKBOOK`",
        )
    folder = settings.home / "sample"
    if written := sorted(folder.glob("*.xlsx")):
        return written[0]
    this_month = datetime.now(UTC).date().replace(day=1)
    # The examples of the pages and of the API are then of a customer of the demo.
    parameters = SampleParameters(start=this_month, example_id=read_domain().report.example_id)
    return write_samples(parameters, folder)[0]


def _run_steps(
    context: RunContext, spark: SparkSession, extract: Extract, extract_date: ExtractDate
) -> dict[str, Any]:
    loaded = steps.ingest(context, spark, extract, extract_date)
    return complete_run(context, spark, is_changed=loaded.is_new)


def complete_run(context: RunContext, spark: SparkSession, is_changed: bool) -> dict[str, Any]:
    """Do what follows once a load is in bronze; return the summary, which is also written.

    Args:
        context: The run, whose summary has the load.
        spark: A Spark Connect session.
        is_changed: Whether the run has changed anything before.

    Raises:
        lakehouse.errors.GateRefusedError: The gate refused the load; the summary is written.
    """
    is_built = steps.build(context, spark)
    steps.apply(context)
    online = steps.materialize(context, spark)
    is_repaired = steps.verify(context, spark, repair=not online.written)
    # Opening the store imports MLflow in a thread of its own.
    wait_for_import(ALL)
    # In the background during training, in which this process only waits for Spark.
    opened = open_store_async(settings=context.settings)
    training = steps.train(context, spark)
    scores = steps.score(context, spark)
    changes = (is_changed, is_built, online.written, is_repaired, training.is_new)
    context.summary["unchanged"] = not (any(changes) or (scores and scores.written))
    steps.monitor(context, spark)
    is_reported = context.summary["unchanged"] and reuse_report(context)
    if not is_reported:
        steps.report(context, spark)
        write_summary(context)
    sync_registry(context.settings, context.steps, opened)
    return finish_unchanged(context) if is_reported else write_final_summary(context, spark)
