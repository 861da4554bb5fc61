"""A CSV file as text, one row for each record.

UTF-8 with or without byte order mark, or UTF-16 with one, as Excel saves them; bytes that are not
UTF-8 are taken for Windows-1252, Excel's plain 'CSV' in the west. The delimiter is the one under
which the header names most of the contract's columns. An empty cell is null, quoted or not.
"""

import codecs
import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa

from lakehouse.errors import Unusable
from seeds_loader.container import damaged
from seeds_loader.contract import Contract
from seeds_loader.grid import Grid
from seeds_loader.header import ROWS_SEARCHED, Header, describe_miss, find_header

DELIMITERS = (",", ";", "\t")
BATCH_ROWS = 50_000
CHUNK_CHARACTERS = 1024**2
# Blank lines above the header count as lines, not as rows searched.
LINES_SEARCHED = 1_000
# What Excel holds; csv itself stops at 131,072 characters of a cell.
MAX_COLUMNS = 16_384

Record = list[str]


def read_delimited(path: Path, contract: Contract) -> Grid:
    """All records of the file, with the width of its header.

    Raises Unusable when no record meets the contract, when a record has more or fewer cells than
    the header (its values would stand in the wrong columns, or the file was cut off), or when the
    bytes or quotes make no sense.
    """
    encoding = _encoding(path)
    delimiter, header = _delimiter(path, encoding, contract)
    if header is None or not header.fits:
        raise Unusable(
            f"{path.name} does not have the columns of the contract: {describe_miss(header)}",
            where=str(path),
            remedy="add the missing columns or correct their headers; cells are separated by "
            "comma, semicolon or tab",
        )
    schema = pa.schema([(str(index), pa.string()) for index in range(len(header.titles))])
    batches = _batches(path, encoding, delimiter, header, schema)
    table = pa.Table.from_batches(batches, schema)
    return Grid("", tuple(table.columns))


def _encoding(path: Path) -> str:
    """The encoding in which the whole file is text. Raises Unusable where there is none."""
    with path.open("rb") as file:
        head = file.read(2)
    utf16 = head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "cp1252"):
        try:
            with path.open(encoding=encoding, newline="") as text:
                while chunk := text.read(CHUNK_CHARACTERS):
                    if "\0" in chunk:
                        raise damaged(path, "it holds zero bytes, which text does not")
        except UnicodeDecodeError:
            continue
        return encoding
    raise Unusable(
        f"{path.name} is no text: neither UTF-8 nor UTF-16 nor Windows-1252",
        where=str(path),
        remedy="save it in Excel as 'CSV UTF-8 (comma delimited)'",
    )


def _delimiter(path: Path, encoding: str, contract: Contract) -> tuple[str, Header | None]:
    found: list[tuple[str, Header | None]] = []
    faults: list[Unusable] = []
    for delimiter in DELIMITERS:
        try:
            header = find_header(_top(path, encoding, delimiter), contract)
        except Unusable as fault:
            # quotes that end before a semicolon make no sense to who looks for commas
            faults.append(fault)
            continue
        if header is not None and header.fits:
            return delimiter, header
        found.append((delimiter, header))
    if faults:
        raise faults[0]
    return max(found, key=lambda pair: pair[1].matched if pair[1] else -1)


def _top(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, Record]]:
    lines = islice(_records(path, encoding, delimiter), LINES_SEARCHED)
    used = ((row, record) for row, record in enumerate(lines) if not _is_blank(record))
    return islice(used, ROWS_SEARCHED)


def _records(path: Path, encoding: str, delimiter: str) -> Iterator[Record]:
    """The file's records; an empty line is an empty one."""
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for record in reader:
                if len(record) > MAX_COLUMNS:
                    raise Unusable(
                        f"a row of {path.name} has {len(record):,} cells, more than Excel's "
                        f"{MAX_COLUMNS:,}",
                        where=f"{path}, line {reader.line_num}",
                        remedy="name the file that holds the customers",
                    )
                yield record
        except csv.Error as fault:
            raise Unusable(
                f"{path.name} breaks the rules of CSV: {fault}",
                where=f"{path}, near line {reader.line_num}",
                remedy="look for a quote that is opened and not closed, or get the file again: "
                "its end may be missing",
            ) from fault


def _batches(
    path: Path, encoding: str, delimiter: str, header: Header, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    width = len(schema)
    numbered = enumerate(_records(path, encoding, delimiter))
    rows = (_row(path, index, record, header.row, width) for index, record in numbered)
    while batch := list(islice(rows, BATCH_ROWS)):
        arrays = [
            pa.array([cell or None for cell in cells], pa.string())
            for cells in zip(*batch, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _row(path: Path, index: int, record: Record, header: int, width: int) -> Sequence[str]:
    if len(record) == width:
        return record
    # titles above the header have their own width, and nobody reads them further
    if index < header or _is_blank(record):
        return (record + [""] * width)[:width]
    raise Unusable(
        f"row {index + 1} of {path.name} has {len(record)} cells, the header has {width}",
        where=f"{path}, row {index + 1}",
        remedy="put quotes around a value that holds the delimiter, or get the file again: "
        "it may be cut off",
    )


def _is_blank(record: Record) -> bool:
    return not any(cell.strip() for cell in record)
