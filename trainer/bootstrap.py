"""Intervals by bootstrap, from counts: no row leaves Spark.

Predictions are counted by block (`trainer.splits.bootstrap_block`) and by step of log-odds. A
replicate draws
as many blocks as there are, with replacement, and computes the figures of the rows in them: rows
that belong together are drawn together. Figures that are compared are of the same draws.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainer.splits import BLOCKS

if TYPE_CHECKING:  # counts are numbers; who draws from them has no Spark
    from pyspark.sql.connect.dataframe import DataFrame

Floats = NDArray[np.float64]
# Steps to a unit of log-odds, and where the outermost steps lie. A step is narrower than what a
# score is known to; within it pairs count as ties, which moves ROC-AUC by some 1e-4.
STEPS, LIMIT = 20, 10
REPLICATES = 1000
INTERVAL = (2.5, 97.5)
# The one draw that has each block once.
EVERYTHING: Floats = np.ones((1, BLOCKS))

COUNTED = """
with

placed as (

    select kind, block, churned, probability,
        cast(round({steps} * least({limit}, greatest(-{limit},
            ln(greatest(probability, 1e-15) / greatest(1 - probability, 1e-15))
        ))) as int) as step

    from {predictions}

),

final as (

    select kind, block, step,
        count(*) as n,
        sum(churned) as positive,
        sum(pow(churned - probability, 2)) as squared,
        count_if(probability >= {threshold} and churned = 1) as found,
        count_if(probability >= {threshold}) as called

    from placed

    group by kind, block, step

)

select * from final
"""


@dataclass(frozen=True)
class Interval:
    """A figure and where it lies with 95 % confidence."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Counts:
    """Predictions of one kind: blocks × steps of negatives and positives; blocks × sums.

    The sums are rows, leavers, squared errors, leavers called so, and all called so.
    """

    negative: Floats
    positive: Floats
    sums: Floats

    def figures(self, draws: Floats) -> dict[str, Floats]:
        """Each figure of each draw; `draws` is draws × blocks: how often a block is in it."""
        negative, positive = draws @ self.negative, draws @ self.positive
        rows, leavers, squared, found, called = (draws @ self.sums).T
        with np.errstate(divide="ignore", invalid="ignore"):
            # From the highest step down.
            negative, positive = negative[:, ::-1], positive[:, ::-1]
            above = np.cumsum(positive, axis=1)
            everyone = np.cumsum(positive + negative, axis=1)
            ranked = (negative * (above - positive / 2)).sum(axis=1)
            precision = np.where(everyone > 0, above / np.maximum(everyone, 1), 0.0)
            missed = leavers - found
            return {
                "roc_auc": ranked / (leavers * (rows - leavers)),
                "pr_auc": (positive * precision).sum(axis=1) / leavers,
                "brier": squared / rows,
                "accuracy": 1 - (called - found + missed) / rows,
                "f1": 2 * found / (called + leavers),
            }


def counts(predictions: "DataFrame", threshold: float) -> dict[str, Counts]:
    """Kind to its counts, of rows of `kind, block, churned, probability`."""
    query = (
        COUNTED.replace("{steps}", str(STEPS))
        .replace("{limit}", str(LIMIT))
        .replace("{threshold}", f"{threshold}D")
    )
    rows = predictions.sparkSession.sql(query, predictions=predictions).toArrow().to_pylist()
    # In one order, so that sums of doubles are the same to the last bit.
    rows.sort(key=lambda row: (row["kind"], row["block"], row["step"]))
    found: dict[str, Counts] = {}
    width = 2 * STEPS * LIMIT + 1
    for row in rows:
        if row["kind"] not in found:
            shape = (BLOCKS, width)
            found[row["kind"]] = Counts(np.zeros(shape), np.zeros(shape), np.zeros((BLOCKS, 5)))
        of_kind, block, step = found[row["kind"]], row["block"], row["step"] + STEPS * LIMIT
        of_kind.negative[block, step] = row["n"] - row["positive"]
        of_kind.positive[block, step] = row["positive"]
        of_kind.sums[block] += [
            row[name] for name in ("n", "positive", "squared", "found", "called")
        ]
    return found


def draws(seed: int, replicates: int = REPLICATES) -> Floats:
    """How often each block is in each replicate; the same for everything that is compared."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(BLOCKS, np.full(BLOCKS, 1 / BLOCKS), replicates).astype(float)


def interval(values: Floats, mean: float) -> Interval:
    """The interval of a figure whose value over all rows is `mean`."""
    low, high = np.nanpercentile(values, INTERVAL)
    return Interval(mean, min(float(low), mean), max(float(high), mean))


def averaged(parts: list[Counts], drawn: Floats) -> dict[str, Floats]:
    """Each figure of each draw, the mean over the parts (the repeats of a cross-validation)."""
    each = [part.figures(drawn) for part in parts]
    return {name: np.mean([figures[name] for figures in each], axis=0) for name in each[0]}


def gains(challenger: Counts, champion: Counts, drawn: Floats) -> dict[str, Interval]:
    """By how much the challenger's figures exceed the champion's, on the same rows."""
    return {
        name: interval(replicates, float(whole[0]))
        for (name, replicates), whole in zip(
            _differences(challenger, champion, drawn),
            (values for _, values in _differences(challenger, champion, EVERYTHING)),
            strict=True,
        )
    }


def _differences(one: Counts, other: Counts, drawn: Floats) -> Iterator[tuple[str, Floats]]:
    figures, others = one.figures(drawn), other.figures(drawn)
    for name in figures:
        yield name, figures[name] - others[name]
