"""The reasons of the retention list: what tells customers apart, and what a caller may be told."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from churn.reports.retention_list import (
    _find_raising_reasons,
    find_common_reasons,
    select_reasons,
)
from churn.reports.retention_workbook import (
    ListedCustomer,
    RetentionList,
    count_offers,
    format_cost,
    write_retention_workbook,
)
from lakehouse.domain import Offer, read_domain
from trainer.retention_campaign import Campaign, Effect

OFFERS = {
    "upgrade": Offer("all", "true", {}, "60.00"),
    "discount": Offer("all", "true", {}, "0.05 * bill", "5% off"),
    "gift": Offer("all", "true", {}, "7.5"),
}
CAMPAIGN = Campaign("bill", 12, 1.0, Effect(0.3, 0.15, 0.45), OFFERS, "$")
CUSTOMER = ListedCustomer("c1", 0.58, 900.0, "upgrade", 61.0, 0.4, 76.6, 1.0, 99.0, ("new",), ())
LISTED = RetentionList(date(2025, 7, 14), 9, "v1", "k", CAMPAIGN, (), [CUSTOMER])


def row(number: int, **contributions: float) -> dict[str, Any]:
    """A customer with what each reason adds to the risk; its text is its name."""
    return {
        "customer_id": str(number),
        "contributions": [
            {"feature": feature, "text": feature.replace("_", " "), "contribution": value}
            for feature, value in contributions.items()
        ],
    }


def test_a_sensitive_reason_is_not_on_the_list_and_the_rest_is_ordered() -> None:
    rows = [row(1, bill=0.3, age=2.0, contract=0.9, paper=0.01), row(2, bill=0.2, contract=0.9)]
    raising = _find_raising_reasons(rows, {"age"})
    # The bill is .05 above the mean of both, the contract equal to it; .01 is no reason.
    assert raising == {"1": ["bill", "contract"], "2": ["contract", "bill"]}
    # A listed customer has a reason, even if all are small; what lowers the risk is none.
    small = [row(1, bill=0.01, paper=0.02, contract=-1.0), row(2, contract=-1.0)]
    assert _find_raising_reasons(small, set()) == {"1": ["paper"], "2": []}


def test_what_most_have_in_common_comes_last() -> None:
    raising = [["a", "b"], ["b", "a"], ["b"], ["c", "b", "a"], []]
    common = find_common_reasons(raising)
    assert common == [("b", 4), ("a", 3)]
    # What most lack comes first; up to three, what they have in common follows.
    assert [select_reasons(each, common) for each in raising] == raising
    assert select_reasons(["b", "a", "x", "y"], common) == ["x", "y", "b"]
    assert select_reasons(list("vwxyz"), []) == ["v", "w", "x"]
    assert find_common_reasons([["a"]]) == find_common_reasons([]) == []


def test_call_and_offer_are_named_apart_without_needless_cents() -> None:
    terms = {row[0]: row[1][-1] for row in count_offers(LISTED)[1:-1]}
    assert terms == {
        "Upgrade": "to all; call $1, offer $60",
        "Discount": "to all; call $1, offer 5% off",
        "Gift": "to all; call $1, offer $7.50",
    }
    assert format_cost(CUSTOMER, CAMPAIGN) == "call $1, offer $60"
    assert format_cost(replace(CUSTOMER, cost=68.77), CAMPAIGN) == "call $1, offer $67.77"
    assert format_cost(replace(CUSTOMER, offer=None), CAMPAIGN) == "call $1"


@pytest.mark.parametrize(
    ("name", "title", "columns"),
    [
        ("", "Whom to call, extract of 2025-07-14", {"Done"}),
        (
            "spring",
            "spring: Whom to call, extract of 2025-07-14",
            {"Called", "Reached", "Accepted"},
        ),
    ],
)
def test_the_workbook_has_choices_title_and_author(
    tmp_path: Path, name: str, title: str, columns: set[str]
) -> None:
    path = tmp_path / "list.xlsx"
    write_retention_workbook(replace(LISTED, name=name), path)
    book = load_workbook(path)
    assert (book.properties.title, book.properties.creator) == (title, read_domain().name)
    sheet = book["Customers"]
    (choices,) = sheet.data_validations.dataValidation
    assert choices.formula1 == '"yes,no"' and choices.showErrorMessage
    places = {str(each).split(":")[0] for each in choices.sqref.ranges}
    assert {sheet[place].offset(row=-1).value for place in places} == columns
    totals = [cell.number_format for cell in book["Summary"][8][2:4]]
    assert totals == ['"$"#,##0', '"$"#,##0'], "no cents in a total"
