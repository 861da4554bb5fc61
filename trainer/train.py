"""Train both model types, evaluate them, and compare the better one with the champion.

The evaluation uses only rows that the evaluated model was not trained on.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession

from lakehouse.amounts import format_number
from lakehouse.process import Log
from lakehouse.settings import Settings
from trainer import decisions, leakage, metrics, pipeline, promotion, registry
from trainer.cross_validation import first_jobs, further_jobs, predict
from trainer.decisions import Decision
from trainer.extract_model import extract_model
from trainer.metrics import OUT_OF_FOLD, Curves, Metrics
from trainer.model_selection import has_chance, select_model
from trainer.parameters import Parameters, check_features, read_parameters
from trainer.portable_model import PortableModel
from trainer.record import ModelRecord
from trainer.training_data import TrainingRows, build_training_frame
from trainer.training_provenance import read_provenance

if TYPE_CHECKING:
    from feature_repo.labels import Exclusion
    from feature_repo.training import TrainingSet

CrossValidation = tuple[DataFrame, dict[str, dict[str, Metrics]], dict[str, dict[str, Curves]]]


# Folder below the pipeline.
HELD_OUT = "held_out"


@dataclass(frozen=True)
class Training:
    """Result of a training.

    Attributes:
        record: Record of the trained version.
        is_new: Whether the version did not exist before.
        decision: Whether it replaced the champion.
        left_out: Published extracts and pairs that were not trained on this time; the record of an
            existing version contains those of its own training.
    """

    record: ModelRecord
    is_new: bool
    decision: Decision
    left_out: "Sequence[Exclusion]" = ()

    def format_outcome(self, names_command: bool = True) -> str:
        """Return the outcome as one line; a run names the command of a decision at its end."""
        record, decision = self.record, self.decision
        became = "champion" if decision.promoted else format_retained_champion(decision.champion)
        if decision.waits:
            became += "; a person decides"
            if names_command:
                became += f": `churn promote {record.version} --reason TEXT`"
        return f"{record.kind}, ROC-AUC {record.metrics['roc_auc']:.3f} out of fold; {became}"

    def summary(self) -> dict[str, Any]:
        """Return the model's part of a run's summary."""
        return {
            **self.record.summary(),
            "left_out": [asdict(item) for item in self.left_out],
            "champion": self.decision.promoted,
            "promotion": {
                "reason": self.decision.reason,
                "champion": self.decision.version
                if self.decision.promoted
                else self.decision.champion,
                "waits": self.decision.waits,
                "comparison": self.decision.comparison,
            },
        }


def format_retained_champion(champion: str | None) -> str:
    """Return the text for a champion that is not replaced."""
    return f"{champion} stays the champion" if champion else "there is no champion yet"


def train(settings: Settings, spark: SparkSession, log: Log) -> Training:
    """Train on what is published; the result becomes the champion if it passes the promotion gate.

    A version with the same training set and parameters is not trained again. Call it under the run
    lock.

    Raises:
        lakehouse.errors.InvalidInputError: Nothing has been published yet, the features leak, or
            the rows are unsuitable for training.
    """
    # Imported here: Feast takes seconds to import, and scoring does not need it.
    from feature_repo.training import training_set

    return train_on(settings, training_set(settings, spark, log), read_parameters(), log)


def train_on(
    settings: Settings, training: "TrainingSet", parameters: Parameters, log: Log
) -> Training:
    """Train on the given training set; see `train`."""
    check_features(training.features, parameters)
    version = registry.version_of(
        training.extract_date, training.signature, parameters, training.features
    )
    record = registry.find(settings, version)
    decision = decisions.read(registry.folder(settings) / version)
    now = registry.champion_version(settings)
    if record is not None:
        log(f"model {version} is trained already")
        if now == version:
            if decision is None or not decision.promoted:
                decision = Decision(version, None, True, "it was made champion by hand")
            return Training(record, False, decision, training.label.left_out)
        # The same rows and the same champion give the same decision again.
        if decision is not None and not decision.promoted and decision.champion == now:
            return Training(record, False, decision, training.label.left_out)
    seconds: dict[str, float] = {}
    with _measure_time(seconds, "prepare"):
        rows = build_training_frame(training, parameters)
    is_new = record is None
    if record is None:
        record = _train_version(settings, rows, training, parameters, version, seconds, log)
    decision = promotion.decide(settings, rows, training, parameters, record)
    became = "takes over" if decision.promoted else "does not take over"
    log(f"{version} {became}: {decision.reason}")
    promotion.apply_decision(settings, decision)
    return Training(record, is_new, decision, training.label.left_out)


def _train_version(  # long: names all that a model is made of
    settings: Settings,
    rows: TrainingRows,
    training: "TrainingSet",
    parameters: Parameters,
    version: str,
    seconds: dict[str, float],
    log: Log,
) -> ModelRecord:
    _raise_on_leaks(rows, training, parameters)
    predictions, evaluations, curves = _cross_validate(rows, parameters, log, seconds)
    choice = select_model(_fold_auc(evaluations), parameters.champion)
    log(f"{choice.kind.replace('_', ' ')}; fitting it on all {format_number(rows.count, 'row')}")
    with registry.draft(settings, version) as drafted:
        path = registry.pipeline(settings, version, drafted)
        with _measure_time(seconds, "final"):
            form, held_out_form = fit_final(rows, training, parameters, choice.kind, path)
            # Written after the pipeline, which overwrites everything below its path.
            out_of_fold = predictions.where(f"kind = '{choice.kind}' and part like 'fold%'")
            out_of_fold.drop("kind", "block").write.parquet(f"{path}/{registry.OUT_OF_FOLD}")
        record = ModelRecord(
            version=version,
            kind=choice.kind,
            champion_reason=choice.reason,
            evaluations=evaluations,
            curves=curves,
            parameters=parameters.to_json(),
            features=list(training.features),
            derived=pipeline.derive_inputs(parameters),
            form=form,
            extract_date=training.extract_date,
            signature=training.signature,
            label=asdict(training.label),
            rows=rows.count,
            seconds=seconds,
            created=datetime.now(UTC),
            held_out_form=held_out_form,
            batches=list(training.batches),
            lineage=read_provenance(rows.frame.sparkSession, training.batches),
        )
        registry.publish(settings, drafted, record)
    return record


def _raise_on_leaks(rows: TrainingRows, training: "TrainingSet", parameters: Parameters) -> None:
    checked = [name for name in training.features if name not in parameters.accepted_features]
    alone = leakage.univariate_scores(rows.frame, rows.count, checked, parameters.leaks.fewest)
    leakage.raise_on_leakage(leakage.find_leaks(alone, parameters.leaks), parameters.leaks)


def _cross_validate(
    rows: TrainingRows, parameters: Parameters, log: Log, seconds: dict[str, float]
) -> CrossValidation:
    """Return predictions of both model types on unseen rows, metrics and curves.

    The challenger is trained on all folds only if it has a chance after the first ones. Otherwise
    it has the metrics of those folds alone, and no curves.
    """
    with _measure_time(seconds, "cross_validate"):
        predictions = predict(rows.frame, first_jobs(parameters), log).localCheckpoint()
        evaluations, curves = _measure(predictions, parameters)
        if has_chance(_fold_auc(evaluations), parameters.champion):
            further = predict(rows.frame, further_jobs(parameters), log)
            predictions = predictions.union(further).localCheckpoint()
            evaluations, curves = _measure(predictions, parameters)
        else:
            challenger = parameters.champion.challenger.replace("_", " ")
            log(f"{challenger}: stopped after the first folds, it cannot overtake")
            # Pooled over some of the folds, these could be compared with nothing.
            del evaluations[parameters.champion.challenger][OUT_OF_FOLD]
            del curves[parameters.champion.challenger]
    return predictions, evaluations, curves


def _measure(
    predictions: DataFrame, parameters: Parameters
) -> tuple[dict[str, dict[str, Metrics]], dict[str, dict[str, Curves]]]:
    fetched = list(metrics.fetch(predictions, "part"))
    evaluated = metrics.metrics(fetched, parameters.threshold, parameters.profit)
    return evaluated, metrics.curves(fetched)


def _fold_auc(evaluations: dict[str, dict[str, Metrics]]) -> dict[str, list[float]]:
    """Return the ROC-AUC by model type and fold, of the folds that were evaluated."""
    return {
        kind: [parts[f"fold_{k}"].roc_auc for k in range(len(parts)) if f"fold_{k}" in parts]
        for kind, parts in evaluations.items()
    }


def fit_final(
    rows: TrainingRows, training: "TrainingSet", parameters: Parameters, kind: str, path: str
) -> tuple[PortableModel, PortableModel]:
    """Fit on all rows, save the pipeline to `place`, and return two portable models.

    The first is the saved one. The second is of the same recipe without the hold-out; its pipeline
    is saved below `place`.
    """
    spark = rows.frame.sparkSession
    added = pipeline.derive_inputs(parameters)

    def fit(frame: DataFrame) -> Any:
        return pipeline.build_estimator(kind, parameters).fit(
            frame.select(pipeline.LABEL, pipeline.INPUTS)
        )

    def save(part: tuple[Any, str]) -> PortableModel:
        fitted, to = part
        pipeline.build_pipeline(training.features, added, fitted).write().overwrite().save(to)
        return extract_model(spark, kind, fitted, to, [*training.features, *added], rows.means)

    frames = [rows.frame, rows.frame.where("not is_holdout")]
    whole, held_out = pipeline.run_in_threads(spark, fit, frames)
    # One after the other: the first one overwrites everything below its path.
    return (
        pipeline.run_in_threads(spark, save, [(whole, path)])[0],
        pipeline.run_in_threads(spark, save, [(held_out, f"{path}/{HELD_OUT}")])[0],
    )


@contextmanager
def _measure_time(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - start, 2)
