"""Readers that keep reading while extracts are refused, published and restated.

They read gold by SQL through both endpoints of the server, gold by Feast over the table, and the
online store by Feast. The expected rows are computed from the workbooks before anything is loaded.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from environments import ChurnHome, Environments
from feast import FeatureStore
from monthly import cut_off, date_of, restated, tables_only
from pyhive import hive
from reference import truth_of

from feature_repo.feature_definitions import read_feature_columns
from feature_repo.feature_store import configuration
from lakehouse import online_store, spark_session
from lakehouse.settings import Settings
from lakehouse.spark_credentials import read_password
from lakehouse.sql import query

# The pause between two reads. Without one, four readers use most of a small machine.
PAUSE_SECONDS = 0.05
EASY_PAUSE_SECONDS = 2.5
SAMPLE = 50
# The published states in order; a reader may see the next one early, never an earlier one again.
STAGES = ["before", "published", "restated"]

Row = dict[str, Any]
# Reads once and returns the stages that the rows match; raises AssertionError on wrong rows.
Look = Callable[[], set[str]]


class ReadError(Exception):
    """A reader saw rows that no reader may see."""


class Plan:
    """The three extracts: the published one, the next one, and that one restated."""

    def __init__(self, first: Path, second: Path, folder: Path) -> None:
        self.paths = {
            "before": first,
            # given otherwise first, then as it is: the restatement has more customers
            "published": restated(second, folder),
            "restated": second,
        }
        self.dates = [date.fromisoformat(date_of(path)) for path in (first, second)]
        self.rows = {stage: rows_by_customer(path) for stage, path in self.paths.items()}
        everywhere = sorted(set.intersection(*(set(rows) for rows in self.rows.values())))
        anywhere = set.union(*(set(rows) for rows in self.rows.values()))
        rng = random.Random(11)
        self.sample = rng.sample(everywhere, SAMPLE)
        # customers who leave, join, or are on the restatement only
        self.others = rng.sample(sorted(anywhere - set(everywhere)), 10)

    def expected(self, stage: str, customer: str) -> Row | None:
        return self.rows[stage].get(customer)


def rows_by_customer(path: Path) -> dict[str, Row]:
    truth = truth_of(path)
    return {customer: truth.customer(rows[0]) for customer, rows in truth.standing.items()}


class Reader(threading.Thread):
    """Read after every pause, or as often as possible; record the stages seen and the errors."""

    def __init__(
        self,
        name: str,
        look: Callable[[Plan, Settings], Any],
        plan: Plan,
        home: ChurnHome,
        pause: float,
    ):
        super().__init__(name=name, daemon=True)
        self._pause = pause
        self._open = look
        self._plan = plan
        self._settings = home.settings
        self._ended = threading.Event()
        self.reads = 0
        self.seen: Counter[str] = Counter()
        self.faults: list[str] = []

    def run(self) -> None:
        try:
            with self._open(self._plan, self._settings) as look:
                while not self._ended.is_set():
                    started = time.monotonic()
                    self._read(look)
                    self._ended.wait(max(0.0, started + self._pause - time.monotonic()))
        except Exception as fault:
            self.faults.append(f"{self.name} could not go on reading: {fault!r}")

    def _read(self, look: Look) -> None:
        latest = max((STAGES.index(stage) for stage in self.seen), default=0)
        try:
            stages = look()
            self.reads += 1
            possible = [stage for stage in STAGES[latest:] if stage in stages]
            if not possible:
                raise ReadError(f"{sorted(stages)} after {STAGES[latest]}")
            # of stages that can't be told apart, the one that needs no change
            self.seen[possible[0]] += 1
        except Exception as fault:
            self.faults.append(f"{self.name}, {datetime.now(UTC):%H:%M:%S.%f}: {fault!r}"[:1500])

    def stop(self) -> None:
        self._ended.set()
        self.join(timeout=120)
        assert not self.is_alive(), f"{self.name} hangs"


# --- what readers look at -------------------------------------------------------------------------


@contextmanager
def whole_partitions(  # long: one look at all partitions
    plan: Plan, settings: Settings
) -> Iterator[Look]:
    """Both gold tables, and the view of pairs, by SQL through Spark Connect: counts and a sum of
    each date. Pairs are of one load, or there are none while the tables are of two."""
    statement = """
        select 'features' as what, extract_date, count(*) as n,
            count(distinct customer_id) as customers, count(distinct created_timestamp) as loads,
            round(sum(monthly_charges), 2) as total
        from gold.customer_features where extract_date in ({dates}) group by extract_date
        union all
        select 'labels', extract_date, count(*), count(distinct customer_id),
            count(distinct created_timestamp), cast(sum(churned) as double)
        from gold.churn_labels where extract_date in ({dates}) group by extract_date
        union all
        select 'pairs', extract_date, count(*), count(distinct customer_id),
            count(distinct created_timestamp), round(sum(monthly_charges) + sum(churned), 2)
        from gold.features_with_labels where extract_date in ({dates}) group by extract_date
    """.format(dates=", ".join(f"date '{each}'" for each in plan.dates))
    columns = {"features": ["monthly_charges"], "labels": ["churned"]}
    pairs = [name for names in columns.values() for name in names]
    figures = {
        (what, stage): (
            len(rows),
            len(rows),
            1,
            pytest.approx(sum(row[name] for row in rows.values() for name in names), abs=0.02),
        )
        for what, names in {**columns, "pairs": pairs}.items()
        for stage, rows in plan.rows.items()
    }
    with spark_session.session(settings) as spark:

        def look() -> set[str]:
            seen: dict[tuple[str, date], tuple[Any, ...]] = {}
            for row in query(spark, statement):
                key = (row["what"], row["extract_date"])
                seen[key] = (row["n"], row["customers"], row["loads"], row["total"])
            stages = {
                what: {
                    stage
                    for stage in STAGES
                    if seen.get((what, plan.dates[0])) == figures[what, "before"]
                    and seen.get((what, plan.dates[1]))
                    == (None if stage == "before" else figures[what, stage])
                }
                for what in columns
            }
            if not all(stages.values()):
                raise ReadError(f"partitions {seen}, but they are {figures}")
            found = [seen.get(("pairs", each)) for each in plan.dates]
            if found[0] != figures["pairs", "before"] or found[1] not in (
                None,
                figures["pairs", "published"],
                figures["pairs", "restated"],
            ):
                raise ReadError(f"pairs {found}, but they are {figures}")
            # the two tables change one after the other, and no further apart
            if stages["features"] & stages["labels"]:
                return stages["features"] & stages["labels"]
            both = sorted(STAGES.index(stage) for each in stages.values() for stage in each)
            if both[-1] - both[0] > 1:
                raise ReadError(f"features and labels are of extracts far apart: {stages}")
            return {STAGES[both[0]]}

        yield look


@contextmanager
def whole_customers(plan: Plan, settings: Settings) -> Iterator[Look]:
    """The rows of a sample of customers by SQL through Thrift."""
    names = ", ".join(f"'{each}'" for each in plan.sample)
    statement = f"""
        select * from gold.customer_features
        where customer_id in ({names})
            and extract_date in ({", ".join(f"date '{each}'" for each in plan.dates)})
    """
    features = [feature.name for feature in read_feature_columns()]
    login = {"username": "reader", "auth": "CUSTOM", "password": read_password(settings)}
    with hive.connect(host="127.0.0.1", port=settings.thrift_port, **login) as connection:

        def look() -> set[str]:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                columns = [each[0].split(".")[-1] for each in cursor.description]
                rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
            of_date: dict[str, dict[str, Row]] = {}
            for row in rows:
                day = of_date.setdefault(str(row["extract_date"]), {})
                if row["customer_id"] in day:
                    raise ReadError(f"{row['customer_id']} stands twice on {row['extract_date']}")
                day[row["customer_id"]] = row
            first, second = (of_date.get(str(each), {}) for each in plan.dates)
            if stages_of(plan, features, first, ["before"]) != {"before"}:
                raise ReadError(f"of {len(plan.sample)} customers {len(first)} on {plan.dates[0]}")
            return stages_of(plan, features, second, STAGES[1:]) if second else {"before"}

        yield look


@contextmanager
def point_in_time(plan: Plan, settings: Settings) -> Iterator[Look]:
    """The latest features of the sample by Feast over the table, as a training set gets them."""
    features = [feature.name for feature in read_feature_columns()]
    moment = datetime.combine(plan.dates[1] + timedelta(days=1), datetime.min.time(), UTC)
    entities = pd.DataFrame({"customer_id": plan.sample, "event_timestamp": moment})
    address = online_store.ensure_running(settings, lambda _: None)
    store = FeatureStore(config=configuration(settings, address))
    # Feast takes the session that is active
    with spark_session.session(settings):

        def look() -> set[str]:
            frame = store.get_historical_features(
                entity_df=entities, features=store.get_feature_service("churn")
            ).to_df()
            rows = {row["customer_id"]: row for row in frame.to_dict("records")}
            if len(frame) != len(rows):
                raise ReadError(f"{len(frame)} rows for {len(rows)} customers")
            return stages_of(plan, features, rows, STAGES)

        yield look


@contextmanager
def online(plan: Plan, settings: Settings) -> Iterator[Look]:
    """The sample in the online store. One customer at a time changes, all features at once."""
    features = [feature.name for feature in read_feature_columns()]
    customers = [*plan.sample, *plan.others]
    address = online_store.ensure_running(settings, lambda _: None)
    store = FeatureStore(config=configuration(settings, address))
    service = store.get_feature_service("churn")
    latest = dict.fromkeys(customers, 0)

    def look() -> set[str]:
        answer = store.get_online_features(
            features=service, entity_rows=[{"customer_id": each} for each in customers]
        ).to_dict()
        possible: dict[str, list[int]] = {}
        for place, customer in enumerate(answer["customer_id"]):
            seen = {name: answer[name][place] for name in features}
            possible[customer] = [
                number
                for number, stage in enumerate(STAGES)
                if number >= latest[customer]
                and seen == wanted(plan.expected(stage, customer), features)
            ]
            if not possible[customer]:
                raise ReadError(
                    f"{customer} is online with {seen}, after {STAGES[latest[customer]]}"
                )
            latest[customer] = possible[customer][0]
        # all of one extract, or while it is written of two that follow each other
        furthest = max(numbers[0] for numbers in possible.values())
        late = {
            customer: numbers
            for customer, numbers in possible.items()
            if not {furthest, furthest - 1} & set(numbers)
        }
        if late:
            raise ReadError(f"beside {STAGES[furthest]} there are {late}")
        return {STAGES[furthest]}

    yield look


def wanted(row: Row | None, features: list[str]) -> Row:
    """What the online store answers for a customer: nulls for one who is not there."""
    return {name: row[name] if row else None for name in features}


def stages_of(plan: Plan, features: list[str], rows: dict[str, Row], stages: list[str]) -> set[str]:
    """The stages of which all rows of the sample are, every feature of them."""
    if set(rows) != set(plan.sample):
        raise ReadError(f"{len(rows)} of {len(plan.sample)} customers")
    found = {
        stage
        for stage in stages
        if all(
            rows[customer][name] == plan.rows[stage][customer][name]
            for customer in plan.sample
            for name in features
        )
    }
    if not found:
        raise ReadError(f"rows of no extract or of several, for one {rows[plan.sample[0]]}")
    return found


# --- tests ----------------------------------------------------------------------------------------

LOOKS = {
    "SQL over Connect": whole_partitions,
    "SQL over Thrift": whole_customers,
    "Feast over the table": point_in_time,
    "Feast online": online,
}
# Below this a reader at the full pace has not really looked; the machine may be slow.
FEWEST_READS = {
    "SQL over Connect": 50,
    "SQL over Thrift": 50,
    "Feast over the table": 5,
    "Feast online": 300,
}


def prepared(home: ChurnHome, months: list[Path], folder: Path) -> Plan:
    """The first extract stands in gold and online."""
    tables_only(home, months[0])
    home.churn("features", "materialize")
    return Plan(months[0], months[1], folder)


def read_through(
    home: ChurnHome,
    plan: Plan,
    give: Callable[[Path, int], None],
    pause: float,
    refused: Path | None = None,
    stages: Sequence[str] = STAGES[1:],
) -> None:
    """The extracts of `stages` one after the other, with the readers at work all the time.

    `refused`: a workbook that is given before, and changes nothing for them.
    """
    readers = [Reader(name, look, plan, home, pause) for name, look in LOOKS.items()]
    for reader in readers:
        reader.start()
    try:
        wait_for_a_read(readers, "before")
        if refused is not None:
            give(refused, 3)
        assert {stage for reader in readers for stage in reader.seen} == {"before"}
        for stage in stages:
            give(plan.paths[stage], 0)
            wait_for_a_read(readers, stage)
    finally:
        for reader in readers:
            reader.stop()
        for reader in readers:
            print(
                f"{reader.name}: {reader.reads} reads, {len(reader.faults)} faults, "
                f"{dict(reader.seen)}"
            )
    faults = [fault for reader in readers for fault in reader.faults]
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:10])
    for reader in readers:
        assert reader.reads >= FEWEST_READS[reader.name] * PAUSE_SECONDS / pause, reader.name
        assert set(reader.seen) == {"before", *stages}, reader.name


def wait_for_a_read(readers: list[Reader], stage: str) -> None:
    """Until every reader has seen the stage; one that can't has faults to tell of."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if all(reader.seen[stage] or not reader.is_alive() for reader in readers):
            return
        time.sleep(0.1)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_readers_never_see_half_an_extract(
    extracts_home: ChurnHome, months: list[Path], tmp_path: Path
) -> None:
    """The steps that write gold and the online store, for one extract; the long test does all."""
    plan = prepared(extracts_home, months[:2], tmp_path)

    def give(path: Path, code: int) -> None:
        tables_only(extracts_home, path, extract_date=plan.dates[1].isoformat())
        extracts_home.churn("features", "materialize")

    read_through(extracts_home, plan, give, EASY_PAUSE_SECONDS, stages=["published"])


@pytest.mark.long
def test_a_training_set_is_of_one_state_of_gold(
    extracts_home: ChurnHome, months: list[Path], tmp_path: Path
) -> None:
    """Asked for before a date is switched to other files, and fetched afterwards."""
    plan = prepared(extracts_home, months[:2], tmp_path)
    settings, day = extracts_home.settings, plan.dates[0]
    switch = f"alter table gold.customer_features partition (extract_date = '{day}') set location"
    moment = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
    entities = pd.DataFrame({"customer_id": plan.sample, "event_timestamp": moment})
    address = online_store.ensure_running(settings, lambda _: None)
    store = FeatureStore(config=configuration(settings, address))
    with spark_session.session(settings) as spark:
        published = spark.table("gold.customer_features").where(f"extract_date = '{day}'")
        (file,) = published.selectExpr("_metadata.file_path").distinct().toArrow()["file_path"]
        location = str(file).rpartition("/")[0]
        others = published.drop("extract_date").selectExpr(
            "* except (tenure)", "tenure + 1 as tenure"
        )
        others.write.parquet(str(tmp_path / "others"))
        job = store.get_historical_features(
            entity_df=entities, features=store.get_feature_service("churn")
        )
        spark.sql(f"{switch} 'file:{tmp_path}/others'")
        try:
            seen = job.to_df().set_index("customer_id")["tenure"].to_dict()
        finally:
            spark.sql(f"{switch} '{location}'")
    assert seen == {each: plan.rows["before"][each]["tenure"] for each in plan.sample}


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_readers_never_see_half_an_extract_through_whole_runs(
    environments: Environments, months: list[Path], tmp_path: Path
) -> None:
    home = environments.new("readers")
    home.churn("run", months[0], "--extract-date", date_of(months[0]))
    plan = prepared(home, months[:2], tmp_path)

    def give(path: Path, code: int) -> None:
        home.churn("run", path, "--extract-date", plan.dates[1].isoformat(), code=code)

    broken = cut_off(plan.paths["restated"], tmp_path, rows=400)
    read_through(home, plan, give, PAUSE_SECONDS, refused=broken)
    home.churn("down")
