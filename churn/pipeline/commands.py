"""Run single steps as standalone commands, each under the run lock."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from churn.pipeline import steps
from churn.pipeline.context import Request, RunContext, writer_session, writer_step
from churn.pipeline.mlflow_sync import (
    adopt_alias,
    is_alias_moved,
    open_store_async,
    sync_registry,
)
from churn.pipeline.notifications import record_champion
from churn.pipeline.refusals import build_refused_error, record_refused_load
from churn.pipeline.run_metrics import rewrite_metrics
from churn.provenance import load_state
from churn.provenance.campaign_records import CLOSINGS, read_measurements
from lakehouse import spark_server, spark_session
from lakehouse.dbt_runner import BuildResult
from lakehouse.progress import Steps
from lakehouse.run_lock import run_lock
from lakehouse.run_log import NOTHING_PUBLISHED, set_effect
from lakehouse.settings import Settings
from seeds_loader.load import Load

if TYPE_CHECKING:  # Feast and the trainer take seconds to import: only where used
    from typing import Any

    from feature_repo.online.materialize import OnlineContents
    from trainer.record import ModelRecord
    from trainer.retention_campaign import Campaign
    from trainer.score import Scores
    from trainer.train import Training

# A model's record and its full evaluation.
Evaluated: TypeAlias = "tuple[ModelRecord, dict[str, Any]]"


def ingest(settings: Settings, request: Request, progress: Steps) -> Load:
    """Load the workbook into bronze.

    Raises:
        lakehouse.errors.InvalidInputError: The workbook is unusable; nothing was written.
    """
    # Bronze keeps texts as they are; the gate evaluates them, and its rejects can be inspected.
    extract, extract_date = steps.read(request, progress, tolerant=True)
    run = RunContext(settings, progress)
    with writer_session(settings, "churn ingest", progress, run.run_id) as spark:
        return steps.ingest(run, spark, extract, extract_date, reevaluate=False)


def build(
    settings: Settings, arguments: Sequence[str], rebuild: bool, progress: Steps
) -> BuildResult:
    """Run `dbt build`, with the arguments or for all pending loads.

    Args:
        settings: The settings of this CHURN_HOME.
        arguments: Arguments of `dbt build`; if there are none, all pending loads are built.
        rebuild: Whether to make all passed loads pending first.
        progress: Progress display.

    Returns:
        The result of the build.

    Raises:
        lakehouse.errors.GateRefusedError: The gate refused a load, or a dbt test failed.
    """
    run_id = RunContext(settings, progress).run_id
    set_effect(NOTHING_PUBLISHED)
    with (
        writer_session(settings, "churn build", progress, run_id) as spark,
        progress.step("build") as step,
    ):
        if rebuild and spark.catalog.tableExists("audit.load_verdicts"):
            load_state.mark_pending(spark, load_state.LATEST_PASSED, run_id)
        if arguments:
            outcome = steps.run_dbt(settings, arguments, run_id, step)
        else:
            outcome = steps.build_pending(settings, spark, run_id, step)
        # All tests were built if there are no arguments: then a refused load is a failure.
        is_all_green = not arguments and not outcome.failures
        refused = {} if is_all_green else load_state.list_refused_loads(spark, run_id)
        step.outcome = outcome.format_tests()
        for batch_id, broken in refused.items():
            record_refused_load(settings, run_id, batch_id, broken)
    if refused or outcome.failures:
        raise build_refused_error(list(refused.values()), outcome.failures)
    return outcome


def materialize(settings: Settings, write_all: bool, progress: Steps) -> "OnlineContents":
    """Write the latest published extract to the online store.

    Args:
        settings: The settings of this CHURN_HOME.
        write_all: Whether to rewrite unchanged customers too.
        progress: Progress display.
    """
    run = RunContext(settings, progress)
    with writer_session(settings, "churn features materialize", progress) as spark:
        steps.apply(run)
        return steps.materialize(run, spark, "all" if write_all else "changed")


def train(settings: Settings, progress: Steps) -> "Training":
    """Train a model and synchronise MLflow."""
    opened = open_store_async(settings)
    with writer_session(settings, "churn train", progress) as spark:
        training = steps.train(RunContext(settings, progress), spark)
        _publish_champion(settings)
        sync_registry(settings, progress, opened)
    return training


def score(settings: Settings, progress: Steps) -> "Scores":
    """Score the latest extract with the champion, after adopting a moved alias of MLflow's."""
    from trainer import registry

    if registry.champion_version(settings) is None:
        registry.champion_or_error(settings)  # before a run is recorded
    run = RunContext(settings, progress)
    with writer_session(settings, "churn score", progress) as spark:
        scores = steps.score(run, spark)
        _publish_champion(settings)
        if run.is_alias_moved:
            sync_registry(settings, progress)
    assert scores is not None, "only a run that trains may await a decision"
    return scores


def evaluate(settings: Settings, force: bool, progress: Steps) -> Evaluated:
    """Return the champion's record and full evaluation; `force` evaluates it again.

    A stored evaluation is reused if parameters, protocol and campaign are unchanged, including the
    effect that closed campaigns have measured.

    Raises:
        lakehouse.errors.InvalidInputError: No model was trained yet.
    """
    from trainer import full_evaluation, hazard_model, registry
    from trainer.parameters import parameters_of_record, read_parameters

    record = registry.champion_or_error(settings)
    parameters = parameters_of_record(record.parameters, read_parameters())
    protocol = full_evaluation.read_config()
    campaign = read_measured_campaign(settings, progress)
    stored = full_evaluation.read(settings, record.version)
    stamp = full_evaluation.config_hash(parameters, protocol, campaign)
    if stored and not force and full_evaluation.is_current(stored, stamp):
        return record, stored
    from feature_repo.training import training_set

    with writer_step(settings, "churn evaluate", "evaluate", progress) as (spark, step):
        training = training_set(settings, spark, step.log)
        evaluation = full_evaluation.evaluate(
            record, training, parameters, protocol, campaign, step.log, step.advance
        )
        model = evaluation.pop("hazard")
        hazard_model.write(registry.folder(settings) / record.version, model)
        full_evaluation.write(settings, record.version, evaluation)
        step.outcome = f"ROC-AUC {evaluation['cross_validated']['roc_auc']['mean']:.4f}"
    return record, evaluation


def read_measured_campaign(settings: Settings, progress: Steps) -> "Campaign":
    """Return the campaign of the domain, with the effect that closed campaigns have measured.

    A lake without closed campaigns needs no server for that.
    """
    from trainer.retention_campaign import read_campaign

    campaign = read_campaign()
    if not settings.lake.list_children(*CLOSINGS.split(".")):
        return campaign
    spark_server.ensure_running(settings, progress.log)
    with spark_session.session(settings) as spark:
        return campaign.with_measured(read_measurements(spark))


def roll_back(settings: Settings, version: str | None, progress: Steps) -> str:
    """Make the previous champion, or `version`, the champion again and score with it."""
    from trainer import registry

    # Checked before a run is recorded, and again under the lock. A moved alias, which is adopted
    # first, adds an earlier champion.
    if not is_alias_moved(settings):
        registry.find_rollback_target(settings, version)
    return _change_champion(
        settings, "rollback", progress, lambda: registry.roll_back(settings, version)
    )


def promote(
    settings: Settings, version: str, reason: str, progress: Steps, user: str | None = None
) -> str:
    """Make a version the champion by a person's decision and score with it.

    Args:
        settings: The settings of this CHURN_HOME.
        version: The version.
        reason: The reason, which is recorded.
        progress: Progress display.
        user: The person; by default the user of this process.

    Raises:
        lakehouse.errors.InvalidInputError: The reason is missing, there is no such version, or it
            is the champion already.
    """
    from trainer import manual_promotion, registry

    # Checked before a server is started for it, and again under the lock.
    manual_promotion.require_promotable(settings, version, reason)

    def change() -> str:
        if registry.champion_version(settings) != version:  # MLflow's alias may have named it
            manual_promotion.promote_by_hand(settings, version, reason, user=user)
        return version

    return _change_champion(settings, "promote", progress, change)


def decline(
    settings: Settings, version: str, reason: str, progress: Steps, user: str | None = None
) -> None:
    """Keep the champion by a person's decision; the version no longer waits.

    Raises:
        lakehouse.errors.InvalidInputError: The reason is missing, or the version does not wait.
    """
    from trainer import manual_promotion

    with run_lock(settings, "churn promote", progress.log):
        manual_promotion.decline_by_hand(settings, version, reason, user)
        sync_registry(settings, progress)


def _publish_champion(settings: Settings) -> None:
    """Update what outside observers know of the champion: notifications and metrics."""
    record_champion(settings)
    rewrite_metrics(settings)


def _change_champion(
    settings: Settings, name: str, progress: Steps, change: Callable[[], str]
) -> str:
    """Change the champion, score the latest extract with it, synchronise MLflow; return it."""
    with writer_session(settings, f"churn {name}", progress) as spark:
        with progress.step(name) as step:
            # First, so that the history has the changes in the order in which they were made.
            adopt_alias(settings, step.log)
            champion = step.outcome = change()
            _publish_champion(settings)
        # Existing scores are kept; an extract that was published later is scored now.
        steps.score(RunContext(settings, progress), spark)
        sync_registry(settings, progress)
    return champion
