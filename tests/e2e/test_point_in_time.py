"""Training sets over months of extracts, late and restated ones among them, against SQL of its own.

Four months in `make test`, a year in the long tests.

The reference reads silver.customers, works out the features again and looks back in time with
window functions; production joins gold with itself and leaves the rest to Feast.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from environments import ChurnHome, Environments
from monthly import WITHOUT_TESTS, cut_off, date_of, restated
from pyspark.sql.connect.session import SparkSession
from reference import ADD_ONS, CATEGORIES, snake_case
from training_frames import QUICK

from feature_repo.feast_compat import restore_regex_columns, suppress_feast_output
from feature_repo.feature_store import open_store
from feature_repo.features import TTL
from feature_repo.labels import (
    count_labels,
    read_pair_rules,
    read_pairs,
    select_observed_rows,
    select_plausible,
)
from feature_repo.online.materialize import apply
from feature_repo.publications import read_publications
from feature_repo.training import TrainingSet, training_set
from lakehouse import spark_session
from lakehouse.settings import Settings
from lakehouse.sql import query
from seeds_loader.extract_date import ExtractDate
from seeds_loader.load import load
from seeds_loader.reader.sandbox import read_workbook
from trainer import splits
from trainer.monitoring import monitor, read_rules
from trainer.score import score
from trainer.train import train_on

KEYS = ["customer_id", "event_timestamp"]
WEST = "America/Los_Angeles"

# Features of a row of silver, written from their descriptions.
FEATURES = {
    "tenure": "tenure",
    "monthly_charges": "monthly_charges",
    "total_charges": "total_charges",
    "avg_historical_charge": "if(tenure = 0, monthly_charges, total_charges / tenure)",
    "billing_ratio": """
        case
            when tenure = 0 then if(monthly_charges = 0, 1D, monthly_charges / monthly_charges)
            when total_charges = 0 then 1D
            else monthly_charges / (total_charges / tenure)
        end""",
    "service_count": " + ".join(
        [
            "phone_service",
            "int(multiple_lines = 'Yes')",
            "int(internet_service != 'No')",
            *(f"int({each} = 'Yes')" for each in ADD_ONS.values()),
        ]
    ),
    "tenure_group": "int(tenure >= 12) + int(tenure >= 24) + int(tenure >= 48)",
    "is_high_value": "int(tenure > 24 and monthly_charges > 80)",
    **{
        flag: flag
        for flag in (
            "senior_citizen",
            "partner",
            "dependents",
            "phone_service",
            "paperless_billing",
        )
    },
    **{
        f"{column}_{snake_case(category)}": f"int({column} = '{category}')"
        for column, categories in CATEGORIES.values()
        for category in categories
    },
}
SILVER = f"""
select
    customer_id, extract_date, cast(extract_date as timestamp) as event_timestamp, churned,
    {", ".join(f"{expression} as {name}" for name, expression in FEATURES.items())}
from silver.customers
where _batch_id in (select batch_id from gold.publications)
"""

LABELLED = f"""
with
seen as ({SILVER}),
numbered as (select *, dense_rank() over (order by extract_date) as place from seen),
followed as (
    select * except (churned), churned as marked,
        lead(place) over history as next_place, lead(churned) over history as next_marked
    from numbered
    window history as (partition by customer_id order by place)
)
select {", ".join(KEYS)}, {", ".join(FEATURES)},
    if(next_place = place + 1, next_marked, 1) as churned
from followed
where marked = 0 and place < (select max(place) from numbered)
"""

# Moments from three weeks before the first extract to five after the last, odd hours among them.
ASKED = """
select
    customer_id,
    cast(date_add(extract_date, pmod(hash(customer_id, extract_date), 57) - 21) as timestamp)
        + make_dt_interval(0, pmod(hash(extract_date, customer_id), 3) * 7) as event_timestamp
from (select distinct customer_id from silver.customers)
cross join (select distinct extract_date from silver.customers)
"""
KNOWN = f"""
with
seen as ({SILVER}),
moments as (
    select customer_id, event_timestamp, false as is_asked, struct(*) as known from seen
    union all
    select customer_id, event_timestamp, true as is_asked, null as known from {{asked}}
),
answered as (
    select customer_id, event_timestamp, is_asked,
        last_value(known, true) over (
            partition by customer_id order by event_timestamp, is_asked
            rows between unbounded preceding and current row
        ) as latest
    from moments
),
fresh as (
    select customer_id, event_timestamp,
        if(event_timestamp - latest.event_timestamp <= interval '{TTL.days}' day, latest, null)
            as known
    from answered
    where is_asked
)
select {", ".join(KEYS)}, {", ".join(f"known.{name} as {name}" for name in FEATURES)}
from fresh
"""


@dataclass(frozen=True)
class Arrivals:
    """The order in which the months arrive, in two builds; a month is its index from 0.

    The second build has the late months and a restated one. The month `cut_off` also arrives as an
    incomplete extract for `refused_on`, between two other extracts, and is refused, because churn
    can't be observed in it. `days_between` are the days from each month to the next. `rows` and
    `positives` are exclusive lower bounds.
    """

    first: list[int]
    first_restated: int | None
    cut_off: int
    refused_on: date
    second: list[int]
    second_restated: int
    days_between: list[int]
    rows: int
    positives: int


# The second month's last word lacks some customers, who are back in the third, which is late.
FOUR_MONTHS = Arrivals(
    first=[3, 0, 1],
    first_restated=None,
    cut_off=2,
    refused_on=date(2024, 2, 15),
    second=[2],
    second_restated=1,
    days_between=[31, 29, 31],
    rows=2_000,
    positives=200,
)
# Three are late: the third, the sixth, the eighth. The ninth is set right; the fifth's last word
# lacks some customers, who are back in the sixth.
A_YEAR = Arrivals(
    first=[3, 0, 1, 9, 4, 6],
    first_restated=8,
    cut_off=5,
    refused_on=date(2024, 6, 15),
    second=[11, 7, 2, 8, 10, 5],
    second_restated=4,
    days_between=[31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30],
    rows=8_000,
    positives=1_000,
)


@dataclass(frozen=True)
class Year:
    """Published extracts, the months in order, and a session to ask them."""

    arrivals: Arrivals
    home: ChurnHome
    settings: Settings
    spark: SparkSession
    months: list[Path]

    def give(self, *paths: Path, on: date | None = None) -> None:
        """Load workbooks, each for the date in its name, or for another one."""
        for path in paths:
            day = on or date.fromisoformat(date_of(path))
            load(self.settings, self.spark, read_workbook(path), ExtractDate(day, "given"), ignore)

    def build(self, code: int = 0) -> None:
        self.home.churn("build", *WITHOUT_TESTS, code=code)

    def training_set(self) -> TrainingSet:
        return training_set(self.settings, self.spark, ignore)

    def rows(self, sql: str) -> pa.Table:
        return in_order(self.spark.sql(sql).toArrow())


def ignore(_: str) -> None:
    """Discard progress messages."""


def in_order(rows: pa.Table) -> pa.Table:
    return rows.sort_by([(key, "ascending") for key in KEYS])


@contextmanager
def zone(name: str) -> Iterator[None]:
    """Within, this machine's clocks are those of another place."""
    usual = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        del os.environ["TZ"]
        if usual is not None:
            os.environ["TZ"] = usual
        time.tzset()


def assert_equal(found: pa.Table, expected: pa.Table) -> None:
    """Every row, every value, and the types."""
    assert found.schema.names == expected.schema.names
    assert found.schema.types == expected.schema.types
    assert found.select(KEYS).equals(expected.select(KEYS))
    differing = {
        name: [
            (*key.values(), ours, theirs)
            for key, ours, theirs in zip(
                found.select(KEYS).to_pylist(),
                found[name].to_pylist(),
                expected[name].to_pylist(),
                strict=True,
            )
            if ours != theirs
        ]
        for name in found.schema.names
        if not found[name].equals(expected[name])
    }
    assert not differing, {name: rows[:3] for name, rows in differing.items()}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(FOUR_MONTHS, id="four_months"),
        pytest.param(A_YEAR, id="a_year", marks=pytest.mark.long),
    ],
)
def year(
    request: pytest.FixtureRequest,
    environments: Environments,
    months: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Year]:
    arrivals: Arrivals = request.param
    folder = tmp_path_factory.mktemp("workbooks")
    # the lake's path has a blank and a percent sign
    home = environments.new("a year of 100% ")
    home.churn("up")
    with spark_session.session(home.settings) as spark:
        published = months[: len(arrivals.days_between) + 1]
        made = Year(arrivals, home, home.settings, spark, published)
        made.give(*(months[place] for place in arrivals.first))
        if arrivals.first_restated is not None:
            made.give(restated(months[arrivals.first_restated], folder))
        made.give(cut_off(months[arrivals.cut_off], folder, rows=400), on=arrivals.refused_on)
        made.build(code=3)
        made.give(*(months[place] for place in arrivals.second))
        made.give(restated(months[arrivals.second_restated], folder))
        made.build()
        apply(home.settings, ignore)
        yield made
    home.end()


def test_labels_and_features_are_those_of_the_reference(year: Year) -> None:
    training = year.training_set()
    with zone(WEST):
        found = in_order(training.retrieve().toArrow())
    expected = year.rows(LABELLED)
    assert_equal(found, expected)
    print(f"{found.num_rows} rows of {found.num_columns} columns are equal")

    label = training.label
    arrivals, last = year.arrivals, date.fromisoformat(date_of(year.months[-1]))
    assert (label.kind, label.extracts) == ("observed", len(year.months))
    assert label.days_between == arrivals.days_between
    assert label.rows == found.num_rows > arrivals.rows
    assert label.positives == sum(found["churned"].to_pylist()) > arrivals.positives
    assert training.extract_date == last
    seen = {each.astimezone(UTC).date() for each in found["event_timestamp"].to_pylist()}
    assert seen == {date.fromisoformat(date_of(each)) for each in year.months[:-1]}
    assert arrivals.refused_on not in seen
    # all that can happen did: churned in the next one, gone from it, and back after that
    ways = query(
        year.spark,
        f"""
        select
            count_if(later.churned = 1) as churned,
            count_if(later.customer_id is null) as gone,
            count_if(later.customer_id is null and back.customer_id is not null) as back
        from gold.churn_labels as first
        left join gold.churn_labels as later
            on later.customer_id = first.customer_id
            and later.extract_date = add_months(first.extract_date, 1)
        left join gold.churn_labels as back
            on back.customer_id = first.customer_id
            and back.extract_date = add_months(first.extract_date, 2)
        where first.churned = 0 and first.extract_date < date '{last}'
        """,
    )[0]
    assert ways["churned"] + ways["gone"] == label.positives
    assert ways["back"] > 10


def test_an_extract_declared_to_be_of_others_is_not_learned_from(year: Year) -> None:
    """The second month, once its verdict says so: the pair is the first and the third then."""
    before, history = year.training_set(), read_publications(year.spark)
    declared = history[1]
    year.spark.sql(
        "insert into audit.gate_results (run_id, batch_id, extract_date, rule, severity, verdict, "
        "judged_at, verdict_number) select 'a test', batch_id, extract_date, 'customers_retained', "
        "'error', 'expected', current_timestamp(), 1000000 from gold.publications "
        f"where batch_id = '{declared.batch_id}'"
    ).collect()
    try:
        training = year.training_set()
        (left_out,) = training.label.left_out
        assert left_out.extracts == [declared.extract_date.isoformat()]
        assert declared.extract_date.isoformat() in training.label.reason
        assert training.label.days_between[0] == sum(year.arrivals.days_between[:2])
        assert declared.batch_id not in training.batches
        assert declared.batch_id in training.published
        assert training.signature != before.signature
        # and an alert where it came last
        seen = monitor(year.settings, year.spark, read_rules(), history[:2])
        assert seen is not None
        assert [each.watched for each in seen.alerts] == ["training"]
        # nor does it show who left of those foreseen
        assert "realised churn" not in {each.watched for each in seen.figures}
    finally:
        year.spark.sql("delete from audit.gate_results where run_id = 'a test'").collect()
    assert year.training_set().signature == before.signature


def test_a_pair_of_other_customers_is_told_by_its_figures(year: Year) -> None:
    """Their ids are others: everybody would be gone. The other pairs stay what they are."""
    history = read_publications(year.spark)
    labels = year.spark.table("gold.churn_labels")
    others = labels.selectExpr(
        f"if(extract_date = date '{history[1].extract_date}', concat('x', customer_id), "
        "customer_id) as customer_id",
        "event_timestamp",
        "churned",
    )
    pairs = read_pairs(others, list(pairwise(history)))
    assert [pair.retained for pair in pairs[:2]] == [0, 0]
    assert all(pair.positives == pair.rows > 500 for pair in pairs[:2])
    fit, left_out = select_plausible(pairs, read_pair_rules())
    assert fit == pairs[2:]
    assert [each.extracts for each in left_out] == [pair.dates for pair in pairs[:2]]
    assert all("of other customers" in each.reason for each in left_out)
    counted = count_labels(select_observed_rows(others, fit))
    assert (counted.rows, counted.positives) == (
        sum(pair.rows for pair in fit),
        sum(pair.positives for pair in fit),
    )
    first = year.training_set().label.days_between
    assert first == [pair.days for pair in pairs]


@pytest.mark.parametrize("place", ["UTC", WEST])
def test_at_any_moment_the_latest_extract_not_after_it_is_seen(year: Year, place: str) -> None:
    asked = year.spark.sql(ASKED)
    feature_store = open_store(year.settings)
    with zone(place), suppress_feast_output(), restore_regex_columns(year.spark):
        retrieved = feature_store.get_historical_features(
            entity_df=asked, features=feature_store.get_feature_service("churn")
        ).to_spark_df()
        found = in_order(retrieved.select(*KEYS, *FEATURES).toArrow())
    expected = in_order(year.spark.sql(KNOWN, asked=asked).toArrow())
    assert_equal(found, expected)
    unknown = found["tenure"].null_count
    print(f"{found.num_rows} moments, at {unknown} of them nothing was known")
    assert 0 < unknown < found.num_rows / 2


def test_no_customer_is_in_two_folds(year: Year) -> None:
    training = year.training_set()
    together = training.group_columns
    frame = training.retrieve()
    split = query(
        year.spark,
        f"""
        select max(folds) as folds, max(sides) as sides, max(extracts) as extracts
        from (
            select count(distinct {splits.fold(together, 42, 5)}) as folds,
                count(distinct is_holdout) as sides,
                count(*) as extracts
            from (select *, {splits.is_holdout(together, 42, 0.2)} as is_holdout from {{rows}})
            group by customer_id
        )
        """.replace("{rows}", view_of(year, frame)),
    )[0]
    assert (split["folds"], split["sides"], split["extracts"]) == (1, 1, len(year.months) - 1)


def view_of(year: Year, frame: Any) -> str:
    frame.createOrReplaceTempView("retrieved_rows")
    return "retrieved_rows"


@pytest.mark.long
@pytest.mark.parametrize("year", [A_YEAR], indirect=True, ids=["a_year"])
def test_a_restated_extract_changes_what_may_see_it_and_nothing_before(
    year: Year, tmp_path: Path
) -> None:
    """The marker: in the seventh month all bills are lower, and some customers are not there."""
    before = year.training_set()
    old = by_key(before.retrieve().toArrow())
    day, earlier = (date.fromisoformat(date_of(year.months[place])) for place in (6, 5))
    year.give(restated(year.months[6], tmp_path))
    year.build()
    after = year.training_set()
    retrieved = in_order(after.retrieve().toArrow())
    new = by_key(retrieved)
    assert_equal(retrieved, year.rows(LABELLED))
    assert after.signature != before.signature

    both = old.keys() & new.keys()
    features = {key for key in both if values(old[key]) != values(new[key])}
    assert features == {key for key in both if key[1] == day}
    bills = {
        round(old[key]["monthly_charges"] - new[key]["monthly_charges"], 2) for key in features
    }
    assert bills == {0.25}
    assert {key[1] for key in old.keys() ^ new.keys()} == {day}
    assert new.keys() <= old.keys()
    gone = {key[0] for key in old.keys() - new.keys()}
    labels = {key for key in both if old[key]["churned"] != new[key]["churned"]}
    assert {key[1] for key in labels} == {earlier}
    assert {key[0] for key in labels} <= gone
    assert all(new[key]["churned"] == 1 for key in labels)
    print(f"{len(features)} rows of {day} and {len(labels)} labels of {earlier} changed")


def test_the_next_extract_is_held_against_what_a_model_of_it_foresaw(year: Year) -> None:
    """Customers who stay as they are raise no alarm."""
    record = train_on(year.settings, year.training_set(), QUICK, ignore).record
    history = read_publications(year.spark)
    for each in history[-2:]:
        score(year.settings, year.spark, ignore, each)
    seen = monitor(year.settings, year.spark, read_rules(), history)
    assert seen is not None
    assert (seen.champion, seen.alerts) == (record.version, ())
    kinds = {each.watched.partition(":")[0] for each in seen.figures}
    assert kinds == {"feature", "scores", "realised churn"}


def by_key(rows: pa.Table) -> dict[tuple[str, date], dict[str, Any]]:
    return {
        (row["customer_id"], row["event_timestamp"].astimezone(UTC).date()): row
        for row in rows.to_pylist()
    }


def values(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in FEATURES}
