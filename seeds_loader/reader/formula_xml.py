"""Which formulas of an .xlsx sheet came without a value, or with one that nobody computed.

Excel stores with each formula the value that it computed. Libraries that write workbooks compute
nothing: some store no value, some 0 or an empty text, and ask Excel to compute everything when it
opens the file. What is spelled as usual is settled by numpy, other cells are taken apart singly.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MAX_COLUMNS = 16_384
# Cells that array formulas may cover, together: as many as a sheet may be blank (sheet_xml).
MAX_COVERED = 12_000_000

Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_TYPE = re.compile(rb"""\st\s*=\s*["']([^"']*)["']""")
_VALUE = re.compile(rb"<v(?:\s[^<>]*)?>([^<]*)<")
_INLINE_TEXT = re.compile(rb"<t(?:\s[^<>]*)?>[^<]")
_COVERING = re.compile(rb"<f\s[^<>]*>")
_REFERENCE = re.compile(
    rb"""\sref\s*=\s*["']\$?([A-Za-z]{1,3})\$?(\d{1,7}):\$?([A-Za-z]{1,3})\$?(\d{1,7})["']"""
)
_PLAIN_ZERO_STARTS = b" \t\r\n0+-."


class Cells(NamedTuple):
    """The cells of a piece of a sheet, each with what stands in it.

    xml     the piece; a cell reaches from its start to the next one's
    rows, columns where they stand; -1 where that is not known
    content where in `xml` the text of the cell's value begins, -1 where it has none
    """

    xml: bytes
    starts: Indices
    rows: Indices
    columns: Indices
    known: Flags
    has_formula: Flags
    content: Indices


@dataclass
class Formulas:
    """What was seen of a sheet's formulas; cells as keys, row * MAX_COLUMNS + column.

    unstored    cells of a formula without any value
    zeros       cells of a formula that store 0 or an empty text: right, or never computed
    nameless    whether such a cell names no place
    """

    unstored: list[Indices] = field(default_factory=list)
    zeros: list[Indices] = field(default_factory=list)
    nameless: bool = False
    _covered: list[Indices] = field(default_factory=list)
    _covered_columns: Flags = field(default_factory=lambda: np.zeros(MAX_COLUMNS, dtype=bool))
    _settled: list[Indices] = field(default_factory=list)

    def concern(self, has_formula: Flags) -> bool:
        """Whether a piece with such cells has to be looked at."""
        return bool(self._covered) or bool(has_formula.any())

    def take(self, cells: Cells) -> None:
        keys = cells.rows * MAX_COLUMNS + cells.columns
        which = np.flatnonzero(cells.has_formula)
        if which.size:
            if b"array" in cells.xml or b"dataTable" in cells.xml:
                self._cover(cells.xml)
            stored, zero = _states(cells, which)
            self.nameless |= bool((~cells.known[which] & (~stored | zero)).any())
            self.unstored.append(keys[which[~stored]])
            self.zeros.append(keys[which[zero]])
            self._settled.append(keys[which])
        if self._covered:
            beside = np.flatnonzero(
                ~cells.has_formula & cells.known & self._covered_columns[cells.columns]
            )
            stored, zero = _states(cells, beside)
            self._settled.append(keys[beside[stored]])
            covered_zeros = keys[beside[zero]]
            self.zeros.append(covered_zeros[np.isin(covered_zeros, np.concatenate(self._covered))])

    def lacking(self, last_row: int) -> Indices:
        """The cells without a value, those that an array formula covers included, ascending.

        Below the last row that has any value nothing is missing.
        """
        lacking = [*self.unstored]
        if self._covered:
            covered = np.concatenate(self._covered)
            covered = covered[covered < (last_row + 1) * MAX_COLUMNS]
            lacking.append(np.setdiff1d(covered, np.concatenate([[-1], *self._settled])))
        return np.unique(np.concatenate([np.zeros(0, np.int64), *lacking]))

    def uncomputed(self) -> Indices:
        return np.unique(np.concatenate([np.zeros(0, np.int64), *self.zeros]))

    def _cover(self, xml: bytes) -> None:
        """Marks the cells that array formulas and data tables fill beside their own."""
        for tag in _COVERING.findall(xml):
            kind, reference = _TYPE.search(tag), _REFERENCE.search(tag)
            if not kind or not reference or kind[1] not in (b"array", b"dataTable"):
                continue
            left, right = sorted((_column(reference[1]), _column(reference[3])))
            top, bottom = sorted((int(reference[2]) - 1, int(reference[4]) - 1))
            rows, columns = np.arange(top, bottom + 1), np.arange(left, right + 1)
            room = MAX_COVERED - sum(map(len, self._covered))
            # what lies beyond was never laid out by any program
            rows = rows[: max(0, room // len(columns))]
            self._covered.append((rows[:, None] * MAX_COLUMNS + columns[None, :]).ravel())
            self._covered_columns[left : right + 1] = True


def _states(cells: Cells, which: Indices) -> tuple[Flags, Flags]:
    """Of these cells: whether they store a value, and whether that is 0 or an empty text."""
    content = cells.content[which]
    text = np.frombuffer(cells.xml, np.uint8)
    stored, zero = content >= 0, np.zeros(len(which), dtype=bool)
    first = text[np.maximum(content, 0)]
    odd = ~stored | np.isin(first, np.frombuffer(_PLAIN_ZERO_STARTS, np.uint8))
    for index in np.flatnonzero(odd).tolist():
        cell = which[index]
        end = cells.starts[cell + 1] if cell + 1 < len(cells.starts) else len(cells.xml)
        stored[index], zero[index] = _state(cells.xml[cells.starts[cell] : end])
    return stored, zero


def _state(cell: bytes) -> tuple[bool, bool]:
    start = cell[: cell.find(b">") + 1]
    found = _TYPE.search(start)
    kind = found[1] if found else b"n"
    if start.endswith(b"/>"):
        return False, False
    if kind == b"inlineStr":
        return bool(_INLINE_TEXT.search(cell)), False
    value = _VALUE.search(cell)
    text = value[1] if value else b""
    if kind == b"str":
        # an empty text is a value that a formula can have
        return b"<v" in cell, not text
    if kind != b"n":
        return bool(text.strip()), False
    return bool(text.strip()), _is_zero(text)


def _is_zero(text: bytes) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False


def _column(letters: bytes) -> int:
    index = 0
    for letter in letters.upper():
        index = index * 26 + letter - ord("A") + 1
    return min(index, MAX_COLUMNS) - 1
