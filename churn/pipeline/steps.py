"""Implement the steps of the pipeline, one function each.

`churn run`, the commands of single steps and the Airflow tasks call these. Each step displays its
progress, adds its results to the run's summary, and records what it read and wrote for lineage.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql.connect.session import SparkSession

from churn.pipeline.context import Request, RunContext
from churn.pipeline.libraries import DBT, FEAST, wait_for_import
from churn.pipeline.mlflow_sync import adopt_alias
from churn.pipeline.refusals import run_refused_error, warn_of_refused
from churn.pipeline.summary import (
    format_rule_counts,
    load_summary,
    update_gate_summary,
    write_report,
)
from churn.provenance import load_state
from feature_repo.feature_definitions import read_feature_columns
from lakehouse.amounts import format_number
from lakehouse.dbt_runner import BuildResult, dbt_build
from lakehouse.errors import ChurnError, InvalidInputError
from lakehouse.log_format import WARNING
from lakehouse.progress import Step, Steps
from lakehouse.readers import published_copy
from lakehouse.run_log import IS_PUBLISHED, NOTHING_PUBLISHED, set_effect, set_workbook, write_log
from lakehouse.sample_home import mark_as_sample
from lakehouse.settings import Settings
from seeds_loader import lineage
from seeds_loader.extract_date import ExtractDate, choose_extract_date
from seeds_loader.load import Load, load
from seeds_loader.reader.sandbox import Extract, read_workbook

if TYPE_CHECKING:  # Feast and the trainer take seconds to import: only where used
    from feature_repo.online.materialize import OnlineContents, Write
    from trainer.monitoring import MonitoringResult
    from trainer.score import Scores
    from trainer.train import Training

# Unit tests check the project's code, not the data: `dbt build` and CI run them. A load changes no
# campaign.
DATA_ONLY = ["--exclude-resource-type", "unit_test", "--exclude", "tag:campaigns"]


def read(request: Request, steps: Steps, tolerant: bool = False) -> tuple[Extract, ExtractDate]:
    """Read the workbook and choose its extract date; needs neither the lock nor a server.

    Args:
        request: The workbook, and the options for reading it.
        steps: Progress display; this adds the step "read".
        tolerant: Whether amounts in an ambiguous notation cause a warning instead of an error.

    Returns:
        The extract and its date.

    Raises:
        lakehouse.errors.InvalidInputError: The workbook is unusable.
    """
    set_workbook(request.workbook.name)
    set_effect(NOTHING_PUBLISHED)
    with steps.step("read") as step:
        step.describe(f"opening {request.workbook.name}")
        extract = read_workbook(
            request.workbook,
            request.sheet,
            step.log,
            source_format=request.source_format,
            tolerant=tolerant,
        )
        extract_date = choose_extract_date(request.extract_date, extract)
        if extract_date.warning:
            step.log(f"warning: {extract_date.warning}")
        sheet = f", sheet {extract.sheet!r}" if extract.sheet else ""
        step.outcome = f"{format_number(extract.table.num_rows, 'row')}{sheet}"
    return extract, extract_date


def ingest(
    run: RunContext,
    spark: SparkSession,
    extract: Extract,
    extract_date: ExtractDate,
    reevaluate: bool = True,
) -> Load:
    """Load the extract into bronze.

    Args:
        run: The run, whose summary gets the load.
        spark: A Spark Connect session.
        extract: The content of the workbook.
        extract_date: The date of the extract.
        reevaluate: Whether to make the load pending again if the gate refused it before.

    Returns:
        The load, which may be one from an earlier run.
    """
    with run.steps.step("ingest") as step:
        loaded = load(run.settings, spark, extract, extract_date, step.log)
        step.io.append(lineage.ingest_io(run.settings, extract, loaded))
        if extract.is_sample:
            mark_as_sample(run.settings)
        is_known = reevaluate and not loaded.is_new
        if is_known and load_state.load_state(spark, loaded.batch_id).verdict == "refused":
            step.log("this load was refused before; it is evaluated again")
            load_state.mark_pending(spark, "batch_id = :batch", run.run_id, batch=loaded.batch_id)
        step.outcome = (
            f"extract of {loaded.extract_date} (date from: {loaded.extract_date_source})"
            + ("" if loaded.is_new else ", loaded before")
        )
    run.summary |= load_summary(extract.path, loaded)
    return loaded


def build(run: RunContext, spark: SparkSession) -> bool:
    """Build all pending loads; return False if the run's load was published before.

    Raises:
        lakehouse.errors.GateRefusedError: The run's load did not pass; summary and report are
            written.
    """
    batch_id = run.summary["batch_id"]
    is_pending = not load_state.load_state(spark, batch_id).is_settled
    with run.steps.step("build") as step:
        outcome = build_pending(run.settings, spark, run.run_id, step) if is_pending else None
        warn_of_refused(run.settings, spark, run.run_id, step, except_load=batch_id)
        state = update_gate_summary(run, spark)
        rules = format_rule_counts(run.summary["gate"])
        step.outcome = (
            f"{state.verdict}; {rules}, {outcome.format_tests()}" if outcome else "published before"
        )
        if outcome and state.published is not None:
            set_effect(IS_PUBLISHED)
    if state.published is None or state.verdict == "refused":
        raise run_refused_error(run, spark, outcome.failures if outcome else [])
    return is_pending


def build_pending(settings: Settings, spark: SparkSession, run_id: str, step: Step) -> BuildResult:
    """Run `dbt build` for all pending loads, without the project's unit tests.

    A refused load prevents the same dbt call from publishing the others; a second call publishes
    them.
    """
    outcome = run_dbt(settings, DATA_ONLY, run_id, step)
    if outcome.failures and load_state.list_unpublished_loads(spark):
        step.log("a load was refused; publishing the others")
        outcome = run_dbt(settings, DATA_ONLY, run_id, step).merge_earlier(outcome)
    return outcome


def run_dbt(settings: Settings, arguments: Sequence[str], run_id: str, step: Step) -> BuildResult:
    """Run `dbt build` with the arguments, and record what it read and wrote."""
    step.unit = "models and tests"
    step.describe("dbt is reading the project")
    wait_for_import(DBT)
    outcome = dbt_build(settings, arguments, run_id, step.advance)
    if outcome.work is not None:
        step.io.append(outcome.work)
    return outcome


def apply(run: RunContext) -> None:
    """Register entity, view and service with Feast."""
    with run.steps.step("apply") as step:
        wait_for_import(FEAST)
        from feature_repo.online.materialize import apply as register

        register(run.settings, step.log)
        step.outcome = (
            f"{format_number(len(read_feature_columns()), 'feature')}, with their "
            "entity and service"
        )


def materialize(run: RunContext, spark: SparkSession, write: "Write" = "new") -> "OnlineContents":
    """Write the latest published extract to the online store."""
    with run.steps.step("materialize") as step:
        from feature_repo.lineage import materialize_io
        from feature_repo.online.materialize import materialize as write_online

        online = write_online(run.settings, spark, step.log, write, step.advance)
        step.io.append(materialize_io(run.settings, online.written))
        step.outcome = f"{format_number(online.customers, 'customer')} online"
    return online


def verify(run: RunContext, spark: SparkSession, repair: bool) -> bool:
    """Compare every online customer with gold; return whether the store was rewritten.

    Args:
        run: The run, whose summary gets the number of customers.
        spark: A Spark Connect session.
        repair: See `verify_online`.
    """
    with run.steps.step("verify") as step:
        customers, is_rewritten = verify_online(run.settings, spark, step, repair)
        run.counts["online_verified"] = customers
    return is_rewritten


def verify_online(
    settings: Settings, spark: SparkSession, step: Step, repair: bool
) -> tuple[int, bool]:
    """Compare every online customer with gold, and optionally rewrite a store that differs.

    Args:
        settings: The settings of this CHURN_HOME.
        spark: A Spark Connect session.
        step: The step that displays the progress.
        repair: Whether to rewrite the store, once, if it differs. A store that was not written
            just now may have lost keys, or another client may have changed them.

    Returns:
        The number of customers, and whether the store was rewritten.

    Raises:
        ChurnError: The online store differs from gold.
    """
    from feature_repo.online.materialize import materialize as write_online
    from feature_repo.online.verify import verify as compare

    verification = compare(settings, spark, step.log, step.advance)
    is_rewritten = bool(verification.differences) and repair
    if is_rewritten:
        step.log("the online store differs from gold; writing it again")
        write_online(settings, spark, step.log, "all", step.advance)
        verification = compare(settings, spark, step.log, step.advance)
    if verification.differences:
        raise ChurnError(
            f"The online store differs from gold: {verification.differences[0]}",
            where="`churn features verify`",
            hint="`churn features materialize`, then verify again",
        )
    step.outcome = (
        f"{format_number(verification.customers, 'customer')} equal gold in every feature"
    )
    return verification.customers, is_rewritten


def train(run: RunContext, spark: SparkSession) -> "Training":
    """Train a model on the published extracts and decide on its promotion.

    A model that exists already for these extracts is not trained again. The champion that it is
    compared with is the one that MLflow's alias names, if a person moved it.
    """
    from trainer import lineage as model_lineage
    from trainer.score import preview_deciles
    from trainer.train import train as train_model

    with run.steps.step("train") as step:
        run.is_alias_moved |= adopt_alias(run.settings, step.log)
        training = train_model(run.settings, spark, step.log)
        if not training.decision.promoted:
            preview_deciles(run.settings, spark, training.record)
        step.io.append(model_lineage.train_io(run.settings, training.record, training.is_new))
        run.record = training.record
        run.summary["model"] = training.summary()
        step.outcome = training.format_outcome(names_command=False)
    return training


def score(run: RunContext, spark: SparkSession) -> "Scores | None":
    """Score the latest extract with the champion: with the one that MLflow's alias names, if moved.

    Returns:
        The scores; None if scoring is not possible because the run's new version awaits an
        operator's decision. A warning reports this, and the rest of the run is complete.

    Raises:
        lakehouse.errors.InvalidInputError: Scoring is not possible, and no decision is awaited.
    """
    from trainer import lineage as model_lineage
    from trainer.score import score as score_extract

    run.counts["scored"] = 0
    with run.steps.step("score") as step:
        run.is_alias_moved |= adopt_alias(run.settings, step.log)
        try:
            scores = score_extract(run.settings, spark, step.log)
        except InvalidInputError as error:
            if not run.summary.get("model", {}).get("promotion", {}).get("waits"):
                raise
            step.log(f"warning: no customer was scored. {error}")
            step.outcome = "no customers"
            return None
        step.io.append(model_lineage.score_io(run.settings, scores.record, scores.written))
        run.counts["scored"] = scores.customers
        run.summary["scored_extract_date"] = scores.extract_date.isoformat()
        _note_champion(run, scores.record.version)
        step.outcome = format_number(scores.customers, "customer")
        if published_copy.is_needed(run.settings):
            published_copy.refresh(run.settings, spark, step.log)
    return scores


def _note_champion(run: RunContext, version: str) -> None:
    """Correct the summary if the champion was changed since the run's training."""
    model = run.summary.get("model")
    if model is not None and model["promotion"]["champion"] != version:
        model["promotion"]["champion"] = version
        model["champion"] = model["version"] == version


def monitor(run: RunContext, spark: SparkSession) -> None:
    """Check the champion against the latest extract, and report alerts."""
    from trainer.monitoring import monitor, read_rules

    with run.steps.step("monitor") as step:
        step.describe("comparing the extract with earlier ones and with the champion")
        result = monitor(run.settings, spark, read_rules())
        if result is None:
            step.outcome = "no published extract to check"
            return
        run.summary["watch"] = result.to_json()
        step.outcome = format_alert_count(result)
        if result.proposal:  # the summary at the end shows it
            write_log(f"alert: {result.proposal}", WARNING)


def format_alert_count(result: "MonitoringResult") -> str:
    """Format how many alerts there are; the summary of the run has their texts."""
    if not result.figures:
        return "no earlier extract to compare with"
    if not result.alerts:
        return f"no alert from {format_number(len(result.figures), 'metric')}"
    return f"{format_number(len(result.alerts), 'alert')}; see below"


def report(run: RunContext, spark: SparkSession) -> None:
    """Write the run's report."""
    with run.steps.step("report") as step:
        step.outcome = str(write_report(run, spark))
