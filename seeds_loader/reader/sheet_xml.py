"""Scan the XML of an .xlsx sheet before fastexcel lays it out.

fastexcel creates the whole rectangle from the first cell to the furthest, silently skips cells that
are out of order, and shows a formula without a stored value as a blank. This scan detects all
three. A million rows take seconds: expat validates the grammar, numpy processes the cells, and
nothing runs cell by cell.
"""

import codecs
import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from lakehouse.errors import InvalidInputError
from seeds_loader.reader.file_format import damaged_error, open_archive, read_part
from seeds_loader.reader.formula_xml import MAX_COLUMNS, Cells, Formulas, Indices
from seeds_loader.reader.header import cell_name
from seeds_loader.reader.sheet_text import ValidationList
from seeds_loader.reader.validation_lists import parse_lists

MAX_ROWS = 1_048_576
# A rectangle is accepted if it is small (32 bytes a cell), or not much emptier than real sheets
# are.
FREE_AREA = 12_000_000
MAX_AREA_PER_CELL = 8
# Cells are scanned in pieces; one that is longer than a piece may grow to this.
MAX_PIECE = 8 * 1024**2

_REFERENCE = re.compile(rb"""<[^<>]*?\sr\s*=\s*["']""")
_RELATIONSHIP_ID = re.compile(r"\{.*\}id$")
# Not elements: comments, CDATA sections, processing instructions.
_ASIDE = re.compile(rb"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>", re.DOTALL)
_EMPTIED = {b"<!-": b"<!---->", b"<![": b"<![CDATA[]]>"}
_UNCLOSED = re.compile(rb"<!--(?!-->)|<!\[CDATA\[(?!\]\]>)|<\?")
_PREFIX = re.compile(rb"<(/?)[\w.-]+:(?=(?:c|v|f|is|t|row|sheetData|sheetCalcPr)[\s/>])")
_SHEET_RECOMPUTES = re.compile(
    rb"""<sheetCalcPr\s[^<>]*fullCalcOnLoad\s*=\s*["'](?:1|true|on)["']"""
)
_TEXT_TYPE = re.compile(rb"""\st\s*=\s*["'](?:str|d)["']""")


class Cell(NamedTuple):
    """A position on a sheet, both indices from 0."""

    row: int
    column: int


@dataclass
class Sheet:
    """The result of scanning a sheet.

    Attributes:
        filled: The number of cells with a value.
        first: Where the rectangle begins that they span; None without cells.
        lowest: The cell that sets its last row.
        rightmost: The cell that sets its last column.
        unstored: Formulas that have no stored value.
        uncomputed: Formulas that store 0 or an empty text where the workbook asks to be computed.
        lists: The validation lists of its cells.
        nearly_whole: Whether a number may be so near to a whole one that nine decimals do not show
            the difference.
    """

    filled: int = 0
    first: Cell | None = None
    lowest: Cell | None = None
    rightmost: Cell | None = None
    uncached: list[Cell] = field(default_factory=list)
    uncomputed: list[Cell] = field(default_factory=list)
    nearly_whole: bool = False
    lists: tuple[ValidationList, ...] = ()
    _formulas: Formulas = field(default_factory=Formulas)
    _last: int = -1


def scan(path: Path, name: str) -> Sheet:
    """Scan a sheet of an .xlsx file.

    Args:
        path: The file.
        name: The sheet's name.

    Raises:
        InvalidInputError: The XML is broken, cells are out of order, outside any sheet or
            duplicated, or cells are so far from the others that the sheet can't be laid out.
    """
    with open_archive(path) as archive:
        book = _read_book(path, archive)
        place = book.places.get(name)
        if place is None:
            raise damaged_error(path, f"the part of sheet '{name}' is missing")
        seen = Sheet()
        chunks = _require_utf8(path, name, read_part(path, archive, place, is_xml=True))
        recomputes, tail = book.recomputes, b""
        for piece, is_cells in _pieces(chunks):
            if is_cells:
                _scan_piece(path, name, piece, seen)
            else:
                recomputes |= bool(_SHEET_RECOMPUTES.search(piece))
                tail += piece if len(tail) < MAX_PIECE else b""
    _require_reasonable_area(path, name, seen)
    _conclude(path, name, seen, recomputes)
    seen.lists = parse_lists(tail)
    return seen


def _conclude(path: Path, name: str, seen: Sheet, recomputes: bool) -> None:
    lacking = seen._formulas.list_uncached(seen.lowest.row if seen.lowest else -1)
    zeros = seen._formulas.list_uncomputed() if recomputes else lacking[:0]
    if seen._formulas.nameless and (recomputes or (lacking < 0).any()):
        raise damaged_error(
            path, f"formulas without a stored value, in no named cell (sheet '{name}')"
        )
    seen.uncached = _cells(lacking)
    seen.uncomputed = _cells(zeros)


def _cells(keys: Indices) -> list[Cell]:
    return list(map(Cell, (keys // MAX_COLUMNS).tolist(), (keys % MAX_COLUMNS).tolist()))


def read_packed_size(path: Path, name: str) -> int:
    """Return the compressed size of a sheet in the archive, in bytes; 0 if it is missing."""
    with open_archive(path) as archive:
        sheet_entry = _read_book(path, archive).places.get(name)
        return sheet_entry.compress_size if sheet_entry else 0


class _Book(NamedTuple):
    """The part of each sheet, by sheet name, and whether opening it computes all formulas."""

    places: dict[str, zipfile.ZipInfo]
    recomputes: bool


def _read_book(path: Path, archive: zipfile.ZipFile) -> _Book:
    entries = {_normalise_name(entry.filename): entry for entry in archive.infolist()}
    book = next(
        (name for name in sorted(entries, key=len) if name.endswith("workbook.xml")), "workbook.xml"
    )
    folder = posixpath.dirname(book)
    links = posixpath.join(folder, "_rels", "workbook.xml.rels")
    if book not in entries or links not in entries:
        return _Book({}, False)
    targets = {
        link.get("Id"): _target(folder, link.get("Target", ""))
        for link in _parse_part(path, archive, entries[links]).iter()
        if link.get("TargetMode") != "External"
    }
    for target in targets.values():
        if target.endswith(("styles.xml", "sharedstrings.xml")) and target not in entries:
            raise damaged_error(path, f"its part {target} is missing")
    sheets: dict[str, zipfile.ZipInfo] = {}
    recomputes = False
    for element in _parse_part(path, archive, entries[book]).iter():
        kind = element.tag.rpartition("}")[2]
        if kind == "calcPr":
            recomputes |= _recomputes(element)
        if kind != "sheet":
            continue
        link_id = next((v for k, v in element.items() if _RELATIONSHIP_ID.match(k)), None)
        entry = entries.get(targets.get(link_id, ""))
        if entry is not None:
            # If two sheets have one name, fastexcel uses the first.
            sheets.setdefault(element.get("name", ""), entry)
    return _Book(sheets, recomputes)


def _recomputes(properties: ElementTree.Element) -> bool:
    """Return whether stored values are outdated, so that Excel computes the file on opening it.

    `forceFullCalc` is not a sign of this: Excel stores it with values that it has computed.
    """
    asks = properties.get("fullCalcOnLoad", "0").strip() in ("1", "true", "on")
    unfinished = properties.get("calcCompleted", "1").strip() in ("0", "false", "off")
    return asks or unfinished


def _parse_part(
    path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo
) -> ElementTree.Element:
    return ElementTree.fromstring(b"".join(read_part(path, archive, entry, is_xml=True)))


def _target(folder: str, target: str) -> str:
    absolute = target[1:] if target.startswith("/") else posixpath.join(folder, target)
    return _normalise_name(absolute)


def _normalise_name(name: str) -> str:
    return name.replace("\\", "/").lower()


def _require_utf8(path: Path, name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks; raise for UTF-16, which XML allows but fastexcel does not read."""
    for chunk in chunks:
        if b"\0" in chunk[:4] or chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise damaged_error(path, f"its text is not UTF-8 (sheet '{name}')")
        yield chunk


def _pieces(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield the XML, cut before a cell so that each is in one piece, and whether it has cells.

    The cells end with the sheet's data; the elements after it have similar names.
    """
    rest, holds_cells = b"", True
    for chunk in chunks:
        rest = _simplify(rest + chunk)
        if holds_cells and (end := rest.find(b"</sheetData")) >= 0:
            yield rest[:end], True
            rest, holds_cells = rest[end:], False
        cut = rest.rfind(b"<c" if holds_cells else b"<")
        if cut <= 0 and len(rest) > MAX_PIECE:
            cut = rest.rfind(b"<")
        if _may_have_asides(rest) and (unclosed := _UNCLOSED.search(rest)):
            cut = min(cut, unclosed.start())
        if cut > 0:
            yield rest[:cut], holds_cells
            rest = rest[cut:]
    yield rest, holds_cells


def _simplify(xml: bytes) -> bytes:
    """Return the XML without prefixes of names, and with comments and CDATA sections emptied."""
    if _may_have_asides(xml):
        xml = _ASIDE.sub(lambda aside: _EMPTIED.get(aside[0][:3], b""), xml)
    if b":" in xml and b":c" in xml:
        xml = _PREFIX.sub(rb"<\1", xml)
    return xml


def _may_have_asides(xml: bytes) -> bool:
    # Single bytes are found ten times as fast as the two that open such a section.
    return b"!" in xml or b"?" in xml


def _scan_piece(  # long: one check after another
    path: Path, name: str, piece: bytes, seen: Sheet
) -> None:
    # Padding for the lookahead from the last tag.
    text = np.frombuffer(piece + b" " * 32, np.uint8)
    seen.nearly_whole = seen.nearly_whole or _has_nearly_whole(text)
    tags = np.flatnonzero(text == ord("<"))
    letter = text[tags + 1]
    ends = _ends_name(text[tags + 2])
    is_cell = (letter == ord("c")) & ends
    at = np.flatnonzero(is_cell)
    if not at.size:
        return
    is_formula = (letter == ord("f")) & ends
    is_value = (letter == ord("v")) & ends
    inline = (letter == ord("i")) & (text[tags + 2] == ord("s")) & _ends_name(text[tags + 3])
    contents = _contents(text, tags, is_value)
    filled = inline.copy()
    filled[is_value] = contents >= 0
    starts = tags[at]
    has_value, has_formula = _contains_flag(filled, at), _contains_flag(is_formula, at)
    _require_plain_values(path, name, text, tags, is_value)
    _require_values_last(path, name, text, tags, is_value, is_formula)
    _require_no_entities(path, name, piece, tags, is_value, starts)
    _require_indices(path, name, text, tags, at, _is_shared_text(text, starts))

    rows, columns, has_position = _references(piece, text, starts)
    is_outside = (rows < 0) | (rows >= MAX_ROWS) | (columns < 0) | (columns >= MAX_COLUMNS)
    wrong = has_position & is_outside
    if wrong.any():
        start = int(starts[np.argmax(wrong)])
        raise damaged_error(
            path, f"a cell at no place of a sheet, {piece[start : start + 32]!r} (sheet '{name}')"
        )
    _require_order(path, name, rows[has_position], columns[has_position], seen)
    if seen._formulas.needs_scan(has_formula):
        by_cell = np.full(len(at), -1)
        owners = np.searchsorted(at, np.flatnonzero(is_value), side="right") - 1
        by_cell[owners[owners >= 0]] = contents[owners >= 0]
        cells = Cells(piece, starts, rows, columns, has_position, has_formula, by_cell)
        seen._formulas.record(cells)
    _extend_area(rows[has_value & has_position], columns[has_value & has_position], seen)
    seen.filled += int((has_value & ~has_position).sum())


def _has_nearly_whole(text: npt.NDArray[np.uint8]) -> bool:
    """Return whether a number may be one that nine decimals show as whole: 1E-10, 11.9999999999."""
    minus = np.flatnonzero(text == ord("-"))
    if ((text[minus - 1] | 0x20) == ord("e")).any():
        return True
    points = np.flatnonzero(text == ord("."))
    for digit in b"09":
        left = points
        for decimal in range(1, 10):
            left = left[text[left + decimal] == digit]
        if left.size:
            return True
    return False


def _is_shared_text(text: npt.NDArray[np.uint8], starts: Indices) -> npt.NDArray[np.bool_]:
    """Return whether the last attribute of a cell is t="s", by its bytes before the last quote."""
    end = _tag_ends(text, starts)
    before = [text[end - back] for back in range(1, 6)]
    return (before[0] == ord('"')) & _equals_word(before[1:5], b's"=t')


def _tag_ends(text: npt.NDArray[np.uint8], starts: Indices) -> Indices:
    closing = np.append(np.flatnonzero(text == ord(">")), len(text) - 1)
    return closing[np.minimum(np.searchsorted(closing, starts), len(closing) - 1)]


def _contents(
    text: npt.NDArray[np.uint8], tags: Indices, is_value: npt.NDArray[np.bool_]
) -> Indices:
    """Return for each value where its text begins, -1 if it has none: <v/>, <v a="b"></v>."""
    starts = tags[is_value]
    ends = starts + 2
    odd = text[ends] != ord(">")
    if odd.any():
        ends[odd] = _tag_ends(text, starts[odd])
    is_empty = (text[ends - 1] == ord("/")) | (text[ends + 1] == ord("<"))
    return np.where(is_empty, -1, ends + 1)


def _equals_word(letters: list[npt.NDArray[np.uint8]], word: bytes) -> npt.NDArray[np.bool_]:
    return np.logical_and.reduce(
        [letter == byte for letter, byte in zip(letters, word, strict=True)]
    )


def _require_plain_values(
    path: Path,
    name: str,
    text: npt.NDArray[np.uint8],
    tags: Indices,
    is_value: npt.NDArray[np.bool_],
) -> None:
    """Raise for a value with a CDATA section or a comment, which fastexcel reads as a blank."""
    following = tags[np.minimum(np.flatnonzero(is_value) + 1, len(tags) - 1)]
    if (text[following + 1] == ord("!")).any():
        raise damaged_error(path, f"a value that is not plain text (sheet '{name}')")


def _require_values_last(
    path: Path,
    name: str,
    text: npt.NDArray[np.uint8],
    tags: Indices,
    is_value: npt.NDArray[np.bool_],
    is_formula: npt.NDArray[np.bool_],
) -> None:
    """Raise if a value is not last in its cell: fastexcel reads the last element as the value.

    A formula precedes its value. Formulas begin a cell; values follow the cell's start or a
    formula's end, and end the cell.
    """
    # No tag precedes the first one.
    formulas, values = np.flatnonzero(is_formula[1:]) + 1, np.flatnonzero(is_value[1:]) + 1
    # A value without </v> ends in its own tag.
    ends = np.minimum(values + 1 + (text[tags[values] + 2] == ord(">")), len(tags) - 1)
    is_good = (
        _next_letter_is(text, tags[formulas - 1], b"c!").all()
        and _next_letter_is(text, tags[values - 1], b"c!f/").all()
        and _next_letter_is(text, tags[ends], b"/!").all()
    )
    if is_good and formulas.size:
        # A closing tag before a value is a formula's.
        before = tags[values - 1]
        is_good = ((text[before + 1] != ord("/")) | (text[before + 2] == ord("f"))).all()
    elif is_good:
        is_good = (text[tags[values - 1] + 1] != ord("/")).all()
    if not is_good:
        raise damaged_error(path, f"a value that is not the end of its cell (sheet '{name}')")


def _next_letter_is(
    text: npt.NDArray[np.uint8], tags: Indices, letters: bytes
) -> npt.NDArray[np.bool_]:
    following = text[tags + 1]
    return np.logical_or.reduce([following == letter for letter in letters])


def _require_no_entities(
    path: Path,
    name: str,
    piece: bytes,
    tags: Indices,
    is_value: npt.NDArray[np.bool_],
    starts: Indices,
) -> None:
    """Raise for a number that is not all digits: fastexcel reads it only up to an entity."""
    if b"&" not in piece:
        return
    positions = np.flatnonzero(np.frombuffer(piece, np.uint8) == ord("&"))
    before = np.searchsorted(tags, positions) - 1
    for position in positions[(before >= 0) & is_value[before]].tolist():
        start = int(starts[max(0, np.searchsorted(starts, position) - 1)])
        if not _TEXT_TYPE.search(piece[start : piece.find(b">", start)]):
            raise damaged_error(path, f"a number that is not written in digits (sheet '{name}')")


def _require_indices(
    path: Path,
    name: str,
    text: npt.NDArray[np.uint8],
    tags: Indices,
    at: Indices,
    shared: npt.NDArray[np.bool_],
) -> None:
    """Raise if the number of a shared text can't be read: fastexcel reads it as 0."""
    following = tags[np.minimum(at[shared] + 1, len(tags) - 1)]
    following = following[(text[following + 1] == ord("v")) & (text[following + 2] == ord(">"))]
    position = following + 3
    for _ in range(10):
        position = position + _is_digit(text[position])
    if (text[position] != ord("<")).any():
        raise damaged_error(path, f"a cell names a shared text by no number (sheet '{name}')")


def _references(
    piece: bytes, text: npt.NDArray[np.uint8], starts: Indices
) -> tuple[Indices, Indices, npt.NDArray[np.bool_]]:
    """Return rows and columns of the cells, -1 if invalid, and whether they name a position."""
    position = starts + 6
    plain = _equals_word([text[starts + back] for back in (3, 4, 5)], b'r="')
    is_known = plain.copy()
    for index in np.flatnonzero(~plain).tolist():
        start = int(starts[index])
        if match := _REFERENCE.match(piece, start):
            is_known[index], position[index] = True, match.end()
    columns, rows = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    position = np.where(is_known, position, len(text) - 1)
    for _ in range(4):
        value = (text[position] | 0x20).astype(np.int64) - ord("a") + 1
        is_letter = (value >= 1) & (value <= 26)
        columns = np.where(is_letter, columns * 26 + value, columns)
        position = position + is_letter
    for _ in range(8):
        is_digit = _is_digit(text[position])
        rows = np.where(is_digit, rows * 10 + text[position] - ord("0"), rows)
        position = position + is_digit
    closed = (text[position] == ord('"')) | (text[position] == ord("'"))
    return np.where(closed, rows - 1, -1), np.where(closed, columns - 1, -1), is_known


def _require_order(path: Path, name: str, rows: Indices, columns: Indices, seen: Sheet) -> None:
    """Raise if cells are not ordered row by row, from left to right, as Excel also requires."""
    keys = np.concatenate([[seen._last], rows * MAX_COLUMNS + columns])
    back = np.flatnonzero(np.diff(keys) <= 0)
    if back.size:
        before, after = (
            cell_name(*divmod(int(key), MAX_COLUMNS)) for key in keys[back[0] : back[0] + 2]
        )
        raise damaged_error(path, f"cell {after} stands behind {before} (sheet '{name}')")
    seen._last = int(keys[-1])


def _extend_area(rows: Indices, columns: Indices, seen: Sheet) -> None:
    if not rows.size:
        return
    seen.filled += len(rows)
    top, left = seen.first or (int(rows[0]), int(columns[0]))
    seen.first = Cell(top, min(left, int(columns.min())))
    seen.lowest = Cell(int(rows[-1]), int(columns[-1]))
    far = int(columns.argmax())
    if seen.rightmost is None or columns[far] > seen.rightmost.column:
        seen.rightmost = Cell(int(rows[far]), int(columns[far]))


def _require_reasonable_area(path: Path, name: str, seen: Sheet) -> None:
    if seen.first is None or seen.lowest is None or seen.rightmost is None:
        return
    height = seen.lowest.row - seen.first.row + 1
    width = seen.rightmost.column - seen.first.column + 1
    if height * width <= max(FREE_AREA, MAX_AREA_PER_CELL * seen.filled):
        return
    far = " and ".join(dict.fromkeys(cell_name(*cell) for cell in (seen.lowest, seen.rightmost)))
    raise InvalidInputError(
        f"sheet '{name}' of {path.name} reaches from {cell_name(*seen.first)} to {far}, "
        f"but has only {seen.filled:,} filled cells",
        where=f"{path}, sheet '{name}', {far}",
        hint="open it in Excel, go to the last cell (Ctrl+End), delete the rows and columns "
        "beyond the table, and save",
    )


def _contains_flag(flags: npt.NDArray[np.bool_], at: Indices) -> npt.NDArray[np.bool_]:
    """Return whether a flag is set between an index in the array of tags and the next index."""
    counts = np.concatenate([[0], np.cumsum(flags)])
    return counts[np.append(at[1:], len(flags))] > counts[at]


def _ends_name(byte: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return (byte == ord(">")) | (byte == ord("/")) | (byte <= ord(" "))


def _is_digit(byte: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return (byte >= ord("0")) & (byte <= ord("9"))
