"""Format why a row was rejected, as a readable sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lakehouse.domain import read_domain
from seeds_loader.contract import Column

# Longer values give no more information; the cell itself has the whole value.
MAX_VALUE_LENGTH = 80


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


def format_reason(reason: Reason, column: Column | None, messages: Mapping[str, str]) -> str:
    """Return the reason as a sentence: column, value, what the rule says, and what it accepts."""
    message = messages.get(reason.code, reason.code.replace("_", " ")).rstrip(".")
    accepted = _format_accepted(reason.code, column)
    return f"{reason.column} is {_quote(reason.value)}: {message}{accepted}."


def _quote(value: str | None) -> str:
    """Return the value in quotes, with invisible characters escaped."""
    if value is None or not value.strip(" "):
        return "blank"
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


def _format_accepted(code: str, column: Column | None) -> str:
    if column is None:
        return ""
    if code == "not_accepted":
        accepted = (*column.true_values, *column.false_values, *column.categories)
        return f" (accepted: {', '.join(accepted)})"
    if code == "out_of_range" and column.range:
        return f" ({column.range[0]:g} to {column.range[1]:,.0f})"
    if code == "too_long" and column.longest:
        return f" ({column.longest} characters)"
    return ""
