"""Find and erase customers in files that people read: pages, workbooks, logs.

A row that names a customer is removed as a whole, with the rest of what it says about the customer.
"""

import csv
import html
import os
import re
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from itertools import count
from pathlib import Path

from churn.operations.subjects import Subjects
from lakehouse.atomic_write import atomic_write
from seeds_loader.contract import Contract, read_contract

ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
CELL = re.compile(r"<t[hd]\b[^>]*>(.*?)</t[hd]>", re.DOTALL)
TAG = re.compile(r"<[^>]*>")
# Parts of a workbook, as Excel, LibreOffice and openpyxl write them.
SHEET_ROW = re.compile(r"<(?:\w+:)?row\b[^>]*?(?<!/)>.*?</(?:\w+:)?row>", re.DOTALL)
SHEET_CELL = re.compile(r"<(?:\w+:)?c\b([^>]*?)(?:/>|>(.*?)</(?:\w+:)?c>)", re.DOTALL)
ROW_START = re.compile(r"<(?:\w+:)?row\b[^>]*>")
STRING = re.compile(r"(<(?:\w+:)?si\b[^>]*?(?<!/)>)(.*?)(</(?:\w+:)?si>)", re.DOTALL)
CELL_REFERENCE = re.compile(r'\s(?:r|ref|sqref|activeCell|topLeftCell)="[^"]*"')
SHARED = "xl/sharedStrings.xml"
TOMBSTONE = (
    "A customer was erased from this file, whose format does not permit to remove one row. "
    "Its rows are in bronze.telco_customers.\n"
)
# Headers of the ids in the lists that the project writes, besides the contract's.
ID_HEADERS = ("Customer", "customer_id")
DELIMITERS = ",;\t|"
WORKBOOKS = (".xlsx", ".xls", ".csv")
PAGES = (".html",)
# Files of which a line can be left out.
LINES = (".log", ".jsonl", ".txt", ".out", ".csv")
OTHER_TEXTS = (".json", ".sql", ".yml")
# Files in which nothing can be found as text.
READABLE = (*WORKBOOKS, *PAGES, *LINES, *OTHER_TEXTS)


def find_in_file(path: Path, subjects: Subjects) -> list[str]:
    """Return what a file says about the customers: rows, lines, or cells, as text."""
    content = path.read_bytes()
    suffix = _suffix(path)
    if suffix == ".xlsx":
        return _find_in_workbook(content, subjects)
    if suffix == ".xls":
        return ["a row of this workbook"] if _has_bytes(content, subjects) else []
    text = content.decode(errors="replace")
    if suffix in PAGES:
        rows = filter(_make_row_check(subjects), ROW.findall(text))
        found = [" ".join(" | ".join(_read_cells(row)).split()) for row in rows]
        return found + [line.strip() for line in _find_other_mentions(text, subjects)]
    return [line for line, is_named in _read_lines(text, suffix, subjects) if is_named]


def erase_from_file(path: Path, subjects: Subjects) -> bool:
    """Remove the customers from a file; return whether it named any of them."""
    if not find_in_file(path, subjects):
        return False
    suffix = _suffix(path)
    content = path.read_bytes()
    if suffix == ".xlsx":
        replaced = _erase_from_workbook(content, subjects)
    elif suffix == ".xls":
        replaced = TOMBSTONE.encode()
    elif suffix in PAGES:
        replaced = _erase_from_page(content.decode(errors="surrogateescape"), subjects)
    elif suffix in LINES:
        replaced = _erase_rows(content, suffix, subjects)
    else:
        text = content.decode(errors="surrogateescape")
        replaced = subjects.hide_in(text).encode(errors="surrogateescape")
    status = path.stat()
    with atomic_write(path) as draft:
        draft.write_bytes(replaced)
        os.utime(draft, ns=(status.st_atime_ns, status.st_mtime_ns))
    return True


def _suffix(path: Path) -> str:
    """Return the suffix, without the number of a rotated log; of a text named .xlsx it is .csv."""
    suffixes = (each.lower() for each in reversed(path.suffixes) if not each[1:].isdigit())
    suffix = next(suffixes, "")
    return ".csv" if suffix == ".xlsx" and not zipfile.is_zipfile(path) else suffix


def _has_bytes(content: bytes, subjects: Subjects) -> bool:
    return any(
        each.encode() in content or each.encode("utf-16-le") in content for each in subjects.ids
    )


def _erase_rows(content: bytes, suffix: str, subjects: Subjects) -> bytes:
    lines = _read_lines(content.decode(errors="surrogateescape"), suffix, subjects)
    # A blank line in its place: the rows of a CSV file keep their numbers.
    left = "\n" if suffix == ".csv" else ""
    kept = "".join(left if is_named else line for line, is_named in lines)
    return kept.encode(errors="surrogateescape")


def _read_lines(text: str, suffix: str, subjects: Subjects) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a text, and whether each names one of the customers."""
    lines = text.splitlines(keepends=True)
    if suffix == ".csv":
        yield from _read_rows(lines, subjects)
    else:
        yield from ((line, subjects.is_named_in(line)) for line in lines)


def _read_rows(lines: Sequence[str], subjects: Subjects) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a CSV file; a number is an id in the column of the ids only."""
    id_columns: set[tuple[str, int]] = set()
    for line in lines:
        cells = _split_row(line, {delimiter for delimiter, _ in id_columns} or DELIMITERS)
        if not id_columns:
            id_columns = {place for place, cell in cells.items() if _is_id_header(cell)}
        yield (
            line,
            subjects.distinct.is_named_in(line)
            or any(subjects.includes(cells.get(place, "")) for place in id_columns),
        )


def _split_row(line: str, delimiters: Iterable[str]) -> dict[tuple[str, int], str]:
    """Return the cells of a row by delimiter and place, for each delimiter that it may have."""
    cells: dict[tuple[str, int], str] = {}
    for delimiter in delimiters:
        with suppress(csv.Error):  # a cell that is longer than any id
            row = next(csv.reader([line], delimiter=delimiter), [])
            cells |= {(delimiter, place): cell.strip(" \ufeff") for place, cell in enumerate(row)}
    return cells


# --- pages -------------------------------------------------------------------


def _read_cells(row: str) -> list[str]:
    return [html.unescape(TAG.sub(" ", cell)).strip() for cell in CELL.findall(row)]


def _make_row_check(subjects: Subjects) -> Callable[[str], bool]:
    """Return a function that finds out of a page's rows, in order, which are about a customer.

    A number is an id below or beside a header of the ids only.
    """
    id_columns: set[int] = set()

    def is_about(row: str) -> bool:
        nonlocal id_columns
        cells = _read_cells(row)
        headers = {place for place, cell in enumerate(cells) if _is_id_header(cell)}
        if "<td" not in row:
            id_columns = headers
        return any(
            subjects.is_named_in(cell)
            or subjects.distinct.includes(cell)
            or (subjects.includes(cell) and (place in id_columns or place - 1 in headers))
            for place, cell in enumerate(cells)
        )

    return is_about


def _find_other_mentions(text: str, subjects: Subjects) -> list[str]:
    return [line for line in ROW.sub("", text).splitlines() if subjects.is_named_in(line)]


def _erase_from_page(text: str, subjects: Subjects) -> bytes:
    is_about = _make_row_check(subjects)
    kept = ROW.sub(lambda found: "" if is_about(found[0]) else found[0], text)
    return subjects.hide_in(kept).encode(errors="surrogateescape")


# --- workbooks ---------------------------------------------------------------


def _find_in_workbook(content: bytes, subjects: Subjects) -> list[str]:
    found: list[str] = []

    def collect(cells: Sequence[str]) -> None:
        found.append(" | ".join(cells))

    _change_rows(content, subjects, collect)
    return found


def _erase_from_workbook(content: bytes, subjects: Subjects) -> bytes:
    """Return the workbook in which the customers' rows are blank; a note if one remains."""
    changed = _change_rows(content, subjects, lambda _: None)
    with zipfile.ZipFile(BytesIO(changed)) as archive:
        remains = any(
            _is_named_in_part(name, archive.read(name), subjects.distinct)
            for name in archive.namelist()
        )
    return TOMBSTONE.encode() if remains else changed


def _is_named_in_part(name: str, part: bytes, subjects: Subjects) -> bool:
    if not name.endswith((".xml", ".rels")):
        return _has_bytes(part, subjects)
    text = part.decode("utf-16" if part[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "replace")
    # Without the cells' places: an id may look like one, such as A12.
    return subjects.is_named_in(html.unescape(CELL_REFERENCE.sub("", text)))


def _change_rows(
    content: bytes, subjects: Subjects, report: Callable[[Sequence[str]], None]
) -> bytes:
    """Return the workbook without the cells of rows with a customer's id, and report these rows."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        parts = {info: archive.read(info) for info in archive.infolist()}
    shared = next((part.decode() for info, part in parts.items() if info.filename == SHARED), "")
    strings = [_read_text(body) for _, body, _ in STRING.findall(shared)]
    sheets = {
        info: _blank_rows(part.decode(), strings, subjects, report)
        for info, part in parts.items()
        if info.filename.startswith("xl/worksheets/") and info.filename.endswith(".xml")
    }
    changed = {info: sheet.encode() for info, sheet in sheets.items()}
    if shared:
        used = _find_used_strings(sheets.values()) if subjects != subjects.distinct else set()
        changed |= {
            info: _blank_strings(shared, subjects, used).encode()
            for info in parts
            if info.filename == SHARED
        }
    written = BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as target:
        for info, part in parts.items():
            target.writestr(info, changed.get(info, part))
    return written.getvalue()


def _find_used_strings(sheets: Iterable[str]) -> set[int]:
    """Return the places, in the table of texts, of those that a cell has."""
    return {
        int(_read_text(body))
        for sheet in sheets
        for attributes, body in SHEET_CELL.findall(sheet)
        if _is_shared(attributes) and _read_text(body).isdigit()
    }


def _blank_rows(
    sheet: str,
    strings: Sequence[str],
    subjects: Subjects,
    report: Callable[[Sequence[str]], None],
) -> str:
    id_columns: set[str] = set()

    def blank(found: re.Match[str]) -> str:
        row = found[0]
        cells = [_read_cell(kind, body, strings) for kind, body in SHEET_CELL.findall(row)]
        letters = [_read_letters(attributes) for attributes, _ in SHEET_CELL.findall(row)]
        id_columns.update(
            letter for letter, cell in zip(letters, cells, strict=True) if _is_id_header(cell)
        )
        if not any(
            subjects.includes(cell) and (letter in id_columns or not cell.isdigit())
            for letter, cell in zip(letters, cells, strict=True)
        ):
            return row
        report([cell for cell in cells if cell])
        start = ROW_START.match(row)
        assert start is not None
        return f"{start[0]}{row[row.rindex('</') :]}"

    return SHEET_ROW.sub(blank, sheet)


def _read_cell(attributes: str, body: str, strings: Sequence[str]) -> str:
    text = _read_text(body)
    if _is_shared(attributes) and text.isdigit() and int(text) < len(strings):
        return strings[int(text)]
    return text


def _is_shared(attributes: str) -> bool:
    """Return whether a cell has the place of its text in the table of texts."""
    return re.search(r'\bt="s"', attributes) is not None


def _read_letters(attributes: str) -> str:
    """Return the letters of a cell's column."""
    found = re.search(r'\br="([A-Z]+)\d+"', attributes)
    return found[1] if found else ""


@lru_cache(4096)
def _is_id_header(cell: str) -> bool:
    """Return whether a cell is the header of the column with the customers' ids."""
    contract = _read_contract()
    column = contract.match(cell)
    return cell in ID_HEADERS or (column is not None and column.name == contract.id)


@lru_cache(1)
def _read_contract() -> Contract:
    return read_contract()


def _read_text(body: str) -> str:
    return html.unescape(TAG.sub("", body)).strip()


def _blank_strings(shared: str, subjects: Subjects, used: Collection[int]) -> str:
    """Return the table of a workbook's texts, in which the ids are blank.

    A number may be another cell's text too: it stays if a cell has it.
    """
    places = count()

    def blank(found: re.Match[str]) -> str:
        place, text = next(places), _read_text(found[2])
        is_id = subjects.distinct.includes(text) or (place not in used and subjects.includes(text))
        return f"{found[1]}<t/>{found[3]}" if is_id else found[0]

    return STRING.sub(blank, shared)
