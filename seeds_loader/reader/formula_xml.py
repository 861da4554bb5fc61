"""Find formulas of an .xlsx sheet with no stored value, or with one that was never computed.

Excel stores with each formula the value that it computed. Libraries that write workbooks compute
nothing: some store no value, some 0 or an empty text, and ask Excel to compute everything when it
opens the file. Cells in the usual spelling are processed by numpy, others are parsed one by one.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seeds_loader.reader.header import column_index

MAX_COLUMNS = 16_384
# Limit on the cells that array formulas may cover together: as many as may be blank in a sheet
# (sheet_xml).
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
    """The cells of a piece of a sheet, in parallel arrays.

    Attributes:
        xml: The XML of the piece.
        starts: Where each cell begins in `xml`; it ends where the next one begins.
        rows: The row of each cell; -1 if unknown.
        columns: The column of each cell; -1 if unknown.
        known: Whether the cell names its position.
        has_formula: Whether the cell has a formula.
        content: Where in `xml` the text of the cell's value begins; -1 if it has none.
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
    """The formulas found in a sheet; cells are keys, row * MAX_COLUMNS + column.

    Attributes:
        unstored: Cells of a formula without any value.
        zeros: Cells of a formula that store 0 or an empty text: correct, or never computed.
        nameless: Whether such a cell does not name its position.
    """

    uncached: list[Indices] = field(default_factory=list)
    zeros: list[Indices] = field(default_factory=list)
    nameless: bool = False
    _covered: list[Indices] = field(default_factory=list)
    _covered_columns: Flags = field(default_factory=lambda: np.zeros(MAX_COLUMNS, dtype=bool))
    _settled: list[Indices] = field(default_factory=list)

    def needs_scan(self, has_formula: Flags) -> bool:
        """Return whether a piece with such cells has to be scanned."""
        return bool(self._covered) or bool(has_formula.any())

    def record(self, cells: Cells) -> None:
        """Record the formulas of a piece of the sheet, and the values of cells they cover."""
        keys = cells.rows * MAX_COLUMNS + cells.columns
        which = np.flatnonzero(cells.has_formula)
        if which.size:
            if b"array" in cells.xml or b"dataTable" in cells.xml:
                self._cover(cells.xml)
            stored, zero = _read_states(cells, which)
            self.nameless |= bool((~cells.known[which] & (~stored | zero)).any())
            self.uncached.append(keys[which[~stored]])
            self.zeros.append(keys[which[zero]])
            self._settled.append(keys[which])
        if self._covered:
            beside = np.flatnonzero(
                ~cells.has_formula & cells.known & self._covered_columns[cells.columns]
            )
            stored, zero = _read_states(cells, beside)
            self._settled.append(keys[beside[stored]])
            covered_zeros = keys[beside[zero]]
            self.zeros.append(covered_zeros[np.isin(covered_zeros, np.concatenate(self._covered))])

    def list_uncached(self, last_row: int) -> Indices:
        """Return the cells without a value, ascending; includes those that an array formula covers.

        Below the last row that has any value nothing is missing.
        """
        lacking = [*self.uncached]
        if self._covered:
            covered = np.concatenate(self._covered)
            covered = covered[covered < (last_row + 1) * MAX_COLUMNS]
            lacking.append(np.setdiff1d(covered, np.concatenate([[-1], *self._settled])))
        return np.unique(np.concatenate([np.zeros(0, np.int64), *lacking]))

    def list_uncomputed(self) -> Indices:
        """Return the cells of a formula that store 0 or an empty text, ascending."""
        return np.unique(np.concatenate([np.zeros(0, np.int64), *self.zeros]))

    def _cover(self, xml: bytes) -> None:
        """Record the cells that array formulas and data tables fill besides their own."""
        for tag in _COVERING.findall(xml):
            kind, reference = _TYPE.search(tag), _REFERENCE.search(tag)
            if not kind or not reference or kind[1] not in (b"array", b"dataTable"):
                continue
            left, right = sorted((_column_index(reference[1]), _column_index(reference[3])))
            top, bottom = sorted((int(reference[2]) - 1, int(reference[4]) - 1))
            rows, columns = np.arange(top, bottom + 1), np.arange(left, right + 1)
            room = MAX_COVERED - sum(map(len, self._covered))
            # Cells beyond the limit were never laid out by any program.
            rows = rows[: max(0, room // len(columns))]
            self._covered.append((rows[:, None] * MAX_COLUMNS + columns[None, :]).ravel())
            self._covered_columns[left : right + 1] = True


def _read_states(cells: Cells, which: Indices) -> tuple[Flags, Flags]:
    """Return for these cells whether they store a value, and whether it is 0 or an empty text."""
    content = cells.content[which]
    text = np.frombuffer(cells.xml, np.uint8)
    stored, zero = content >= 0, np.zeros(len(which), dtype=bool)
    first = text[np.maximum(content, 0)]
    odd = ~stored | np.isin(first, np.frombuffer(_PLAIN_ZERO_STARTS, np.uint8))
    for index in np.flatnonzero(odd).tolist():
        cell = which[index]
        end = cells.starts[cell + 1] if cell + 1 < len(cells.starts) else len(cells.xml)
        stored[index], zero[index] = _read_state(cells.xml[cells.starts[cell] : end])
    return stored, zero


def _read_state(cell: bytes) -> tuple[bool, bool]:
    start = cell[: cell.find(b">") + 1]
    type_match = _TYPE.search(start)
    kind = type_match[1] if type_match else b"n"
    if start.endswith(b"/>"):
        return False, False
    if kind == b"inlineStr":
        return bool(_INLINE_TEXT.search(cell)), False
    value = _VALUE.search(cell)
    text = value[1] if value else b""
    if kind == b"str":
        # An empty text is a valid value of a formula.
        return b"<v" in cell, not text
    if kind != b"n":
        return bool(text.strip()), False
    return bool(text.strip()), _is_zero(text)


def _is_zero(text: bytes) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False


def _column_index(letters: bytes) -> int:
    return min(column_index(letters.decode()), MAX_COLUMNS - 1)
