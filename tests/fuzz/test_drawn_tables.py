"""The same table anywhere on a sheet is read as what was written, and as openpyxl reads it."""

import math
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from drawn_tables import HEADER, Drawn, Place, Table, draw

from lakehouse.errors import InvalidInputError
from seeds_loader.reader.extract import read_extract
from seeds_loader.reader.header import column_letter

SLICE = range(0, 150)
ALL = range(0, 2_000)
# What is not told apart from a fraction with fewer decimals (seeds_loader/reader/excel_reader.py).
TOLERATED = 5e-10


@pytest.mark.parametrize(
    "numbers",
    [pytest.param(SLICE, id="slice"), pytest.param(ALL, marks=pytest.mark.long, id="all")],
)
def test_a_table_is_read_wherever_it_stands(numbers, tmp_path, capsys):
    cells = 0
    faults: list[str] = []
    for number in numbers:
        table = draw(number)
        path = table.write(tmp_path)
        try:
            cells += compare(table, path)
        except (AssertionError, InvalidInputError) as fault:
            faults.append(f"{number} ({table.suffix}, column {column_letter(table.left)}): {fault}")
    with capsys.disabled():
        print(f"\n{len(numbers):,} tables, {cells:,} cells: {len(faults)} tables differ")
    assert not faults, "\n".join(faults[:20])


def compare(table: Table, path: Path) -> int:
    """Holds each cell that is loaded against what was written; returns how many there were."""
    extract = read_extract(path, None, lambda _: None)
    assert (extract.sheet, extract.header_row) == ("Data", table.header_row + 1)
    written = {place: drawn.value for place, drawn in table.cells.items()}
    if table.suffix == ".xlsx":
        written = read_by_openpyxl(path)
        assert_alike(written, table.cells)
    rows = sorted(
        {row for (row, _), value in written.items() if row > table.header_row and is_used(value)}
    )
    assert extract.table["_row_number"].to_pylist() == [row + 1 for row in rows]
    titles = {column: value for (row, column), value in written.items() if row == table.header_row}
    loaded = extract.table.to_pylist()
    count = 0
    for row, texts in zip(rows, loaded, strict=True):
        further = dict(texts["_extra"])
        for column in {column for _, column in written}:
            title = titles.get(column)
            if title is None:
                if not any(is_used(value) for (_, at), value in written.items() if at == column):
                    continue
                title = f"column_{column_letter(column)}"
            text = texts[title] if title in HEADER else further.pop(title, None)
            value = written.get((row, column))
            assert is_same(text, value), (
                f"{column_letter(column)}{row + 1}: {text!r}, not {value!r}"
            )
            count += 1
        assert not further
    return count


def read_by_openpyxl(path: Path) -> dict[Place, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(path, data_only=True)
    cells = (cell for row in book["Data"].iter_rows() for cell in row if cell.value is not None)
    return {(cell.row - 1, cell.column - 1): cell.value for cell in cells}


def assert_alike(read: dict[Place, Any], drawn: dict[Place, Drawn]) -> None:
    """openpyxl reads what was drawn: what it says is no opinion of ours."""
    assert set(read) == set(drawn)
    for place, cell in drawn.items():
        # it writes 16 digits of a number
        assert read[place] == cell.value or math.isclose(read[place], cell.value), place


def is_used(value: Any) -> bool:
    return not isinstance(value, str) or bool(value.strip())


def is_same(text: str | None, value: Any) -> bool:
    if value is None or value == " ":
        # openpyxl writes a lone blank without saying that it counts
        return text in (None, value)
    if text is None:
        return False
    if isinstance(value, bool):
        return text == str(value).upper()
    if isinstance(value, datetime):
        return text == str(value)
    if isinstance(value, str):
        return text == value
    # a number is written without a needless end: 1, not 1.0
    read = float(text)
    is_near = abs(read - value) <= TOLERATED and not read.is_integer()
    return not text.endswith(".0") and (read == value or is_near)
