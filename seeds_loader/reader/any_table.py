"""Read the largest table of a workbook, whose columns no contract declares yet."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from lakehouse.errors import InvalidInputError
from seeds_loader.contract import Column, Contract
from seeds_loader.reader import csv_reader, excel_reader, file_format
from seeds_loader.reader.encodings import find_encoding
from seeds_loader.reader.extract import Extract, hash_file
from seeds_loader.reader.header import format_names
from seeds_loader.reader.sheet_text import Grid
from seeds_loader.reader.validation_lists import find_choices
from seeds_loader.source_format import SourceFormat

# A table of customers has at least so many columns and rows.
MIN_COLUMNS, MIN_ROWS = 3, 20
# Another sheet with at least this share of the largest one's cells might be meant as well.
RIVAL_SHARE = 0.5
# The header is the first row with at least this share of the most cells of any row searched.
HEADER_SHARE = 0.8
# Marks a column whose header another one has.
TWIN = "\n"


def read_any_table(
    path: Path,
    sheet: str | None,
    log: Callable[[str], None],
    stated: SourceFormat,
    min_rows: int = MIN_ROWS,
) -> Extract:
    """Read the largest table in this process; `seeds_loader.reader.sandbox` limits its resources.

    Returns:
        The extract, whose table has the cells as text by header; a blank cell is null.

    Raises:
        InvalidInputError: The file can't be read, has no table, or has several of similar size.
    """
    kind = file_format.detect_format(path)
    grids = {grid.sheet: grid for grid in _read_grids(path, kind, sheet, stated, log)}
    tables = [
        (name, row, table)
        for name, grid in grids.items()
        for row, table in [_find_table(grid, min_rows)]
        if table
    ]
    name, row, table = _choose_table(path, tables, min_rows)
    twins = [title.rstrip() for title in table.column_names if title.endswith(TWIN)]
    if twins:
        raise InvalidInputError(
            f"several columns are named {format_names(twins)}",
            where=f"{path}, row {row}",
            hint="give each column a header of its own",
        )
    saved_at = file_format.read_saved_date(path, kind)
    choices = _find_choices(grids[name], row, grids)
    return Extract(path, hash_file(path), name, table, saved_at, row, stated, choices)


def _find_choices(grid: Grid, row: int, grids: Mapping[str, Grid]) -> dict[str, list[str]]:
    """Return the values that Excel offers below each header of a row."""
    found = find_choices(grid.lists, grid.sheet, grids)
    titles = {index: column[row - 1].as_py() for index, column in enumerate(grid.columns)}
    return {
        titles[column - grid.first_column].strip(): values
        for column, values in found.items()
        if titles.get(column - grid.first_column)
    }


def _read_grids(
    path: Path,
    kind: file_format.Kind,
    sheet: str | None,
    stated: SourceFormat,
    log: Callable[[str], None],
) -> Iterator[Grid]:
    if kind == "csv":
        yield _read_csv(path, stated.encoding)
        return
    reader = excel_reader.open_workbook(path, kind)
    names = [name for name in reader.sheet_names if _is_wanted(name, sheet)]
    if not names:
        raise InvalidInputError(
            f"{path.name} has no sheet '{sheet}'",
            where=f"{path}, which has the sheets {format_names(reader.sheet_names)}",
            hint="name one of these with --sheet",
        )
    for name in names:
        log(f"reading sheet '{name}' of {path.name}")
        yield excel_reader.read_sheet(reader, path, kind, name)


def _choose_table(
    path: Path, tables: list[tuple[str, int, pa.Table]], min_rows: int
) -> tuple[str, int, pa.Table]:
    tables.sort(key=lambda found: -_count_cells(found[2]))
    if not tables:
        raise InvalidInputError(
            f"{path.name} has no table of customers",
            where=str(path),
            hint=f"name a workbook with a header and at least {min_rows} rows below it",
        )
    largest = _count_cells(tables[0][2])
    rivals = [n for n, _, table in tables[1:] if _count_cells(table) >= RIVAL_SHARE * largest]
    if rivals:
        raise InvalidInputError(
            f"{path.name} has several tables that may be the customers",
            where=f"{path}, sheets {format_names([tables[0][0], *rivals])}",
            hint=f"say which with --sheet, for example --sheet '{tables[0][0]}'",
        )
    return tables[0]


def _count_cells(table: pa.Table) -> int:
    return int(table.num_rows * table.num_columns)


def _is_wanted(name: str, sheet: str | None) -> bool:
    return sheet is None or name.strip().casefold() == sheet.strip().casefold()


def _find_table(grid: Grid, min_rows: int) -> tuple[int, pa.Table | None]:
    """Return the header's row number and the table below it, or None if there is none."""
    candidates = list(grid.header_candidates())
    width = max((_count_filled(cells) for _, cells in candidates), default=0)
    header = next(
        (
            (row, cells)
            for row, cells in candidates
            if _count_filled(cells) >= HEADER_SHARE * width and _is_header(cells)
        ),
        None,
    )
    if header is None or width < MIN_COLUMNS:
        return 0, None
    row, cells = header
    rows = grid.used_rows[grid.used_rows > row]
    if len(rows) < min_rows:
        return 0, None
    taken = pa.array(rows.astype(np.int64))
    columns: dict[str, pa.ChunkedArray] = {}
    for title, column in zip(cells, grid.columns, strict=True):
        if title and title.strip():
            # Found again below: no header has a line break at its end.
            name = title.strip() + TWIN * (title.strip() in columns)
            columns[name] = column.take(taken)
    return row + 1, pa.table(columns)


def _count_filled(cells: Sequence[str | None]) -> int:
    return sum(bool(cell and cell.strip()) for cell in cells)


def _is_header(cells: Sequence[str | None]) -> bool:
    """Return whether nearly all texts are no numbers."""
    texts = [cell.strip() for cell in cells if cell and cell.strip()]
    return sum(not _is_number(text) for text in texts) >= HEADER_SHARE * len(texts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_csv(path: Path, encoding: str | None) -> Grid:
    """Read a CSV file by a contract of text columns made from its header."""
    encoding = find_encoding(path, encoding)
    best: list[str] = []
    for delimiter in csv_reader.DELIMITERS:
        with path.open(encoding=encoding, newline="") as file:
            rows = list(islice(csv.reader(file, delimiter=delimiter), 1))
        if rows and len(rows[0]) > len(best):
            best = [title.lstrip("\ufeff").strip() for title in rows[0]]
    columns = tuple(Column(title, "category", title) for title in dict.fromkeys(best) if title)
    if len(columns) < MIN_COLUMNS:
        raise InvalidInputError(
            f"{path.name} has no header of at least {MIN_COLUMNS} columns in its first line",
            where=f"{path}, line 1",
            hint="save it with a header, its cells separated by comma, semicolon or tab",
        )
    return csv_reader.read_csv(path, Contract(columns), encoding)
