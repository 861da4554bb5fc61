"""What the label of a training row means, and the rows that have one.

Observed: of two extracts that follow each other, the customers of the first one who are not marked
as churned there; the label is whether the second one has them marked, or no more. Workbook: every
customer of the latest extract, with the mark that stands in the same row as the features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from pyspark.sql.connect.dataframe import DataFrame

from feature_repo.published import Publication
from lakehouse.sql import literal

OBSERVED, WORKBOOK = "observed", "workbook"
# Fewer customers who left, or who stayed, teach and prove nothing: twenty for each of five folds.
FEWEST = 100


@dataclass(frozen=True)
class Label:
    """The label of a training set, and how it came to be chosen.

    `kind` is `observed` or `workbook`, `reason` says why in words for people. `extracts` counts the
    published extracts, `days_between` has the days from each to the next. `rows` and `positives`
    are those of the training set.
    """

    kind: str
    reason: str
    extracts: int
    days_between: list[int]
    rows: int
    positives: int


@dataclass(frozen=True)
class Counts:
    """Labelled rows, and how many of them are leavers."""

    rows: int
    positives: int


def label_of(dates: Sequence[date], observed: Counts | None, workbook: Counts) -> Label:
    """Which label the published extracts of these dates, in order, allow.

    `observed` counts what could be observed between them; None where there is but one.
    """
    days = [(later - earlier).days for earlier, later in pairwise(dates)]
    if observed is None:
        why = "the one published extract had no next one to observe churn in"
    elif min(observed.positives, observed.rows - observed.positives) < FEWEST:
        why = (
            f"in {_pairs(days)} {observed.positives:,} of {observed.rows:,} customers were "
            f"observed to leave, and at least {FEWEST} had to leave and {FEWEST} to stay"
        )
    else:
        reason = (
            f"churn observed in the next extract, {_pairs(days)}: of {observed.rows:,} rows of "
            f"customers not marked as churned, {observed.positives:,} were churned or gone in the "
            "next"
        )
        return Label(OBSERVED, reason, len(dates), days, observed.rows, observed.positives)
    reason = f"churn as the workbook itself marks it, since {why}"
    return Label(WORKBOOK, reason, len(dates), days, workbook.rows, workbook.positives)


def _pairs(days: list[int]) -> str:
    number = "one pair" if len(days) == 1 else f"{len(days)} pairs"
    apart = f"{min(days)}" if min(days) == max(days) else f"{min(days)} to {max(days)}"
    return f"{number} of extracts {apart} {'day' if apart == '1' else 'days'} apart"


# A customer without a row in the next extract is gone, whether or not a later one has them again.
OBSERVED_ROWS = """
with

labels as (

    select * from {labels}

),

pairs as (

    select
        cast(extract_date as timestamp) as event_timestamp,
        cast(next_extract_date as timestamp) as next_timestamp

    from values {pairs} as pairs (extract_date, next_extract_date)

),

not_churned as (

    select
        labels.customer_id,
        labels.event_timestamp,
        pairs.next_timestamp

    from labels

    inner join pairs
        on labels.event_timestamp = pairs.event_timestamp

    where labels.churned = 0

),

final as (

    select
        not_churned.customer_id,
        not_churned.event_timestamp,
        coalesce(next_labels.churned, 1) as churned

    from not_churned

    left join labels as next_labels
        on
            not_churned.customer_id = next_labels.customer_id
            and not_churned.next_timestamp = next_labels.event_timestamp

)

select * from final
"""


def observed_rows(labels: DataFrame, history: Sequence[Publication]) -> DataFrame:
    """Rows of `customer_id, event_timestamp, churned`; `history` has two extracts or more."""
    pairs = ", ".join(
        f"({literal(first.extract_date)}, {literal(second.extract_date)})"
        for first, second in pairwise(history)
    )
    return labels.sparkSession.sql(OBSERVED_ROWS.replace("{pairs}", pairs), labels=labels)


def workbook_rows(labels: DataFrame, publication: Publication) -> DataFrame:
    """The same of one extract, as its workbook has them."""
    of_extract = f"event_timestamp = cast({literal(publication.extract_date)} as timestamp)"
    return labels.where(of_extract).select("customer_id", "event_timestamp", "churned")


def count(rows: DataFrame) -> Counts:
    """How many labelled rows there are."""
    counted = rows.selectExpr("count(*) as row_count", "count_if(churned = 1) as positives")
    found = counted.toArrow().to_pylist()[0]
    return Counts(found["row_count"], found["positives"])
