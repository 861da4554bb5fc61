"""The figures of a page, as `churn.reports.figures` prints them, and the documents they are of."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A `data` element: the document and the place in it, the unrounded value, the text."""

    document: str
    place: tuple[str, ...]
    value: Any
    text: str


class FigureParser(HTMLParser):
    """Collects the figures, and the cells of numbers that have none."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: list[Figure] = []
        self.bare: list[str] = []
        self._open: dict[str, str | None] | None = None
        self._cell: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "data":
            self._open = given
            self._cell = None
        elif tag == "td" and "number" in (given.get("class") or ""):
            self._cell = ""

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            document, _, pointer = (self._open["data-figure"] or "").partition("#/")
            parts = (each.replace("~1", "/").replace("~0", "~") for each in pointer.split("/"))
            value = json.loads(self._open["value"] or "")
            self.figures.append(Figure(document, tuple(parts), value, data))
        elif self._cell is not None:
            self._cell += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "data":
            self._open = None
        elif tag == "td" and self._cell is not None:
            self.bare.append(self._cell.strip())
            self._cell = None


def read_figures(page: str) -> FigureParser:
    """The figures of a page; `bare` are the cells of numbers that are no figures."""
    parser = FigureParser()
    parser.feed(page)
    return parser


def resolve(document: Any, place: tuple[str, ...]) -> Any:
    """The value at a place of a document."""
    for key in place:
        document = document[int(key) if isinstance(document, list) else key]
    return document


def differences(figures: list[Figure], documents: Mapping[str, Any]) -> Iterator[Figure]:
    """Figures that are not those of the documents, unrounded or as people read them."""
    for figure in figures:
        value = resolve(documents[figure.document], figure.place)
        digits = re.sub(r"[,$\s+%]", "", figure.text).replace("−", "-")
        places = len(digits.partition(".")[2])
        # As a number, in percent or points, or of a hundred customers.
        shown = [round(scale * value, places) for scale in (1, 100)]
        if figure.value != value or not any(
            abs(float(digits) - each) < 0.6 * 10**-places for each in shown
        ):
            yield figure
