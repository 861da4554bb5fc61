"""Campaigns: the draw of the control group, the effect that is believed, and what is read back."""

from collections import Counter
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openpyxl import load_workbook

from churn.pipeline.campaigns import CONTACTED, CONTROL, STRATA, draw_arms
from churn.pipeline.outcome_workbook import read_outcomes
from churn.provenance.campaign_records import declared_columns
from churn.reports.retention_workbook import (
    ListedCustomer,
    RetentionList,
    write_retention_workbook,
)
from lakehouse.domain import Offer
from lakehouse.errors import InvalidInputError
from trainer.retention_campaign import Campaign, Effect, Measurement, shrink_effect

ASSUMED = Effect(0.3, 0.15, 0.45)


@pytest.mark.parametrize(("customers", "controls"), [(500, 50), (333, 67), (7, 1), (12, 6), (4, 2)])
def test_every_stratum_has_its_share_of_the_control_group(customers: int, controls: int) -> None:
    probabilities = np.random.default_rng(1).random(customers).tolist()
    drawn = draw_arms(probabilities, controls, seed=5)
    assert Counter(arm for _, arm in drawn) == {CONTACTED: customers - controls, CONTROL: controls}
    sizes = Counter(stratum for stratum, _ in drawn)
    held = Counter(stratum for stratum, arm in drawn if arm == CONTROL)
    for stratum, size in sizes.items():
        assert abs(held[stratum] - size * controls / customers) < 1
    # the first stratum has the highest probabilities
    bounds = [
        [p for p, (stratum, _) in zip(probabilities, drawn, strict=True) if stratum == number]
        for number in range(1, STRATA + 1)
        if sizes[number]
    ]
    assert all(min(before) >= max(after) for before, after in pairwise(bounds))
    assert draw_arms(probabilities, controls, seed=5) == drawn
    assert customers < 10 or draw_arms(probabilities, controls, seed=6) != drawn


def test_each_customer_is_as_likely_to_be_a_control() -> None:
    probabilities = np.random.default_rng(2).random(50).tolist()
    held = np.zeros(50)
    for seed in range(2000):
        held += [arm == CONTROL for _, arm in draw_arms(probabilities, 8, seed)]
    # 16 %, within five standard deviations of 2,000 draws
    assert np.abs(held / 2000 - 0.16).max() < 5 * (0.16 * 0.84 / 2000) ** 0.5


def test_few_data_are_shrunk_towards_the_assumption() -> None:
    assert shrink_effect(ASSUMED, []) == ASSUMED
    vague = shrink_effect(ASSUMED, [Measurement(0.05, -1.0, 1.1)])
    exact = shrink_effect(ASSUMED, [Measurement(0.05, 0.04, 0.06)])
    several = shrink_effect(ASSUMED, [Measurement(0.05, -0.2, 0.3)] * 20)
    assert 0.28 < vague.value < 0.3
    assert exact.value == pytest.approx(0.05, abs=0.005)
    assert exact.value < several.value < vague.value
    for each in (vague, exact, several):
        assert 0 <= each.low <= each.value <= each.high <= 1
        assert "measured in" in each.source and "30% assumed" in each.source
    # A campaign that did harm lists almost no customer.
    assert shrink_effect(ASSUMED, [Measurement(-0.2, -0.21, -0.19)]).value == 0.001


def test_the_tables_are_those_that_dbt_describes() -> None:
    tables = declared_columns()
    assert {*tables} == {
        *("bronze.campaigns", "bronze.campaign_members"),
        *("bronze.campaign_outcomes", "bronze.campaign_closings"),
    }
    assert all("campaign" in columns for columns in tables.values())


# --- what is read back ---------------------------------------------------------------------------


MEMBERS = [
    {"customer_id": f"c{rank}", "list_rank": rank, "offer": "a discount", "arm": CONTACTED}
    for rank in range(1, 4)
]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    campaign = Campaign("bill", 12, 20.0, ASSUMED, {"a discount": Offer("all", "true", {}, "5")})
    listed = [
        ListedCustomer(
            *(f"c{rank}", 0.5, 900.0, "a discount", 25.0, 0.3),
            *(60.0 / rank, 30.0, 90.0, ("new",), ()),
        )
        for rank in range(1, 4)
    ]
    content = RetentionList(date(2025, 1, 1), 3, "v", "k", campaign, (), listed, "spring")
    path = tmp_path / "spring.xlsx"
    write_retention_workbook(content, path)
    return path


def edited(path: Path, *changes: tuple[str, int, Any]) -> Path:
    """The file with other values, each by header and row number."""
    book = load_workbook(path)
    sheet = book["Customers"]
    headers = [cell.value for cell in sheet[1]]
    for header, row, value in changes:
        sheet.cell(row, headers.index(header) + 1).value = value
    target = path.with_name("edited.xlsx")
    book.save(target)
    return target


def test_outcomes_are_read_as_entered(written: Path) -> None:
    file = edited(
        written,
        *[("Called", 2, "yes"), ("Reached", 2, "Yes "), ("Accepted", 2, "no")],
        *[("Called", 3, "NO"), ("Note", 4, "=SUM(A1)")],
    )
    outcomes = read_outcomes(file, MEMBERS, lambda _: None).outcomes
    # A note that is a formula without a value is blank.
    assert [(each.customer_id, each.called, each.reached, each.accepted) for each in outcomes] == [
        ("c1", True, True, False),
        ("c2", False, None, None),
    ]
    assert read_outcomes(written, MEMBERS, lambda _: None).outcomes == []


def test_the_list_offers_the_answers(written: Path) -> None:
    sheet = load_workbook(written)["Customers"]
    (validation,) = sheet.data_validations.dataValidation
    assert (validation.type, validation.formula1) == ("list", '"yes,no"')
    assert validation.showErrorMessage
    assert load_workbook(written)["Summary"]["A1"].value.startswith("spring: 3 calls")


def remove_column(path: Path) -> Path:
    book = load_workbook(path)
    headers = [cell.value for cell in book["Customers"][1]]
    book["Customers"].delete_cols(headers.index("Reached") + 1)
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: edited(path, ("Customer", 3, "c9")), "not of this campaign: c9"),
        (lambda path: edited(path, ("Customer", 3, "c1")), "there twice: c1"),
        (lambda path: edited(path, ("Rank", 3, 7)), "not the one that was written: c2"),
        (lambda path: edited(path, ("Offer", 3, "Gold")), "not the one that was written: c2"),
        (lambda path: edited(path, ("Called", 3, "perhaps")), "'perhaps' in Called of customer c2"),
        (lambda path: edited(path, ("Reached", 3, "yes")), "reached, but not called"),
        (
            lambda path: edited(path, ("Called", 3, "yes"), ("Accepted", 3, "yes")),
            "accepted, but was not reached",
        ),
        (remove_column, "has no column Reached"),
    ],
)
def test_what_was_edited_is_named(
    written: Path, change: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message) as raised:
        read_outcomes(change(written), MEMBERS, lambda _: None)
    assert "nothing was recorded" in raised.value.hint and "Customers" in raised.value.where
