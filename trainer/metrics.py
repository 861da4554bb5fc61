"""Compute metrics and curves of predictions with scikit-learn.

A prediction is a row of `kind, part, churned, probability`; part is `fold_<k>`, `holdout` or
another. An evaluation is one part, or `out_of_fold`: the folds pooled. The predictions of one kind
at a time are fetched from Spark: some 20 bytes for each training row.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from lakehouse.sql import literal

if TYPE_CHECKING:  # the scoring API reads metrics, and has none of these libraries
    import pandas as pd
    from pyspark.sql.connect.dataframe import DataFrame

    from lakehouse.domain import ProfitTerms

OUT_OF_FOLD = "out_of_fold"
HOLDOUT = "holdout"
# Metrics that `trainer.profit` computes.
PROFIT_NAMES = ("top_decile_lift", "maximum_profit", "expected_maximum_profit")
CURVE_POINTS = 200
BINS = 10
# A point of a plot or a bin: name to value.
Point = dict[str, float]
# Name of a curve to its points.
Curves = dict[str, list[Point]]
# Kinds with their predictions, ordered by probability.
Fetched: TypeAlias = "Iterable[tuple[str, pd.DataFrame]]"


@dataclass(frozen=True)
class Metrics:
    """Metrics of one kind in one evaluation; those that the labels do not define are None.

    `pr_auc` is the average precision. `accuracy` and `f1` are those at the declared threshold.
    `brier` is the mean squared error of the probability. `trainer.profit` defines the last three;
    they are None in records from before they were measured.
    """

    rows: int
    positives: int
    roc_auc: float
    pr_auc: float
    accuracy: float
    f1: float
    brier: float
    top_decile_lift: float | None = None
    maximum_profit: float | None = None
    expected_maximum_profit: float | None = None


def fetch(predictions: "DataFrame", *columns: str) -> Iterator[tuple[str, "pd.DataFrame"]]:
    """Yield each kind with its predictions: `churned`, `probability` and the columns.

    Their order does not depend on Spark, so that sums of doubles are the same to the last bit.
    """
    kinds = predictions.select("kind").distinct().toArrow()["kind"].to_pylist()
    for kind in sorted(kinds):
        rows = predictions.where(f"kind = {literal(kind)}").select(
            "churned", "probability", *columns
        )
        frame = rows.toArrow().to_pandas(strings_to_categorical=True)
        yield kind, frame.sort_values(["probability", "churned"], ignore_index=True)


def metrics(
    fetched: Fetched, threshold: float, terms: "ProfitTerms"
) -> dict[str, dict[str, Metrics]]:
    """Return the metrics by kind and evaluation; the predictions have their `part`."""
    return {
        kind: {name: measure(part, threshold, terms) for name, part in _evaluations(rows)}
        for kind, rows in fetched
    }


def measure(rows: "pd.DataFrame", threshold: float, terms: "ProfitTerms") -> Metrics:
    """Return the metrics of predictions."""
    from sklearn import metrics as measures

    from trainer.profit import compute_profit, count_by_score

    churned, probability = rows["churned"].to_numpy(), rows["probability"].to_numpy()
    positives = int(churned.sum())
    ranked = 0 < positives < len(churned)
    found: dict[str, Any] = {
        "roc_auc": float(measures.roc_auc_score(churned, probability)) if ranked else None,
        "pr_auc": float(measures.average_precision_score(churned, probability)) if ranked else None,
        "brier": float(((churned - probability) ** 2).mean()),
    }
    if ranked:
        worth = asdict(compute_profit(*count_by_score(churned, probability), terms))
        found |= {name: worth[name] for name in PROFIT_NAMES}
    return Metrics(len(churned), positives, **found, **_decide(rows, threshold))


def _decide(rows: "pd.DataFrame", threshold: float) -> dict[str, Any]:
    """Return accuracy and F1 of the decision that customers from the threshold on will churn."""
    churned, called = rows["churned"].to_numpy(), rows["probability"].to_numpy() >= threshold
    named = int(churned.sum() + called.sum())
    f1 = 2 * float((churned * called).sum()) / named if named else None
    return {"accuracy": float((churned == called).mean()), "f1": f1}


def curves(fetched: Fetched) -> dict[str, dict[str, Curves]]:
    """Return the points that plots need, by kind and evaluation (out of fold, hold-out).

    `roc` and `pr` have at most 200 points, `calibration` ten quantile bins, `thresholds` accuracy
    and F1 from .05 to .95, `histogram` the customers by probability and label.
    """
    return {
        kind: {
            name: {
                **_ranking(part),
                "calibration": calibration(part, BINS),
                "thresholds": [
                    {"threshold": mark / 20, **_decide(part, mark / 20)} for mark in range(1, 20)
                ],
                "histogram": list(_histogram(part)),
            }
            for name, part in _evaluations(rows)
            if name in (OUT_OF_FOLD, HOLDOUT)
        }
        for kind, rows in fetched
    }


def calibration(rows: "pd.DataFrame", bins: int) -> list[Point]:
    """Return equal groups of customers by probability; equal probabilities are in one group."""
    import numpy as np

    edges = np.quantile(rows["probability"], np.arange(1, bins) / bins)
    groups = rows.groupby(np.searchsorted(edges, rows["probability"], side="left"))
    found = groups.agg(
        predicted=("probability", "mean"), observed=("churned", "mean"), count=("churned", "size")
    )
    points: list[Point] = found.astype(float).to_dict("records")
    return points


def _evaluations(rows: "pd.DataFrame") -> Iterator[tuple[str, "pd.DataFrame"]]:
    yield from rows.groupby("part", observed=True)
    folds = rows[rows["part"].str.startswith("fold")]
    if len(folds):
        yield OUT_OF_FOLD, folds


def _ranking(rows: "pd.DataFrame") -> Curves:
    """Return ROC and precision-recall curves, evenly spaced in the number of customers above."""
    import numpy as np
    from sklearn.metrics import roc_curve

    false, true, thresholds = roc_curve(
        rows["churned"], rows["probability"], drop_intermediate=False
    )
    positives = int(rows["churned"].sum())
    found = np.round(true * positives)
    above = found + np.round(false * (len(rows) - positives))
    marks = np.linspace(0, len(rows), CURVE_POINTS)
    points = [
        {
            "false_positive_rate": float(false[place]),
            "true_positive_rate": float(true[place]),
            "threshold": min(float(thresholds[place]), 1.0),
            "precision": float(found[place] / max(above[place], 1)),
        }
        for place in np.unique(np.searchsorted(above, marks))
    ]
    names = ("false_positive_rate", "true_positive_rate", "threshold")
    return {
        "roc": [{name: point[name] for name in names} for point in points],
        "pr": [
            {
                "recall": point["true_positive_rate"],
                "precision": point["precision"],
                "threshold": point["threshold"],
            }
            for point in points[1:]
        ],
    }


def _histogram(rows: "pd.DataFrame") -> Iterator[Point]:
    import numpy as np

    stayed, churned = (
        np.histogram(rows["probability"][rows["churned"] == label], 20, (0.0, 1.0))[0]
        for label in (0, 1)
    )
    for place in np.flatnonzero(stayed + churned).tolist():
        counts = {"stayed": float(stayed[place]), "churned": float(churned[place])}
        yield {"from": place / 20, "to": (place + 1) / 20, **counts}
