"""Print figures of stored documents, each with its value and its place in the document.

A page that prints all its figures this way can be compared with the documents by a program: every
figure is a `data` element whose `value` is that of the document, unrounded.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from churn.reports.report import UNKNOWN, count, decimal, format_signed, money, percent

MISSING = object()


FORMATS: dict[str, Callable[[Any], str]] = {
    "decimal": decimal,
    "two": lambda value: decimal(value, 2),
    "amount": lambda value: money(value, 2),
    "money": money,
    "whole": count,
    "percent": percent,
    "points": lambda value: format_signed(value * 100, 1),
    "signed": lambda value: format_signed(value, 4),
    "signed_short": lambda value: format_signed(value, 2),
    "of_100": lambda value: count(100 * value),
    "plain": lambda value: f"{value:g}",
}


class Figures:
    """The documents that a page prints figures of, by name."""

    def __init__(self, documents: Mapping[str, Any]) -> None:
        """Remember the documents."""
        self.documents = documents

    def show(self, document: str, *place: str | int, form: str = "decimal") -> Markup | str:
        """Return a figure as a `data` element; a dash if the document lacks it.

        Args:
            document: Name of the document.
            place: Keys and indexes that lead to the figure.
            form: Name of its format.
        """
        value = self.find(document, *place)
        if value is MISSING or value is None:
            return UNKNOWN
        pointer = "/".join(str(each).replace("~", "~0").replace("/", "~1") for each in place)
        return Markup('<data value="{}" data-figure="{}#/{}">{}</data>').format(
            json.dumps(value), document, pointer, FORMATS[form](value)
        )

    def find(self, document: str, *place: str | int) -> Any:
        """Return the value at a place of a document, or `MISSING`."""
        value = self.documents.get(document, MISSING)
        for key in place:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return MISSING
        return value
