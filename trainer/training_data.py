"""Prepare the training rows: validated, in a fixed order, with their folds and input vector."""

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from pyspark.sql.connect.dataframe import DataFrame

from lakehouse.amounts import format_number
from lakehouse.errors import InvalidInputError
from trainer import splits
from trainer.parameters import Parameters
from trainer.pipeline import LABEL, assembly, derive_inputs

if TYPE_CHECKING:
    from feature_repo.training import TrainingSet

# Doubles are summed in the order in which partitions finish. With one or two partitions, that order
# can't matter: up to twice this number of rows, equal data gives equal metrics to the last bit.
ROWS_PER_PARTITION = 100_000
# Columns that identify a row.
KEY_COLUMNS = ("customer_id", "event_timestamp")


@dataclass(frozen=True)
class TrainingRows:
    """Materialised training rows.

    Attributes:
        frame: Rows of `customer_id, event_timestamp, churned, fold, is_holdout, block`, the inputs,
            and all inputs in one vector, `inputs`.
        count: Number of rows.
        means: Mean by input.
    """

    frame: DataFrame
    count: int
    means: dict[str, float]


def build_training_frame(training: "TrainingSet", parameters: Parameters) -> TrainingRows:
    """Return the rows to train on; their original order and partitions do not matter.

    Raises:
        InvalidInputError: A feature or a label is missing or not finite somewhere, or the labels
            are all equal.
    """
    # Not cache(): each of the many statements that follow would plan the retrieval again.
    retrieved = training.retrieve()
    count = _check(retrieved, training.features)
    _raise_on_non_finite(retrieved, training.features, derive_inputs(parameters))
    frame = _order_rows(retrieved, count, training, parameters).localCheckpoint()
    inputs = [*training.features, *derive_inputs(parameters)]
    means = frame.selectExpr(*(f"avg(`{name}`) as `{name}`" for name in inputs))
    return TrainingRows(frame, count, means.toArrow().to_pylist()[0])


def _order_rows(
    retrieved: DataFrame, count: int, training: "TrainingSet", parameters: Parameters
) -> DataFrame:
    group_columns, features = training.group_columns, training.features
    fold = splits.fold(group_columns, parameters.seed, parameters.folds)
    held_out = splits.is_holdout(group_columns, parameters.seed, parameters.holdout_share)
    block = splits.bootstrap_block(group_columns, parameters.seed)
    derive, assemble = assembly(features, derive_inputs(parameters))
    ordered = (
        retrieved.selectExpr(
            *KEY_COLUMNS,
            LABEL,
            f"{fold} as fold",
            f"{held_out} as is_holdout",
            f"{block} as block",
            *features,
        )
        .repartition(ceil(count / ROWS_PER_PARTITION), "customer_id")
        .sortWithinPartitions(*KEY_COLUMNS)
    )
    return assemble.transform(derive.transform(ordered))


def _raise_on_non_finite(
    retrieved: DataFrame, features: list[str], derived_inputs: dict[str, str]
) -> None:
    """Raise InvalidInputError for NaN and infinities.

    An estimator fails on them late, or learns nonsense.
    """
    inputs = {**{name: f"`{name}`" for name in features}, **derived_inputs}
    # Spark orders NaN above everything else. Null counts as not finite, because the features have
    # no gaps here.
    endless = (
        f"count_if(not coalesce(abs(cast({expression} as double)) < double('infinity'), false)) "
        f"as `{name}`"
        for name, expression in inputs.items()
    )
    counts = retrieved.selectExpr(*endless).toArrow().to_pylist()[0]
    if any(counts.values()):
        named = ", ".join(
            f"{name} ({format_number(rows, 'row')})" for name, rows in counts.items() if rows
        )
        raise InvalidInputError(
            f"The training set has values that are not finite numbers: {named}",
            where="the retrieved training set, from gold.customer_features",
            hint="`churn build --rebuild` publishes the extracts again, without such rows",
        )


def _check(retrieved: DataFrame, features: list[str]) -> int:
    """Return the number of rows; raise InvalidInputError if they are unsuitable for training."""
    gaps = (f"count_if(`{name}` is null) as `{name}`" for name in [*features, LABEL])
    figures = retrieved.selectExpr("count(*) as row_count", f"sum({LABEL}) as positives", *gaps)
    counts = figures.toArrow().to_pylist()[0]
    count, positives = counts.pop("row_count"), counts.pop("positives")
    missing = [f"{name} ({format_number(rows, 'row')})" for name, rows in counts.items() if rows]
    if missing:
        raise InvalidInputError(
            f"The training set has gaps: {', '.join(missing)}",
            where="the retrieved training set",
            hint="`churn features apply`, then train again; gold's columns have no nulls",
        )
    if count == 0 or positives in (0, count):
        raise InvalidInputError(
            f"Nothing to learn: {positives or 0:,} of {count:,} customers churned",
            where="gold.churn_labels",
            hint="publish an extract with customers who left and customers who stayed",
        )
    return int(count)
