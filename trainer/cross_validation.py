"""Predict rows by models that were not trained on them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyspark.ml.functions import vector_to_array
from pyspark.sql.connect.dataframe import DataFrame

from lakehouse.process import Say
from trainer.metrics import HOLDOUT
from trainer.parameters import Parameters
from trainer.pipeline import INPUTS, LABEL, estimator, run_in_threads
from trainer.training_data import WHOSE

# Columns that a prediction keeps of its row: its key, and what the bootstrap and the comparison
# with the next model need.
KEPT = (*WHOSE, "is_holdout", "block")


@dataclass(frozen=True)
class Fit:
    """A training with `parameters`, and the rows to predict.

    Attributes:
        kind: Model type.
        part: The prediction's `part`.
        judged: SQL condition of the rows to predict.
        title: Name of the training in progress messages.
        parameters: Parameters of the training.
        name: The prediction's `kind`: by default the model type, otherwise a name that
            distinguishes this training.
        trained: SQL condition of the rows to train on; by default all rows that are not predicted.
        kept: Columns that the predictions keep of their rows.
    """

    kind: str
    part: str
    judged: str
    title: str
    parameters: Parameters
    name: str = ""
    trained: str = ""
    kept: Sequence[str] = field(default=KEPT)


def folds_of(kind: str, parameters: Parameters) -> list[Fit]:
    """Return a training for each fold."""
    return [
        Fit(kind, f"fold_{k}", f"fold = {k}", f"fold {k + 1} of {parameters.folds}", parameters)
        for k in range(parameters.folds)
    ]


def fits(parameters: Parameters) -> list[Fit]:
    """Return every training of a run's cross-validation, those of the slow model type first."""
    # A long fit that starts last would leave the other thread idle; the challenger is the slow one.
    slow_first = list(reversed(parameters.rivals))
    return [fit for kind in slow_first for fit in folds_of(kind, parameters)] + [
        Fit(kind, HOLDOUT, "is_holdout", "hold-out", parameters) for kind in slow_first
    ]


def predict(rows: DataFrame, trainings: Sequence[Fit], say: Say) -> DataFrame:
    """Return rows of `kind, part, churned, probability`, and the columns to keep.

    The rows have the form that `trainer.metrics.steps` expects.
    """

    def judge(fit: Fit) -> DataFrame:
        say(f"{fit.title}, {fit.kind.replace('_', ' ')}")
        trained = rows.where(fit.trained or f"not ({fit.judged})").select(LABEL, INPUTS)
        fitted = estimator(fit.kind, fit.parameters).fit(trained)
        judged = fitted.transform(rows.where(fit.judged).select(LABEL, INPUTS, *fit.kept))
        return judged.withColumn("chance", vector_to_array("probability")[1]).selectExpr(
            f"'{fit.name or fit.kind}' as kind",
            f"'{fit.part}' as part",
            LABEL,
            "chance as probability",
            *fit.kept,
        )

    return together(run_in_threads(rows.sparkSession, judge, trainings))


def together(parts: Sequence[DataFrame]) -> DataFrame:
    """Return the union of all frames.

    It is built by halves, since a plan that is a hundred unions deep can't be sent.
    """
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return together(parts[:half]).union(together(parts[half:]))
