"""Several loads in one build: each that is refused is named, whatever passes beside it.

The workbooks of the field; `make test` has the same with drawn sheets (test_rules.py).
"""

import json
from datetime import date
from pathlib import Path

import pytest
from environments import ChurnHome, Environments
from monthly import WITHOUT_TESTS

from lakehouse import spark_session
from seeds_loader.extract_date import ExtractDate
from seeds_loader.load import load
from seeds_loader.reader.sandbox import read_workbook

IDENTITY = ["customers_retained", "new_customers_bounded"]
# Drawn customers whose amounts have a decimal comma, the same customers as they should be, and
# others, whose ids are numbers.
BAD, GOOD = "19-refused-beside-passed/bad.xlsx", "19-refused-beside-passed/good.xlsx"
TEXT_IDS, NUMBER_IDS = "09-ids/id_text_zeros_m1.xlsx", "09-ids/id_number_m2.xlsx"
LOADS = {
    BAD: date(2024, 1, 1),
    GOOD: date(2024, 2, 1),
    TEXT_IDS: date(2024, 3, 1),
    NUMBER_IDS: date(2024, 3, 2),
}


def days_in_gold(home: ChurnHome) -> set[date]:
    days = home.sql("select distinct extract_date from gold.customer_features")
    return {row["extract_date"] for row in days}


@pytest.fixture(scope="module")
def pending(environments: Environments, shared_data: Path) -> ChurnHome:
    """A home in which the loads wait for a build, in an order that is not theirs."""
    home, cases = environments.new("refusals"), shared_data.parent / "cases"
    home.churn("up")
    with spark_session.session(home.settings) as spark:
        for name in (GOOD, NUMBER_IDS, BAD, TEXT_IDS):
            given = ExtractDate(LOADS[name], "given")
            extract = read_workbook(cases / name, tolerant=True)
            load(home.settings, spark, extract, given, lambda _: None)
    return home


@pytest.mark.long
def test_a_build_names_every_load_that_it_refused(pending: ChurnHome) -> None:
    """Those of other customers are refused too: leading zeros kept or lost, none is known."""
    said = pending.churn("build", code=3).stderr
    refused = {line.strip() for line in said.splitlines() if "extract of 2024" in line}
    names = {name: f"{Path(name).name}, extract of {day}:" for name, day in LOADS.items()}
    assert {names[each] for each in (BAD, TEXT_IDS, NUMBER_IDS)} <= refused
    assert names[GOOD] not in said
    assert "reject_share_below_limit: 1 against 0.05" in said
    for rule in IDENTITY:
        assert f"{rule}: {0 if rule == 'customers_retained' else 1} against" in said
    # what to do where they really are others
    assert f'{{extract_date: "2024-03-02", rules: [{", ".join(IDENTITY)}]' in said
    assert days_in_gold(pending) == {LOADS[GOOD]}


@pytest.mark.long
def test_declared_other_customers_are_published_and_others_are_not(pending: ChurnHome) -> None:
    """The second of the two is compared with the first then, and has none of its ids."""
    change = {"extract_date": "2024-03-01", "rules": IDENTITY, "reason": "another operator"}
    said = pending.churn(
        "build", *WITHOUT_TESTS, "--vars", json.dumps({"expected_changes": [change]}), code=3
    ).stderr
    assert Path(TEXT_IDS).name not in said
    assert "customers_retained: 0 against 0.1, compared with the extract of 2024-03-01" in said
    assert days_in_gold(pending) == {LOADS[GOOD], LOADS[TEXT_IDS]}
    expected = pending.sql(
        "select rule, figure from audit.gate_results "
        "where extract_date = '2024-03-01' and verdict = 'expected' and rule like '%customers%'"
    )
    assert {row["rule"]: row["figure"] for row in expected} == dict(
        zip(IDENTITY, (0, 1), strict=True)
    )
