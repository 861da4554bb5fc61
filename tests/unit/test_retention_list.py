"""The reasons of the retention list: what tells customers apart, and what a caller may be told."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from churn.reports.retention_list import (
    WORTH_CALLING,
    RaisingReason,
    _find_raising_reasons,
    _put_shared_last,
    describe_common_reason,
    find_common_reasons,
)
from churn.reports.retention_workbook import (
    ListedCustomer,
    RetentionList,
    capitalise,
    count_offers,
    format_cost,
    format_effect,
    format_gain,
    write_retention_workbook,
)
from feature_repo.label_texts import (
    OBSERVED,
    ONE_EXTRACT,
    WORKBOOK,
    describe_limit,
    describe_period,
)
from lakehouse.amounts import format_rounded
from lakehouse.domain import Offer, read_domain
from trainer.reason_texts import NUMBERS, FlagTemplate, NumberTemplate, format_with_currency
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
        "numbers": [{"feature": "bill", "value": float(number)}],
        "contributions": [
            {"feature": feature, "text": feature.replace("_", " "), "contribution": value}
            for feature, value in contributions.items()
        ],
    }


def texts_of(raising: dict[str, list[RaisingReason]]) -> dict[str, list[str]]:
    return {customer: [each.text for each in reasons] for customer, reasons in raising.items()}


def test_a_sensitive_reason_is_not_on_the_list_and_the_rest_is_ordered() -> None:
    rows = [row(1, bill=0.3, age=2.0, contract=0.9, paper=0.01), row(2, bill=0.2, contract=0.9)]
    means = {"bill": 0.25, "contract": 0.9, "age": 0.0, "paper": 0.0}
    raising = _find_raising_reasons(rows, means, {"age"})
    # The bill is .05 above the mean of those worth calling, the contract equal to it; .01 is none.
    assert texts_of(raising) == {"1": ["bill", "contract"], "2": ["contract", "bill"]}
    assert raising["1"] == [RaisingReason("bill", "bill", 1.0), RaisingReason(*["contract"] * 2)]
    # A listed customer has a reason, even if all are small; what lowers the risk is none.
    small = [row(1, bill=0.01, paper=0.02, contract=-1.0), row(2, contract=-1.0)]
    assert texts_of(_find_raising_reasons(small, means, set())) == {"1": ["paper"], "2": []}


def test_the_reasons_do_not_depend_on_the_others_listed() -> None:
    means = {"bill": 0.5, "contract": 0.2}
    first = row(1, bill=0.6, contract=0.4)
    alone = _find_raising_reasons([first], means, set())
    among = _find_raising_reasons(
        [first, *(row(n, bill=-3.0, contract=0.9) for n in (2, 3))], means, set()
    )
    assert alone["1"] == among["1"]
    assert texts_of(alone) == {"1": ["contract", "bill"]}
    # The query computes what they are compared with over all whom a call would pay.
    reference = WORTH_CALLING[WORTH_CALLING.index("reference as") :]
    assert "explode(contributions) as reason from final" in reference
    assert "limit" not in reference[: reference.index("as reference")]


def of(*features: str) -> list[RaisingReason]:
    return [RaisingReason(feature, feature.upper()) for feature in features]


def test_what_most_have_in_common_is_counted() -> None:
    raising = [of("a", "b"), of("b", "a"), of("b"), of("c", "b", "a"), []]
    assert list(find_common_reasons(raising).items()) == [("b", 4), ("a", 3)]
    assert find_common_reasons([of("a")]) == find_common_reasons([]) == {}


def test_what_nearly_all_listed_have_comes_after_the_other_reasons() -> None:
    raising = {str(n): of("fiber", "bill", "new") for n in range(8)}
    raising |= {"8": of("bill", "fiber"), "9": of("fiber")}
    ordered = _put_shared_last(raising, find_common_reasons(list(raising.values())))
    # All ten have fiber, nine the bill, which is enough; eight are new, which is not.
    assert [each.feature for each in ordered["0"]] == ["new", "fiber", "bill"]
    # Without other reasons, they keep their order.
    assert ordered["8"] == raising["8"] and ordered["9"] == raising["9"]
    # A single customer shares nothing.
    assert _put_shared_last({"1": of("a")}, find_common_reasons([of("a")])) == {"1": of("a")}


def test_an_amount_of_each_customer_does_not_hide_what_they_have_in_common() -> None:
    template = NumberTemplate("bill", format_with_currency(NUMBERS["amount"], "$"), {}, "bill {}")
    bills = [RaisingReason("bill", f"bill ${n}.50", n + 0.5) for n in (105, 70, 89)]
    raising = [[*of("new"), bills[0]], [bills[1], *of("x")], [bills[2], *of("y")]]
    assert find_common_reasons(raising) == {"bill": 3}
    # Above the list, the range: the amount of one customer is not in common.
    assert describe_common_reason("bill", raising, template) == "bill $70.50 to $105.50"
    paid = FlagTemplate({}, "")
    mixed = [[RaisingReason("pays", text)] for text in ("by check", "by card", "by card")]
    assert describe_common_reason("pays", mixed, paid) == "by card or by check"


@pytest.mark.parametrize(
    ("lowest", "highest", "text"),
    [
        (1.1, 1.3, "10 to 30% above"),
        (0.8, 0.9, "10 to 20% below"),
        (0.9, 1.2, "10% below to 20% above"),
        (1.0, 1.2, "average to 20% above"),
        (1.2, 1.2, "20% above"),
    ],
)
def test_a_range_is_in_the_sentence_that_fits(lowest: float, highest: float, text: str) -> None:
    cases = {"above": "{}% above", "below": "{}% below"}
    ratio = NumberTemplate("ratio", NUMBERS["percent"], cases, "average")
    assert ratio.render_range(lowest, highest) == text


def test_a_range_is_in_the_plural() -> None:
    months = NumberTemplate("months", NUMBERS["whole"], {"one": "{} month"}, "{} months")
    assert months.render_range(1, 9) == "1 to 9 months"
    assert months.render_range(1, 1) == "1 month"


def test_call_and_offer_are_named_apart_without_needless_cents() -> None:
    each_once = replace(LISTED, listed=[replace(CUSTOMER, offer=name) for name in OFFERS])
    header, *rows, _ = count_offers(each_once)
    assert header[1][3:] == ("Who can get it", "What it is", "Costs of each")
    assert {row[0]: row[1][3:] for row in rows} == {
        "Upgrade": ("All", None, "call $1, offer $60"),
        "Discount": ("All", "5% off", "call $1, offer $60"),
        "Gift": ("All", None, "call $1, offer $60"),
    }
    # An offer's price may depend on the customer.
    twice = [replace(CUSTOMER, offer="discount", cost=cost) for cost in (8.5, 11.0)]
    assert count_offers(replace(LISTED, listed=twice))[1][1][-1] == "call $1, offer $7.50 to $10"
    # Without a value of a customer the calls have no costs: those that are declared.
    worthless = replace(each_once, campaign=replace(CAMPAIGN, monthly_value=None))
    assert {row[0]: row[1][-1] for row in count_offers(worthless)[1:-1]} == {
        "Upgrade": "call $1, offer $60",
        "Discount": "call $1, offer 5% off",
        "Gift": "call $1, offer $7.50",
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
    # A free text beside the choices.
    *_, note = sheet[1]
    assert note.value == "Note" and sheet.column_dimensions[note.column_letter].width == 30
    totals = book["Summary"][6][:4]
    assert [cell.number_format for cell in totals[2:]] == ['"$"#,##0'] * 2, "no cents in a total"
    assert [cell.value for cell in totals] == ["Total", 1, 61.0, 76.6], "exact, not rounded"
    assert all(cell.font.bold for cell in totals)
    # Only a campaign's outcomes are read back.
    after = read_pairs(book, "Summary")["After the calls"]
    assert ("Called, Reached and Accepted are read back" in after) == bool(name)
    assert ("Done and Note are for your own use and are not read back" in after) == (not name)
    assert ("churn campaign record" if name else "churn campaign start") in after


def read_pairs(book: Any, sheet: str) -> dict[Any, Any]:
    return {row[0]: row[1] for row in book[sheet].iter_rows(values_only=True)}


def test_the_summary_is_short_and_the_notes_explain(tmp_path: Path) -> None:  # long: two lists
    path = tmp_path / "list.xlsx"
    limited = replace(LISTED, paying=1204, model_limit=ONE_EXTRACT, period="next month")
    write_retention_workbook(limited, path)
    book = load_workbook(path)
    assert book.sheetnames == ["Summary", "Customers", "Notes"]
    summary, notes = read_pairs(book, "Summary"), read_pairs(book, "Notes")
    assert book["Summary"].max_row <= 16
    paying = "1,204 calls are expected to pay; the 1 with the highest expected gain is listed"
    assert "1 call, expected gain about $77 ($1 to $99)" in summary
    assert summary["Listed"] == paying
    assert summary["Model"] == ONE_EXTRACT
    assert summary["Upgrade"] == summary["Total"] == 1
    # The offers that no listed customer gets are in the notes only.
    assert {"Discount", "Gift"}.isdisjoint(summary)
    assert "Discount (to all: 5% off); Gift (to all: $7.50)" in notes["Other offers"]
    assert summary["Extract"].endswith("9 customers; use the list until the next extract")
    assert summary["Expected gain"].endswith(
        "no margin is taken off. The effect of a call is an assumption, see Notes"
    )
    marked = "of being marked as left in the workbook (which does not say when); by a model"
    assert notes["Probability of leaving"].startswith(marked)
    assert notes["Effect of a call"] == capitalise(format_effect(limited))
    assert notes["Listed"].endswith(f"; {paying}")
    assert "out of fold" not in str(notes) and "campaign.yml" not in str(notes)
    assert {"Costs and offers", "Reasons"} <= notes.keys()
    for sheet in book:
        assert (sheet.page_setup.orientation, sheet.page_setup.fitToWidth) == ("landscape", 1)

    write_retention_workbook(replace(LISTED, paying=1), path)
    book = load_workbook(path)
    summary = read_pairs(book, "Summary")
    assert summary["Listed"] == "all calls that are expected to pay are listed: 1"
    assert "Model" not in summary
    assert read_pairs(book, "Notes")["Probability of leaving"].startswith("of leaving; by a model")
    later = replace(LISTED, is_out_of_fold=False)
    write_retention_workbook(later, path)
    origin = read_pairs(load_workbook(path), "Notes")["Probability of leaving"]
    assert origin.startswith("of leaving; by the model in use, which learned from earlier extracts")
    assert "did not learn" not in origin and "did learn" not in origin
    assert "unseen.probability is not null as is_unseen" in WORTH_CALLING
    dated = replace(LISTED, period="within the next month")
    assert dated.event == "of leaving within the next month"


def test_the_effect_and_the_range_are_those_of_the_campaign(  # long: campaigns of three kinds
    tmp_path: Path,
) -> None:
    assert format_effect(LISTED) == (
        "we expect about 0.2 of the 0.6 who would leave to stay. A call removes 30% of the risk of "
        "leaving (assumed, not measured yet). The range is for half or one and a half times as "
        "many who stay, at the same costs"
    )
    # The model expects less of the offer than campaigns achieve.
    weak = replace(CUSTOMER, probability_with_offer=0.5)
    expected = "the model expects less of the offer, and the list counts that. The range"
    both, all_weak = (
        format_effect(replace(LISTED, listed=each)) for each in ([CUSTOMER, weak], [weak])
    )
    most = "A call removes at most 30% of the risk of leaving (assumed, not measured yet). For"
    assert f"{most} 1 of the 2 listed, {expected}" in both
    assert f"{most} all listed, {expected}" in all_weak
    assert CUSTOMER.retention == pytest.approx((76.6 + 61) / 900)
    many = replace(LISTED, listed=[CUSTOMER] * 100)
    assert "about 15 of the 58 who would leave to stay" in format_effect(many)
    measured = Effect(0.4, 0.3, 0.5, "measured in 1 campaign, and 30% assumed before")
    without_offers = replace(CAMPAIGN, effect=measured, offers={})
    called = replace(CUSTOMER, offer=None, probability_with_offer=None)
    # The model limits only what it expects of an offer.
    assert format_effect(replace(many, campaign=without_offers, listed=[called] * 100)).endswith(
        "to stay. A call removes 40% of the risk of leaving (measured in 1 campaign, and 30% "
        "assumed before). The range is for 0.75 times or 1.25 times as many who stay, at the same "
        "costs"
    )
    assert format_gain(without_offers) == (
        "the expected gain is the bills of 12 months of the customers who are kept, as if they "
        "would otherwise leave now, less the costs of calls; no margin is taken off"
    )
    assert format_gain(replace(CAMPAIGN, expected_months="months")) == (
        "the expected gain is the bills of the months that customers who are kept are expected to "
        "stay, as if they would otherwise leave now, less the costs of calls and offers; no margin "
        "is taken off"
    )
    path = tmp_path / "list.xlsx"
    write_retention_workbook(replace(LISTED, campaign=without_offers, listed=[called] * 2), path)
    book = load_workbook(path)
    assert [cell.value for cell in book["Summary"][5][:4]] == ["Total", 2, 122.0, 153.2]
    assert "assumption" not in read_pairs(book, "Summary")["Expected gain"]


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [(0, "$0"), (7.6, "$8"), (76.6, "$77"), (6943.2, "$6,900"), (-1249, "−$1,200")],
)
def test_an_estimate_is_rounded_to_two_digits(amount: float, rounded: str) -> None:
    assert format_rounded(amount, "$") == rounded


def test_a_model_of_one_extract_knows_no_period() -> None:
    one = {"kind": WORKBOOK, "days_between": [31]}
    assert (describe_limit(one), describe_period(one)) == (ONE_EXTRACT, "")


@pytest.mark.parametrize(
    ("days", "period"),
    [
        ([28, 31, 30], "within the next month"),
        ([7], "within the next 7 days"),
        ([92], "within the next 92 days"),
        ([31, 61], "within the next 31 to 61 days"),
        ([], ""),
    ],
)
def test_the_period_is_the_distance_of_the_extracts(days: list[int], period: str) -> None:
    label = {"kind": OBSERVED, "days_between": days}
    assert (describe_limit(label), describe_period(label)) == ("", period)


def test_the_guide_names_all_columns(tmp_path: Path) -> None:
    path = tmp_path / "list.xlsx"
    columns = read_domain().report.list_columns
    customer = replace(CUSTOMER, details=(None,) * len(columns))
    write_retention_workbook(replace(LISTED, columns=columns, listed=[customer]), path)
    guide = (Path(__file__).parents[2] / "docs/how-to/retention-list.md").read_text()
    named = [row.split("|")[1] for row in guide.splitlines() if row.startswith("| ")]
    missing = [
        cell.value
        for cell in load_workbook(path)["Customers"][1]
        if not any(str(cell.value) in each for each in named)
    ]
    assert missing == ["Reason 2"], "it is between Reason 1 and Reason 3"
