"""Loads, verdicts and publications keep their order when the clock is set back.

Once by the times that rows have, in a lake that begins as an earlier version left it, and once by
the clock itself, as all processes see it.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from environments import ChurnHome, Environments
from monthly import WITHOUT_TESTS, restated, tables_only

from feature_repo.publications import read_publications
from lakehouse import spark_session
from lakehouse.metastore_snapshot import list_tables
from seeds_loader.bronze_reader import read_loads

DAY = "2023-01-31"
# Tables with a number, and the times of a load in them.
NUMBERED = {
    "bronze.loads": ("load_number", ["_loaded_at"]),
    "audit.gate_results": ("verdict_number", ["judged_at", "candidates_built_at"]),
    "gold.publications": ("publication_number", ["published_at"]),
}
REPLACED = [
    *("silver.open_loads", "silver.faulty_rows"),
    *("audit.load_figures", "audit.possible_judgements"),
]
VERDICTS = """
    select loads.source_file, verdicts.verdict
    from bronze.loads inner join audit.load_verdicts as verdicts using (batch_id)
    where loads.extract_date = '{day}' order by loads.load_number, loads._loaded_at
"""
LATEST_IN_GOLD = f"""
    select max(publication_number) from gold.publications where extract_date = '{DAY}'
"""


def as_an_earlier_version_left_it(home: ChurnHome) -> None:
    """The tables without their numbers, and those that this version has replaced."""
    for table in REPLACED:
        home.sql(f"create table {table} (batch_id string) using delta")
    home.sql("create view audit.compared_loads as select * from audit.possible_judgements")
    for table, (number, _) in NUMBERED.items():
        rows = f"select * except ({number}) from {table}"
        home.sql(f"create or replace table {table} using delta as {rows}")


def written_by_a_clock_that_was_ahead(home: ChurnHome) -> None:
    """The times of the day's loads so far, a day later."""
    for table, (_, times) in NUMBERED.items():
        later = ", ".join(f"{each} = {each} + interval 1 day" for each in times)
        home.sql(f"update {table} set {later} where extract_date = '{DAY}'")


def in_gold(home: ChurnHome) -> set[Any]:
    """The loads that stand for the day in what readers ask, each in its own way."""
    with spark_session.session(home.settings) as spark:
        (published,) = (each for each in read_publications(spark) if str(each.extract_date) == DAY)
    written = home.churn_json("history", "gold.customer_features")["written"]
    (told,) = (each for each in written if each["extract_date"] == DAY and each["in_gold"])
    loads = home.sql(f"""
        select distinct batch_id from gold.publications
        inner join gold.features_with_labels using (extract_date, created_timestamp)
        where extract_date = '{DAY}'
    """)
    return {published.batch_id, told["batch_id"], *(load["batch_id"] for load in loads)}


def pairs(home: ChurnHome) -> dict[str, Any]:
    """What a reader of features and labels finds for the day."""
    (found,) = home.sql(f"""
        select count(*) as customers, count(distinct created_timestamp) as loads,
            round(sum(monthly_charges), 2) as charges, sum(churned) as churned
        from gold.features_with_labels where extract_date = '{DAY}'
    """)
    return found


def test_a_clock_set_back_changes_neither_order_nor_pairs(
    extracts_home: ChurnHome, months: list[Path], tmp_path: Path
) -> None:
    """One restated date, starting with an earlier version's tables: its publish is interrupted
    between features and labels, the next build completes it, then all loads are evaluated again."""
    first, second = restated(months[0], tmp_path), months[0]
    tables_only(extracts_home, first, extract_date=DAY)
    as_an_earlier_version_left_it(extracts_home)
    written_by_a_clock_that_was_ahead(extracts_home)
    before = pairs(extracts_home)
    assert len(in_gold(extracts_home)) == 1

    extracts_home.churn("ingest", second, "--extract-date", DAY)
    extracts_home.churn("build", *WITHOUT_TESTS, "--exclude", "churn_labels", "publications")
    with spark_session.session(extracts_home.settings) as spark:
        assert not {*REPLACED, "audit.compared_loads"} & set(list_tables(spark))
    # Features of one load, labels of the other: no pair of them is right.
    assert before["customers"] > 0 and pairs(extracts_home)["customers"] == 0
    extracts_home.churn("build", *WITHOUT_TESTS)
    whole = pairs(extracts_home)
    assert whole["loads"] == 1 and whole["customers"] > before["customers"]
    assert [row["verdict"] for row in extracts_home.sql(VERDICTS.format(day=DAY))] == [
        "superseded",
        "passed",
    ]
    assert len(in_gold(extracts_home)) == 1
    with spark_session.session(extracts_home.settings) as spark:
        of_day = [each for each in read_loads(spark) if str(each.extract_date) == DAY]
    assert [each.source_file for each in of_day] == [first.name, second.name]
    assert in_gold(extracts_home) == {of_day[-1].batch_id}

    written_by_a_clock_that_was_ahead(extracts_home)
    published = (
        f"select max(publication_number) from gold.publications where extract_date = '{DAY}'"
    )
    earlier = extracts_home.value(published)
    extracts_home.churn("build", "--rebuild", *WITHOUT_TESTS)
    assert extracts_home.value(published) == earlier + 1
    assert extracts_home.sql(VERDICTS.format(day=DAY))[-1]["verdict"] == "passed"
    assert pairs(extracts_home) == whole


LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.mark.long
@pytest.mark.skipif(LIBRARY is None, reason="the package faketime is not installed")
@pytest.mark.timeout(1800)
def test_a_clock_that_jumps_changes_nothing(
    environments: Environments, months: list[Path], tmp_path: Path
) -> None:
    """A day ahead, two back, and on: for the commands and for the server that writes the times."""
    clock = tmp_path / "clock"
    jumps = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    plain = environments.new("clock")
    home = replace(plain, environ=plain.environ | jumps)
    versions = [months[0], restated(months[0], tmp_path)]
    offered = []
    for number, offset in enumerate(("+0", "+1d", "-1d", "+3d", "-2d")):
        clock.write_text(offset)
        offered.append(versions[number % 2].name)
        tables_only(home, versions[number % 2], extract_date=DAY)
        rows = home.sql(VERDICTS.format(day=DAY))
        assert [row["source_file"] for row in rows] == offered
        assert [row["verdict"] for row in rows] == ["superseded"] * number + ["passed"]
        assert len(in_gold(home)) == 1
        assert pairs(home)["loads"] == 1
        home.churn("build", "--rebuild", *WITHOUT_TESTS)
        assert home.value(LATEST_IN_GOLD) == 2 * (number + 1)
    # The clock did jump: what was judged last is not what has the latest time.
    last = "max_by(judged_at, verdict_number)"
    assert home.value(f"select {last} < max(judged_at) from audit.gate_results")
