"""Compute intervals by bootstrap from counts.

Predictions are counted by block (`trainer.splits.bootstrap_block`) and by step of log-odds. A
replicate draws as many blocks as there are, with replacement, and computes the metrics of the rows
in them: rows that belong together are drawn together. Metrics that are compared with each other use
the same draws.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lakehouse.domain import ProfitTerms
from trainer.metrics import PROFIT_NAMES, fetch
from trainer.profit import compute_profit
from trainer.splits import BLOCKS

if TYPE_CHECKING:  # a caller that only draws from counts has no Spark
    import pandas as pd
    from pyspark.sql.connect.dataframe import DataFrame

Floats = NDArray[np.float64]
# Steps per unit of log-odds, and the limit of the outermost steps. A step is narrower than the
# precision of a score; within it, pairs count as ties, which changes ROC-AUC by about 1e-4.
STEPS, LIMIT = 20, 10
REPLICATES = 1000
INTERVAL = (2.5, 97.5)
# The single draw that contains each block once.
ALL_BLOCKS: Floats = np.ones((1, BLOCKS))


@dataclass(frozen=True)
class Interval:
    """A metric with its 95 % confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Counts:
    """Counts of the predictions of one kind.

    Attributes:
        negative: Number of negatives, blocks × steps.
        positive: Number of positives, blocks × steps.
        sums: Blocks × sums: rows, churned customers, squared errors, churned customers predicted to
            churn, and all customers predicted to churn.
        terms: What the profit is computed from.
    """

    negative: Floats
    positive: Floats
    sums: Floats
    terms: ProfitTerms

    def compute_metrics(self, draws: Floats) -> dict[str, Floats]:
        """Return each metric, with one value for each draw.

        `draws` has the shape draws × blocks and contains how often a block is in a draw.
        """
        negative, positive = draws @ self.negative, draws @ self.positive
        rows, leavers, squared, found, called = (draws @ self.sums).T
        with np.errstate(divide="ignore", invalid="ignore"):
            # Order the steps from the highest to the lowest.
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
                **self._compute_profits(negative, positive),
            }

    def _compute_profits(self, negative: Floats, positive: Floats) -> dict[str, Floats]:
        """Return the metrics of `trainer.profit` of each draw; steps are the scores."""
        worth = [
            asdict(compute_profit(*counts, self.terms)) if counts[1].any() else {}
            for counts in zip(negative, positive, strict=True)
        ]
        return {name: np.array([each.get(name, np.nan) for each in worth]) for name in PROFIT_NAMES}


def count_predictions(
    predictions: "DataFrame", threshold: float, terms: ProfitTerms
) -> dict[str, Counts]:
    """Return the counts, by kind, of rows of `kind, block, churned, probability`."""
    return {kind: count(rows, threshold, terms) for kind, rows in fetch(predictions, "block")}


def count(rows: "pd.DataFrame", threshold: float, terms: ProfitTerms) -> Counts:
    """Return the counts of predictions with their block."""
    width = 2 * STEPS * LIMIT + 1
    churned, block = rows["churned"].to_numpy(), rows["block"].to_numpy()
    chance = rows["probability"].to_numpy()
    odds = np.log(np.maximum(chance, 1e-15) / np.maximum(1 - chance, 1e-15))
    step = np.rint(STEPS * np.clip(odds, -LIMIT, LIMIT)).astype(int) + STEPS * LIMIT
    cell, shape = block * width + step, (BLOCKS, width)
    everyone, positive = (
        np.bincount(cell, weights, BLOCKS * width).reshape(shape).astype(float)
        for weights in (np.ones(len(rows)), churned)
    )
    called = chance >= threshold
    summed = (np.ones(len(rows)), churned, (churned - chance) ** 2, churned * called, called)
    sums = [np.bincount(block, weights, BLOCKS) for weights in summed]
    return Counts(everyone - positive, positive, np.stack(sums, axis=1).astype(float), terms)


def draw_replicates(seed: int, replicates: int = REPLICATES) -> Floats:
    """Return how often each block is in each replicate, as replicates × blocks.

    The result is the same for all models that are compared.
    """
    generator = np.random.default_rng(seed)
    return generator.multinomial(BLOCKS, np.full(BLOCKS, 1 / BLOCKS), replicates).astype(float)


def confidence_interval(values: Floats, mean: float) -> Interval:
    """Return the interval of a metric whose value over all rows is `mean`."""
    low, high = np.nanpercentile(values, INTERVAL)
    return Interval(mean, min(float(low), mean), max(float(high), mean))


def average_metrics(parts: list[Counts], drawn: Floats) -> dict[str, Floats]:
    """Return each metric of each draw, as the mean over the parts.

    The parts are the repeats of a cross-validation.
    """
    each = [part.compute_metrics(drawn) for part in parts]
    return {name: np.mean([figures[name] for figures in each], axis=0) for name in each[0]}


def compute_gains(challenger: Counts, champion: Counts, drawn: Floats) -> dict[str, Interval]:
    """Return by how much the challenger's metrics exceed the champion's, on the same rows."""
    return {
        name: confidence_interval(replicates, float(whole[0]))
        for (name, replicates), whole in zip(
            _differences(challenger, champion, drawn),
            (values for _, values in _differences(challenger, champion, ALL_BLOCKS)),
            strict=True,
        )
    }


def _differences(one: Counts, other: Counts, drawn: Floats) -> Iterator[tuple[str, Floats]]:
    figures, others = one.compute_metrics(drawn), other.compute_metrics(drawn)
    for name in figures:
        yield name, figures[name] - others[name]
