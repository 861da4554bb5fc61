"""Write the list of customers at risk as a workbook to filter, print and work through."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.formatting.rule import ColorScaleRule, DataBarRule
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from churn.reports.rejects_workbook import is_formula_like, make_storable
from lakehouse.domain import ListColumn
from trainer.retention_campaign import Campaign

HEADER = PatternFill("solid", fgColor="FF1F3A5F")
FACE = "Calibri"
WHITE = Font(name=FACE, bold=True, color="FFFFFFFF")
BOLD = Font(name=FACE, bold=True)
HAIR = Border(bottom=Side("hair", color="FF9AA5B1"))
MONEY, WHOLE, SHARE = "#,##0.00", "#,##0", "0.0%"
FORMATS = {"text": None, "whole": WHOLE, "amount": MONEY}
# Without `left` the indent has no effect, and a number touches the adjacent text.
WRAPPED = Alignment(horizontal="left", vertical="top", wrap_text=True, indent=1)
TOP = Alignment(vertical="top")
# Number of characters per line of a note, and height of a line in points.
NOTE_LINE, LINE_HEIGHT = 100, 15


@dataclass(frozen=True)
class TriedOffer:
    """Effect of an offer on a customer: the probability with it, its cost, and its gain."""

    name: str
    probability: float
    costs: float
    gain: float


@dataclass(frozen=True)
class ListedCustomer:
    """Customer of the list; `reasons` as text, the strongest first.

    `details` are the values of the list's columns.
    """

    customer_id: str
    probability: float
    revenue: float
    expected_value: float
    reasons: Sequence[str]
    details: Sequence[Any]
    offers: Sequence[TriedOffer]


@dataclass(frozen=True)
class RetentionList:
    """Customers, the highest expected value first, and the list's sources."""

    extract_date: date
    customers: int
    model: str
    kind: str
    campaign: Campaign
    columns: Sequence[ListColumn]
    listed: Sequence[ListedCustomer]


@dataclass(frozen=True)
class Column:
    """Column of the sheet: header, width, number format, and a function for its values."""

    header: str
    width: float
    number_format: str | None
    value: Any


def write_retention_workbook(retention_list: RetentionList, path: Path) -> None:
    """Write the list, and a sheet that explains it."""
    workbook = Workbook()
    sheet = workbook.active
    assert isinstance(sheet, Worksheet)
    sheet.title = "Customers"
    columns = _columns(retention_list)
    _write_rows(sheet, columns, retention_list.listed)
    _make_readable(sheet, columns, len(retention_list.listed))
    _make_printable(sheet, retention_list)
    _write_notes(workbook.create_sheet("How to read"), retention_list)
    workbook.save(path)


def _best_offer(customer: ListedCustomer) -> TriedOffer | None:
    gaining = [offer for offer in customer.offers if offer.gain > 0]
    return max(gaining, key=lambda offer: offer.gain, default=None)


def _columns(retention_list: RetentionList) -> list[Column]:
    def reason(index: int) -> Any:
        return lambda _, customer: (
            customer.reasons[index] if index < len(customer.reasons) else None
        )

    def detail(index: int) -> Any:
        return lambda _, customer: customer.details[index]

    return [
        Column("Rank", 6, WHOLE, lambda rank, _: rank),
        Column("Customer", 15, None, lambda _, listed: listed.customer_id),
        Column("Probability of leaving", 12, SHARE, lambda _, listed: listed.probability),
        *_create_value_columns(retention_list.campaign),
        *(
            Column(shown.header, shown.width, FORMATS[shown.format], detail(index))
            for index, shown in enumerate(retention_list.columns)
        ),
        *(Column(f"Reason {index + 1}", 25, None, reason(index)) for index in range(3)),
        *_create_offer_columns(retention_list.campaign),
        Column("Done", 7, None, lambda _, listed: None),
    ]


def _create_value_columns(campaign: Campaign) -> list[Column]:
    if not campaign.revenue:
        return []
    return [
        Column(_revenue_header(campaign), 10, MONEY, lambda _, listed: listed.revenue),
        Column("Expected value", 11, MONEY, lambda _, listed: listed.expected_value),
    ]


def _create_offer_columns(campaign: Campaign) -> list[Column]:
    def best_offer_value(name: str, otherwise: str | None = None) -> Any:
        def value(_: int, customer: ListedCustomer) -> Any:
            best = _best_offer(customer)
            return getattr(best, name) if best else otherwise

        return value

    def with_offer(name: str) -> Any:
        return lambda _, customer: next(
            (offer.probability for offer in customer.offers if offer.name == name), None
        )

    if not campaign.offers:
        return []
    return [
        Column("Proposed offer", 24, None, best_offer_value("name", "none pays")),
        Column("Its gain", 9, MONEY, best_offer_value("gain")),
        *(
            Column(f"Probability with {name}", 14, SHARE, with_offer(name))
            for name in campaign.offers
        ),
    ]


def _write_rows(
    sheet: Worksheet, columns: Sequence[Column], listed: Sequence[ListedCustomer]
) -> None:
    for number, column in enumerate(columns, 1):
        cell = sheet.cell(1, number, column.header)
        cell.fill, cell.font = HEADER, WHITE
        cell.alignment = Alignment(vertical="center", horizontal="center", wrap_text=True)
    for rank, customer in enumerate(listed, 1):
        for number, column in enumerate(columns, 1):
            cell = sheet.cell(rank + 1, number)
            set_value(cell, column.value(rank, customer))
            cell.border = HAIR
            cell.alignment = TOP if column.number_format else WRAPPED
            if column.number_format:
                cell.number_format = column.number_format


def set_value(cell: Any, value: Any) -> None:
    """Set a cell's value; a text is written as a text, regardless of its beginning."""
    if isinstance(value, str):
        cell.value = make_storable(value)
        cell.data_type = "s"
        cell.quotePrefix = is_formula_like(value)
    else:
        cell.value = value


def _make_readable(sheet: Worksheet, columns: Sequence[Column], rows: int) -> None:
    sheet.freeze_panes = "C2"
    sheet.row_dimensions[1].height = 64
    sheet.sheet_view.zoomScale = 90
    for number, column in enumerate(columns, 1):
        sheet.column_dimensions[get_column_letter(number)].width = column.width
    last = max(rows + 1, 2)
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{last}"
    headers = [column.header for column in columns]
    for header, rule in (
        (
            "Probability of leaving",
            ColorScaleRule("num", 0, "FFFFFFFF", "num", 0.5, "FFFFE3B8", "num", 1, "FFF4A08A"),
        ),
        ("Expected value", DataBarRule("num", 0, "max", None, "FF7FB2DE")),
        ("Its gain", DataBarRule("num", 0, "max", None, "FF86C9A5")),
    ):
        if header not in headers:
            continue
        letter = get_column_letter(headers.index(header) + 1)
        sheet.conditional_formatting.add(f"{letter}2:{letter}{last}", rule)


def _make_printable(sheet: Worksheet, retention_list: RetentionList) -> None:
    sheet.print_title_rows = "1:1"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = sheet.PAPERSIZE_A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.page_margins.left = sheet.page_margins.right = 0.4
    sheet.oddHeader.left.text = f"Customers at risk, extract of {retention_list.extract_date}"
    sheet.oddHeader.right.text = f"model {retention_list.model}"
    sheet.oddFooter.center.text = "Page &P of &N"


def _write_notes(sheet: Worksheet, retention_list: RetentionList) -> None:
    for row, (name, text) in enumerate(_notes(retention_list), 1):
        sheet.cell(row, 1, name).font = BOLD
        sheet.cell(row, 1).alignment = TOP
        sheet.cell(row, 2, text).alignment = WRAPPED
        # Set the height, because only Excel itself fits a row to its text.
        lines = -(-max(len(text), 1) // NOTE_LINE)
        sheet.row_dimensions[row].height = LINE_HEIGHT * lines + 3
    sheet.column_dimensions["A"].width = 40
    sheet.column_dimensions["B"].width = NOTE_LINE
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True


def _notes(retention_list: RetentionList) -> list[tuple[str, str]]:
    """Return the explanation of each number, by its name."""
    campaign = retention_list.campaign
    return [
        ("Extract", f"{retention_list.extract_date}, {retention_list.customers:,} customers"),
        ("Model", f"{retention_list.model}, {retention_list.kind.replace('_', ' ')}"),
        (
            "Listed",
            f"{len(retention_list.listed):,} customers who have not left, by "
            f"{'expected value' if campaign.revenue else 'probability'}",
        ),
        (
            "Probability of leaving",
            "of a model that did not learn from this customer's row (out of fold)",
        ),
        *(_describe_value(campaign) if campaign.revenue else ()),
        ("Reasons", "what raises this customer's risk most, the strongest first"),
        *(_describe_offers(campaign) if campaign.offers else ()),
        ("Costs and offers", "declared in campaign.yml of the domain"),
    ]


def _revenue_header(campaign: Campaign) -> str:
    return "Yearly revenue" if campaign.months == 12 else f"Revenue of {campaign.months} months"


def _describe_value(campaign: Campaign) -> list[tuple[str, str]]:
    header = _revenue_header(campaign)
    return [
        (header, f"what the customer pays in {campaign.months} months"),
        (
            "Expected value",
            f"probability × {header.lower()} − {campaign.contact_cost:,.2f} for the contact",
        ),
    ]


def _describe_offers(campaign: Campaign) -> list[tuple[str, str]]:
    return [
        (
            "Probability with an offer",
            "what the model would say of the customer with the offer; customers who took it up by "
            "themselves were the model's only example, so try it out on some before all",
        ),
        (
            "Its gain",
            f"the fall in probability × {_revenue_header(campaign).lower()}, less what the offer "
            "and the contact cost",
        ),
        *(
            (
                f"Offer: {name}",
                f"to {offer.eligibility}; costs {offer.costs_in_words or offer.costs}",
            )
            for name, offer in campaign.offers.items()
        ),
    ]
