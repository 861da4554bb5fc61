"""Detect features that reveal the label, by their metrics.

Forbidding names is not sufficient, because names can be chosen.

Legitimate features of this data are far from such values: tenure alone ranks with .74, all features
together with .85. A feature that alone ranks nearly perfectly was recorded after the customer had
left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.errors import InvalidInputError
from lakehouse.sql import literal
from trainer.parameters import LeakRule

if TYPE_CHECKING:
    from pyspark.sql.connect.dataframe import DataFrame

# Above this number of rows, customers are sampled: a leak is visible in a part as well.
ROWS = 100_000

ALONE = """
with

valued as (

    select churned, stack({count}, {pairs}) as (feature, value) from {rows}

),

counted as (

    select feature, value, count(*) as n, sum(churned) as positive

    from valued

    group by feature, value

),

ranked as (

    select *,
        n - positive as negative,
        sum(positive) over (partition by feature order by value desc) as positives_above

    from counted

),

final as (

    select
        feature,
        sum(negative * (positives_above - positive / 2))
            / (sum(positive) * sum(negative)) as roc_auc,
        max(if(n >= {fewest}, positive / n, 0)) as purest

    from ranked

    group by feature

)

select * from final order by feature
"""


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
    taken = (
        rows
        if count <= ROWS
        else rows.where(f"pmod(xxhash64('leaks', customer_id), {count}) < {ROWS}")
    )
    pairs = ", ".join(f"{literal(name)}, cast(`{name}` as double)" for name in features)
    query = (
        ALONE.replace("{count}", str(len(features)))
        .replace("{pairs}", pairs)
        .replace("{fewest}", str(fewest))
    )
    found = rows.sparkSession.sql(query, rows=taken).toArrow().to_pylist()
    return [
        Leak(row["feature"], max(row["roc_auc"], 1 - row["roc_auc"]), row["purest"])
        for row in found
    ]


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
