"""Read a workbook: the sheet that meets the contract, as one table of text."""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import fastexcel
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import InvalidInputError
from seeds_loader.contract import Column, Contract, read_contract, read_source_format
from seeds_loader.reader import csv_reader, excel_reader, file_format
from seeds_loader.reader.customer_ids import read_ids
from seeds_loader.reader.header import (
    ROWS_SEARCHED,
    Header,
    cell_name,
    column_letter,
    describe_miss,
    find_header,
    format_names,
    label_missing_error,
    require_unique_columns,
)
from seeds_loader.reader.notation import NumberColumn, read_numbers
from seeds_loader.reader.sheet_text import Grid, has_text
from seeds_loader.source_format import AS_READ, UNSTATED, SourceFormat

EXTRA, ROW_NUMBER = "_extra", "_row_number"
EXTRA_TYPE = pa.map_(pa.string(), pa.string())
# Extra columns are collected for this many rows at once, which bounds memory use.
EXTRA_BATCH_ROWS = 50_000
MAX_SHEETS_LISTED = 10
# Excel's limit on the characters of a cell.
MAX_CHARACTERS = 32_767


@dataclass(frozen=True)
class Extract:
    """The content of a workbook and its origin.

    Attributes:
        path: The file as it was named.
        sha256: The hash of the file's bytes, in hexadecimal.
        sheet: The sheet's name as the workbook writes it; empty for a CSV file, which has none.
        table: The contract's columns (string, in its order and with its names; a blank cell is
            null), _extra (map: header -> text of the extra columns, without nulls) and _row_number
            (int32, as Excel numbers rows: below a header in row 1 the first is 2; for a CSV file
            the record's number, counted the same way). Entirely blank rows are left out.
        saved_at: The saved date inside the file in UTC; None if it has none.
        header_row: The header's row number.
        format: What was stated about how the file writes text; part of the load's identity.
        choices: The values that Excel offers in the cells of a column, by header; only of a table
            that no contract describes.
    """

    path: Path
    sha256: str
    sheet: str
    table: pa.Table
    saved_at: datetime | None
    header_row: int
    format: SourceFormat = UNSTATED
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)


def read_extract(  # long: one check after another
    path: Path,
    sheet: str | None,
    log: Callable[[str], None],
    stated: SourceFormat = UNSTATED,
    labelled: bool = True,
    tolerant: bool = False,
) -> Extract:
    """Read a file in this process; `seeds_loader.reader.sandbox` limits its time and memory.

    The arguments and errors are those of `seeds_loader.reader.sandbox.read_workbook`.
    """
    declared = read_contract() if labelled else read_contract().without_label()
    contract = declared.without_row_number()
    source_format = stated.or_else(read_source_format())
    try:
        log(f"checking {path.name}")
        kind = file_format.detect_format(path)
        sha256 = hash_file(path)
        saved_at = file_format.read_saved_date(path, kind)
        reader = None
        if kind == "csv":
            grid, header = _read_csv(path, sheet, contract, source_format.encoding, log)
        else:
            source_format = _without_encoding(path, stated, source_format)
            reader = excel_reader.open_workbook(path, kind)
            grid, header = _find_sheet(reader, path, kind, sheet, contract, log)
    except OSError as error:
        raise InvalidInputError(
            f"{path.name} can't be read: {error.strerror or error}",
            where=str(path),
            hint="check the path and the rights to the file; close it in Excel",
        ) from error
    require_unique_columns(header, grid.first_column, _location(path, grid.sheet))
    _require_computed(grid, header, path)
    _require_short_cells(grid, path)
    cells = _Cells(grid, header, reader, path, log if tolerant else None)
    table = _add_row_ids(_build_table(cells, contract, source_format.decimal), declared)
    if not table.num_rows:
        raise _no_rows_error(path, grid, header)
    return Extract(path, sha256, grid.sheet, table, saved_at, header.row + 1, source_format)


def _add_row_ids(table: pa.Table, declared: Contract) -> pa.Table:
    """Return the table with the id that is made of the row's number, if the contract has one."""
    for index, column in enumerate(declared.columns):
        if column.is_row_number:
            numbers = pc.cast(table[ROW_NUMBER], pa.string())
            table = table.add_column(
                index, column.name, pc.binary_join_element_wise("row", numbers, "-")
            )
    return table


def _no_rows_error(path: Path, grid: Grid, header: Header) -> InvalidInputError:
    return InvalidInputError(
        f"{path.name} has a header but no rows",
        where=f"{_location(path, grid.sheet)}, below row {header.row + 1}",
        hint="name the workbook that holds the customers",
    )


def _without_encoding(
    path: Path, stated: SourceFormat, source_format: SourceFormat
) -> SourceFormat:
    """Return the format without an encoding: a workbook declares its own, unlike a CSV file."""
    if stated.encoding is not None:
        raise InvalidInputError(
            f"{path.name} is a workbook, which says its encoding itself",
            where=str(path),
            hint="leave --encoding out; it is for CSV files",
        )
    return replace(source_format, encoding=None)


def _require_computed(grid: Grid, header: Header, path: Path) -> None:
    """Raise InvalidInputError if cells of the contract have formulas that were never computed.

    They would be read as blanks or zeros, and a blank total of a new customer counts as 0. In
    columns outside the contract they do no harm.
    """
    never = "a formula whose stored value is 0 or empty, in a workbook that was never computed"
    for cells, problem in (
        (grid.uncached_formulas, "a formula without a stored value"),
        (grid.uncomputed_formulas, never),
    ):
        if names := _cells_under_header(cells, grid, header):
            raise InvalidInputError(
                f"{len(names):,} cells of {path.name} hold {problem}",
                where=f"{_location(path, grid.sheet)}, {format_names(names)}",
                hint="open it in Excel, which computes them, and save it",
            )


def _cells_under_header(cells: Sequence[tuple[int, int]], grid: Grid, header: Header) -> list[str]:
    """Return the names of the cells below the header in columns of the contract."""
    return [
        cell_name(row, column)
        for row, column in cells
        if row > header.row
        and 0 <= column - grid.first_column < len(header.places)
        and header.places[column - grid.first_column]
    ]


def _require_short_cells(grid: Grid, path: Path) -> None:
    """Raise InvalidInputError for a cell that exceeds Excel's limit on characters."""
    for index, column in enumerate(grid.columns):
        # Bytes first: counting them costs nothing.
        if (pc.max(pc.binary_length(column)).as_py() or 0) <= MAX_CHARACTERS:
            continue
        lengths = pc.fill_null(pc.utf8_length(column), 0)
        longest = pc.max(lengths).as_py()
        if longest > MAX_CHARACTERS:
            cell = cell_name(pc.index(lengths, longest).as_py(), grid.first_column + index)
            raise InvalidInputError(
                f"cell {cell} of {path.name} holds {longest:,} characters, more than Excel's "
                f"{MAX_CHARACTERS:,}",
                where=f"{_location(path, grid.sheet)}, {cell}",
                hint="shorten it; in a CSV file look for a quote that is not closed",
            )


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _location(path: Path, sheet: str) -> str:
    return f"{path}, sheet '{sheet}'" if sheet else str(path)


def _read_csv(
    path: Path,
    sheet: str | None,
    contract: Contract,
    encoding: str | None,
    log: Callable[[str], None],
) -> tuple[Grid, Header]:
    if sheet is not None:
        raise InvalidInputError(
            f"{path.name} is a CSV file and has no sheet '{sheet}'",
            where=str(path),
            hint="leave --sheet out, or name the workbook that has the sheet",
        )
    log(f"reading {path.name}")
    grid = csv_reader.read_csv(path, contract, encoding)
    header = find_header(grid.header_candidates(), contract)
    # read_delimited has already validated the file against the contract.
    assert header is not None
    return grid, header


def _find_sheet(
    reader: fastexcel.ExcelReader,
    path: Path,
    kind: file_format.Kind,
    sheet: str | None,
    contract: Contract,
    log: Callable[[str], None],
) -> tuple[Grid, Header]:
    """Return the one sheet that meets the contract, among all sheets or the requested one.

    An unreadable sheet is ignored if another one fits, unless its header meets the contract too:
    then the user has to choose.
    """
    names = _select_names(reader.sheet_names, sheet, path)
    match: tuple[Grid, Header] | None = None
    fitting: dict[str, str] = {}
    misses: list[str] = []
    error: InvalidInputError | None = None
    unread: dict[str, InvalidInputError] = {}
    for name in names:
        log(f"reading sheet '{name}' of {path.name}")
        try:
            grid = excel_reader.read_sheet(reader, path, kind, name)
        except InvalidInputError as unreadable:
            unread[name] = unreadable
            misses.append(f"'{name}': can't be read ({unreadable.message})")
            continue
        header = find_header(grid.header_candidates(), contract)
        if header is None or not header.fits:
            misses.append(_describe_miss(grid, header, contract))
            error = error or label_missing_error(header, contract, path.name, _location(path, name))
            continue
        fitting[name] = f"is {grid.hidden}" if grid.hidden else ""
        match = match or (grid, header)
    fitting |= _find_unreadable_fitting(path, kind, contract, unread, is_found=match is not None)
    if len(fitting) > 1:
        raise _several_fit_error(path, fitting)
    if match is None:
        raise error or _none_fits_error(path, sheet, reader.sheet_names, misses)
    return match


def _describe_miss(grid: Grid, header: Header | None, contract: Contract) -> str:
    below = find_header(grid.rows_below_candidates(), contract)
    hidden = f" ({grid.hidden})" if grid.hidden else ""
    return f"'{grid.sheet}'{hidden}: {describe_miss(header, below)}"


def _find_unreadable_fitting(
    path: Path,
    kind: file_format.Kind,
    contract: Contract,
    unread: Mapping[str, InvalidInputError],
    is_found: bool,
) -> dict[str, str]:
    """Return the unreadable sheets whose header meets the contract, with the reason.

    Raises:
        InvalidInputError: The reason, if no other sheet fits and this one may have been it.
    """
    fitting: dict[str, str] = {}
    for name, error in unread.items():
        header = find_header(excel_reader.peek(path, kind, name), contract)
        if not is_found and (header is None or header.fits):
            raise error
        if header is not None and header.fits:
            fitting[name] = f"can't be read: {error.message}"
    return fitting


def _several_fit_error(path: Path, fitting: Mapping[str, str]) -> InvalidInputError:
    """Return the error for several fitting sheets; `fitting` maps each to a remark or ''."""
    plain = next((name for name, remark in fitting.items() if not remark), next(iter(fitting)))
    remarks = "".join(f"; '{name}' {remark}" for name, remark in fitting.items() if remark)
    return InvalidInputError(
        f"{len(fitting)} sheets of {path.name} meet the contract{remarks}",
        where=f"{path}, sheets {_quote_names(list(fitting))}",
        hint=f"say which with --sheet, for example --sheet '{plain}'",
    )


def _select_names(names: Sequence[str], wanted: str | None, path: Path) -> Sequence[str]:
    """Return all sheets, or the requested one; like Excel, ignore the case of names."""
    if wanted is None:
        return names
    for name in names:
        if name.strip().casefold() == wanted.strip().casefold():
            return [name]
    raise InvalidInputError(
        f"{path.name} has no sheet '{wanted}'",
        where=f"{path}, which has the sheets {_quote_names(names)}",
        hint="name one of these with --sheet, or leave --sheet out",
    )


def _none_fits_error(
    path: Path, sheet: str | None, names: Sequence[str], misses: Sequence[str]
) -> InvalidInputError:
    described = "; ".join(misses[:MAX_SHEETS_LISTED])
    left_off = len(misses) - MAX_SHEETS_LISTED
    more = f"; and {left_off} more sheets" if left_off > 0 else ""
    correct = (
        "add the missing columns or correct their headers; rows above the header have to be fewer "
        f"than {ROWS_SEARCHED}"
    )
    if sheet is None:
        return InvalidInputError(
            f"no sheet of {path.name} has all columns of the contract",
            where=f"{path}, sheet {described}{more}",
            hint=correct,
        )
    return InvalidInputError(
        f"sheet '{sheet}' of {path.name} does not have all columns of the contract",
        where=f"{path}, sheet {described}",
        hint=f"{correct}, or name another sheet: {_quote_names(names)}",
    )


def _quote_names(names: Sequence[str]) -> str:
    return format_names([f"'{name}'" for name in names])


@dataclass(frozen=True)
class _Cells:
    """The rows below the header; `reader` is None for a CSV file, in which all cells are text.

    `warn` is called for amounts that are not plain numbers; without it they are refused.
    """

    grid: Grid
    header: Header
    reader: fastexcel.ExcelReader | None
    path: Path
    warn: Callable[[str], None] | None = None

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        return self.grid.used_rows[self.grid.used_rows > self.header.row]

    @cached_property
    def columns(self) -> list[pa.ChunkedArray]:
        return [_take_rows(column, self.rows) for column in self.grid.columns]

    @property
    def where(self) -> str:
        return _location(self.path, self.grid.sheet)

    def is_number(self, name: str) -> npt.NDArray[np.bool_]:
        """Return which cells of a column of the contract are numbers, not text."""
        if self.reader is None:
            return np.zeros(len(self.rows), dtype=bool)
        index = self.header.places.index(name)
        numbers = excel_reader.find_number_cells(self.reader, self.path, self.grid.sheet, index)
        return numbers[self.rows]


def _build_table(cells: _Cells, contract: Contract, decimal: str | None) -> pa.Table:
    as_read = {name: cells.columns[cells.header.places.index(name)] for name in contract.names}
    columns = {
        column.name: _normalise_column(cells, column, as_read[column.name], decimal)
        for column in contract.columns
    }
    titles = _extra_titles(cells.header, cells.columns, cells.grid.first_column)
    extras = {title: cells.columns[index] for index, title in titles.items()}
    for name, column in columns.items():
        if column is not as_read[name]:
            extras |= _collect_changed(AS_READ.format(column=name), as_read[name], column, extras)
    return pa.table(
        {
            **columns,
            EXTRA: _extra_maps(extras, len(cells.rows)),
            ROW_NUMBER: pa.array((cells.rows + 1).astype(np.int32)),
        }
    )


def _normalise_column(
    cells: _Cells, column: Column, as_read: pa.ChunkedArray, decimal: str | None
) -> pa.ChunkedArray:
    """Return the column as bronze stores it: the same array if its notation is unchanged."""
    if column.type == "text":
        return read_ids(column, as_read, cells.where)
    if column.type not in ("integer", "number"):
        return as_read
    rows = (cells.rows + 1).astype(np.int32)
    is_number = functools.partial(cells.is_number, column.name)
    numbers = NumberColumn(column.name, as_read, rows, is_number, cells.where)
    return read_numbers(numbers, decimal, cells.warn)


def _collect_changed(
    title: str, before: pa.ChunkedArray, after: pa.ChunkedArray, extras: Mapping[str, object]
) -> dict[str, pa.ChunkedArray]:
    """Return an extra column with the original texts of cells that bronze writes differently."""
    original = pc.if_else(pc.fill_null(pc.not_equal(before, after), False), before, None)
    while title in extras:
        title += "_2"
    return {title: original} if original.null_count < len(original) else {}


def _take_rows(column: pa.ChunkedArray, rows: npt.NDArray[np.int64]) -> pa.ChunkedArray:
    # A slice copies nothing; only a sheet with gaps needs `take`.
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return column.slice(int(rows[0]), len(rows))
    return column.take(pa.array(rows))


def _extra_titles(header: Header, columns: Sequence[pa.ChunkedArray], left: int) -> dict[int, str]:
    """Return a unique name for each column outside the contract, by column index.

    A column without a header is named after its letter, or left out if it is empty.
    """
    titles: dict[int, str] = {}
    # How often a title was requested, so that numbering a thousand equal ones does not restart at
    # one.
    numbers: dict[str, int] = {}
    taken: set[str] = set()
    for index, place in enumerate(header.places):
        title = (header.titles[index] or "").strip()
        if place is not None or not (title or has_text(columns[index])):
            continue
        wanted = title or f"column_{column_letter(left + index)}"
        name, number = wanted, numbers.get(wanted, 1)
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        numbers[wanted] = number
        taken.add(name)
        titles[index] = name
    return titles


def _extra_maps(extras: dict[str, pa.ChunkedArray], height: int) -> pa.ChunkedArray:
    """Return one map for each row, in the order of the columns; shape (height,)."""
    batches = [
        _extra_batch(
            list(extras),
            [column.slice(start, EXTRA_BATCH_ROWS) for column in extras.values()],
            min(EXTRA_BATCH_ROWS, height - start),
        )
        for start in range(0, height, EXTRA_BATCH_ROWS)
    ]
    return pa.chunked_array(batches, EXTRA_TYPE)


def _extra_batch(names: list[str], columns: list[pa.ChunkedArray], height: int) -> pa.Array:
    if not names:
        offsets = pa.array(np.zeros(height + 1, dtype=np.int32))
        return pa.MapArray.from_arrays(
            offsets, pa.array([], pa.string()), pa.array([], pa.string())
        )
    texts = pa.concat_arrays([chunk for column in columns for chunk in column.chunks])
    present = np.stack([column.is_valid().to_numpy() for column in columns], axis=1)
    # Row by row, while `texts` has the cells column after column.
    rows, which = np.nonzero(present)
    offsets = np.concatenate([[0], present.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.MapArray.from_arrays(
        pa.array(offsets),
        pa.array(names, pa.string()).take(pa.array(which)),
        texts.take(pa.array(which * height + rows)),
    )
