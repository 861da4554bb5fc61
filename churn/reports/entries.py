"""Word the entries of a customer's row for that customer: in a letter, and in a person's export."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

from churn.provenance.labels import format_label
from churn.provenance.trace_text import format_cell
from lakehouse.domain import ID, LABEL, SourceColumn, read_domain
from trainer.reason_texts import NUMBERS, format_with_currency

BLANK = "Blank"


@dataclass(frozen=True)
class Entry:
    """An entry of the records, for a reader; `header` and `stored` are as in the workbook.

    These two are empty if they are the same.
    """

    label: str
    header: str
    value: str
    stored: str


def list_entries(cells: Mapping[str, str | None], with_label: bool = False) -> Iterator[Entry]:
    """Yield the cells of a workbook's row as entries for a reader: all but the id.

    Args:
        cells: The row as the loader read it: cells by header; other keys are ignored.
        with_label: Whether to include the label, of which no score is made.
    """
    columns = read_domain().contract.columns
    for header, cell in cells.items():
        column = columns.get(header)
        if column is None or column.name == ID or (column.name == LABEL and not with_label):
            continue
        label, value = format_label(header, column), format_value(cell, column)
        stored = format_cell(cell)
        yield Entry(
            label,
            header if header.casefold() != label.casefold() else "",
            value,
            stored if value != BLANK and stored.casefold() != value.casefold() else "",
        )


def format_value(cell: str | None, column: SourceColumn) -> str:
    """Format a cell: flags as Yes or No, amounts with the currency, all else as it was read."""
    domain = read_domain()
    text = (cell or "").strip()
    if not text:
        return BLANK
    if column.type == "flag":
        for accepted, word in ((column.true_values, "Yes"), (column.false_values, "No")):
            if text.casefold() in map(str.casefold, accepted):
                return word
    terms = domain.features.reasons.get(column.name)
    if terms and terms.number == "amount":
        try:
            amount = float(text)
        except ValueError:
            return format_cell(cell)
        if isfinite(amount):
            number = format_with_currency(NUMBERS["amount"], domain.report.currency)
            return number.format(amount)
    return format_cell(cell)


def describe_use() -> str:
    """Return what decides whom to contact, as a sentence."""
    campaign = read_domain().campaign
    terms = [
        "How likely you are to leave",
        *(["what you pay"] if campaign.monthly_value else []),
        *(["what an offer costs"] if campaign.offers else []),
    ]
    if len(terms) == 1:
        return f"{terms[0]} decides whom we contact."
    return f"{', '.join(terms[:-1])} and {terms[-1]} decide whom we contact with an offer."


def describe_rights() -> str:
    """Return what a customer can ask for, and how, as sentences."""
    return (
        "You can ask us to correct an entry that is wrong, to erase your data, to have a person "
        "look at the estimate again, and not to use your data for it. You can also complain to the "
        "data protection authority."
    )
