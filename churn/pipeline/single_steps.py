"""The job's steps one by one, as commands of their own: each holds the lake while it works."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from churn.pipeline import whole_run
from churn.pipeline.mlflow_sync import follow_registry, opening
from churn.provenance import load_state
from lakehouse.dbt_runner import Outcome
from lakehouse.errors import GateRefused
from lakehouse.progress import Steps
from lakehouse.settings import Settings
from lakehouse.sql import Rows
from seeds_loader import lineage
from seeds_loader.load import Load, load

# dbt's test that is red where the gate refused a load.
GATE_TEST = "assert_pending_loads_passed"
# A model's record and its full evaluation.
Evaluated: TypeAlias = "tuple[ModelRecord, dict[str, Any]]"

if TYPE_CHECKING:  # Feast and the trainer take seconds to import: only where they are used
    from feature_repo.online.materialize import Online, Write
    from trainer.record import ModelRecord
    from trainer.score import Scores
    from trainer.train import Training


def ingest(settings: Settings, request: whole_run.Request, steps: Steps) -> Load:
    """Workbook to bronze, by itself."""
    # Bronze takes texts as they are; the gate judges them, and its rejects can be looked at.
    extract, extract_date = whole_run.read(request, steps, tolerant=True)
    with (
        whole_run.lake(settings, "churn ingest", steps, whole_run.new_run_id()) as spark,
        steps.step("ingest") as step,
    ):
        loaded = load(settings, spark, extract, extract_date, step.say)
        step.works.append(lineage.loading(settings, extract, loaded))
        return loaded


def build(settings: Settings, arguments: Sequence[str], rebuild: bool, steps: Steps) -> Outcome:
    """The dbt part, by itself.

    Raises:
        GateRefused: the gate refused a load, or a test was red.
    """
    run_id = whole_run.new_run_id()
    with (
        whole_run.lake(settings, "churn build", steps, run_id) as spark,
        steps.step("build") as step,
    ):
        if rebuild and spark.catalog.tableExists("audit.load_verdicts"):
            load_state.requeue(spark, load_state.PASSED_AND_LATEST, run_id)
        if arguments:
            outcome = whole_run.dbt_built(settings, arguments, run_id, step)
        else:
            outcome = whole_run.build_open_loads(settings, spark, run_id, step)
        refused = load_state.refused_in(spark, run_id)
    if refused or outcome.failures:
        raise _refusal(list(refused.values()), outcome.failures)
    return outcome


def _refusal(refused: list[Rows], failures: Sequence[str]) -> GateRefused:
    """Every refused load with its rules; then the red tests, but that which says the same."""
    tests = [line for line in failures if not (refused and line.startswith(GATE_TEST))]
    lines = "".join(f"\n    {line}" for line in [*map(whole_run.refused_in_words, refused), *tests])
    declared = [change for broken in refused if (change := whole_run.expected_change(broken))]
    return GateRefused(
        f"The gate refused; what did not pass was not published{lines}",
        where="audit.gate_results, silver.rejected_rows",
        remedy="correct the workbook and load it again, or look at the rows that it names"
        + "".join(declared),
    )


def materialize_only(settings: Settings, steps: Steps, whole: bool) -> "Online":
    """The latest published extract online, by itself; the `whole` of it, whatever is there."""
    from feature_repo.lineage import materializing
    from feature_repo.online.materialize import apply, materialize

    with whole_run.writing(
        settings, "churn features materialize", "features materialize", steps
    ) as (
        spark,
        step,
    ):
        apply(settings, step.say)
        # Who calls it by name has a reason to, whatever the store says of itself.
        write: Write = "all" if whole else "changed"
        online = materialize(settings, spark, step.say, write, step.advance)
        step.works.append(materializing(settings, online.written))
        return online


def train_only(settings: Settings, steps: Steps) -> "Training":
    """The model, by itself."""
    from trainer.lineage import training as reads_and_writes
    from trainer.train import train

    opened = opening(settings)
    with whole_run.lake(settings, "churn train", steps) as spark:
        with steps.step("train") as step:
            training = train(settings, spark, step.say)
            step.works.append(reads_and_writes(settings, training.record, training.is_new))
        follow_registry(settings, steps, opened)
    return training


def evaluate_only(settings: Settings, steps: Steps, again: bool) -> Evaluated:
    """The champion and its full evaluation, made where it is not there yet, or `again`.

    Raises:
        lakehouse.errors.Unusable: no model was trained yet.
    """
    from trainer import full_evaluation, registry
    from trainer.parameters import read_parameters, recipe
    from trainer.retention_campaign import read_campaign

    record = registry.required_champion(settings)
    parameters = recipe(record.parameters, read_parameters())
    protocol, campaign = full_evaluation.read_protocol(), read_campaign()
    there = full_evaluation.read(settings, record.version)
    if (
        there
        and not again
        and there["stamp"] == full_evaluation.stamp(parameters, protocol, campaign)
    ):
        return record, there
    from feature_repo.training import training_set

    with whole_run.writing(settings, "churn evaluate", "evaluate", steps) as (spark, step):
        training = training_set(settings, spark, step.say)
        evaluation = full_evaluation.assess(
            record, training, parameters, protocol, campaign, step.say, step.advance
        )
        full_evaluation.write(settings, record.version, evaluation)
        step.outcome = f"ROC-AUC {evaluation['cross_validated']['roc_auc']['mean']:.4f}"
    return record, evaluation


def roll_back(settings: Settings, version: str | None, steps: Steps) -> str:
    """An earlier champion is champion again, with its scores of the latest extract in place."""
    from trainer import registry

    def change() -> str:
        return registry.roll_back(settings, version)

    return _with_champion(settings, "rollback", steps, change)


def promote(settings: Settings, version: str, reason: str, steps: Steps) -> str:
    """A version is champion because a person says so, with its scores of the latest extract.

    Raises:
        lakehouse.errors.Unusable: no reason, no such version, or it is the champion already.
    """
    from trainer import promotion

    # Before a server is started for it; asked again under the lock.
    promotion.hold_promotable(settings, version, reason)

    def change() -> str:
        return promotion.by_hand(settings, version, reason).version

    return _with_champion(settings, "promote", steps, change)


def _with_champion(settings: Settings, name: str, steps: Steps, change: Callable[[], str]) -> str:
    """Change the champion, score the latest extract with it, and tell MLflow; returns it."""
    from trainer.lineage import scoring as reads_and_writes
    from trainer.score import score

    with whole_run.lake(settings, f"churn {name}", steps) as spark:
        with steps.step(name) as step:
            target = change()
            # Those that are there are as they were; for an extract that came later they are made.
            scores = score(settings, spark, step.say)
            step.works.append(reads_and_writes(settings, scores.record, scores.written))
            step.outcome = target
        follow_registry(settings, steps)
    return target


def score_only(settings: Settings, steps: Steps) -> "Scores":
    """Batch scores, by themselves."""
    from trainer.lineage import scoring as reads_and_writes
    from trainer.score import score

    with whole_run.writing(settings, "churn score", "score", steps) as (spark, step):
        scores = score(settings, spark, step.say)
        step.works.append(reads_and_writes(settings, scores.record, scores.written))
        return scores
