"""The gate's log says how people read a rule, and one of the previous version goes on."""

from pathlib import Path
from typing import Any

from environments import ChurnHome
from monthly import WITHOUT_TESTS, cut_off, date_of, tables_only

from churn.pipeline.rule_texts import format_rule
from churn.provenance.load_state import RULE_COLUMNS, gate_results
from churn.reports.front_page_data import gather
from lakehouse import spark_session
from lakehouse.domain import read_domain

MEANING = read_domain().variables["gate_rules"]["minimum_customers"]["description"]


def as_the_previous_version_left_it(home: ChurnHome) -> None:
    rows = f"select * except ({', '.join(RULE_COLUMNS)}) from audit.gate_results"
    home.sql(f"create or replace table audit.gate_results using delta as {rows}")


def results(home: ChurnHome, extract_date: str) -> dict[str, dict[str, Any]]:
    """What readers find of the date's load, by rule."""
    load = f"select batch_id from bronze.loads where extract_date = '{extract_date}'"
    with spark_session.session(home.settings) as spark:
        return {result["rule"]: result for result in gate_results(spark, home.value(load))}


def assert_read_without_the_columns(home: ChurnHome, extract_date: str) -> None:
    """Readers fall back to the bare figure."""
    old = results(home, extract_date)
    assert {old[rule][column] for rule in old for column in RULE_COLUMNS} == {None}
    assert format_rule(old["minimum_customers"]) == "minimum_customers: 1100 against 1000"
    with spark_session.session(home.settings) as spark:
        extracts = gather(home.settings, spark).extracts
    (extract,) = (each for each in extracts if str(each.extract_date) == extract_date)
    assert extract.drift_bounds == (0.1, 0.25)


def test_a_log_of_the_previous_version_gets_the_columns_and_keeps_its_rows(
    shared_home: ChurnHome, months: list[Path], tmp_path: Path
) -> None:
    home = shared_home
    tables_only(home, months[0])
    first, second = date_of(months[0]), date_of(months[1])
    assert results(home, first)["minimum_customers"]["description"] == MEANING
    as_the_previous_version_left_it(home)
    assert_read_without_the_columns(home, first)

    part = cut_off(months[1], tmp_path, rows=500)
    home.churn("ingest", part, "--extract-date", second)
    answer = home.churn("build", *WITHOUT_TESTS, code=3)
    assert f"minimum_customers: 500 against 1000. {MEANING}" in answer.stdout + answer.stderr
    new = results(home, second)
    read = {rule: [new[rule][column] for column in RULE_COLUMNS] for rule in new}
    assert read["minimum_customers"] == [MEANING, "at least", "customers"]
    assert read["reject_share_below_limit"][1:] == ["at most", "share"]
    meaning = "Population stability index of tenure against the baseline."
    assert read["drift_of_tenure"] == [meaning, "at most", "index"]
    assert all(None not in columns for columns in read.values())
    assert {each["description"] for each in results(home, first).values()} == {None}
