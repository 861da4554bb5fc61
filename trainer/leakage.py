"""Detect features that reveal the label, by their metrics.

Forbidding names is not sufficient, because names can be chosen.

Legitimate features of this data are far from such values: tenure alone ranks with .74, all features
together with .85. A feature that alone ranks nearly perfectly was recorded after the customer had
left.
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
ROWS = 100_000


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
    purest: float


def univariate_scores(
    rows: "DataFrame", count: int, features: Sequence[str], fewest: int
) -> list[Leak]:
    """Return how well each feature alone ranks the customers.

    `rows` contains the features and `churned`; `count` is their number. `fewest` is the number of
    rows that a value needs to count for `purest`.
    """
    from sklearn.metrics import roc_auc_score

    sampled = f"pmod(xxhash64('leaks', customer_id), {count}) < {ROWS}" if count > ROWS else "true"
    table = rows.where(sampled).select("churned", *(f"`{name}`" for name in features)).toArrow()
    frame = table.to_pandas()
    found = []
    for name in sorted(features):
        ranked = float(roc_auc_score(frame["churned"], frame[name]))
        by_value = frame.groupby(name)["churned"].agg(["size", "mean"])
        purest = by_value["mean"][by_value["size"] >= fewest].max()
        found.append(Leak(name, max(ranked, 1 - ranked), 0.0 if isnan(purest) else float(purest)))
    return found


def leaks(known: Sequence[Leak], rule: LeakRule) -> list[Leak]:
    """Return the features that break the rule, the worst first."""
    broken = [each for each in known if each.roc_auc >= rule.roc_auc or each.purest >= rule.purest]
    return sorted(broken, key=lambda each: (-each.roc_auc, each.feature))


def raise_on_leakage(found: Sequence[Leak], rule: LeakRule) -> None:
    """Raise an error if there are leaks.

    Raises:
        InvalidInputError: There are some.
    """
    if found:
        named = "; ".join(
            f"{each.feature} alone has ROC-AUC {each.roc_auc:.3f}, and at one of its values "
            f"{each.purest:.0%} left"
            for each in found
        )
        raise InvalidInputError(
            f"The training set leaks: {named}",
            where=f"the training set, against leaks of trainer/parameters.yml "
            f"(ROC-AUC below {rule.roc_auc}, leavers at a value below {rule.purest:.0%})",
            remedy="take the column out of the features: it was known only after the customer left",
        )
