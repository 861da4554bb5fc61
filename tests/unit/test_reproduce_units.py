"""What `churn reproduce` decides without servers."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from churn.provenance.compare_rebuild import compare_tables, iterate_metrics
from churn.provenance.reproduce import group_loads
from seeds_loader.bronze_reader import LoadRow

BEGUN = datetime(2025, 6, 1, tzinfo=UTC)


def loads(*months: int) -> list[LoadRow]:
    """Loads of the firsts of these months, in this order."""
    return [
        LoadRow(str(n), "file", "", "", date(2025, month, 1), "given", BEGUN + timedelta(n))
        for n, month in enumerate(months)
    ]


@pytest.mark.parametrize(
    ("months", "expected"),
    [
        ((), []),
        ((1, 2, 3), [[1, 2, 3]]),
        ((1, 3, 2, 4), [[1, 3], [2], [4]]),
        ((1, 2, 2, 3), [[1, 2], [2], [3]]),
        ((2, 1, 1), [[2], [1], [1]]),
    ],
)
def test_late_and_restated_loads_are_judged_alone(
    months: tuple[int, ...], expected: list[list[int]]
) -> None:
    groups = [[each.extract_date.month for each in group] for group in group_loads(loads(*months))]
    assert groups == expected


def test_an_approved_load_is_a_baseline_of_the_next_ones() -> None:
    groups = [[each.batch_id for each in group] for group in group_loads(loads(1, 2, 3), {"1"})]
    assert groups == [["0", "1"], ["2"]]


def test_figures_are_the_model_s_own() -> None:
    told = {
        "version": "v1",
        "roc_auc": 0.8,
        "rows": 5,
        "champion": True,
        "holdout": {"f1": 0.5},
        "label": {"rows": 5},
        "promotion": {"comparison": {"difference": 0.1}},
    }
    assert dict(iterate_metrics(told)) == {"roc_auc": 0.8, "rows": 5.0, "holdout.f1": 0.5}


def extract(**columns: list[object]) -> pa.Table:
    return pa.table({"customer_id": ["a", "b", "c"], "created_timestamp": [1, 2, 3], **columns})


def test_differences_are_counted_column_by_column() -> None:
    was = extract(tenure=[1, 2, 3], bill=[1.0, 2.0, None])
    now = extract(tenure=[1, 2, 4], bill=[1.0, 2.0 + 1e-12, None]).slice(0)
    told = compare_tables(was, now)
    assert told["differing"] == {"tenure": 1, "bill": 1}
    assert (told["missing"], told["surplus"], told["rows"]) == (0, 0, 3)


def test_order_and_the_time_of_the_load_make_no_difference() -> None:
    was = extract(tenure=[1, 2, 3])
    now = was.set_column(1, "created_timestamp", pa.array([7, 8, 9])).take([2, 0, 1])
    assert compare_tables(was, now)["differing"] == {}


def test_customers_missing_and_too_many_are_counted() -> None:
    was = extract(tenure=[1, 2, 3])
    now = was.slice(1).set_column(0, "customer_id", pa.array(["b", "d"]))
    told = compare_tables(was, now)
    assert (told["missing"], told["surplus"]) == (2, 1)
