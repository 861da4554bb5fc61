"""Detect features that reveal the label, by their metrics.

Forbidding names is not sufficient, because names can be chosen.

Legitimate features of the telco data are far from such values: the best one alone ranks with .74,
all together with .85. A feature that alone ranks nearly perfectly was recorded after the customer
had left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

from lakehouse.errors import InvalidInputError
from trainer.parameters import LeakRule

if TYPE_CHECKING:
    from pyspark.sql.connect.dataframe import DataFrame

# Above this number of rows, customers are sampled: a leak is visible in a part as well.
SAMPLE_ROWS = 100_000


@dataclass(frozen=True)
class Leak:
    """A feature that may reveal the label.

    Attributes:
        feature: Name of the feature.
        roc_auc: ROC-AUC of the feature alone, without a model; at least .5.
        purest: Highest share of churned customers at one of the feature's values.
    """

    feature: str
    roc_auc: float
    max_positive_share: float


def univariate_scores(
    rows: "DataFrame", count: int, features: Sequence[str], fewest: int
) -> list[Leak]:
    """Return how well each feature alone ranks the customers.

    `rows` contains the features and `churned`; `count` is their number. `fewest` is the number of
    rows that a value needs to count for `purest`.
    """
    from sklearn.metrics import roc_auc_score

    sampled = (
        f"pmod(xxhash64('leaks', customer_id), {count}) < {SAMPLE_ROWS}"
        if count > SAMPLE_ROWS
        else "true"
    )
    table = rows.where(sampled).select("churned", *(f"`{name}`" for name in features)).toArrow()
    frame = table.to_pandas()
    scores = []
    for name in sorted(features):
        ranked = float(roc_auc_score(frame["churned"], frame[name]))
        by_value = frame.groupby(name)["churned"].agg(["size", "mean"])
        purest = by_value["mean"][by_value["size"] >= fewest].max()
        scores.append(Leak(name, max(ranked, 1 - ranked), 0.0 if isnan(purest) else float(purest)))
    return scores


def find_leaks(scores: Sequence[Leak], rule: LeakRule) -> list[Leak]:
    """Return the features that break the rule, the worst first."""
    broken = [
        leak
        for leak in scores
        if leak.roc_auc >= rule.roc_auc or leak.max_positive_share >= rule.max_positive_share
    ]
    return sorted(broken, key=lambda leak: (-leak.roc_auc, leak.feature))


def raise_on_leakage(leaks: Sequence[Leak], rule: LeakRule) -> None:
    """Raise an error if there are leaks.

    Raises:
        InvalidInputError: There are some.
    """
    if leaks:
        named = "; ".join(
            f"{leak.feature} alone has ROC-AUC {leak.roc_auc:.3f}, and at one of its values "
            f"{leak.max_positive_share:.0%} left"
            for leak in leaks
        )
        raise InvalidInputError(
            f"The training set leaks: {named}",
            where=f"the training set, against leaks of trainer/parameters.yml "
            f"(ROC-AUC below {rule.roc_auc}, leavers at a value below "
            f"{rule.max_positive_share:.0%})",
            hint="take the column out of the features: it was known only after the customer left",
        )
