"""Find formulas of an .xls sheet with no stored value, or with one that was never computed.

As in an .xlsx sheet (`formula_xml`), except that an .xls file does not ask to be computed: Excel
computes it unasked if the file does not state which engine computed it.
"""

import struct
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from seeds_loader.reader.file_format import BIFF_CELLS, BIFF_SHEET, damaged_error, read_xls_stream

BIFF_EOF = 0x000A
BIFF_FORMULA, BIFF_STRING, BIFF_RICH_TEXT = 0x0006, 0x0207, 0x00D6
BIFF_SHEET_NAME, BIFF_ENGINE, BIFF_UNCALCULATED = 0x0085, 0x01C1, 0x005E
OF_INTEREST = frozenset(
    (BIFF_SHEET, BIFF_EOF, BIFF_FORMULA, BIFF_STRING, BIFF_RICH_TEXT, BIFF_UNCALCULATED)
)
# The first byte of a result that is not a number, which is marked by two bytes of ones at its end.
TEXT, EMPTY_TEXT = 0, 3


class Record(NamedTuple):
    """A record of the stream: its type, its length, and where its content begins."""

    kind: int
    length: int
    place: int


@dataclass
class Formulas:
    """Cells (row, column), from 0, with a formula that has no computed value.

    Attributes:
        unstored: The formula stores no value.
        uncomputed: The formula stores 0 or nothing and was never computed.
    """

    uncached: list[tuple[int, int]] = field(default_factory=list)
    uncomputed: list[tuple[int, int]] = field(default_factory=list)


def scan(path: Path, number: int) -> Formulas:
    """Scan a sheet of an .xls file, by its number from 0, for formulas without a computed value.

    Raises:
        InvalidInputError: The sheet is missing, or has cells that fastexcel skips.
    """
    stream = read_xls_stream(path)
    starts, is_computed = _read_globals(stream)
    if number >= len(starts):
        raise damaged_error(path, f"the start of sheet {number + 1} is missing")
    seen, zeros = Formulas(), list[tuple[int, int]]()
    waiting: tuple[int, int] | None = None
    for record in _read_sheet(path, stream, starts[number]):
        if waiting:
            if record.kind != BIFF_STRING:
                seen.uncached.append(waiting)
            elif not struct.unpack_from("<H", stream, record.place)[0]:
                zeros.append(waiting)
            waiting = None
        if record.kind == BIFF_UNCALCULATED:
            is_computed = False
        if record.kind not in (BIFF_FORMULA, BIFF_RICH_TEXT) or record.length < 4:
            continue
        row, column = struct.unpack_from("<2H", stream, record.place)
        if record.kind == BIFF_RICH_TEXT:
            raise damaged_error(
                path, f"a cell of row {row + 1} holds formatted text in an old notation"
            )
        if record.length >= 14:
            result = stream[record.place + 6 : record.place + 14]
            if result[6:] == b"\xff\xff" and result[0] == TEXT:
                waiting = (row, column)
            elif _is_zero(result):
                zeros.append((row, column))
    if waiting:
        seen.uncached.append(waiting)
    if not is_computed:
        seen.uncomputed = zeros
    return seen


def _read_globals(stream: bytes) -> tuple[list[int], bool]:
    """Return where the sheets start, and whether the file states which engine computed formulas.

    Excel and LibreOffice state it; if it is missing or 0, Excel computes all formulas on opening
    the file.
    """
    starts: list[int] = []
    is_computed = False
    for record in _read_records(stream, 0, {BIFF_EOF, BIFF_SHEET_NAME, BIFF_ENGINE}):
        if record.kind == BIFF_EOF:
            break
        if record.kind == BIFF_SHEET_NAME and record.length >= 4:
            starts.append(struct.unpack_from("<I", stream, record.place)[0])
        elif record.kind == BIFF_ENGINE and record.length >= 8:
            is_computed = struct.unpack_from("<I", stream, record.place + 4)[0] > 0
    return starts, is_computed


def _read_sheet(path: Path, stream: bytes, start: int) -> Iterator[Record]:
    """Yield the relevant records of a sheet, without those of the charts inside it."""
    if struct.unpack_from("<H", stream.ljust(start + 2, b"\0"), start)[0] != BIFF_SHEET:
        raise damaged_error(path, "a sheet does not start where the workbook says")
    depth, wanted = 0, set(OF_INTEREST)
    for record in _read_records(stream, start, wanted):
        if record.kind == BIFF_SHEET:
            depth += 1
        elif record.kind == BIFF_EOF:
            depth -= 1
            if not depth:
                return
            # fastexcel stops at the first end record, even if it is a chart's.
            wanted |= BIFF_CELLS
        elif depth == 1:
            if len(wanted) > len(OF_INTEREST) and record.kind in BIFF_CELLS:
                raise damaged_error(path, "cells stand behind a chart of their sheet")
            yield record


def _read_records(stream: bytes, place: int, wanted: Set[int]) -> Iterator[Record]:
    """Yield the records of these types from a place on; skip the others as fast as possible."""
    header, end = struct.Struct("<2H").unpack_from, len(stream) - 4
    while place <= end:
        kind, length = header(stream, place)
        if kind in wanted:
            if place + 4 + length > len(stream):
                return
            yield Record(kind, length, place + 4)
        place += 4 + length


def _is_zero(result: bytes) -> bool:
    if result[6:] == b"\xff\xff":
        return result[0] == EMPTY_TEXT
    return bool(struct.unpack("<d", result)[0] == 0)
