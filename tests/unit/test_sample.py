"""The sample: the same bytes for a seed, an ordinary base in every month, faults as listed."""

import re
from collections import Counter
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from openpyxl import load_workbook

from lakehouse.domain import DOMAINS, read_domain
from lakehouse.errors import InvalidInputError
from seeds_loader.contract import Column, read_contract
from seeds_loader.sample import Month, RowFault, SampleParameters, simulate, write_samples
from seeds_loader.sample.data_faults import FAULT_TYPES, count_faults
from seeds_loader.sample.months import draw_values
from seeds_loader.sample.shares import ADD_ONS, LABELS

HEADERS = read_contract().names
DIRTY = SampleParameters(rows=1000, months=2, seed=7, dirt=True)


@pytest.fixture(scope="module")
def year() -> list[Month]:
    return list(simulate(SampleParameters(months=12)))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_samples(DIRTY, tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def dirty_months() -> list[Month]:
    return list(simulate(DIRTY))


def read_rows(path: Path) -> list[tuple[Any, ...]]:
    """The rows of the sheet; Excel's row n is at place n - 1."""
    workbook = load_workbook(path)
    assert workbook.sheetnames == ["Customers"]
    return list(workbook["Customers"].iter_rows(values_only=True))


def churned(customers: pd.DataFrame) -> pd.Series:
    return customers["Churn"] == "Yes"


# --- parameters and files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"rows": 0}, "rows"),
        ({"months": 0}, "months"),
        ({"seed": -1}, "seed"),
        ({"start": date(2025, 1, 15)}, "start"),
        ({"start": date(1979, 1, 1)}, "start"),
        ({"start": date(9999, 12, 1), "months": 2}, "start"),
        ({"rows": 100, "dirt": True}, "rows"),
    ],
)
def test_unusable_parameters_are_refused(values: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        SampleParameters(**values)
    assert name in refusal.value.where


def test_extract_dates_are_the_first_of_each_month() -> None:
    parameters = SampleParameters(months=3, start=date(2024, 11, 1))
    assert parameters.extract_dates == [date(2024, 11, 1), date(2024, 12, 1), date(2025, 1, 1)]


def test_same_seed_same_bytes(written: list[Path], tmp_path: Path) -> None:
    lines: list[str] = []
    again = write_samples(DIRTY, tmp_path, progress=lines.append)
    assert [path.name for path in again] == [path.name for path in written]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]
    assert len(lines) == len(again)
    assert sorted(tmp_path.iterdir()) == sorted(again)


def test_other_seed_other_bytes(written: list[Path], tmp_path: Path) -> None:
    other = write_samples(SampleParameters(rows=1000, seed=8, dirt=True), tmp_path)
    assert other[0].read_bytes() != written[0].read_bytes()


def test_files_bear_their_extract_date(written: list[Path]) -> None:
    assert [path.name for path in written] == [
        "telco_customers_2025-01-01.xlsx",
        "telco_customers_2025-02-01.xlsx",
    ]
    properties = load_workbook(written[1], read_only=True).properties
    assert properties.modified == properties.created == datetime(2025, 2, 1)
    assert properties.creator == "telco-churn sample"


def test_more_rows_than_a_sheet_holds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="do not fit on a sheet"):
        write_samples(SampleParameters(rows=1_048_576), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    taken = tmp_path / "out"
    taken.write_text("mine")
    with pytest.raises(InvalidInputError) as refusal:
        write_samples(SampleParameters(rows=1), taken)
    assert refusal.value.where == str(taken)
    assert taken.read_text() == "mine"


def test_a_broken_off_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("lakehouse.atomic_write.os.replace", breaks)
    with pytest.raises(OSError, match="no space left"):
        write_samples(SampleParameters(rows=5), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_clean_workbook_reads_as_simulated(tmp_path: Path) -> None:
    parameters = SampleParameters(rows=1500)
    header, *rows = read_rows(write_samples(parameters, tmp_path)[0])
    assert header == HEADERS
    customers = next(simulate(parameters)).customers
    expected = customers.astype(object).where(customers.notna(), " ")
    assert rows == list(expected.itertuples(index=False, name=None))
    blank = [row[HEADERS.index("TotalCharges")] == " " for row in rows]
    assert any(blank)
    assert blank == [row[HEADERS.index("tenure")] == 0 for row in rows]


def test_categories_are_the_contracts() -> None:
    for column in read_contract().columns:
        if column.type == "category":
            assert set(LABELS[column.name]) == set(column.categories), column.name


@pytest.mark.parametrize(
    ("column", "accepted"),
    [
        (Column("Plan", "category", "plan", categories=("A", "B", "C")), {"A", "B", "C"}),
        (
            Column("Roams", "flag", "roams", true_values=("Yes", "1"), false_values=("No",)),
            {"Yes", "No"},
        ),
        (Column("Calls", "integer", "calls", range=(0, 3)), {0, 1, 2, 3}),
    ],
    ids=lambda value: getattr(value, "type", ""),
)
def test_a_column_that_is_not_simulated_is_drawn_evenly(column: Column, accepted: set[Any]) -> None:
    drawn_values = draw_values(column, np.arange(9000)).tolist()
    counts = Counter(drawn_values)
    assert set(counts) == accepted
    assert min(counts.values()) > 0.9 * len(drawn_values) / len(accepted)
    # a customer's value does not depend on the other customers
    assert draw_values(column, np.arange(4000, 5000)).tolist() == drawn_values[4000:5000]


def test_numbers_and_texts_that_are_not_simulated() -> None:
    ids = np.arange(2000)
    amounts = draw_values(Column("Fee", "number", "fee", range=(5, 10)), ids)
    assert 5 <= amounts.min() < 5.1 and 9.9 < amounts.max() <= 10
    assert len(set(draw_values(Column("Note", "text", "note"), ids))) == len(ids)
    other = draw_values(Column("Other", "number", "other", range=(5, 10)), ids)
    assert abs(np.corrcoef(amounts, other)[0, 1]) < 0.1


# --- a month -------------------------------------------------------------------------------------


def test_churn_is_as_usual_every_month(year: list[Month]) -> None:
    for month in year:
        customers = month.customers
        left = churned(customers)
        assert 0.24 <= left.mean() <= 0.29
        by_contract = left.groupby(customers["Contract"]).mean()
        assert 0.38 < by_contract["Month-to-month"] < 0.48
        assert 0.07 < by_contract["One year"] < 0.16
        assert by_contract["Two year"] < 0.06
        by_internet = left.groupby(customers["InternetService"]).mean()
        assert by_internet["Fiber optic"] > by_internet["DSL"] > by_internet["No"]
        assert left.groupby(customers["PaymentMethod"]).mean().idxmax() == "Electronic check"


def test_marginals_are_the_published_ones(year: list[Month]) -> None:
    customers = year[0].customers
    expected = {
        "Contract": {"Month-to-month": 0.55, "One year": 0.21, "Two year": 0.24},
        "InternetService": {"DSL": 0.34, "Fiber optic": 0.44, "No": 0.22},
        "SeniorCitizen": {0: 0.84, 1: 0.16},
        "PhoneService": {"Yes": 0.90, "No": 0.10},
        "PaperlessBilling": {"Yes": 0.59, "No": 0.41},
    }
    for column, shares in expected.items():
        found = customers[column].value_counts(normalize=True)
        assert found.to_dict() == pytest.approx(shares, abs=0.025), column
    tenure = customers.groupby("Contract")["tenure"].mean()
    assert tenure["Two year"] > tenure["One year"] > tenure["Month-to-month"]
    price = customers.groupby("InternetService")["MonthlyCharges"].mean()
    assert price["Fiber optic"] > price["DSL"] > price["No"]


def test_services_are_consistent(year: list[Month]) -> None:
    for month in year:
        customers = month.customers
        offline = customers["InternetService"] == "No"
        for add_on in ADD_ONS:
            assert ((customers[add_on] == "No internet service") == offline).all()
        without_phone = customers["PhoneService"] == "No"
        assert ((customers["MultipleLines"] == "No phone service") == without_phone).all()
        for column, labels in LABELS.items():
            assert set(customers[column].unique()) <= set(labels)


def test_charges_are_plausible(year: list[Month]) -> None:
    for month in year:
        customers = month.customers
        monthly, tenure = customers["MonthlyCharges"], customers["tenure"]
        assert monthly.between(18.25, 118.75).all()
        assert np.allclose(monthly * 20, (monthly * 20).round())
        assert ((tenure == 0) == customers["TotalCharges"].isna()).all()
        expected = tenure * monthly
        stray = (customers["TotalCharges"].fillna(0) - expected).abs()
        assert (stray <= np.maximum(0.4 * expected, 4 * monthly)).all()
        assert (stray <= 0.2 * expected).mean() > 0.95
        assert (customers.loc[churned(customers), "tenure"] > 0).all()


def test_a_logistic_model_finds_what_an_honest_one_finds(year: list[Month]) -> None:
    for month in (year[0], year[-1]):
        assert 0.83 < logistic_auc(month.customers) < 0.875


def logistic_auc(customers: pd.DataFrame) -> float:
    """ROC-AUC of a logistic regression, by Newton's method, on the data it was fitted to."""
    log_tenure = np.log1p(customers["tenure"]).to_numpy()
    flags = pd.get_dummies(customers[list(LABELS)].drop(columns="Churn")).to_numpy(dtype=float)
    features = np.column_stack([np.ones(len(customers)), log_tenure, flags])
    left = churned(customers).to_numpy(dtype=float)
    weights = np.zeros(features.shape[1])
    for _ in range(10):
        guess = 1 / (1 + np.exp(-features @ weights))
        curve = (features.T * (guess * (1 - guess))) @ features + 1e-3 * np.eye(len(weights))
        weights += np.linalg.solve(curve, features.T @ (left - guess))
    ranks = pd.Series(features @ weights).rank().to_numpy()
    pairs = left.sum() * (1 - left).sum()
    return float((ranks[left == 1].sum() - left.sum() * (left.sum() + 1) / 2) / pairs)


# --- from month to month -------------------------------------------------------------------------


def binned(customers: pd.DataFrame) -> pd.DataFrame:
    """Every feature as a category: groups of tenure and price, and the categories themselves."""
    bins = customers[["SeniorCitizen", *LABELS]].astype(str)
    bins["tenure"] = np.digitize(customers["tenure"], [12, 24, 48])
    bins["price"] = np.digitize(customers["MonthlyCharges"], [30, 50, 70, 90])
    return bins


def stability_index(before: pd.Series, after: pd.Series) -> float:
    """Population stability index of a categorical feature."""
    old, new = before.value_counts(normalize=True), after.value_counts(normalize=True)
    assert set(old.index) == set(new.index)
    return float(((new - old) * np.log(new / old)).sum())


@pytest.mark.long
@pytest.mark.parametrize("seed", range(30))
def test_no_seed_makes_the_population_drift(seed: int) -> None:
    test_the_population_hardly_drifts(list(simulate(SampleParameters(months=12, seed=seed))))


def test_the_population_hardly_drifts(year: list[Month]) -> None:
    frames = [binned(month.customers) for month in year]
    for before, after in pairwise(frames):
        for column in before:
            assert stability_index(before[column], after[column]) < 0.1, column
    for column in frames[0]:
        assert stability_index(frames[0][column], frames[-1][column]) < 0.1, column


def test_leavers_vanish_and_the_base_stays_as_large(year: list[Month]) -> None:
    for before, after in pairwise(month.customers for month in year):
        left = churned(before)
        assert not after["customerID"].isin(before.loc[left, "customerID"]).any()
        assert before.loc[~left, "customerID"].isin(after["customerID"]).all()
        assert len(after) == len(before) == 7043


def test_who_stays_grows_by_a_month_and_a_bill(year: list[Month]) -> None:
    for before, after in pairwise(month.customers for month in year):
        both = before.merge(after, on="customerID", suffixes=("", "_after"))
        assert (both["tenure_after"] == both["tenure"] + 1).all()
        grown = both["TotalCharges_after"] - both["TotalCharges"].fillna(0)
        assert np.allclose(grown, both["MonthlyCharges_after"])
        changed = (both["MonthlyCharges_after"] != both["MonthlyCharges"]).mean()
        assert 0.005 < changed < 0.1
        assert 0.003 < (both["Contract_after"] != both["Contract"]).mean() < 0.05
        for fixed in ("gender", "SeniorCitizen", "InternetService", "PhoneService"):
            assert (both[fixed] == both[f"{fixed}_after"]).all()


def test_ids_are_unique_and_never_reused(year: list[Month]) -> None:
    gone: set[str] = set()
    for month in year:
        ids = set(month.customers["customerID"])
        assert len(ids) == len(month.customers)
        assert not ids & gone
        gone |= set(month.customers.loc[churned(month.customers), "customerID"])
    assert all(re.fullmatch(r"\d{4}-[A-Z]{5}", customer_id) for customer_id in ids)


def test_longer_samples_begin_like_shorter_ones() -> None:
    long = simulate(SampleParameters(rows=50, months=3))
    for short in simulate(SampleParameters(rows=50, months=2)):
        pd.testing.assert_frame_equal(next(long).customers, short.customers)


def test_one_customer_has_the_example_id_and_all_else_is_as_without_it() -> None:
    example_id = read_domain(DOMAINS / "telco").report.example_id
    named = next(simulate(SampleParameters(example_id=example_id))).customers
    drawn = next(simulate(SampleParameters())).customers
    differs = named["customerID"] != drawn["customerID"]
    assert list(named.loc[differs, "customerID"]) == [example_id]
    pd.testing.assert_frame_equal(
        named.drop(columns="customerID"), drawn.drop(columns="customerID")
    )
    (customer,) = named[differs].to_dict("records")
    # The what-if request of the API's page changes the contract, and add-ons can be changed.
    assert customer["Contract"] != "One year" and customer["InternetService"] != "No"
    assert customer["Churn"] == "No", "customers who left are on no list"


def test_an_example_id_has_the_form_of_a_drawn_one() -> None:
    with pytest.raises(InvalidInputError, match="'7' is no id of a sample"):
        SampleParameters(example_id="7")


@pytest.mark.parametrize("rows", [1, 2, 10])
def test_tiny_bases_work(rows: int) -> None:
    months = list(simulate(SampleParameters(rows=rows, months=4)))
    assert [len(month.customers) for month in months] == [rows] * 4


# --- faults --------------------------------------------------------------------------------------


def test_faults_leave_the_customers_alone(dirty_months: list[Month]) -> None:
    for clean, dirty in zip(
        simulate(SampleParameters(rows=1000, months=2, seed=7)), dirty_months, strict=True
    ):
        pd.testing.assert_frame_equal(clean.customers, dirty.customers)
        assert clean.faults == []


def test_faults_are_few_and_of_every_kind(dirty_months: list[Month]) -> None:
    for rows, month in [
        *((1000, month) for month in dirty_months),
        (7043, next(simulate(SampleParameters(dirt=True)))),
    ]:
        counts = Counter(fault.kind for fault in month.faults)
        assert counts == count_faults(rows)
        assert set(counts) == set(FAULT_TYPES)
        assert len({fault.row_number for fault in month.faults}) == len(month.faults)
        assert 0.015 < len(month.faults) / rows < 0.025
        fates = Counter(fault.expected_outcome for fault in month.faults)
        rejected = fates["fault"] + fates["conflicting_duplicate"]
        assert 0.008 < rejected / (len(month.sheet) - fates["exact_duplicate"]) < 0.03


def test_faults_stand_where_the_list_says(written: list[Path], dirty_months: list[Month]) -> None:
    for path, month in zip(written, dirty_months, strict=True):
        rows = read_rows(path)
        assert len(rows) == len(month.sheet) + 1
        for fault in month.faults:
            check_fault(fault, rows, month)
        listed = {f.row_number for f in month.faults if f.kind != "exact_duplicate"}
        odd = {number for number, row in enumerate(rows[1:], 2) if not is_clean(row, month)}
        assert odd == listed


def truth(row: tuple[Any, ...], month: Month) -> dict[str, Any]:
    customers = month.customers
    found: dict[str, Any] = customers[customers["customerID"] == row[0]].iloc[0].to_dict()
    return found | ({"TotalCharges": " "} if found["tenure"] == 0 else {})


def is_clean(row: tuple[Any, ...], month: Month) -> bool:
    return dict(zip(HEADERS, row, strict=True)) == truth(row, month)


def check_fault(fault: RowFault, rows: list[tuple[Any, ...]], month: Month) -> None:
    row = rows[fault.row_number - 1]
    value = dict(zip(HEADERS, row, strict=True))[fault.column]
    real = truth(row, month)[fault.column]
    numbers = [place + 1 for place, other in enumerate(rows) if other[0] == row[0]]
    if fault.kind == "exact_duplicate":
        assert rows[numbers[0] - 1] == row and fault.row_number == numbers[1]
    elif fault.kind == "conflicting_duplicate":
        assert len(numbers) == 2 and 0 < value < real
    elif fault.kind.startswith("negative"):
        assert value == -real < 0
    elif fault.kind.startswith("blank"):
        assert value in (None, " ")
    elif fault.kind == "unknown_category":
        assert value not in LABELS[fault.column]
    elif fault.kind == "text_in_number":
        assert value in ("n/a", "12,5", "unknown")
    elif fault.kind == "number_as_text":
        assert value != real and float(value) == real
    else:
        assert fault.expected_outcome == "loads"
        assert value != real and value.strip().lower() == real.lower()
