"""Find and erase customers in files that people read: pages, workbooks, logs.

A row that names a customer is removed as a whole, with the rest of what it says about the customer.
"""

import html
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from io import BytesIO
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
SHARED = "xl/sharedStrings.xml"
TOMBSTONE = (
    "A customer was erased from this file, whose format does not permit to remove one row. "
    "Its rows are in bronze.telco_customers.\n"
)
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
    if suffix == ".xlsx" and zipfile.is_zipfile(path):
        return _find_in_workbook(content, subjects)
    if suffix == ".xls":
        return ["a row of this workbook"] if _has_bytes(content, subjects) else []
    text = content.decode(errors="replace")
    if suffix in PAGES:
        rows = [_read_cells(row) for row in ROW.findall(text)]
        found = [" | ".join(cells) for cells in rows if _is_about(cells, subjects)]
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
    """Return the suffix, without the number of a rotated log."""
    return next((each.lower() for each in reversed(path.suffixes) if not each[1:].isdigit()), "")


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
    id_columns: set[int] = set()
    for line in text.splitlines(keepends=True):
        is_named = subjects.is_named_in(line)
        if suffix == ".csv":
            cells = [cell.strip(' "\r\n\ufeff') for cell in re.split(r"[,;\t|]", line)]
            id_columns.update(place for place, cell in enumerate(cells) if _is_id_header(cell))
            is_named = is_named or any(
                place < len(cells) and subjects.includes(cells[place]) for place in id_columns
            )
        yield line, is_named


# --- pages -------------------------------------------------------------------


def _read_cells(row: str) -> list[str]:
    return [" ".join(html.unescape(TAG.sub(" ", cell)).split()) for cell in CELL.findall(row)]


def _is_about(cells: Sequence[str], subjects: Subjects) -> bool:
    return any(subjects.includes(cell) or subjects.is_named_in(cell) for cell in cells)


def _find_other_mentions(text: str, subjects: Subjects) -> list[str]:
    return [line for line in ROW.sub("", text).splitlines() if subjects.is_named_in(line)]


def _erase_from_page(text: str, subjects: Subjects) -> bytes:
    def replace(found: re.Match[str]) -> str:
        return "" if _is_about(_read_cells(found[0]), subjects) else found[0]

    return subjects.hide_in(ROW.sub(replace, text)).encode(errors="surrogateescape")


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
        remains = any(_has_bytes(archive.read(name), subjects) for name in archive.namelist())
    is_safe = not remains or not subjects.has_distinct_ids
    return changed if is_safe else TOMBSTONE.encode()


def _change_rows(
    content: bytes, subjects: Subjects, report: Callable[[Sequence[str]], None]
) -> bytes:
    """Return the workbook without the cells of rows with a customer's id, and report these rows."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        parts = {info: archive.read(info) for info in archive.infolist()}
    shared = next((part.decode() for info, part in parts.items() if info.filename == SHARED), "")
    strings = [_read_text(body) for _, body, _ in STRING.findall(shared)]
    written = BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as target:
        for info, part in parts.items():
            if info.filename == SHARED:
                part = _blank_strings(part.decode(), subjects).encode()
            elif info.filename.startswith("xl/worksheets/") and info.filename.endswith(".xml"):
                part = _blank_rows(part.decode(), strings, subjects, report).encode()
            target.writestr(info, part)
    return written.getvalue()


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
    kind = re.search(r'\bt="(\w+)"', attributes)
    text = _read_text(body)
    if kind and kind[1] == "s" and text.isdigit() and int(text) < len(strings):
        return strings[int(text)]
    return text


def _read_letters(attributes: str) -> str:
    """Return the letters of a cell's column."""
    found = re.search(r'\br="([A-Z]+)\d+"', attributes)
    return found[1] if found else ""


@lru_cache(4096)
def _is_id_header(cell: str) -> bool:
    """Return whether a cell is the header of the column with the customers' ids."""
    contract = _read_contract()
    column = contract.match(cell)
    return column is not None and column.name == contract.id


@lru_cache(1)
def _read_contract() -> Contract:
    return read_contract()


def _read_text(body: str) -> str:
    return html.unescape(TAG.sub("", body)).strip()


def _blank_strings(shared: str, subjects: Subjects) -> str:
    """Return the table of a workbook's texts, in which the ids are blank."""

    def blank(found: re.Match[str]) -> str:
        is_id = subjects.includes(_read_text(found[2]))
        return f"{found[1]}<t/>{found[3]}" if is_id else found[0]

    return STRING.sub(blank, shared)
