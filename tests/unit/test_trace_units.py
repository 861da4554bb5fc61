"""Parts of a trace that need no server: versions of tables, rules of cells, who may ask."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from churn.provenance.as_of import compose_traced
from churn.provenance.compiled_sql import read_constant
from churn.provenance.trace_rules import find_changes, find_standardised_cells
from churn.reports.trace_page import _contribution_bars
from lakehouse import sequences
from lakehouse.table_history import Commit, TableHistory
from seeds_loader.contract import Column, Contract, read_contract

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
JANUARY, FEBRUARY = date(2025, 1, 31), date(2025, 2, 28)


def commit(version: int, writes: bool = True, replaced: str = "") -> Commit:
    return Commit(version, BEGIN + timedelta(days=version), writes, replaced)


HISTORY = TableHistory(
    "silver.customers",
    [
        commit(3),
        commit(4, replaced="(extract_date = DATE '2025-02-28')"),
        commit(5, writes=False),
        commit(6, replaced="(extract_date = DATE '2025-01-31')"),
    ],
)


def test_what_a_run_wrote_last_stands_after_it_whatever_the_clock_said() -> None:
    """The clock was a day ahead when the first of the two wrote, and was set back."""
    ahead = Commit(1, BEGIN + timedelta(days=1), True, "", "first")
    back = Commit(2, BEGIN, True, "", "second")
    history = TableHistory("silver.customers", [ahead, back])
    assert history.version_at(BEGIN + timedelta(days=1), "first") == 1
    assert history.version_at(BEGIN + timedelta(minutes=5), "second") == 2
    # A run that wrote nothing there has only its time.
    assert history.version_at(BEGIN + timedelta(days=2), "third") == 2


@pytest.mark.parametrize("sequence", sequences.ALL)
def test_rows_of_a_moment_go_by_their_number_and_old_ones_by_their_time(
    sequence: sequences.Sequence,
) -> None:
    def row(number: int | None, days: int) -> dict[str, Any]:
        return {sequence.number: number, sequence.time: BEGIN + timedelta(days=days)}

    then = {sequence.number: 3}
    assert sequence.is_included(row(3, 9), then, BEGIN)
    assert not sequence.is_included(row(4, -9), then, BEGIN)
    assert sequence.is_included(row(None, 9), then, BEGIN)
    assert sequence.is_included(row(7, -1), {}, BEGIN)
    assert not sequence.is_included(row(7, 1), {}, BEGIN)


def test_a_version_stands_until_the_next_and_forgotten_ones_are_none() -> None:
    assert HISTORY.version_at(BEGIN + timedelta(days=5, hours=1)) == 5
    assert HISTORY.version_at(BEGIN + timedelta(days=5)) == 5
    assert HISTORY.version_at(BEGIN + timedelta(days=2)) is None
    assert HISTORY.latest == 6
    nothing = TableHistory("silver.customers", [])
    assert nothing.version_at(BEGIN) is nothing.latest is None


def test_what_stands_is_read_plainly() -> None:
    assert HISTORY.as_of_clause(6) == "silver.customers"
    assert HISTORY.as_of_clause(4) == "silver.customers version as of 4"


def test_the_version_that_wrote_something_is_found() -> None:
    assert HISTORY.last_write_of_extract(JANUARY) == 6
    assert HISTORY.last_write_of_extract(FEBRUARY) == 4
    # of before the second writing of January only the table's creation is left
    assert HISTORY.last_write_of_extract(JANUARY, until=5) == 3
    assert HISTORY.last_write_of_extract(FEBRUARY, until=2) is None
    assert HISTORY.first_write_after(BEGIN + timedelta(days=4, hours=1)) == 6
    assert HISTORY.first_write_after(BEGIN + timedelta(days=7)) is None
    assert HISTORY.last_write_between(BEGIN + timedelta(days=3), BEGIN + timedelta(days=6)) == 4
    assert HISTORY.last_write_between(BEGIN + timedelta(days=3), None) == 6


def test_each_rule_that_changed_a_cell_is_named() -> None:
    contract = read_contract()
    cells: dict[str, str | None] = {column.name: "No" for column in contract.columns}
    silver: dict[str, object] = {column.silver: "No" for column in contract.columns}
    silver |= {column.silver: 0 for column in contract.columns if column.type == "flag"}
    told = {
        "customerID": (" A ", "A", ["trimmed"]),
        "gender": ("\u00a0FEMALE", "Female", ["trimmed", "spelled"]),
        "Contract": ("One year", "One year", []),
        "Partner": (" yes", 1, ["trimmed", "coded"]),
        "tenure": ("0", 0, []),
        "MonthlyCharges": ("50.250", 50.25, ["number"]),
        "TotalCharges": (" ", 0.0, ["blank_is_zero"]),
    }
    names = {column.name: column.silver for column in contract.columns}
    for name, (cell, value, _) in told.items():
        cells[name], silver[names[name]] = cell, value
    found = {
        each["column"]: each["rules"] for each in find_standardised_cells(cells, silver, contract)
    }
    assert {name: found.get(name, []) for name in told} == {
        name: rules for name, (_, _, rules) in told.items()
    }
    plain = (column.name for column in contract.columns if column.type == "category")
    assert not [name for name in plain if name in found and name != "gender"]


def test_a_declared_blank_and_a_date_are_named() -> None:
    contract = Contract(
        (
            Column("Plan", "category", "plan", categories=("A", "None"), blank_as="None"),
            Column("Joined", "days_since", "days_since_joined", range=(0, 9999)),
        )
    )
    cells = {"Plan": " ", "Joined": "2024-03-01"}
    silver = {"plan": "None", "days_since_joined": 31}
    found = {
        each["column"]: each["rules"] for each in find_standardised_cells(cells, silver, contract)
    }
    assert found == {"Plan": ["blank_is_declared"], "Joined": ["days_since"]}


def test_changes_are_told_from_one_extract_to_the_next() -> None:
    assert find_changes({"a": 1, "b": 2}, {"a": 1, "b": 3}) == {"b": {"before": 2, "after": 3}}
    assert find_changes(None, {"a": 1}) == find_changes({"a": 1}, None) == {}


def test_the_models_are_chained_with_their_tables_replaced() -> None:
    models = {
        "rejected_rows": "select * from bronze.telco_customers join silver.pending_loads "
        "where note = '\u00a0 silver.customers'  -- of silver.customers",
        "customers": "select customers.id from silver.rejected_rows as customers",
    }
    sql = compose_traced(models, "customers", {"batches": ["it's"], "row_numbers": [2, 3]})
    assert "select * from composed_rows join composed_loads" in sql
    assert "select customers.id from composed_rejected_rows as customers" in sql
    assert r"_batch_id in ('it\'s') and _row_number in (2, 3)" in sql
    assert "'\u00a0 silver.customers'  -- of silver.customers" in sql, "neither texts nor comments"
    assert read_constant("select 'a' as version, now() as b from silver.t", "version") == "a"


def test_the_bars_of_a_score_go_from_the_average_customer_to_the_sum() -> None:
    contributions = [
        {"text": "fiber", "contribution": 0.5},
        {"text": "customer for 30 months", "contribution": -0.25},
    ]
    explanation = {"baseline": -1.0, "contributions": contributions, "log_odds": -0.75}
    bars = list(_contribution_bars({**explanation, "probability": 0.321}))
    assert [bar["value"] for bar in bars] == ["-1.00", "+0.50", "-0.25", "-0.75"]
    assert bars[0]["text"] == "the average customer"
    assert bars[-1]["text"] == "in all, which is 32.1%"
    # The strongest takes one half of the line; what lowers the risk ends in its middle.
    assert (bars[1]["left"], bars[1]["length"]) == (50, 50)
    assert (bars[2]["left"], bars[2]["length"]) == (25, 25)
    assert list(_contribution_bars(None)) == []
