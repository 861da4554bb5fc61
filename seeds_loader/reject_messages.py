"""Why a row was rejected, in words for people."""

from collections.abc import Mapping
from dataclasses import dataclass

from seeds_loader.contract import Column

# Longer values tell no more; the cell itself has the whole.
VALUE_SHOWN = 80


@dataclass(frozen=True)
class Reason:
    """Why a row was rejected: the code of the rule, the header and the value of the cell."""

    code: str
    column: str
    value: str | None


def sentence(reason: Reason, column: Column | None, words: Mapping[str, str]) -> str:
    """A reason for people: column, value, what the rule says, and what it accepts."""
    said = words.get(reason.code, reason.code.replace("_", " ")).rstrip(".")
    return f"{reason.column} is {_quoted(reason.value)}: {said}{_accepted(reason.code, column)}."


def _quoted(value: str | None) -> str:
    """The value in quotes, with whatever can't be seen in it spelled out."""
    if value is None or not value.strip(" "):
        return "blank"
    shown = value if len(value) <= VALUE_SHOWN else value[:VALUE_SHOWN] + "…"
    return '"' + "".join(each if each.isprintable() else _escaped(each) for each in shown) + '"'


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _accepted(code: str, column: Column | None) -> str:
    if column is None:
        return ""
    if code == "not_accepted":
        return f" (accepted: {', '.join((*column.one, *column.zero, *column.categories))})"
    if code == "out_of_range" and column.range:
        return f" ({column.range[0]:g} to {column.range[1]:,.0f})"
    if code == "too_long" and column.longest:
        return f" ({column.longest} characters)"
    return ""
