"""Read a CSV file as text, one row for each record.

`seeds_loader.reader.encodings` determines the encoding. The delimiter is the one with which the
header names most of the contract's columns. An empty cell is null, quoted or not.

A record may have fewer cells than the header in two cases: Excel omits the delimiters of blank
cells at the end of a row, and there may be a footer below the customers.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from pathlib import Path

import pyarrow as pa

from lakehouse.errors import InvalidInputError
from seeds_loader.contract import Column, Contract
from seeds_loader.reader.encodings import find_encoding
from seeds_loader.reader.header import (
    MIN_NAMES,
    ROWS_SEARCHED,
    Header,
    arrange_hint,
    describe_miss,
    find_header,
    label_missing_error,
)
from seeds_loader.reader.notation import PLAIN
from seeds_loader.reader.sheet_text import Grid

DELIMITERS = (",", ";", "\t")
BATCH_ROWS = 50_000
# A footer names a total or a source; it has at most this many cells.
FOOTER_CELLS = 3
# Number of rows whose ids are used to distinguish a footer from a truncated customer row.
IDS_COMPARED = 1_000
# Blank lines above the header count as lines, not as rows searched.
LINES_SEARCHED = 1_000
# Length of the longest line break, in any encoding.
TAIL_BYTES = 8
# Excel's limit on columns; the csv module itself limits a cell to 131,072 characters.
MAX_COLUMNS = 16_384

Record = list[str]


@dataclass(frozen=True)
class _File:
    """A CSV file whose encoding, delimiter and header are known."""

    path: Path
    encoding: str
    delimiter: str
    header: Header
    contract: Contract

    @property
    def width(self) -> int:
        return len(self.header.titles)

    @cached_property
    def min_width(self) -> int:
        """Return the minimum number of cells of a row: up to the last never-blank column."""
        never_blank = {
            column.name
            for column in self.contract.columns
            if not (column.zero_if_blank_when_zero or column.blank_as)
        }
        return 1 + max(n for n, place in enumerate(self.header.places) if place in never_blank)

    @cached_property
    def last_required_column(self) -> Column:
        name = self.header.places[self.min_width - 1]
        return next(column for column in self.contract.columns if column.name == name)

    @cached_property
    def ends_in_line_break(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - TAIL_BYTES))
            return file.read().decode(self.encoding, errors="ignore").endswith(("\n", "\r"))

    def records(self) -> Iterator[Record]:
        return _read_records(self.path, self.encoding, self.delimiter)


def read_csv(path: Path, contract: Contract, encoding: str | None = None) -> Grid:
    """Return all records of the file, each as wide as its header.

    Args:
        path: The CSV file.
        contract: The columns that the header must name.
        encoding: The stated encoding, or None to detect it.

    Raises:
        InvalidInputError: No record meets the contract, a record has more or fewer cells than the
            header (its values would be in the wrong columns, or the file was truncated), or the
            bytes or quotes are malformed.
    """
    encoding = find_encoding(path, encoding)
    delimiter, header = _find_delimiter(path, encoding, contract)
    if header is None or not header.fits:
        raise label_missing_error(header, contract, path.name, str(path)) or InvalidInputError(
            f"{path.name} does not have the columns of the contract: "
            f"{describe_miss(header, contract)}",
            where=str(path),
            hint=arrange_hint(
                "add the missing columns or correct their headers; cells are separated by comma, "
                "semicolon or tab",
                is_alike=header is not None and header.match_count >= MIN_NAMES,
                contract=contract,
            ),
        )
    file = _File(path, encoding, delimiter, header, contract)
    schema = pa.schema([(str(index), pa.string()) for index in range(file.width)])
    table = pa.Table.from_batches(_read_batches(file, schema), schema)
    return Grid("", tuple(table.columns))


def _find_delimiter(path: Path, encoding: str, contract: Contract) -> tuple[str, Header | None]:
    headers: list[tuple[str, Header | None]] = []
    errors: list[InvalidInputError] = []
    for delimiter in DELIMITERS:
        try:
            header = find_header(_header_candidates(path, encoding, delimiter), contract)
        except InvalidInputError as error:
            # Quotes that end before a semicolon are malformed if the delimiter is a comma.
            errors.append(error)
            continue
        if header is not None and header.fits:
            return delimiter, header
        headers.append((delimiter, header))
    if errors:
        raise errors[0]
    return max(headers, key=lambda pair: pair[1].match_count if pair[1] else -1)


def _header_candidates(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, Record]]:
    lines = islice(_read_records(path, encoding, delimiter), LINES_SEARCHED)
    used = ((row, record) for row, record in enumerate(lines) if not _is_blank(record))
    return islice(used, ROWS_SEARCHED)


def _read_records(path: Path, encoding: str, delimiter: str) -> Iterator[Record]:
    """Yield the file's records; an empty line is an empty record."""
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for record in reader:
                if len(record) > MAX_COLUMNS:
                    raise InvalidInputError(
                        f"a row of {path.name} has {len(record):,} cells, more than Excel's "
                        f"{MAX_COLUMNS:,}",
                        where=f"{path}, line {reader.line_num}",
                        hint="name the file that holds the customers",
                    )
                yield record
        except csv.Error as error:
            raise InvalidInputError(
                f"{path.name} breaks the rules of CSV: {error}",
                where=f"{path}, near line {reader.line_num}",
                hint="look for a quote that is opened and not closed, or get the file again: "
                "its end may be missing",
            ) from error


def _read_batches(file: _File, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    rows = _read_rows(file)
    while batch := list(islice(rows, BATCH_ROWS)):
        arrays = [
            pa.array([cell or None for cell in cells], pa.string())
            for cells in zip(*batch, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _read_rows(file: _File) -> Iterator[Record]:
    """Yield the records, each as wide as the header."""
    width = file.width
    footer: tuple[int, Record] | None = None
    short = index = -1
    record: Record = []
    for index, record in enumerate(file.records()):
        if len(record) == width:
            if footer and not _is_blank(record):
                raise _ragged_row_error(file, *footer)
            yield record
            continue
        # Titles above the header have their own width and are not read further.
        if index >= file.header.row and not _is_blank(record):
            if not footer and _lacks_blanks(file, record):
                short = index
            elif _is_footer(file, record):
                footer = footer or (index, record)
            else:
                raise _ragged_row_error(file, *(footer or (index, record)))
        yield (record + [""] * width)[:width]
    if short == index and not file.ends_in_line_break:
        raise _ragged_row_error(file, index, record)


def _lacks_blanks(file: _File, record: Record) -> bool:
    """Return whether a record lacks only blank cells at its end, as Excel saves them.

    The last cell that may not be blank shows this: if a delimiter was lost in the middle, the cell
    has the value of another column.
    """
    if not file.min_width <= len(record) < file.width:
        return False
    last = record[file.min_width - 1].strip()
    return not last or _is_accepted(file.last_required_column, last)


def _is_accepted(column: Column, value: str) -> bool:
    if column.type == "text":
        return True
    if column.type in ("integer", "number"):
        return re.match(PLAIN, value.replace(",", ".")) is not None
    accepted = (*column.true_values, *column.false_values, *column.categories)
    return value.casefold() in {spelling.casefold() for spelling in accepted}


def _is_footer(file: _File, record: Record) -> bool:
    """Return whether a short record is a note below the customers, not a truncated customer."""
    cells = [cell.strip() for cell in record if cell.strip()]
    if len(cells) > FOOTER_CELLS or len(record) > file.width:
        return False
    shape = _shape(cells[0])
    return not any(id_shape.startswith(shape) for id_shape in _id_shapes(file))


def _shape(text: str) -> str:
    """Return the shape of a text: a run of letters is one `a`, a run of digits one `9`."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", text))


@cache
def _id_shapes(file: _File) -> frozenset[str]:
    ids = file.header.places.index(file.contract.columns[0].name)
    below = islice(file.records(), file.header.row + 1, file.header.row + 1 + IDS_COMPARED)
    return frozenset(
        _shape(record[ids].strip()) for record in below if len(record) >= file.min_width
    )


def _ragged_row_error(file: _File, index: int, record: Record) -> InvalidInputError:
    name, width = file.path.name, file.width
    longer = len(record) > width
    return InvalidInputError(
        f"row {index + 1} of {name} has {len(record)} cells, the header has {width}",
        where=f"{file.path}, row {index + 1}",
        hint=(
            "put quotes around a value that holds the delimiter (an amount with a decimal comma, "
            "perhaps)"
            if longer
            else "put quotes around a value that holds a line break, add the cells that are missing"
        )
        + ", or get the file again: it may be cut off",
    )


def _is_blank(record: Record) -> bool:
    return not any(cell.strip() for cell in record)
