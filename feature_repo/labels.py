"""Choose the label of a training set, and select the rows that have one.

There are two kinds of label:

- `observed`: The rows are those customers of the first of two consecutive extracts who are not
  marked as churned there. The label is whether the second extract marks the customer as churned or
  no longer contains the customer. Each pair of extracts must be plausible independently of the
  others.
- `workbook`: The rows are all customers of the latest extract. The label is the mark in the same
  row as the features.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession

from feature_repo.publications import Publication
from lakehouse.domain import read_domain
from lakehouse.errors import ChurnError
from lakehouse.sequences import VERDICTS, query_sequence
from lakehouse.sql import literal

OBSERVED, WORKBOOK = "observed", "workbook"
DECLARED = Path(__file__).with_name("labels.yml")
# Gate rules that check whether an extract covers the same customer base: the retained customers and
# the new ones.
RETAINED, NEW = "customers_retained", "new_customers_bounded"
# Minimum number of churned and of retained customers; fewer are too few to train and evaluate on.
# It is twenty for each of five folds.
MIN_CUSTOMERS = 100
# Maximum number of exclusions that are listed; the others are only counted.
MAX_LISTED = 3
# Days between two extracts that are a month apart.
MONTH = (28, 31)
WITHOUT_ID = "its rows have no customer id, so that no customer can be known again"
OLDER = "from before a feature was declared"
# Such a model knows who has left already, not when; only the next extract shows who leaves.
ONE_EXTRACT = (
    "The model learned from one extract. Tested on customers that the model had not seen, against "
    "the marks of the workbook: the order by risk, and the probabilities. Not tested: who leaves "
    "later, the effect of the offers, and so the order by gain."
)


@dataclass(frozen=True)
class PairRules:
    """Bounds that two consecutive extracts must satisfy to be a plausible pair.

    Attributes:
        retained_at_least: Minimum share of the first extract's customers who are also in the
            second.
        new_at_most: Maximum share of the second extract's customers who are not in the first.
        days: Minimum and maximum number of days between the two extract dates.
        churn_rate: Minimum and maximum share of the customers not marked in the first extract who
            are marked in the second or missing from it.
    """

    retained_at_least: float
    new_at_most: float
    days: tuple[int, int]
    churn_rate: tuple[float, float]


@dataclass(frozen=True)
class Pair:
    """Two consecutive extracts with their customer counts.

    Attributes:
        first: The earlier extract.
        second: The later extract.
        retained: Number of customers who are in both extracts.
        rows: Number of customers who are not marked as churned in the first extract.
        positives: Number of those customers who are marked in the second extract or missing from
            it.
    """

    first: Publication
    second: Publication
    retained: int
    rows: int
    positives: int

    @property
    def days(self) -> int:
        """Return the number of days between the two extract dates."""
        return (self.second.extract_date - self.first.extract_date).days

    @property
    def dates(self) -> list[str]:
        """Return both extract dates in ISO format."""
        return [self.first.extract_date.isoformat(), self.second.extract_date.isoformat()]


@dataclass(frozen=True)
class Exclusion:
    """A published extract or pair of extracts that is excluded from training, with the reason.

    Attributes:
        extracts: One extract date, or the two dates of a pair.
        reason: The reason.
    """

    extracts: list[str]
    reason: str

    def format(self) -> str:
        """Return the dates and the reason as text."""
        return f"{' to '.join(self.extracts)}, {self.reason}"


@dataclass(frozen=True)
class Counts:
    """Number of labelled rows, and how many of them are positive (churned)."""

    rows: int
    positives: int


@dataclass(frozen=True)
class Label:
    """The label of a training set, and the reason for choosing it.

    Attributes:
        kind: `observed` or `workbook`.
        reason: Human-readable reason for the choice.
        extracts: Number of published extracts that were eligible.
        days_between: Days between the extracts of each plausible pair of them.
        rows: Number of rows in the training set.
        positives: Number of churned customers among these rows.
        left_out: The other published extracts and pairs, which are excluded.
    """

    kind: str
    reason: str
    extracts: int
    days_between: list[int]
    rows: int
    positives: int
    left_out: list[Exclusion] = field(default_factory=list)


def describe_limit(label: Mapping[str, Any]) -> str:
    """Return what a model with this label can't say yet, as a sentence; empty if there is no limit.

    Args:
        label: The label of a model's record, the fields of `Label`.
    """
    return ONE_EXTRACT if label["kind"] == WORKBOOK else ""


def describe_period(label: Mapping[str, Any]) -> str:
    """Return when a customer may leave, for a probability; empty if the model can't know that.

    It is the time between the extracts that the model learned from.

    Args:
        label: The label of a model's record, the fields of `Label`.
    """
    if describe_limit(label) or not label["days_between"]:
        return ""
    shortest, longest = min(label["days_between"]), max(label["days_between"])
    if shortest >= MONTH[0] and longest <= MONTH[1]:
        return "within the next month"
    days = f"{longest}" if shortest == longest else f"{shortest} to {longest}"
    return f"within the next {days} days"


def read_pair_rules(path: Path = DECLARED, domain: Path | None = None) -> PairRules:
    """Return the declared rules of the file, and the domain's rules on the customers' identity.

    Raises:
        ChurnError: A rule is missing or invalid.
    """
    try:
        declared: Mapping[str, Any] = yaml.safe_load(path.read_text())
        gate = read_domain(domain).variables["gate_rules"]
        return PairRules(
            retained_at_least=float(gate[RETAINED]["at_least"]),
            new_at_most=float(gate[NEW]["at_most"]),
            days=_range(declared["days"]),
            churn_rate=_range(declared["churn_rate"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ChurnError(
            f"The rules on observed churn can't be used: {error!r}",
            where=f"{path}; {RETAINED} and {NEW} of gate_rules in rules.yml",
            hint="declare them again; the file's comments say what each is",
        ) from error


def _range(declared: Mapping[str, Any]) -> tuple[Any, Any]:
    lowest, highest = declared["at_least"], declared["at_most"]
    if not lowest <= highest:
        raise ValueError(f"at_least {lowest} is above at_most {highest}")
    return lowest, highest


def find_objection(pair: Pair, rules: PairRules) -> str | None:
    """Return why churn can't be observed in the pair, or None if it can."""
    retained = pair.retained / pair.first.customers
    new = 1 - pair.retained / pair.second.customers
    rate = pair.positives / pair.rows if pair.rows else 0.0
    if retained < rules.retained_at_least:
        return (
            f"of other customers: {retained:.1%} of the first one's are in the second, at least "
            f"{rules.retained_at_least:.0%} have to be"
        )
    if new > rules.new_at_most:
        return (
            f"of other customers: {new:.1%} of the second one's are not in the first, at most "
            f"{rules.new_at_most:.0%} may be"
        )
    if not rules.days[0] <= pair.days <= rules.days[1]:
        unit = "day" if pair.days == 1 else "days"
        return f"{pair.days} {unit} apart, not {rules.days[0]} to {rules.days[1]}"
    if not rules.churn_rate[0] <= rate <= rules.churn_rate[1]:
        lowest, highest = rules.churn_rate
        return f"with {rate:.2%} who left, which is not plausible ({lowest:.1%} to {highest:.0%})"
    return None


def select_plausible(pairs: Sequence[Pair], rules: PairRules) -> tuple[list[Pair], list[Exclusion]]:
    """Split the pairs into those that churn can be observed in, and the excluded others.

    Each pair is evaluated independently of the others.
    """
    objections = [(pair, find_objection(pair, rules)) for pair in pairs]
    return (
        [pair for pair, why in objections if why is None],
        [Exclusion(pair.dates, why) for pair, why in objections if why is not None],
    )


def choose_label(
    pairs: Sequence[Pair], workbook: Counts, extracts: int, left_out: Sequence[Exclusion] = ()
) -> Label:
    """Return the label that the plausible pairs of published extracts allow.

    Args:
        pairs: The plausible pairs.
        workbook: Row counts of the workbook's own label, the fallback.
        extracts: Number of eligible published extracts.
        left_out: The other published extracts and pairs.
    """
    days = [pair.days for pair in pairs]
    rows, positives = sum(pair.rows for pair in pairs), sum(pair.positives for pair in pairs)
    kind, used = WORKBOOK, workbook
    if not pairs:
        why = (
            "no pair of extracts was plausible"
            if extracts > 1
            else "there was no later extract yet to observe churn in"
        )
    elif min(positives, rows - positives) < MIN_CUSTOMERS:
        why = (
            f"in {_format_pairs(days)} {positives:,} of {rows:,} customers were "
            f"observed to leave, and at least {MIN_CUSTOMERS} had to leave and "
            f"{MIN_CUSTOMERS} to stay"
        )
    else:
        kind, used, why = OBSERVED, Counts(rows, positives), ""
    reason = (
        f"churn as the workbook itself marks it, since {why}"
        if why
        else (
            f"churn observed in the next extract, {_format_pairs(days)}: of {rows:,} rows of "
            f"customers not marked as churned, {positives:,} were churned or gone in the next"
        )
    )
    if left_out:
        reason = f"{reason} (left out: {_format_exclusions(left_out)})"
    counted = (used.rows, used.positives)
    return Label(kind, reason, extracts, days, *counted, list(left_out))


def _format_exclusions(left_out: Sequence[Exclusion]) -> str:
    older = sum(exclusion.reason == OLDER for exclusion in left_out)
    others = [exclusion.format() for exclusion in left_out if exclusion.reason != OLDER]
    parts = [f"{older} {OLDER}"] if older else []
    parts += others[-MAX_LISTED:]
    if len(others) > MAX_LISTED:
        parts.append(f"and {len(others) - MAX_LISTED} more")
    return "; ".join(parts)


def _format_pairs(days: list[int]) -> str:
    number = "one pair" if len(days) == 1 else f"{len(days)} pairs"
    apart = f"{min(days)}" if min(days) == max(days) else f"{min(days)} to {max(days)}"
    return f"{number} of extracts {apart} {'day' if apart == '1' else 'days'} apart"


# A customer without a row in the next extract counts as gone, even if a later extract contains the
# customer again.
FOLLOWED = """
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

followed as (

    select
        labels.customer_id,
        labels.event_timestamp,
        labels.churned = 1 as is_marked,
        next_labels.customer_id is not null as is_retained,
        coalesce(next_labels.churned, 1) as churned

    from labels

    inner join pairs
        on labels.event_timestamp = pairs.event_timestamp

    left join labels as next_labels
        on
            labels.customer_id = next_labels.customer_id
            and pairs.next_timestamp = next_labels.event_timestamp

),

"""
OBSERVED_ROWS = """
final as (

    select
        customer_id,
        event_timestamp,
        churned

    from followed

    where not is_marked

)

select * from final
"""
PAIR_COUNTS = """
final as (

    select
        event_timestamp,
        count_if(is_retained) as retained,
        count_if(not is_marked) as row_count,
        count_if(not is_marked and churned = 1) as positives

    from followed

    group by event_timestamp

)

select * from final
"""


def read_pairs(
    labels: DataFrame, extracts: Sequence[tuple[Publication, Publication]]
) -> list[Pair]:
    """Return the pairs with their customer counts, in the given order."""
    if not extracts:
        return []
    counts = _query_followed(labels, extracts, PAIR_COUNTS).toArrow().to_pylist()
    counts_by_date = {row["event_timestamp"]: row for row in counts}
    pairs = []
    for first, second in extracts:
        row = counts_by_date[first.event_timestamp]
        pairs.append(Pair(first, second, row["retained"], row["row_count"], row["positives"]))
    return pairs


def select_observed_rows(labels: DataFrame, pairs: Sequence[Pair]) -> DataFrame:
    """Return the rows `customer_id, event_timestamp, churned` of one or more pairs."""
    return _query_followed(labels, [(pair.first, pair.second) for pair in pairs], OBSERVED_ROWS)


def _query_followed(
    labels: DataFrame, extracts: Sequence[tuple[Publication, Publication]], final: str
) -> DataFrame:
    pairs = ", ".join(
        f"({literal(first.extract_date)}, {literal(second.extract_date)})"
        for first, second in extracts
    )
    sql = (FOLLOWED + final).replace("{pairs}", pairs)
    return labels.sparkSession.sql(sql, labels=labels)


def select_workbook_rows(labels: DataFrame, publication: Publication) -> DataFrame:
    """Return the rows `customer_id, event_timestamp, churned` of one extract.

    `churned` is the mark in the extract's own workbook.
    """
    of_extract = f"event_timestamp = cast({literal(publication.extract_date)} as timestamp)"
    return labels.where(of_extract).select("customer_id", "event_timestamp", "churned")


def count_labels(rows: DataFrame) -> Counts:
    """Return the number of labelled rows and of churned customers among them."""
    counted = rows.selectExpr("count(*) as row_count", "count_if(churned = 1) as positives")
    row = counted.toArrow().to_pylist()[0]
    return Counts(row["row_count"], row["positives"])


def read_incomparable_dates(spark: SparkSession) -> dict[str, str]:
    """Return the loads that did not pass the rules on the customers' identity, by batch id.

    The value is the last verdict, `expected` or `failed`. Published loads among these were declared
    in `expected_changes` or approved. A load that was published first and failed a later evaluation
    is still in gold, but is excluded from training as well.
    """
    rows = query_sequence(
        spark,
        VERDICTS,
        f"""
        select batch_id, max(verdict) as verdict
        from (
            select batch_id, rule, max_by(verdict, {VERDICTS.position}) as verdict
            from {{rows}}
            where rule in ({literal(RETAINED)}, {literal(NEW)}) and verdict <> 'pending'
            group by batch_id, rule
        )
        where verdict in ('expected', 'failed')
        group by batch_id
        """,
    )
    return {row["batch_id"]: row["verdict"] for row in rows}


def select_eligible(
    history: Sequence[Publication], older: Collection[Publication], others: Collection[str]
) -> tuple[list[Publication], list[Exclusion]]:
    """Split the published extracts into those to train on, and the excluded others with reasons.

    `older` are extracts from before a feature was declared; `others` are loads of other customers.
    If no extract remains, the latest one is used alone: its own marks need no other extract.
    """
    if not read_domain().has_ids:
        excluded = [Exclusion([each.extract_date.isoformat()], WITHOUT_ID) for each in history[:-1]]
        return list(history[-1:]), excluded
    left_out = [Exclusion([publication.extract_date.isoformat()], OLDER) for publication in older]
    newer = [publication for publication in history if publication not in older]
    why = f"declared to be of other customers ({RETAINED}, {NEW})"
    usable = [publication for publication in newer if publication.batch_id not in others] or newer[
        -1:
    ]
    left_out += [
        Exclusion([publication.extract_date.isoformat()], why)
        for publication in newer
        if publication not in usable
    ]
    return usable, left_out
