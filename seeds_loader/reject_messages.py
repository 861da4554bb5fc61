"""Format why a row was rejected, as a readable sentence."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lakehouse.domain import read_domain
from lakehouse.near_matches import find_near_matches
from seeds_loader.contract import Column, Contract
from seeds_loader.reject_values import (
    BLANK,
    format_accepted,
    format_detail,
    format_quoted,
    name_invisible,
    read_numbers,
)

# The code of a blank cell, whose value says all.
MISSING = "missing"
NOT_A_NUMBER = "not_a_number"
# The codes of cells for which the contract declares what is accepted.
BY_CONTRACT = {
    MISSING,
    NOT_A_NUMBER,
    "not_accepted",
    "not_an_integer",
    "not_a_date",
    "out_of_range",
    "too_long",
}
# A number with a currency, and without thousands separators. Other signs may change its value:
# thousands (12k), a share (12%), a unit (12 years), a minus of accountants ((12)).
CURRENCY = r"(?:[$€£¥]|[A-Z]{3})?"
NAME = re.compile(r"\w+")
NUMBER_LIKE = re.compile(rf"{CURRENCY}\s*(?P<number>-?\d+(?:[,.]\d{{1,2}})?)\s*{CURRENCY}")


@dataclass(frozen=True)
class Reason:
    """Why a row was rejected: the code of the rule, the header and the value of the cell."""

    code: str
    column: str
    value: str | None


def read_reject_messages(domain: Path | None = None) -> Mapping[str, str]:
    """Return the messages by reject code, of a domain folder, by default of the selected one.

    For a row rule, the code is its name and the message its description.

    Raises:
        ChurnError: The rules can't be read: this is an error in the domain.
    """
    declared = read_domain(domain).variables
    rules = {name: rule["description"] for name, rule in declared["row_rules"].items()}
    messages = {**declared["reject_reasons"], **rules}
    return {code: " ".join(str(text).split()) for code, text in messages.items()}


def omit_consequences(reasons: Sequence[Reason], contract: Contract) -> list[Reason]:
    """Return the reasons without those that follow from another one.

    A rule over several cells says nothing if one of them has an error of its own: its message would
    ask for a correction of a right cell. The table of the rejects keeps all reasons.

    Args:
        reasons: The reasons of a row.
        contract: The contract of the columns.
    """
    rules = read_domain().rules.row_rules
    silver = {column.name: column.silver for column in contract.columns}
    faulty = {silver.get(each.column) for each in reasons if each.code not in rules}

    def is_consequence(reason: Reason) -> bool:
        if reason.code not in rules:
            return False
        used = {silver.get(reason.column), *NAME.findall(rules[reason.code].condition)}
        return not faulty.isdisjoint(used)

    return [each for each in reasons if not is_consequence(each)]


def format_reasons(
    reasons: Sequence[Reason],
    cells: Mapping[str, str | None],
    contract: Contract,
    messages: Mapping[str, str],
    kept_row: int | None = None,
) -> Iterator[str]:
    """Yield the reasons of a row, a line each: what is wrong, and what to write instead.

    Those that follow from another one are left out.

    Args:
        reasons: The reasons.
        cells: The cells of the row, by header.
        contract: The contract of the columns.
        messages: The messages by reject code.
        kept_row: The row that was kept for the same customer instead; None if there is none.
    """
    columns = {column.name: column for column in contract.columns}
    for reason in omit_consequences(reasons, contract):
        detail = format_detail(reason.code, reason.column, cells, contract)
        told = {**messages, reason.code: detail} if detail else messages
        sentence = format_reason(reason, columns.get(reason.column), told)
        # Of the id, only a duplicate has another row.
        if kept_row is not None and reason.column == contract.id:
            first, point, rest = sentence.partition(". ")
            sentence = f"{first.removesuffix('.')} (row {kept_row}).{point[1:]}{rest}"
        yield sentence
    if kept_row is not None and all(reason.column != contract.id for reason in reasons):
        yield f"Row {kept_row} was kept for this customer."


def format_preference(
    cells: Mapping[str, str | None],
    kept: Mapping[str, str | None],
    contract: Contract,
    kept_row: int,
) -> str:
    """Return why the other row of the customer was kept: the first declared column that is higher.

    Args:
        cells: The cells of the rejected row, by header.
        kept: The cells of the row that was kept, by header.
        contract: The contract of the columns.
        kept_row: The number of the row that was kept.
    """
    own, other = read_numbers(cells, contract), read_numbers(kept, contract)
    names = read_domain().contract.kept_row
    for name in names:
        # A blank that counts as 0 is not among the numbers.
        if own.get(name, 0) != other.get(name, 0):
            return f"Row {kept_row} was kept because its {contract.find(name).name} is higher."
    columns = " and ".join(contract.find(name).name for name in names)
    equal = f"they are equal in {columns}" if columns else "no column decides"
    return f"Row {kept_row} was kept by a fixed order of such rows, because {equal}."


def format_reason(reason: Reason, column: Column | None, messages: Mapping[str, str]) -> str:
    """Return the reason as sentences: column, value, what the rule says, and what to write."""
    value = format_quoted(reason.value)
    blank = reason.code == MISSING and value == BLANK
    message = messages.get(reason.code, reason.code.replace("_", " ")).rstrip(".")
    sentences = [
        f"{reason.column} is {value}." if blank else f"{reason.column} is {value}: {message}.",
        *_instruct(reason, column),
        *name_invisible(reason.value),
    ]
    return " ".join(sentences)


def _instruct(reason: Reason, column: Column | None) -> Iterator[str]:
    """Yield what to write in the cell instead."""
    number = _suggest_number(reason)
    if number:
        yield f"Write {number}."
    elif column is not None and reason.code in BY_CONTRACT:
        accepted = format_accepted(column)
        near = find_near_matches(reason.value or "", column.categories, 1)
        if accepted:
            probably = f', probably "{near[0]}"' if near else ""
            yield f"Write {accepted}{probably}."
    if column is not None and reason.code == MISSING and column.zero_if_blank_when_zero:
        yield f"It may only be blank if {column.zero_if_blank_when_zero} is 0."


def _suggest_number(reason: Reason) -> str:
    """Return a number without its currency and with a decimal point; empty if it is not certain.

    Three digits after a comma or point may be thousands or decimals: nothing is suggested.
    """
    found = NUMBER_LIKE.fullmatch((reason.value or "").strip())
    if reason.code != NOT_A_NUMBER or found is None:
        return ""
    return found["number"].replace(",", ".")
