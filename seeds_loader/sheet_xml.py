"""What the XML of an .xlsx sheet holds, seen before the reader lays it out.

The reader makes the whole rectangle from the first cell to the furthest, skips in silence what
stands out of order, and shows a formula without a stored value as a blank. This sees it. A
million rows pass here in seconds: grammar by expat, cells by numpy, nothing cell by cell.
"""

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

from lakehouse.errors import Unusable
from seeds_loader.container import damaged, in_archive, part
from seeds_loader.header import cell_name

MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384
# A rectangle is fine while it is small (32 bytes a cell), or not much emptier than real sheets are.
FREE_AREA = 12_000_000
MAX_AREA_PER_CELL = 8
# Cells are looked at in pieces; one that is longer than a piece may grow to this.
MAX_PIECE = 8 * 1024**2

_REFERENCE = re.compile(rb"""<[^<>]*?\sr\s*=\s*["']""")
_RELATIONSHIP_ID = re.compile(r"\{.*\}id$")

Indices = npt.NDArray[np.int64]


class Cell(NamedTuple):
    """A place on a sheet, both indices from 0."""

    row: int
    column: int


@dataclass
class Sheet:
    """What was seen of a sheet.

    filled      cells that hold a value
    first       where the rectangle begins that they span; None without cells
    lowest, rightmost the cells that set its end
    unstored    formulas that have no stored value
    """

    filled: int = 0
    first: Cell | None = None
    lowest: Cell | None = None
    rightmost: Cell | None = None
    unstored: list[Cell] = field(default_factory=list)
    _last: int = -1


def look(path: Path, name: str) -> Sheet:
    """Looks through a sheet of an .xlsx file.

    Raises Unusable for XML that is broken, cells that are out of order, outside of any sheet or
    there twice, and cells so far from the others that laying the sheet out is not possible.
    """
    with in_archive(path) as archive:
        place = _places(path, archive).get(name)
        if place is None:
            raise damaged(path, f"the part of sheet '{name}' is missing")
        seen = Sheet()
        for piece in _pieces(part(path, archive, place, is_xml=True)):
            _take(path, name, piece, seen)
    _hold_compact(path, name, seen)
    return seen


def _places(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The part of each sheet, by the sheet's name."""
    entries = {_spelled(entry.filename): entry for entry in archive.infolist()}
    book = next(
        (name for name in sorted(entries, key=len) if name.endswith("workbook.xml")), "workbook.xml"
    )
    folder = posixpath.dirname(book)
    links = posixpath.join(folder, "_rels", "workbook.xml.rels")
    if book not in entries or links not in entries:
        return {}
    targets = {
        link.get("Id"): _target(folder, link.get("Target", ""))
        for link in _tree(path, archive, entries[links]).iter()
        if link.get("TargetMode") != "External"
    }
    for target in targets.values():
        if target.endswith(("styles.xml", "sharedstrings.xml")) and target not in entries:
            raise damaged(path, f"its part {target} is missing")
    places: dict[str, zipfile.ZipInfo] = {}
    for element in _tree(path, archive, entries[book]).iter():
        if element.tag.rpartition("}")[2] != "sheet":
            continue
        link_id = next((v for k, v in element.items() if _RELATIONSHIP_ID.match(k)), None)
        entry = entries.get(targets.get(link_id, ""))
        if entry is not None:
            # of two sheets with one name the reader takes the first
            places.setdefault(element.get("name", ""), entry)
    return places


def _tree(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> ElementTree.Element:
    return ElementTree.fromstring(b"".join(part(path, archive, entry, is_xml=True)))


def _target(folder: str, target: str) -> str:
    absolute = target[1:] if target.startswith("/") else posixpath.join(folder, target)
    return _spelled(absolute)


def _spelled(name: str) -> str:
    return name.replace("\\", "/").lower()


def _pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The XML, cut before a cell, so that a cell lies in one piece."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        cut = rest.rfind(b"<c")
        if cut <= 0 and len(rest) > MAX_PIECE:
            cut = rest.rfind(b"<")
        if cut > 0:
            yield rest[:cut]
            rest = rest[cut:]
    yield rest


def _take(path: Path, name: str, piece: bytes, seen: Sheet) -> None:
    if b":c" in piece:
        # writers that put a prefix before every name
        piece = re.sub(rb"<(/?)\w+:(?=(?:c|v|f|is|row)[\s/>])", rb"<\1", piece)
    # room to look ahead from the last tag
    text = np.frombuffer(piece + b" " * 32, np.uint8)
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
    filled = inline | (is_value & ~_is_empty(text, tags))
    starts = tags[at]
    has_value, has_formula = _within(filled, at), _within(is_formula, at)
    kinds = _last_attribute(text, starts)
    _hold_plain_values(path, name, text, tags, is_value)
    _hold_indices(path, name, text, tags, at, kinds == SHARED)

    rows, columns, known = _references(piece, text, starts)
    wrong = known & ((rows < 0) | (rows >= MAX_ROWS) | (columns < 0) | (columns >= MAX_COLUMNS))
    if wrong.any():
        start = int(starts[np.argmax(wrong)])
        raise damaged(
            path, f"a cell at no place of a sheet, {piece[start : start + 32]!r} (sheet '{name}')"
        )
    _hold_order(path, name, rows[known], columns[known], seen)
    # an empty text is a value that a formula can have
    has_empty_text = (kinds == STORED_TEXT) & _within(is_value, at)
    unstored = has_formula & ~has_value & ~has_empty_text
    if (unstored & ~known).any():
        raise damaged(path, f"formulas without a stored value, in no named cell (sheet '{name}')")
    seen.unstored += map(Cell, rows[unstored].tolist(), columns[unstored].tolist())
    _stretch(rows[has_value & known], columns[has_value & known], seen)
    seen.filled += int((has_value & ~known).sum())


# What the last attribute of a cell says, as its bytes before the last quote: t="s", t="str".
SHARED, STORED_TEXT, OTHER = 1, 2, 0


def _last_attribute(text: npt.NDArray[np.uint8], starts: Indices) -> Indices:
    closing = np.flatnonzero(text == ord(">"))
    if not closing.size:
        return np.zeros(len(starts), np.int64)
    end = closing[np.minimum(np.searchsorted(closing, starts), len(closing) - 1)]
    before = [text[end - back] for back in range(1, 8)]
    quoted = before[0] == ord('"')
    shared = quoted & _spells(before[1:5], b's"=t')
    string = quoted & _spells(before[1:7], b'rts"=t')
    return np.where(shared, SHARED, np.where(string, STORED_TEXT, OTHER))


def _spells(letters: list[npt.NDArray[np.uint8]], word: bytes) -> npt.NDArray[np.bool_]:
    return np.logical_and.reduce(
        [letter == byte for letter, byte in zip(letters, word, strict=True)]
    )


def _hold_plain_values(
    path: Path,
    name: str,
    text: npt.NDArray[np.uint8],
    tags: Indices,
    is_value: npt.NDArray[np.bool_],
) -> None:
    """A value is one text: the reader takes one with a CDATA section or a comment for a blank."""
    following = tags[np.minimum(np.flatnonzero(is_value) + 1, len(tags) - 1)]
    if (text[following + 1] == ord("!")).any():
        raise damaged(path, f"a value that is not plain text (sheet '{name}')")


def _hold_indices(
    path: Path,
    name: str,
    text: npt.NDArray[np.uint8],
    tags: Indices,
    at: Indices,
    shared: npt.NDArray[np.bool_],
) -> None:
    """The reader takes a number of a shared text that it can't read for 0."""
    following = tags[np.minimum(at[shared] + 1, len(tags) - 1)]
    following = following[(text[following + 1] == ord("v")) & (text[following + 2] == ord(">"))]
    place = following + 3
    for _ in range(10):
        place = place + _is_digit(text[place])
    if (text[place] != ord("<")).any():
        raise damaged(path, f"a cell names a shared text by no number (sheet '{name}')")


def _references(
    piece: bytes, text: npt.NDArray[np.uint8], starts: Indices
) -> tuple[Indices, Indices, npt.NDArray[np.bool_]]:
    """Rows and columns of the cells, and whether they name a place; -1 where it makes no sense."""
    place = starts + 6
    plain = _spells([text[starts + back] for back in (3, 4, 5)], b'r="')
    known = plain.copy()
    for index in np.flatnonzero(~plain).tolist():
        start = int(starts[index])
        if found := _REFERENCE.match(piece, start):
            known[index], place[index] = True, found.end()
    columns, rows = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    place = np.where(known, place, len(text) - 1)
    for _ in range(4):
        value = (text[place] | 0x20).astype(np.int64) - ord("a") + 1
        is_letter = (value >= 1) & (value <= 26)
        columns = np.where(is_letter, columns * 26 + value, columns)
        place = place + is_letter
    for _ in range(8):
        is_digit = _is_digit(text[place])
        rows = np.where(is_digit, rows * 10 + text[place] - ord("0"), rows)
        place = place + is_digit
    closed = (text[place] == ord('"')) | (text[place] == ord("'"))
    return np.where(closed, rows - 1, -1), np.where(closed, columns - 1, -1), known


def _hold_order(path: Path, name: str, rows: Indices, columns: Indices, seen: Sheet) -> None:
    """Cells come row by row, from left to right, as Excel demands it too."""
    keys = np.concatenate([[seen._last], rows * MAX_COLUMNS + columns])
    back = np.flatnonzero(np.diff(keys) <= 0)
    if back.size:
        before, after = (
            cell_name(*divmod(int(key), MAX_COLUMNS)) for key in keys[back[0] : back[0] + 2]
        )
        raise damaged(path, f"cell {after} stands behind {before} (sheet '{name}')")
    seen._last = int(keys[-1])


def _stretch(rows: Indices, columns: Indices, seen: Sheet) -> None:
    if not rows.size:
        return
    seen.filled += len(rows)
    top, left = seen.first or (int(rows[0]), int(columns[0]))
    seen.first = Cell(top, min(left, int(columns.min())))
    seen.lowest = Cell(int(rows[-1]), int(columns[-1]))
    far = int(columns.argmax())
    if seen.rightmost is None or columns[far] > seen.rightmost.column:
        seen.rightmost = Cell(int(rows[far]), int(columns[far]))


def _hold_compact(path: Path, name: str, seen: Sheet) -> None:
    if seen.first is None or seen.lowest is None or seen.rightmost is None:
        return
    height = seen.lowest.row - seen.first.row + 1
    width = seen.rightmost.column - seen.first.column + 1
    if height * width <= max(FREE_AREA, MAX_AREA_PER_CELL * seen.filled):
        return
    far = " and ".join(dict.fromkeys(cell_name(*cell) for cell in (seen.lowest, seen.rightmost)))
    raise Unusable(
        f"sheet '{name}' of {path.name} reaches from {cell_name(*seen.first)} to {far}, "
        f"but has only {seen.filled:,} filled cells",
        where=f"{path}, sheet '{name}', {far}",
        remedy="open it in Excel, go to the last cell (Ctrl+End), delete the rows and columns "
        "beyond the table, and save",
    )


def _within(flags: npt.NDArray[np.bool_], at: Indices) -> npt.NDArray[np.bool_]:
    """Whether a flag is up between a place in the row of tags and the next place."""
    counts = np.concatenate([[0], np.cumsum(flags)])
    return counts[np.append(at[1:], len(flags))] > counts[at]


def _is_empty(text: npt.NDArray[np.uint8], tags: Indices) -> npt.NDArray[np.bool_]:
    """A tag of one letter that holds nothing: <v/> or <v></v>."""
    closed = text[tags + 2] == ord("/")
    return closed | ((text[tags + 2] == ord(">")) & (text[tags + 3] == ord("<")))


def _ends_name(byte: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return (byte == ord(">")) | (byte == ord("/")) | (byte <= ord(" "))


def _is_digit(byte: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return (byte >= ord("0")) & (byte <= ord("9"))
