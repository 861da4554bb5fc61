"""Read Excel sheets as text, through fastexcel.

How a cell is converted:
  text      unchanged, including blanks around it
  number    1 for 1.0, else its shortest decimals; Excel itself stores 15 digits of a number, so a
            long id has to be text to survive in the workbook. Numbers within 5e-10 of one with
            fewer than seven decimals are read as that one
  boolean   TRUE, FALSE
  date      2024-03-01 00:00:00; its number if the calendar has no such day
  error     its sign, such as #N/A
  formula   the value that Excel stored with it; formulas are never computed here
  blank     null
"""

import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import fastexcel
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import InvalidInputError
from seeds_loader.reader import sheet_biff, sheet_xml
from seeds_loader.reader.file_format import Kind, damaged_error
from seeds_loader.reader.header import ROWS_SEARCHED, cell_name
from seeds_loader.reader.sheet_text import Grid

ERROR_SIGNS = {
    "Error(Div0)": "#DIV/0!",
    "Error(NA)": "#N/A",
    "Error(Name)": "#NAME?",
    "Error(Null)": "#NULL!",
    "Error(Num)": "#NUM!",
    "Error(Ref)": "#REF!",
    "Error(Value)": "#VALUE!",
    "Error(GettingData)": "#GETTING_DATA",
}

# A sheet is scanned before fastexcel lays it out, because the layout may terminate the process
# before the faulty cell can be named. In a larger file the scan takes seconds, so it runs in
# parallel.
SCAN_FIRST_BYTES = 8 * 1024**2
# A small sheet is scanned first in a file of any size: the scan takes no time, and a note beside
# the table then can't terminate the process.
SMALL_SHEET_BYTES = 2 * 1024**2

# fastexcel writes nine decimals and drops trailing zeros. A text with this many decimals, or a zero
# with a sign, may be a truncated number.
POSSIBLY_TRUNCATED = r"^(-?\d+\.\d{7,9}|-0)$"
PLAIN_NUMBER = r"^-?\d+(\.\d{1,9})?$"
# Largest difference between fastexcel's text and the number.
HALF_OF_NINTH_DECIMAL, RELATIVE_ERROR = 5.1e-10, 1e-15
# openpyxl also returns rows of a long range without cells.
ROWS_PEEKED = 1_000
# The errors that openpyxl raises if a part of the workbook is broken.
PEEK_ERRORS = (
    *(OSError, EOFError, SyntaxError, LookupError, ValueError, TypeError, AttributeError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),
)
HIDDEN = {"visible": "", "hidden": "hidden", "veryhidden": "very hidden"}
NO_DATE = "DateTime(ExcelDateTime { value: "
NO_DATE_NUMBER = r"^DateTime\(ExcelDateTime \{ value: (-?[0-9.e+-]*?)(\.0)?, datetime_type.*$"
BOOLEAN = r"^(true|false)$"


def open_workbook(path: Path, kind: Kind) -> fastexcel.ExcelReader:
    """Open a workbook whose content is of this kind.

    Raises:
        InvalidInputError: fastexcel can't open the workbook.
    """
    with _translate_errors(path, None):
        # fastexcel relies on the file name unless it gets the bytes.
        named_right = path.suffix.lower() == f".{kind}"
        return fastexcel.read_excel(path if named_right else path.read_bytes())


def read_sheet(reader: fastexcel.ExcelReader, path: Path, kind: Kind, sheet: str) -> Grid:
    """Read all cells of a sheet; an empty one has no columns.

    Raises:
        InvalidInputError: The sheet can't be read.
    """
    if kind != "xlsx":
        # If two sheets have one name, fastexcel keeps the last.
        number = len(reader.sheet_names) - 1 - reader.sheet_names[::-1].index(sheet)
        formulas = sheet_biff.scan(path, number)
        return _with_formulas(_read_grid(reader, path, sheet, lambda: True), formulas)
    with ThreadPoolExecutor(1) as executor:
        scan = executor.submit(sheet_xml.scan, path, sheet)
        if path.stat().st_size <= SCAN_FIRST_BYTES or _is_small(path, sheet):
            scan.result()
        try:
            grid = _read_grid(reader, path, sheet, lambda: scan.result().nearly_whole)
        finally:
            # Raises the error that names the faulty cell, even if fastexcel fails as well.
            scanned = scan.result()
    return _with_formulas(grid, scanned)


def _with_formulas(grid: Grid, scanned: sheet_xml.Sheet | sheet_biff.Formulas) -> Grid:
    return replace(
        grid,
        uncached_formulas=tuple(scanned.uncached),
        uncomputed_formulas=tuple(scanned.uncomputed),
        lists=scanned.lists if isinstance(scanned, sheet_xml.Sheet) else (),
    )


def peek(path: Path, kind: Kind, sheet: str) -> list[tuple[int, list[str | None]]]:
    """Return the first used rows of an unreadable sheet, in the form of `Grid.top`.

    This is slow and lenient: it only serves to detect a header. At an error it returns the rows
    read so far; for an .xls file it returns none.
    """
    rows: list[tuple[int, list[str | None]]] = []
    if kind != "xlsx":
        return rows
    # Imported here only because few workbooks need it and the import is slow.
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        worksheet = book[sheet]
        # The size that the sheet declares may be wrong.
        worksheet.reset_dimensions()
        for row, values in enumerate(worksheet.iter_rows(max_row=ROWS_PEEKED, values_only=True)):
            cells = [None if value is None else str(value) for value in values]
            if any(cell and cell.strip() for cell in cells):
                rows.append((row, cells))
            if len(rows) == ROWS_SEARCHED:
                break
    except PEEK_ERRORS:
        # Keep the rows read so far.
        pass
    return rows


def _is_small(path: Path, sheet: str) -> bool:
    return sheet_xml.read_packed_size(path, sheet) <= SMALL_SHEET_BYTES


def find_number_cells(
    reader: fastexcel.ExcelReader, path: Path, sheet: str, index: int
) -> npt.NDArray[np.bool_]:
    """Return which cells of a used column are numbers (or dates), not text.

    If read as floats, the text '74.150' would count as a number as well. If read as dates, only
    numbers count, and texts that are written as dates.
    """
    with _translate_errors(path, sheet):
        loaded = reader.load_sheet(sheet, header_row=None, skip_rows=0, dtypes="datetime")
        is_number: npt.NDArray[np.bool_] = (
            loaded.to_arrow().column(index).is_valid().to_numpy(zero_copy_only=False)
        )
    return is_number


def _read_grid(
    reader: fastexcel.ExcelReader, path: Path, sheet: str, nearly_whole: Callable[[], bool]
) -> Grid:
    """Return the cells of a sheet as a grid, with what fastexcel changes restored.

    `nearly_whole` returns whether a value that looks like a whole number may not be one; it is
    called late.
    """
    with _translate_errors(path, sheet):
        loaded = reader.load_sheet(sheet, header_row=None, skip_rows=0, dtypes="string")
        batch, errors = loaded.to_arrow_with_errors()
        columns = list(batch.columns)
        first_column = loaded.selected_columns[0].absolute_index if columns else 0
        second_reading = _SecondReading(reader, path, sheet, first_column)
        _restore_errors(columns, errors)
        _restore_booleans(second_reading, columns)
        _restore_decimals(
            second_reading, columns, PLAIN_NUMBER if nearly_whole() else POSSIBLY_TRUNCATED
        )
        _restore_dates(columns)
        _blank_to_null(columns)
    whole = tuple(pa.chunked_array([column]) for column in columns)
    return Grid(sheet, whole, first_column, hidden=HIDDEN[loaded.visible])


def _restore_errors(columns: list[pa.Array], errors: fastexcel.CellErrors | None) -> None:
    """Write the signs of error cells where fastexcel left nulls."""
    signs: dict[int, list[tuple[int, str]]] = {}
    for error in errors.errors if errors else ():
        row, column = error.offset_position
        match = re.search(r"got '(.*)'", error.detail)
        sign = ERROR_SIGNS.get(match[1], match[1]) if match else error.detail
        signs.setdefault(column, []).append((row, sign))
    for column, cells in signs.items():
        cells.sort()
        mask = np.zeros(len(columns[column]), dtype=bool)
        mask[[row for row, _ in cells]] = True
        columns[column] = pc.replace_with_mask(
            columns[column], pa.array(mask), pa.array([sign for _, sign in cells], pa.string())
        )


def _restore_booleans(second_reading: "_SecondReading", columns: list[pa.Array]) -> None:
    """Write booleans as Excel shows them, and leave the text 'true' unchanged."""
    for index, exact in second_reading.read(columns, _find_matching(columns, BOOLEAN), "boolean"):
        lower = pc.match_substring_regex(columns[index], BOOLEAN)
        mask = pc.fill_null(pc.and_(lower, pc.is_valid(exact)), False)
        second_reading.require_same(
            index, mask, pc.equal(pc.cast(exact, pa.string()), columns[index])
        )
        columns[index] = pc.if_else(mask, pc.utf8_upper(columns[index]), columns[index])


def _restore_decimals(
    second_reading: "_SecondReading", columns: list[pa.Array], suspicious: str
) -> None:
    """Restore the remaining digits of numbers with more than nine decimals."""
    for index, exact in second_reading.read(columns, _find_matching(columns, suspicious), "float"):
        plain = pc.fill_null(pc.match_substring_regex(columns[index], PLAIN_NUMBER), False)
        seen = pc.cast(pc.if_else(plain, columns[index], None), pa.float64())
        # A text that looks like a number stays null.
        number = pc.and_(plain, pc.is_valid(exact))
        apart = pc.abs(pc.subtract(seen, exact))
        bound = pc.add(pc.multiply(pc.abs(exact), RELATIVE_ERROR), HALF_OF_NINTH_DECIMAL)
        second_reading.require_same(index, number, pc.less_equal(apart, bound))
        cut = pc.fill_null(pc.not_equal(seen, exact), False)
        columns[index] = pc.if_else(cut, pc.cast(exact, pa.string()), columns[index])


def _restore_dates(columns: list[pa.Array]) -> None:
    """Replace dates outside the calendar by their numbers; fastexcel writes its own notation."""
    for index, column in enumerate(columns):
        if pc.any(pc.starts_with(column, NO_DATE)).as_py():
            columns[index] = pc.replace_substring_regex(column, NO_DATE_NUMBER, r"\1")


def _blank_to_null(columns: list[pa.Array]) -> None:
    """Replace empty texts, which formulas may store, by null: users see them as blank cells."""
    for index, column in enumerate(columns):
        empty = pc.equal(column, "")
        if pc.any(empty).as_py():
            columns[index] = pc.if_else(empty, None, column)


def _find_matching(columns: list[pa.Array], pattern: str) -> list[int]:
    return [
        index
        for index, column in enumerate(columns)
        if pc.any(pc.match_substring_regex(column, pattern)).as_py()
    ]


@dataclass(frozen=True)
class _SecondReading:
    """A second reading of single columns of a sheet whose first used column is `left`."""

    reader: fastexcel.ExcelReader
    path: Path
    sheet: str
    first_column: int

    def read(
        self, columns: list[pa.Array], which: list[int], dtype: fastexcel.DType
    ) -> Iterator[tuple[int, pa.Array]]:
        """Yield these columns as another type; a cell without such a value is null.

        Raises:
            InvalidInputError: The second reading has a value in a cell that was blank, or is not of
                the requested columns; then one of the two has values in the wrong position.
        """
        if not which:
            return
        # fastexcel counts from column A on, whatever the first used column is.
        wanted = [self.first_column + index for index in which]
        loaded = self.reader.load_sheet(
            self.sheet, header_row=None, skip_rows=0, dtypes=dtype, use_columns=wanted
        )
        if [column.absolute_index for column in loaded.selected_columns] != wanted:
            raise self._difference_error(which[0], 0)
        for index, exact in zip(which, loaded.to_arrow().columns, strict=True):
            if len(exact) != len(columns[index]):
                raise self._difference_error(index, min(len(exact), len(columns[index])))
            blank = pc.is_null(columns[index])
            self.require_same(index, blank, pc.is_null(exact))
            yield index, exact

    def require_same(self, index: int, where: pa.Array, same: pa.Array) -> None:
        """Raise InvalidInputError for the first cell of a column whose two readings differ."""
        differs = pc.and_(where, pc.invert(pc.fill_null(same, False)))
        row = pc.index(differs, True).as_py()
        if row >= 0:
            raise self._difference_error(index, row)

    def _difference_error(self, index: int, row: int) -> InvalidInputError:
        cell = cell_name(row, self.first_column + index)
        return InvalidInputError(
            f"two readings of cell {cell} of {self.path.name} differ",
            where=f"{self.path}, sheet '{self.sheet}', {cell}",
            hint="open it in Excel, save it again as .xlsx, and report this: it is an error of "
            "the reader",
        )


@contextmanager
def _translate_errors(path: Path, sheet: str | None) -> Iterator[None]:
    """Translate fastexcel's errors into InvalidInputError with a place and a hint."""
    try:
        yield
    except (fastexcel.FastExcelError, pa.ArrowException, OSError) as error:
        raise _translate_error(path, sheet, str(error)) from error
    except BaseException as error:
        # A panic in fastexcel's Rust code is not an Exception, and its class can't be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise _translate_error(path, sheet, str(error)) from error


def _translate_error(path: Path, sheet: str | None, message: str) -> InvalidInputError:
    sign = re.search(r"Unsupported cell error value '(.*?)'", message)
    if sign:
        return InvalidInputError(
            f"a cell of sheet '{sheet}' of {path.name} holds the error {sign[1]}",
            where=f"{path}, sheet '{sheet}'",
            hint=f"find {sign[1]} in Excel (Find, look in: Values), correct the cell and save; "
            "if the customers stand on another sheet, name that one with --sheet",
        )
    if re.search("password", message, re.IGNORECASE):
        message = "it seems to be protected by a password"
    return damaged_error(path, message.splitlines()[0] + (f" (sheet '{sheet}')" if sheet else ""))
