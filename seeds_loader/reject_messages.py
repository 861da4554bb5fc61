"""Format why a row was rejected, as a readable sentence."""

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from lakehouse.amounts import format_amount
from lakehouse.domain import read_domain
from seeds_loader.contract import Column, Contract

# Longer values give no more information; the cell itself has the whole value.
MAX_VALUE_LENGTH = 80
# The code of a blank cell, whose value says all.
MISSING, BLANK = "missing", "blank"
NOT_A_NUMBER = "not_a_number"
# A number with a currency, and without thousands separators. Other signs may change its value:
# thousands (12k), a share (12%), a unit (12 years), a minus of accountants ((12)).
CURRENCY = r"(?:[$€£¥]|[A-Z]{3})?"
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


def format_reasons(
    reasons: Sequence[Reason],
    cells: Mapping[str, str | None],
    contract: Contract,
    messages: Mapping[str, str],
    kept_row: int | None = None,
) -> Iterator[str]:
    """Yield the reasons of a row as sentences.

    Args:
        reasons: The reasons.
        cells: The cells of the row, by header.
        contract: The contract of the columns.
        messages: The messages by reject code.
        kept_row: The row that was kept for the same customer instead; None if there is none.
    """
    columns = {column.name: column for column in contract.columns}
    for reason in reasons:
        sentence = format_reason(reason, columns.get(reason.column), messages)
        expected = compute_expected(reason.code, cells, contract)
        if expected is not None:
            amount = format_amount(expected, read_domain().report.currency, 2)
            sentence = f"{sentence.removesuffix('.')}: expected is about {amount}."
        # Of the id, only a duplicate has another row.
        if kept_row is not None and reason.column == contract.id:
            sentence = f"{sentence.removesuffix('.')} (row {kept_row})."
        yield sentence
    if kept_row is not None and all(reason.column != contract.id for reason in reasons):
        yield f"Row {kept_row} was kept for this customer."


def compute_expected(
    code: str, cells: Mapping[str, str | None], contract: Contract
) -> float | None:
    """Return the amount that a row rule expects by the other cells; None if it is not known."""
    rule = read_domain().rules.row_rules.get(code)
    if rule is None or not rule.expected:
        return None
    numbers: dict[str, float] = {}
    for column in contract.columns:
        with suppress(ValueError):
            numbers[column.silver] = float(cells.get(column.name) or "")
    names = ", ".join(f'? as "{name}"' for name in numbers) or "null"
    try:
        with closing(sqlite3.connect(":memory:")) as database:
            query = f"select {rule.expected} from (select {names})"
            (value,) = database.execute(query, list(numbers.values())).fetchone()
    except sqlite3.Error:  # a cell that it needs is no number
        return None
    return value if isinstance(value, int | float) and isfinite(value) else None


def format_reason(reason: Reason, column: Column | None, messages: Mapping[str, str]) -> str:
    """Return the reason as a sentence: column, value, what the rule says, and what it accepts."""
    value = _quote(reason.value)
    if reason.code == MISSING and value == BLANK:
        return f"{reason.column} is {value}."
    message = messages.get(reason.code, reason.code.replace("_", " ")).rstrip(".")
    accepted = _format_accepted(reason.code, column) or _suggest_number(reason)
    return f"{reason.column} is {value}: {message}{accepted}."


def _quote(value: str | None) -> str:
    """Return the value in quotes, with invisible characters escaped."""
    if value is None or not value.strip(" "):
        return BLANK
    excerpt = value if len(value) <= MAX_VALUE_LENGTH else value[:MAX_VALUE_LENGTH] + "…"
    return (
        '"'
        + "".join(
            character if character.isprintable() else _escape(character) for character in excerpt
        )
        + '"'
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _suggest_number(reason: Reason) -> str:
    """Return how to write a number that has a currency or a decimal comma.

    Three digits after a comma or point may be thousands or decimals: nothing is suggested.
    """
    found = NUMBER_LIKE.fullmatch((reason.value or "").strip())
    if reason.code != NOT_A_NUMBER or found is None:
        return ""
    return f" (write {found['number'].replace(',', '.')})"


def _format_accepted(code: str, column: Column | None) -> str:
    if column is None:
        return ""
    if code == "not_accepted":
        accepted = (*column.true_values, *column.false_values, *column.categories)
        return f" (accepted: {', '.join(accepted)})"
    if code == "out_of_range" and column.range:
        return f" ({column.range[0]:g} to {column.range[1]:,.0f})"
    if code == "too_long" and column.longest:
        return f" (at most {column.longest} characters)"
    return ""
