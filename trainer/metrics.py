"""Compute metrics and curves of predictions in Spark; only aggregates leave it.

A prediction is a row of `kind, part, churned, probability`; part is `fold_<k>`, `holdout` or
another. An evaluation is one part, or `out_of_fold`: the folds pooled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the scoring API reads metrics, and has no Spark
    from pyspark.sql.connect.dataframe import DataFrame

OUT_OF_FOLD = "out_of_fold"
HOLDOUT = "holdout"
CURVE_POINTS = 200
# A point of a plot or a bin: name to value.
Point = dict[str, float]
# Name of a curve to its points.
Curves = dict[str, list[Point]]


@dataclass(frozen=True)
class Metrics:
    """Metrics of one kind in one evaluation.

    `pr_auc` is the average precision. `accuracy` and `f1` are those at the declared threshold.
    `brier` is the mean squared error of the probability.
    """

    rows: int
    positives: int
    roc_auc: float
    pr_auc: float
    accuracy: float
    f1: float
    brier: float


# Rows of equal probability are one step of the curves, because they can't be distinguished. Counts
# are integers, so these sums do not depend on the order.
STEPS = """
with

evaluated as (

    select kind, churned, probability,
        explode(
            if(part like 'fold%', array(part, 'out_of_fold'), array(part))
        ) as evaluation

    from {predictions}

),

probabilities as (

    select kind, evaluation, probability, count(*) as n, sum(churned) as positive

    from evaluated

    group by kind, evaluation, probability

),

final as (

    select *,
        n - positive as negative,
        sum(positive) over by_risk as positives_above,
        sum(n) over by_risk as above,
        sum(positive) over everyone as positives,
        sum(n) over everyone as total

    from probabilities

    window
        everyone as (partition by kind, evaluation),
        by_risk as (partition by kind, evaluation order by probability desc)

)

select * from final
"""

# ROC-AUC: the share of (churned, retained) pairs in the right order, with ties counting half.
METRICS = """
select
    kind,
    evaluation,
    max(total) as `rows`,
    max(positives) as positives,
    try_divide(
        sum(negative * (positives_above - positive / 2)),
        max(positives) * (max(total) - max(positives))
    ) as roc_auc,
    try_divide(sum(positive * positives_above / above), max(positives)) as pr_auc,
    sum(if(probability >= {threshold}, positive, negative)) / max(total) as accuracy,
    try_divide(
        2 * sum(if(probability >= {threshold}, positive, 0)),
        sum(if(probability >= {threshold}, n, 0)) + max(positives)
    ) as f1,
    sum(positive * pow(1 - probability, 2) + negative * pow(probability, 2))
        / max(total) as brier

from {steps}

group by kind, evaluation
"""

# Points are about evenly spaced in the number of customers above; the last step is among them.
RANKING = """
select
    kind,
    evaluation,
    'ranking' as curve,
    map(
        'threshold', min(probability),
        'false_positive_rate',
        max(above - positives_above) / (max(total) - max(positives)),
        'true_positive_rate', max(positives_above) / max(positives),
        'precision', max(positives_above) / max(above)
    ) as point

from {steps}

where evaluation in ('out_of_fold', 'holdout')

group by kind, evaluation, ceil(above * {points} / total)
"""

CALIBRATION = """
select
    kind,
    evaluation,
    'calibration' as curve,
    map(
        'predicted', sum(probability * n) / sum(n),
        'observed', sum(positive) / sum(n),
        'count', cast(sum(n) as double)
    ) as point

from {steps}

where evaluation in ('out_of_fold', 'holdout')

group by kind, evaluation, ceil(above * 10 / total)
"""

# Thresholds from 0.05 to 0.95; the counts of a threshold are those of the steps at or above it.
THRESHOLDS = """
select
    kind,
    evaluation,
    'thresholds' as curve,
    map(
        'threshold', mark / 20,
        'accuracy', sum(if(probability >= mark / 20, positive, negative)) / max(total),
        'f1', 2 * sum(if(probability >= mark / 20, positive, 0))
        / (sum(if(probability >= mark / 20, n, 0)) + max(positives))
    ) as point

from {steps}

cross join (select explode(sequence(1, 19)) as mark)

where evaluation in ('out_of_fold', 'holdout')

group by kind, evaluation, mark
"""

HISTOGRAM = """
select
    kind,
    evaluation,
    'histogram' as curve,
    map(
        'from', bin / 20,
        'to', (bin + 1) / 20,
        'stayed', cast(sum(negative) as double),
        'churned', cast(sum(positive) as double)
    ) as point

from (select *, least(floor(probability * 20), 19) as bin from {steps})

where evaluation in ('out_of_fold', 'holdout')

group by kind, evaluation, bin
"""

CURVES = " union all ".join((RANKING, CALIBRATION, THRESHOLDS, HISTOGRAM))


def steps(predictions: "DataFrame") -> "DataFrame":
    """Return a row for each probability of an evaluation.

    `metrics` and `curves` are computed from these rows.
    """
    return predictions.sparkSession.sql(STEPS, predictions=predictions)


def metrics(steps: "DataFrame", threshold: float) -> dict[str, dict[str, Metrics]]:
    """Return the metrics by kind and evaluation, from one query for all of them."""
    figures: dict[str, dict[str, Metrics]] = {}
    for row in _rows(steps, METRICS.replace("{threshold}", f"{threshold}D")):
        kind, evaluation = row.pop("kind"), row.pop("evaluation")
        figures.setdefault(kind, {})[evaluation] = Metrics(**row)
    return figures


def curves(steps: "DataFrame") -> dict[str, dict[str, Curves]]:
    """Return the points that plots need, by kind and evaluation (out of fold, hold-out).

    `roc` and `pr` have at most 200 points, `calibration` ten quantile bins, `thresholds` accuracy
    and F1 from .05 to .95, `histogram` the customers by probability and label.
    """
    drawn: dict[str, dict[str, Curves]] = {}
    for row in _rows(steps, CURVES.replace("{points}", str(CURVE_POINTS - 1))):
        of_kind = drawn.setdefault(row["kind"], {})
        curve = of_kind.setdefault(row["evaluation"], {}).setdefault(row["curve"], [])
        curve.append(dict(row["point"]))
    return {
        kind: {name: _arranged(points) for name, points in evaluations.items()}
        for kind, evaluations in drawn.items()
    }


def _arranged(points: Mapping[str, list[Point]]) -> Curves:
    ranking = sorted(points["ranking"], key=lambda point: -point["threshold"])
    roc = ("false_positive_rate", "true_positive_rate", "threshold")
    return {
        "roc": [
            {"false_positive_rate": 0.0, "true_positive_rate": 0.0, "threshold": 1.0},
            *({name: point[name] for name in roc} for point in ranking),
        ],
        "pr": [
            {
                "recall": point["true_positive_rate"],
                "precision": point["precision"],
                "threshold": point["threshold"],
            }
            for point in ranking
        ],
        "calibration": sorted(points["calibration"], key=lambda point: point["predicted"]),
        "thresholds": sorted(points["thresholds"], key=lambda point: point["threshold"]),
        "histogram": sorted(points["histogram"], key=lambda point: point["from"]),
    }


def _rows(steps: "DataFrame", query: str) -> list[dict[str, Any]]:
    rows = steps.sparkSession.sql(query, steps=steps).toArrow().to_pylist()
    return [dict(row) for row in rows]
