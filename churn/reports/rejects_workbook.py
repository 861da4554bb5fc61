r"""Write the rejected rows of a load to a workbook, in which they can be corrected.

Texts are unchanged, and none is executed. A text is written as a text regardless of its beginning.
If it begins like a formula, the cell also has Excel's own mark for texts (`quotePrefix`, the
apostrophe that only the formula bar shows), so that it remains a text when the cell is edited. No
apostrophe is added to the value itself, because it would be read back with the corrected row. A CSV
file has no such mark: if the sheet is saved as CSV and opened in Excel, the texts are formulas
again. The Summary warns of this, with the number of such cells, if there are any.

A text that is a plain number, in the form in which Excel would write it, is written as a number: it
can't be executed, aligns and sorts as a number, and is read again as the same text. `-5` is a
number, `+5` and `-5+1` are texts. Content that a sheet can't contain is made visible: control
characters as `\x07`, and a text beyond Excel's limit is cut, with a note at its end.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import chain, islice
from math import ceil
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet
from openpyxl.writer.excel import ExcelWriter

from lakehouse.command_name import format_commands, format_rerun
from lakehouse.domain import read_domain
from lakehouse.sample_home import NOTE
from lakehouse.sample_home import TITLE as SAMPLE
from seeds_loader.contract import Contract
from seeds_loader.reject_messages import (
    Reason,
    format_preference,
    format_reasons,
    omit_consequences,
)
from seeds_loader.reject_values import format_quoted

# Limits of an .xlsx sheet: rows below the header, columns, UTF-16 units per cell.
ROWS_A_SHEET = 1_048_575
COLUMNS_A_SHEET = 16_384
UNITS_A_CELL = 32_767

ORIGIN = ("Row", "Source file", "Sheet", "What is wrong")
REASONS_WIDTH = 72
# Characters that are readable side by side on a landscape page.
WIDTH_OF_PAGE = 190
NARROWEST, WIDEST = 10, 34
# Number of rows that determine the column widths, which precede the rows in the file.
ROWS_MEASURED = 200

# Not allowed in XML, or not preserved: an XML reader converts a carriage return to a line feed.
FORBIDDEN_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
# Excel's own escape for characters; a text that looks like one must be escaped itself.
LIKE_AN_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
# In the form in which Excel writes it, and not longer than Excel displays in full.
PLAIN_NUMBER = re.compile(r"(?!-0$)(?=.{1,11}$)-?(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?")
FORMULA_STARTS = frozenset("=+-@")

LIGHT = "FFFFFFFF"
OWN_HEADER = PatternFill("solid", fgColor="FF5B6B7F")
SOURCE_HEADER = PatternFill("solid", fgColor="FF1F3A5F")
FAULTY = PatternFill("solid", fgColor="FFFFD9B3")
FAULTY_EDGE = Border(*[Side("thin", color="FFC55A11")] * 4)
TOP = Alignment(vertical="top")
WRAPPED = Alignment(vertical="top", wrap_text=True)
# The reason of rows that are counted apart: nothing is wrong with them.
EXACT_DUPLICATE, CONFLICTING_DUPLICATE = "exact_duplicate", "conflicting_duplicate"


@dataclass(frozen=True)
class Reject:
    """Rejected row as it was read.

    cells     texts of the contract's columns, in the contract's order; None is a blank cell
    extra     texts of the additional columns, by header
    kept_row  for a duplicate, the number of the row that was kept for the customer instead
    kept_cells, kept_extra  that row's texts, if they differ and are known
    """

    row_number: int
    cells: Sequence[str | None]
    extra: Mapping[str, str]
    reasons: Sequence[Reason]
    kept_row: int | None = None
    kept_cells: Sequence[str | None] | None = None
    kept_extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RejectedLoad:
    """Load of the rejected rows; `extra` are the headers of its additional columns."""

    batch_id: str
    source_file: str
    sheet: str
    extract_date: date
    loaded_at: datetime
    row_count: int
    extra: Sequence[str] = ()
    is_sample: bool = False


def write_rejects_workbook(
    rejects: Iterable[Reject],
    load: RejectedLoad,
    contract: Contract,
    words: Mapping[str, str],
    path: Path,
    rows_a_sheet: int = ROWS_A_SHEET,
) -> int:
    """Write the rejects, one row each, and a summary.

    The rows are consumed one at a time, so that memory use is bounded. Rows beyond the limit of a
    sheet go to the next sheet.

    Args:
        rejects: The rejected rows.
        load: The load that they come from.
        contract: The contract of the columns.
        words: The message for each reason code.
        path: The file to write.
        rows_a_sheet: Maximum number of rows per sheet.

    Returns:
        The number of rejects.
    """
    return _RejectsWorkbook(load, contract, words).write(rejects, path, rows_a_sheet)


def is_formula_like(text: str) -> bool:
    """Return whether a spreadsheet might interpret the text as a formula.

    That is the case if it begins with = + - @, also in full width, or after blank or invisible
    characters.
    """
    for character in text:
        if not (character.isspace() or unicodedata.category(character) in ("Cc", "Cf")):
            return unicodedata.normalize("NFKC", character) in FORMULA_STARTS
    return False


def make_storable(text: str) -> str:
    """Return the text in a form that a cell can contain.

    Unwritable characters are escaped visibly, and the text is cut at Excel's limit.
    """
    visible = FORBIDDEN_CHARACTERS.sub(lambda match: _escape_character(match.group()), text)
    # In UTF-16 each of Excel's units has two bytes.
    units = visible.encode("utf-16-le")
    if len(units) > 2 * UNITS_A_CELL:
        note = f" … [cut: the text has {len(text):,} characters]"
        room = 2 * (UNITS_A_CELL - len(note))
        visible = units[:room].decode("utf-16-le", errors="ignore") + note
    return visible


def _escape_character(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


class _RejectsWorkbook:
    """Workbook in progress."""

    def __init__(self, load: RejectedLoad, contract: Contract, words: Mapping[str, str]) -> None:
        """Prepare an empty workbook for the rejects of a load."""
        self._load = load
        self._contract = contract
        self._columns = {column.name: column for column in contract.columns}
        self._words = words
        room = COLUMNS_A_SHEET - len(ORIGIN) - len(contract.columns)
        self._extra = load.extra[:room]
        self._left_off = load.extra[room:]
        self._rows_by_code: Counter[str] = Counter()
        self._columns_by_code: dict[str, Counter[str]] = {}
        self._like_formulas = 0
        self._workbook = Workbook(write_only=True)
        self._workbook.properties.creator = "churn"
        self._styles: dict[tuple[bool, bool, bool], Any] = {}

    def write(self, rejects: Iterable[Reject], path: Path, rows_a_sheet: int) -> int:
        """Write all sheets to `path`; return the number of rejects."""
        try:
            count = self._write_rejects(rejects, rows_a_sheet)
            self._write_summary(count)
            with ZipFile(path, "w", ZIP_DEFLATED, allowZip64=True) as archive:
                ExcelWriter(self._workbook, archive).save()
        finally:
            self._close()
        return count

    def _close(self) -> None:
        """Close the sheets' streams, which otherwise report follow-up errors."""
        for sheet in self._workbook.worksheets:
            with suppress(OSError):
                if not sheet.closed:
                    sheet.close()

    def _write_rejects(self, rejects: Iterable[Reject], rows_a_sheet: int) -> int:
        rows = iter(rejects)
        measured = list(islice(rows, ROWS_MEASURED))
        widths = self._widths(measured)
        count, sheet = 0, self._rejects_sheet(1, widths)
        for reject in chain(measured, rows):
            if count and count % rows_a_sheet == 0:
                self._add_filter(sheet, rows_a_sheet)
                sheet = self._rejects_sheet(count // rows_a_sheet + 1, widths)
            told = replace(reject, reasons=omit_consequences(reject.reasons, self._contract))
            sheet.append(self._row(sheet, told))
            self._count(told)
            count += 1
        self._add_filter(sheet, count - (len(self._workbook.worksheets) - 1) * rows_a_sheet)
        return count

    def _headers(self) -> tuple[str, ...]:
        return (*ORIGIN, *self._contract.names, *self._extra)

    def _widths(self, rejects: Sequence[Reject]) -> list[int]:
        """Return the column widths, for headers with the filter's button and for values."""
        widths = [max(len(header) + 5, NARROWEST) for header in self._headers()]
        origin = ("", self._load.source_file, self._load.sheet, "")
        for reject in rejects:
            texts = [*origin, *(text or "" for _, text in self._source_cells(reject))]
            widths = [max(width, len(text) + 2) for width, text in zip(widths, texts, strict=True)]
        widths = [min(width, WIDEST) for width in widths]
        widths[ORIGIN.index("What is wrong")] = REASONS_WIDTH
        return widths

    def _rejects_sheet(self, number: int, widths: Sequence[int]) -> Any:
        sheet = self._workbook.create_sheet("Rejects" if number == 1 else f"Rejects {number}")
        # Keep the header and the row number visible when scrolling.
        sheet.freeze_panes = "B2"
        # Side by side on one page, the columns would be too small to read.
        _fit_to_pages(sheet, ceil(sum(widths) / WIDTH_OF_PAGE))
        sheet.print_title_rows, sheet.print_title_cols = "1:1", "A:A"
        _set_widths(sheet, widths)
        own = [self._header(sheet, header, OWN_HEADER) for header in ORIGIN]
        source = self._headers()[len(ORIGIN) :]
        sheet.append([*own, *(self._header(sheet, header, SOURCE_HEADER) for header in source)])
        return sheet

    def _header(self, sheet: Any, text: str, fill: PatternFill) -> Any:
        cell = self._make_text_cell(sheet, text)
        cell.font, cell.fill = Font(bold=True, color=LIGHT), fill
        return cell

    def _add_filter(self, sheet: Any, rows: int) -> None:
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(self._headers()))}{rows + 1}"

    def _row(self, sheet: Any, reject: Reject) -> list[Any]:
        differing = self._differences(reject)
        faulty = set(differing) or {reason.column for reason in reject.reasons}
        return [
            self._number(sheet, reject.row_number),
            self._make_text_cell(sheet, self._load.source_file),
            self._make_text_cell(sheet, self._load.sheet),
            self._make_text_cell(sheet, "\n".join(self._sentences(reject)), wrapped=True),
            *(
                self._source_cell(sheet, header, text, header in faulty)
                for header, text in self._source_cells(reject)
            ),
        ]

    def _source_cells(self, reject: Reject) -> list[tuple[str, str | None]]:
        """Return header and text of every cell of the source row."""
        own = zip(self._contract.names, reject.cells, strict=True)
        return [*own, *((header, reject.extra.get(header)) for header in self._extra)]

    def _differences(self, reject: Reject) -> dict[str, tuple[str | None, str | None]]:
        """Return the texts of the row and of the kept one, by header, of the cells that differ."""
        if reject.kept_cells is None:
            return {}
        own = dict(zip(self._contract.names, reject.kept_cells, strict=True))
        kept = {**own, **reject.kept_extra}
        texts = [(header, text, kept.get(header)) for header, text in self._source_cells(reject)]
        return {header: (text, other) for header, text, other in texts if text != other}

    def _sentences(self, reject: Reject) -> Iterator[str]:
        cells = dict(zip(self._contract.names, reject.cells, strict=True))
        contract, kept_row = self._contract, reject.kept_row
        yield from format_reasons(reject.reasons, cells, contract, self._words, kept_row)
        if reject.kept_cells is None or kept_row is None:
            return
        for header, (text, other) in self._differences(reject).items():
            here, there = format_quoted(text), format_quoted(other)
            yield f"{header} is {here} here, {there} in row {kept_row}."
        kept = dict(zip(contract.names, reject.kept_cells, strict=True))
        yield format_preference(cells, kept, contract, kept_row)

    def _source_cell(self, sheet: Any, header: str, text: str | None, faulty: bool) -> Any:
        if text is None and not faulty:
            return None
        # Texts in the contract are keys: digits in them are not a quantity.
        is_key = header in self._columns and self._columns[header].type == "text"
        if text is not None and not is_key and PLAIN_NUMBER.fullmatch(text):
            number = float(text) if "." in text else int(text)
            return self._number(sheet, number, faulty)
        like_formula = text is not None and is_formula_like(text)
        self._like_formulas += like_formula
        return self._make_text_cell(sheet, text or "", faulty)

    def _number(self, sheet: Any, number: float, faulty: bool = False) -> Any:
        cell = WriteOnlyCell(sheet, number)
        cell._style = self._style(sheet, faulty, False, False)
        return cell

    def _make_text_cell(
        self, sheet: Any, text: str, faulty: bool = False, wrapped: bool = False
    ) -> Any:
        """Return a cell that is a text regardless of its content; all texts are written here."""
        cell = WriteOnlyCell(sheet)
        if text:
            # Bypass the setter, which converts texts that look like formulas or error values.
            cell._value = LIKE_AN_ESCAPE.sub("_x005F_", make_storable(text))
            cell.data_type = "s"
        cell._style = self._style(sheet, faulty, is_formula_like(text), wrapped)
        return cell

    def _style(self, sheet: Any, faulty: bool, quoted: bool, wrapped: bool) -> Any:
        """Return a cached style: setting fill and border on every cell takes most of the time."""
        key = (faulty, quoted, wrapped)
        if key not in self._styles:
            cell = WriteOnlyCell(sheet)
            cell.alignment = WRAPPED if wrapped else TOP
            cell.quotePrefix = quoted
            if faulty:
                cell.fill, cell.border = FAULTY, FAULTY_EDGE
            self._styles[key] = cell._style
        # A copy, because a header modifies its own style.
        return copy(self._styles[key])

    def _count(self, reject: Reject) -> None:
        """Count rows, not cells: each code, and each column of a code, counts once per row."""
        self._rows_by_code.update({reason.code for reason in reject.reasons})
        for code, column in {(reason.code, reason.column) for reason in reject.reasons}:
            self._columns_by_code.setdefault(code, Counter())[column] += 1

    def _write_summary(self, count: int) -> None:
        sheet = self._workbook.create_sheet("Summary", 0)
        _set_widths(sheet, (64, 14, 44, 26))
        _fit_to_pages(sheet, 1)
        for name, value in self._facts(count):
            sheet.append([self._bold(sheet, name), self._any(sheet, value)])
        sheet.append(
            [self._bold(sheet, "Marked cells"), self._make_text_cell(sheet, "have an error", True)]
        )
        sheet.append([])
        titles = ("What is wrong", "Rows", "Columns (rows)", "Rule")
        sheet.append([self._header(sheet, title, OWN_HEADER) for title in titles])
        for code, rows in _most_first(self._rows_by_code):
            columns = ", ".join(
                f"{column} ({n:,})" for column, n in _most_first(self._columns_by_code[code])
            )
            words = self._words.get(code) or code.replace("_", " ")
            sheet.append(
                [
                    self._make_text_cell(sheet, words, wrapped=True),
                    self._number(sheet, rows),
                    self._make_text_cell(sheet, columns, wrapped=True),
                    self._make_text_cell(sheet, code),
                ]
            )
        sheet.append([])
        for note in self._notes():
            sheet.append([self._make_text_cell(sheet, note)])

    def _facts(self, count: int) -> list[tuple[str, str | int]]:
        load, copies = self._load, self._rows_by_code[EXACT_DUPLICATE]
        return [
            *([(SAMPLE, NOTE)] if load.is_sample else []),
            ("File", load.source_file),
            ("Sheet", load.sheet),
            ("Extract date", load.extract_date.isoformat()),
            ("Load", load.batch_id),
            ("Loaded at", f"{load.loaded_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"),
            ("Rows read", load.row_count),
            ("Rows kept", load.row_count - count),
            ("Rows rejected", count - copies),
            ("Exact duplicates", copies),
        ]

    def _notes(self) -> Iterator[str]:
        load = self._load
        rerun = format_commands(format_rerun(load.source_file, load.extract_date)).strip("`")
        yield (
            "Correct the rows in the workbook that they come from, save it, and run it for the "
            f"same extract date: {rerun}"
        )
        yield "Without the date, the day on which it was saved would become its extract date."
        yield (
            "The customers of rejected rows are not scored and not in the list, unless another row "
            "of theirs was kept."
        )
        yield "A row with several errors counts for each of them."
        yield (
            "Exact duplicates come last: nothing is to be corrected in them, and the limit for "
            "rejected rows does not count them."
        )
        kept_by = [self._contract.find(name).name for name in read_domain().contract.kept_row]
        if self._rows_by_code[CONFLICTING_DUPLICATE] and kept_by:
            yield (
                "Of several rows of one customer, the one with the highest value is kept, by "
                f"{', then '.join(kept_by)}."
            )
        if self._like_formulas:
            yield (
                f"Cells that begin like a formula: {self._like_formulas:,}. They are texts here "
                "and do nothing; don't save the sheet as CSV, where they would be formulas again."
            )
        if self._left_off:
            yield (
                f"Further columns that a sheet has no room for: {len(self._left_off):,}. They are "
                "in silver.rejected_rows."
            )

    def _bold(self, sheet: Any, text: str) -> Any:
        cell = self._make_text_cell(sheet, text)
        cell.font = Font(bold=True)
        return cell

    def _any(self, sheet: Any, value: str | int) -> Any:
        if isinstance(value, str):
            return self._make_text_cell(sheet, value)
        cell = self._number(sheet, value)
        cell.number_format = "#,##0"
        cell.alignment = Alignment(horizontal="left")
        return cell


def _most_first(counter: Counter[str]) -> list[tuple[str, int]]:
    """Sort names by descending count, then by name, so that the order is reproducible."""
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


def _fit_to_pages(sheet: Any, pages: int) -> None:
    """Print on landscape pages, the columns on so many pages side by side."""
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = Worksheet.PAPERSIZE_A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = pages, 0
    sheet.page_setup.pageOrder = "overThenDown"
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.page_margins.left = sheet.page_margins.right = 0.4


def _set_widths(sheet: Any, widths: Sequence[int]) -> None:
    for number, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(number)].width = width
