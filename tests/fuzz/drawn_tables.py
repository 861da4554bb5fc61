"""Workbooks with a table anywhere on a sheet, of any cells; a number always draws the same."""

import io
import random
import re
import struct
import sys
import zipfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import xlwt
from openpyxl import Workbook

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from workbooks import HEADER, customer

NUMBER_FORMATS = (
    *("General", "0", "0.00", "0%", "0.0%", "#,##0.00", '"$"#,##0.00', "0.00E+00", "@"),
    *("#,##0.00\\ [$€-407]", "[Red]0.00", "# ?/?", "0.000000000000", '0.00" d"'),
)
DATE_FORMATS = ("yyyy-mm-dd", "dd/mm/yyyy hh:mm", "m/d/yy", "d-mmm-yy")
# What says of itself that its digits are lost, or is in doubt (notation.py), is refused elsewhere:
# no powers of ten as text, no decimal commas, no error with a digit in it.
ERRORS = {"#N/A": 42, "#VALUE!": 15, "#REF!": 23, "#NAME?": 29, "#NUM!": 36}
TEXTS = (
    *("true", "false", "TRUE", "False", "1.23456789", "-0", " 12.5 ", "0.30000000000000004"),
    *("inf", "NaN", "007", "Zürich €", "客户", "a\nb", "2024-03-01 00:00:00", "x" * 300),
)


@dataclass(frozen=True)
class Drawn:
    """What a cell holds: a text, a number, a boolean, a date, or an error by its sign."""

    value: Any
    number_format: str = "General"
    is_formula: bool = False
    is_error: bool = False


Place = tuple[int, int]


@dataclass
class Table:
    """A workbook: the cells of its sheet Data by (row, column) from 0, and where the header is."""

    suffix: str
    header_row: int
    left: int
    cells: dict[Place, Drawn] = field(default_factory=dict)
    styled_blanks: dict[Place, str] = field(default_factory=dict)
    others: dict[str, dict[Place, Drawn]] = field(default_factory=dict)
    first_is_other: bool = False
    dimension: str | None = None
    merged: tuple[int, int, int, int] | None = None

    def write(self, folder: Path) -> Path:
        path = folder / f"drawn{self.suffix}"
        path.write_bytes(_xlsx(self) if self.suffix == ".xlsx" else _xls(self))
        return path


def draw(number: int) -> Table:
    chance = random.Random(number)
    suffix = ".xls" if number % 3 == 2 else ".xlsx"
    table = Table(
        suffix, chance.choice((0, 0, 1, 2, 3, 9, 40)), chance.choice((0, 1, 2, 3, 1, 7, 30))
    )
    titles = [*HEADER]
    for extra in range(chance.choice((0, 0, 1, 3))):
        titles.insert(chance.randrange(len(titles) + 1), f"Further {extra}")
    if chance.random() < 0.3:
        chance.shuffle(titles)
    height = chance.choice((1, 2, 5, 12))
    for column, title in enumerate(titles, table.left):
        table.cells[table.header_row, column] = Drawn(title)
        usual = chance.choice(KINDS)
        for row in range(table.header_row + 1, table.header_row + 1 + height):
            kind = chance.choice(KINDS) if chance.random() < 0.15 else usual
            # ids that Excel has turned into numbers are refused elsewhere (customer_ids.py)
            kind = _usual if title == "customerID" and kind is _whole else kind
            if cell := kind(chance):
                table.cells[row, column] = cell
    _draw_neighbours(table, chance, len(titles), height)
    for name in chance.sample(("KPI", "Notes", "Far", "Empty"), chance.choice((0, 1, 1, 2))):
        table.others[name] = _other_sheet(name, chance)
    table.first_is_other = chance.random() < 0.5
    if chance.random() < 0.2:
        table.dimension = chance.choice(("A1", "A1:B2", "B2:XFD1048576", "C9:A1"))
    return table


def _draw_neighbours(table: Table, chance: random.Random, width: int, height: int) -> None:
    """Cells left of, right of and above the table, blank ones with a format among them."""
    first, last = table.left, table.left + width
    bottom = table.header_row + 1 + height
    sides = [column for column in (first - 1, first - 2, last, last + 2) if column >= 0]
    for column in chance.sample(sides, min(len(sides), chance.choice((0, 1, 1, 2)))):
        kind = chance.choice(KINDS)
        for row in range(table.header_row + chance.choice((0, 1)), bottom):
            cell = Drawn(f"Beside {column}") if row == table.header_row else kind(chance)
            if cell:
                table.cells[row, column] = cell
    for _ in range(chance.choice((0, 0, 1, 3))):
        if table.header_row > 1:
            place = (chance.randrange(table.header_row), chance.randrange(last + 2))
            if cell := chance.choice(KINDS)(chance):
                table.cells.setdefault(place, cell)
    for _ in range(chance.choice((0, 0, 2))):
        place = (chance.randrange(bottom + 5), chance.randrange(last + 4))
        if place not in table.cells:
            table.styled_blanks[place] = chance.choice(NUMBER_FORMATS)
    if table.header_row > 2 and chance.random() < 0.3:
        merged = (0, table.left, 0, table.left + 3)
        if not any((0, column) in table.cells for column in range(merged[1], merged[3] + 1)):
            table.cells[0, table.left] = Drawn("All customers")
            table.merged = merged


def _other_sheet(name: str, chance: random.Random) -> dict[Place, Drawn]:
    if name == "Empty":
        return {}
    row, column = (
        (chance.randrange(2, 40), chance.randrange(1, 9)) if name != "Far" else (3_000, 60)
    )
    cells = {
        (row + step, column): cell for step in range(4) if (cell := chance.choice(KINDS)(chance))
    }
    return {**cells, (1, 1): Drawn(0.2653698707936959)}


# --- kinds of cells ------------------------------------------------------------------------------


def _text(chance: random.Random) -> Drawn:
    return Drawn(chance.choice(TEXTS))


def _usual(chance: random.Random) -> Drawn:
    return Drawn(chance.choice([*customer()]))


def _whole(chance: random.Random) -> Drawn:
    value = chance.choice((0, 1, -3, 72, 10**9, 123456789012345, 7.0, -0.0, 1e15, 1e20))
    return Drawn(value, chance.choice(NUMBER_FORMATS))


def _fraction(chance: random.Random) -> Drawn:
    value = chance.choice(
        (
            *(0.1, 74.15, 74.4, 1 / 3, 74.15333333333334, 1.2345678901234567, 0.1 + 0.2),
            *(1e-7, -2.5e-9, 123456.123456789, 1 - 1e-12, 2.5e-12, 1e-320, 99999.99999999999),
            *(12.0000000001, 11.9999999999, 1e-10, -4e-10, 72 - 1e-13),
            *(chance.uniform(18, 120), chance.uniform(0, 1) ** 9, -chance.expovariate(0.01)),
        )
    )
    return Drawn(value, chance.choice(NUMBER_FORMATS))


def _boolean(chance: random.Random) -> Drawn:
    return Drawn(chance.random() < 0.5)


def _date(chance: random.Random) -> Drawn:
    value = datetime(2024, 1, 1) + timedelta(
        days=chance.randrange(900), minutes=chance.choice((0, 90))
    )
    return Drawn(value, chance.choice(DATE_FORMATS))


def _error(chance: random.Random) -> Drawn:
    return Drawn(chance.choice(list(ERRORS)), is_error=True)


def _blank(chance: random.Random) -> Drawn | None:
    return Drawn(" ") if chance.random() < 0.2 else None


def _formula(chance: random.Random) -> Drawn:
    value = chance.choice((358.2, 1 / 3, 12, 74.15333333333334, "text", True, 0, "true"))
    return Drawn(value, chance.choice(NUMBER_FORMATS[:8]), is_formula=True)


KINDS = (
    _text,
    _usual,
    _usual,
    _whole,
    _fraction,
    _fraction,
    _boolean,
    _date,
    _error,
    _blank,
    _formula,
)


# --- as a file -----------------------------------------------------------------------------------


def _in_order(table: Table) -> list[tuple[str, dict[Place, Drawn]]]:
    others = list(table.others.items())
    data = ("Data", table.cells)
    return [*others, data] if table.first_is_other else [data, *others]


def _xlsx(table: Table) -> bytes:
    book = Workbook()
    book.remove(book.worksheets[0])
    formulas: dict[str, set[str]] = {}
    for number, (name, cells) in enumerate(_in_order(table), 1):
        sheet = book.create_sheet(name)
        for (row, column), drawn in cells.items():
            cell = sheet.cell(row + 1, column + 1, drawn.value)
            cell.number_format = drawn.number_format
            if isinstance(drawn.value, str):
                cell.data_type = "e" if drawn.is_error else "s"
            if drawn.is_formula:
                formulas.setdefault(f"xl/worksheets/sheet{number}.xml", set()).add(cell.coordinate)
        if name == "Data":
            for (row, column), number_format in table.styled_blanks.items():
                sheet.cell(row + 1, column + 1).number_format = number_format
            if table.merged:
                top, left, bottom, right = (index + 1 for index in table.merged)
                sheet.merge_cells(None, top, left, bottom, right)
    # what openpyxl asks for by itself, Excel does not: these formulas have been computed
    book.calculation.fullCalcOnLoad = False
    file = io.BytesIO()
    book.save(file)
    return _changed(file.getvalue(), formulas, table.dimension)


def _changed(content: bytes, formulas: dict[str, set[str]], dimension: str | None) -> bytes:
    """With formulas before the values of these cells, and a dimension that is wrong."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as archive,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in archive.namelist():
            xml = archive.read(name)
            for place in formulas.get(name, ()):
                start = rf'(<c r="{place}"[^>]*?)'.encode()
                xml = re.sub(start + rb"><v>", rb"\1><f>A1+1</f><v>", xml)
                inline = rb' t="inlineStr"><is><t>(.*?)</t></is>'
                xml = re.sub(start + inline, rb'\1 t="str"><f>A1&amp;""</f><v>\2</v>', xml)
            if dimension and name.startswith("xl/worksheets/sheet"):
                xml = re.sub(
                    rb'<dimension ref="[^"]*"', f'<dimension ref="{dimension}"'.encode(), xml
                )
            target.writestr(name, xml)
    return file.getvalue()


def _xls(table: Table) -> bytes:
    book = xlwt.Workbook(encoding="utf-8")
    styles: dict[str, xlwt.XFStyle] = {}

    def style(number_format: str) -> xlwt.XFStyle:
        return styles.setdefault(number_format, xlwt.easyxf(num_format_str=number_format))

    results: dict[Place, float] = {}
    for name, cells in _in_order(table):
        sheet = book.add_sheet(name)
        blanks = table.styled_blanks if name == "Data" else {}
        # xlwt writes rows in the order in which they were begun
        for row in sorted({row for row, _ in (*cells, *blanks)}):
            sheet.row(row)
        for (row, column), drawn in cells.items():
            if drawn.is_error:
                sheet.row(row).set_cell_error(column, ERRORS[drawn.value])
            elif has_result(drawn):
                results[row, column] = drawn.value
                sheet.write(row, column, xlwt.Formula("1+1"), style(drawn.number_format))
            else:
                sheet.write(row, column, drawn.value, style(drawn.number_format))
        for (row, column), number_format in blanks.items():
            sheet.write(row, column, None, style(number_format))
    file = io.BytesIO()
    book.save(file)
    content = file.getvalue()
    for (row, column), result in results.items():
        content = _with_result(content, row, column, result)
    return content


def has_result(drawn: Drawn) -> bool:
    """Whether it becomes a formula in .xls too: xlwt stores no result, a number is put there."""
    return drawn.is_formula and isinstance(drawn.value, int | float) and bool(drawn.value)


def _with_result(content: bytes, row: int, column: int, result: float) -> bytes:
    place = struct.pack("<2H", row, column)
    pattern = rb"\x06\x00..%b..\x03\x00\x00\x00\x00\x00\xff\xff" % re.escape(place)
    found = re.compile(pattern, re.DOTALL)
    true = b"\x01\x00\x01\x00\x00\x00\xff\xff"
    stored = true if result is True else struct.pack("<d", result)
    return found.sub(lambda match: match[0][:-8] + stored, content)
