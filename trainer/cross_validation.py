"""Predict rows by models that were not trained on them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyspark.ml.functions import vector_to_array
from pyspark.sql.connect.dataframe import DataFrame

from lakehouse.process import Log
from trainer.metrics import HOLDOUT
from trainer.parameters import Parameters
from trainer.pipeline import INPUTS, LABEL, build_estimator, run_in_threads
from trainer.training_data import KEY_COLUMNS

# Columns that a prediction keeps of its row: its key, and what the bootstrap and the comparison
# with the next model need.
KEPT_COLUMNS = (*KEY_COLUMNS, "is_holdout", "block")


@dataclass(frozen=True)
class TrainingJob:
    """A training with `parameters`, and the rows to predict.

    Attributes:
        kind: Model type.
        part: The prediction's `part`.
        validation_filter: SQL condition of the rows to predict.
        title: Name of the training in progress messages.
        parameters: Parameters of the training.
        name: The prediction's `kind`: by default the model type, otherwise a name that
            distinguishes this training.
        training_filter: SQL condition of the rows to train on; by default all rows that are not
            predicted.
        kept_columns: Columns that the predictions keep of their rows.
    """

    kind: str
    part: str
    validation_filter: str
    title: str
    parameters: Parameters
    name: str = ""
    training_filter: str = ""
    kept_columns: Sequence[str] = field(default=KEPT_COLUMNS)


def fold_jobs(kind: str, parameters: Parameters) -> list[TrainingJob]:
    """Return a training for each fold."""
    return [
        TrainingJob(
            kind, f"fold_{k}", f"fold = {k}", f"fold {k + 1} of {parameters.folds}", parameters
        )
        for k in range(parameters.folds)
    ]


def first_jobs(parameters: Parameters) -> list[TrainingJob]:
    """Return all trainings of the default, after the first ones of the challenger.

    A long fit that starts last would leave the other thread idle; the challenger is the slow one.
    """
    rule = parameters.champion
    return [
        *fold_jobs(rule.challenger, parameters)[: rule.race_folds],
        *fold_jobs(rule.default, parameters),
        _holdout_job(rule.default, parameters),
    ]


def further_jobs(parameters: Parameters) -> list[TrainingJob]:
    """Return the other trainings of the challenger."""
    rule = parameters.champion
    return [
        *fold_jobs(rule.challenger, parameters)[rule.race_folds :],
        _holdout_job(rule.challenger, parameters),
    ]


def _holdout_job(kind: str, parameters: Parameters) -> TrainingJob:
    return TrainingJob(kind, HOLDOUT, "is_holdout", "hold-out", parameters)


def predict(rows: DataFrame, trainings: Sequence[TrainingJob], log: Log) -> DataFrame:
    """Return rows of `kind, part, churned, probability`, and the columns to keep.

    The rows have the form that `trainer.metrics.steps` expects.
    """

    def run_job(fit: TrainingJob) -> DataFrame:
        log(f"{fit.title}, {fit.kind.replace('_', ' ')}")
        trained = rows.where(fit.training_filter or f"not ({fit.validation_filter})").select(
            LABEL, INPUTS
        )
        fitted = build_estimator(fit.kind, fit.parameters).fit(trained)
        predicted = fitted.transform(
            rows.where(fit.validation_filter).select(LABEL, INPUTS, *fit.kept_columns)
        )
        return predicted.withColumn("chance", vector_to_array("probability")[1]).selectExpr(
            f"'{fit.name or fit.kind}' as kind",
            f"'{fit.part}' as part",
            LABEL,
            "chance as probability",
            *fit.kept_columns,
        )

    return union_all(run_in_threads(rows.sparkSession, run_job, trainings))


def union_all(parts: Sequence[DataFrame]) -> DataFrame:
    """Return the union of all frames.

    It is built by halves, since a plan that is a hundred unions deep can't be sent.
    """
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return union_all(parts[:half]).union(union_all(parts[half:]))
