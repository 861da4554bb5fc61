"""Train both kinds of model, judge them honestly, keep the better one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.sql.connect.session import SparkSession

from lakehouse.service import Say
from lakehouse.settings import Settings
from trainer import evaluate, kinds, registry
from trainer.champion import Choice, choose
from trainer.crossvalidate import cross_validate
from trainer.evaluate import Curves, Metrics
from trainer.fitted import read_form
from trainer.forms import Form
from trainer.parameters import KINDS, Parameters, check_features, read_parameters
from trainer.record import ModelRecord
from trainer.rows import TrainingRows, prepare

if TYPE_CHECKING:
    from feature_repo.training import TrainingSet

Judged = tuple[dict[str, dict[str, Metrics]], dict[str, dict[str, Curves]]]


@dataclass(frozen=True)
class Training:
    """The champion's record; `is_new` unless it was trained already."""

    record: ModelRecord
    is_new: bool


def train(settings: Settings, spark: SparkSession, say: Say) -> Training:
    """Train on what is published and make the result the champion.

    A version with the same training set and parameters is not trained again. Call it under the
    run lock.

    Raises:
        lakehouse.errors.GateRefused: nothing was published yet.
        lakehouse.errors.Unusable: the features leak, or the rows can't train a model.
    """
    # Imported here: Feast takes seconds to import, and scoring does not need it.
    from feature_repo.training import training_set

    return train_on(settings, training_set(settings, spark, say), read_parameters(), say)


def train_on(
    settings: Settings, training: "TrainingSet", parameters: Parameters, say: Say
) -> Training:
    """Train on the given training set; see `train`."""
    check_features(training.features, parameters)
    version = registry.version_of(
        training.extract_date, training.signature, parameters, training.features
    )
    found = registry.find(settings, version)
    if found is not None:
        say(f"model {version} is trained already")
    record = found or _train_version(settings, training, parameters, version, say)
    registry.promote(settings, version)
    return Training(record, is_new=found is None)


def _train_version(
    settings: Settings, training: "TrainingSet", parameters: Parameters, version: str, say: Say
) -> ModelRecord:
    seconds: dict[str, float] = {}
    with _timed(seconds, "prepare"):
        rows = prepare(training, parameters)
    evaluations, curves = _judge(rows, parameters, say, seconds)
    choice = _choose(evaluations, parameters)
    say(f"champion: {choice.kind.replace('_', ' ')}; fitting it on all {rows.count} rows")
    with registry.draft(settings, version) as drafted:
        place = registry.pipeline(settings, version, drafted)
        with _timed(seconds, "final"):
            form = fit_final(rows, training, parameters, choice.kind, place)
        record = ModelRecord(
            version=version,
            kind=choice.kind,
            champion_reason=choice.reason,
            evaluations=evaluations,
            curves=curves,
            parameters=parameters.shown(),
            features=list(training.features),
            derived=kinds.derived(parameters),
            form=form,
            extract_date=training.extract_date,
            signature=training.signature,
            label=asdict(training.label),
            rows=rows.count,
            seconds=seconds,
            created=datetime.now(UTC),
        )
        registry.publish(settings, drafted, record)
    return record


def _judge(
    rows: TrainingRows, parameters: Parameters, say: Say, seconds: dict[str, float]
) -> Judged:
    """Figures and curves of both kinds on rows that their models did not see."""
    with _timed(seconds, "cross_validate"):
        predictions = cross_validate(rows.frame, parameters, say)
    say("measuring both kinds")
    with _timed(seconds, "measure"):
        steps = evaluate.steps(predictions).localCheckpoint()
        evaluations = evaluate.metrics(steps, parameters.threshold)
        curves = evaluate.curves(steps)
    return evaluations, curves


def _choose(evaluations: dict[str, dict[str, Metrics]], parameters: Parameters) -> Choice:
    fold_auc = {
        kind: [evaluations[kind][f"fold_{k}"].roc_auc for k in range(parameters.folds)]
        for kind in KINDS
    }
    return choose(fold_auc, parameters.champion)


def fit_final(
    rows: TrainingRows, training: "TrainingSet", parameters: Parameters, kind: str, place: str
) -> Form:
    """Fit on all rows, save the pipeline to `place`, return what it computes."""
    spark = rows.frame.sparkSession
    added = kinds.derived(parameters)

    def fit(_: None) -> Form:
        columns = rows.frame.select(kinds.LABEL, kinds.INPUTS)
        fitted = kinds.estimator(kind, parameters).fit(columns)
        kinds.pipeline(training.features, added, fitted).write().overwrite().save(place)
        return read_form(spark, fitted, place, [*training.features, *added], rows.means)

    return kinds.each(spark, fit, [None])[0]


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - begun, 2)
