"""What the label of a training row means, and the rows that have one.

Observed: of two extracts that follow each other, the customers of the first one who are not marked
as churned there; the label is whether the second one has them marked, or no more. Each pair has to
be plausible by itself. Workbook: every customer of the latest extract, with the mark that stands in
the same row as the features.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession

from feature_repo.publications import Publication
from lakehouse.errors import ChurnError
from lakehouse.sequences import VERDICTS, query_sequence
from lakehouse.sql import literal
from lakehouse.variables import DECLARED as PROJECT_FILE
from lakehouse.variables import read_variables

OBSERVED, WORKBOOK = "observed", "workbook"
DECLARED = Path(__file__).with_name("labels.yml")
# The gate's rules on whose extract it is: the customers who stay, and those who are new.
RETAINED, NEW = "customers_retained", "new_customers_bounded"
# Fewer customers who left, or who stayed, teach and prove nothing: twenty for each of five folds.
FEWEST = 100
# More than these are counted, not named.
NAMED = 3
OLDER = "from before a feature was declared"


@dataclass(frozen=True)
class PairRules:
    """What two extracts must be to each other, lowest and highest figure each.

    `retained` is the share of the first one's customers who are in the second one too, `new` the
    share of the second one's who are not in the first, `days` what lies between them, `churn_rate`
    the share of those not marked in the first who are marked in the second, or gone.
    """

    retained_at_least: float
    new_at_most: float
    days: tuple[int, int]
    churn_rate: tuple[float, float]


@dataclass(frozen=True)
class Pair:
    """Two extracts that follow each other: `retained` customers are in both, `rows` are those not
    marked as churned in the first, of whom `positives` are marked in the second, or gone."""

    first: Publication
    second: Publication
    retained: int
    rows: int
    positives: int

    @property
    def days(self) -> int:
        return (self.second.extract_date - self.first.extract_date).days

    @property
    def dates(self) -> list[str]:
        return [self.first.extract_date.isoformat(), self.second.extract_date.isoformat()]


@dataclass(frozen=True)
class LeftOut:
    """A published extract (one date) or a pair of them (two) that is not learned from, and why."""

    extracts: list[str]
    why: str

    def in_words(self) -> str:
        return f"{' to '.join(self.extracts)}, {self.why}"


@dataclass(frozen=True)
class Counts:
    """Labelled rows, and how many of them are leavers."""

    rows: int
    positives: int


@dataclass(frozen=True)
class Label:
    """The label of a training set, and how it came to be chosen.

    `kind` is `observed` or `workbook`, `reason` says why in words for people. `extracts` counts the
    published extracts that could take part, `days_between` has the days of each pair of them that
    is plausible, `left_out` what else is published. `rows` and `positives` are those of the
    training set.
    """

    kind: str
    reason: str
    extracts: int
    days_between: list[int]
    rows: int
    positives: int
    left_out: list[LeftOut] = field(default_factory=list)


def read_pair_rules(path: Path = DECLARED, project: Path = PROJECT_FILE) -> PairRules:
    """The declared rules: those of the file, and of the gate those on the customers' identity.

    Raises:
        ChurnError: a rule is missing, or is none.
    """
    try:
        declared: Mapping[str, Any] = yaml.safe_load(path.read_text())
        gate = read_variables(project)["gate_rules"]
        return PairRules(
            retained_at_least=float(gate[RETAINED]["at_least"]),
            new_at_most=float(gate[NEW]["at_most"]),
            days=_range(declared["days"]),
            churn_rate=_range(declared["churn_rate"]),
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise ChurnError(
            f"The rules on observed churn can't be used: {fault!r}",
            where=f"{path}; {RETAINED} and {NEW} of gate_rules in {project}",
            remedy="declare them again; the file's comments say what each is",
        ) from fault


def _range(declared: Mapping[str, Any]) -> tuple[Any, Any]:
    lowest, highest = declared["at_least"], declared["at_most"]
    if not lowest <= highest:
        raise ValueError(f"at_least {lowest} is above at_most {highest}")
    return lowest, highest


def objection(pair: Pair, rules: PairRules) -> str | None:
    """Why churn can't be observed in the pair; None where it can."""
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
        return f"{pair.days} days apart, not {rules.days[0]} to {rules.days[1]}"
    if not rules.churn_rate[0] <= rate <= rules.churn_rate[1]:
        lowest, highest = rules.churn_rate
        return f"with {rate:.2%} who left, which is not plausible ({lowest:.1%} to {highest:.0%})"
    return None


def plausible(pairs: Sequence[Pair], rules: PairRules) -> tuple[list[Pair], list[LeftOut]]:
    """The pairs that churn can be observed in, and the others: each is judged by itself."""
    objections = [(pair, objection(pair, rules)) for pair in pairs]
    return (
        [pair for pair, why in objections if why is None],
        [LeftOut(pair.dates, why) for pair, why in objections if why is not None],
    )


def label_of(
    pairs: Sequence[Pair], workbook: Counts, extracts: int, left_out: Sequence[LeftOut] = ()
) -> Label:
    """Which label the plausible pairs of `extracts` published ones allow.

    `left_out` is what else is published.
    """
    days = [pair.days for pair in pairs]
    rows, positives = sum(pair.rows for pair in pairs), sum(pair.positives for pair in pairs)
    kind, used = WORKBOOK, workbook
    if not pairs:
        why = (
            "no pair of extracts was plausible"
            if extracts > 1
            else "the one published extract had no next one to observe churn in"
        )
    elif min(positives, rows - positives) < FEWEST:
        why = (
            f"in {_pairs(days)} {positives:,} of {rows:,} customers were "
            f"observed to leave, and at least {FEWEST} had to leave and {FEWEST} to stay"
        )
    else:
        kind, used, why = OBSERVED, Counts(rows, positives), ""
    reason = (
        f"churn as the workbook itself marks it, since {why}"
        if why
        else (
            f"churn observed in the next extract, {_pairs(days)}: of {rows:,} rows of "
            f"customers not marked as churned, {positives:,} were churned or gone in the next"
        )
    )
    if left_out:
        reason = f"{reason} (left out: {_left_out_in_words(left_out)})"
    counted = (used.rows, used.positives)
    return Label(kind, reason, extracts, days, *counted, list(left_out))


def _left_out_in_words(left_out: Sequence[LeftOut]) -> str:
    older = sum(each.why == OLDER for each in left_out)
    others = [each.in_words() for each in left_out if each.why != OLDER]
    named = [f"{older} {OLDER}"] if older else []
    named += others[-NAMED:]
    if len(others) > NAMED:
        named.append(f"and {len(others) - NAMED} more")
    return "; ".join(named)


def _pairs(days: list[int]) -> str:
    number = "one pair" if len(days) == 1 else f"{len(days)} pairs"
    apart = f"{min(days)}" if min(days) == max(days) else f"{min(days)} to {max(days)}"
    return f"{number} of extracts {apart} {'day' if apart == '1' else 'days'} apart"


# A customer without a row in the next extract is gone, whether or not a later one has them again.
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
    """What the two of each pair have in common, in the order given."""
    if not extracts:
        return []
    found = _followed(labels, extracts, PAIR_COUNTS).toArrow().to_pylist()
    of_first = {row["event_timestamp"]: row for row in found}
    pairs = []
    for first, second in extracts:
        row = of_first[first.event_timestamp]
        pairs.append(Pair(first, second, row["retained"], row["row_count"], row["positives"]))
    return pairs


def observed_rows(labels: DataFrame, pairs: Sequence[Pair]) -> DataFrame:
    """Rows of `customer_id, event_timestamp, churned` of one pair or more."""
    return _followed(labels, [(pair.first, pair.second) for pair in pairs], OBSERVED_ROWS)


def _followed(
    labels: DataFrame, extracts: Sequence[tuple[Publication, Publication]], final: str
) -> DataFrame:
    pairs = ", ".join(
        f"({literal(first.extract_date)}, {literal(second.extract_date)})"
        for first, second in extracts
    )
    sql = (FOLLOWED + final).replace("{pairs}", pairs)
    return labels.sparkSession.sql(sql, labels=labels)


def workbook_rows(labels: DataFrame, publication: Publication) -> DataFrame:
    """The same of one extract, as its workbook has them."""
    of_extract = f"event_timestamp = cast({literal(publication.extract_date)} as timestamp)"
    return labels.where(of_extract).select("customer_id", "event_timestamp", "churned")


def count(rows: DataFrame) -> Counts:
    """How many labelled rows there are."""
    counted = rows.selectExpr("count(*) as row_count", "count_if(churned = 1) as positives")
    found = counted.toArrow().to_pylist()[0]
    return Counts(found["row_count"], found["positives"])


def of_other_customers(spark: SparkSession) -> dict[str, str]:
    """The loads whose last verdict on whose extract it is was not that it passed, and that verdict.

    Published ones among them were declared in `expected_changes`; what was published first and
    failed when judged anew is still in gold, and learned from as little.
    """
    rows = query_sequence(
        spark,
        VERDICTS,
        f"""
        select batch_id, max(verdict) as verdict
        from (
            select batch_id, rule, max_by(verdict, {VERDICTS.position}) as verdict
            from {{rows}}
            where rule in ({literal(RETAINED)}, {literal(NEW)})
            group by batch_id, rule
        )
        where verdict in ('expected', 'failed')
        group by batch_id
        """,
    )
    return {row["batch_id"]: row["verdict"] for row in rows}


def taking_part(
    history: Sequence[Publication], older: Collection[Publication], others: Collection[str]
) -> tuple[list[Publication], list[LeftOut]]:
    """The extracts that may be learned from, and the others with the reason.

    `older` are from before a feature was declared; `others` are loads of other customers. Where
    nothing is left, the latest one stands for itself: its own marks need no other extract.
    """
    left_out = [LeftOut([each.extract_date.isoformat()], OLDER) for each in older]
    newer = [each for each in history if each not in older]
    why = f"declared to be of other customers ({RETAINED}, {NEW})"
    usable = [each for each in newer if each.batch_id not in others] or newer[-1:]
    left_out += [
        LeftOut([each.extract_date.isoformat()], why) for each in newer if each not in usable
    ]
    return usable, left_out
