"""Read the validation lists of an .xlsx sheet: the values that Excel offers in a column's cells."""

import re
from collections.abc import Mapping, Sequence
from xml.parsers import expat

from seeds_loader.reader.header import column_index
from seeds_loader.reader.sheet_text import Grid, ValidationList

_CELL = re.compile(r"\$?([A-Z]{1,3})\$?(\d+)")
# The elements, whose names have prefixes in the extension that refers to other sheets.
_VALIDATION, _FORMULA, _CELLS = "dataValidation", ("formula1", "f"), "sqref"
MAX_VALUES = 1000


def parse_lists(xml: bytes) -> tuple[ValidationList, ...]:
    """Return the lists that the elements after a sheet's cells declare.

    Args:
        xml: The sheet's XML from the end tag of its cells on; it was validated before.
    """
    found: list[ValidationList] = []
    entry: dict[str, str] = {}
    path: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        path.append(tag.rpartition(":")[2])
        if path[-1] == _VALIDATION:
            entry.clear()
            entry.update(attributes)

    def add(content: str) -> None:
        if path[-1] in (*_FORMULA, _CELLS):
            key = _CELLS if path[-1] == _CELLS else "formula"
            entry[key] = entry.get(key, "") + content

    def end(tag: str) -> None:
        path.pop()
        if tag.rpartition(":")[2] == _VALIDATION and entry.get("type") == "list":
            found.append(ValidationList(entry.get(_CELLS, ""), entry.get("formula", "").strip()))

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = add
    body = xml[xml.find(b">") + 1 : xml.rfind(b"</")]
    try:
        parser.Parse(b"<sheet>" + body + b"</sheet>", True)
    except expat.ExpatError:
        # The lists are a hint for a draft; the rest of the sheet is read without them.
        return ()
    return tuple(found)


def find_choices(
    lists: Sequence[ValidationList], sheet: str, grids: Mapping[str, Grid]
) -> dict[int, list[str]]:
    """Return the values that are offered in each column, by the column's index on the sheet.

    A list is written out in its formula, or is a range of cells; a list by a defined name is left
    out.

    Args:
        lists: The lists of the sheet.
        sheet: The sheet's name.
        grids: The cells of all sheets that were read, by name.
    """
    choices: dict[int, list[str]] = {}
    for each in lists:
        values = _resolve(each.formula, sheet, grids)
        for area in each.cells.split():
            ends = [_CELL.fullmatch(cell) for cell in area.split(":")]
            if values and all(ends):
                columns = [column_index(end[1]) for end in ends if end]
                for column in range(columns[0], columns[-1] + 1):
                    choices.setdefault(column, values)
    return choices


def _resolve(formula: str, sheet: str, grids: Mapping[str, Grid]) -> list[str]:
    if formula.startswith('"'):
        values = formula.strip('"').split(",")
        return [value.strip() for value in values if value.strip()]
    name, _, area = formula.rpartition("!")
    grid = grids.get(name.strip("'").replace("''", "'") or sheet)
    ends = [_CELL.fullmatch(cell) for cell in area.split(":")]
    if grid is None or not all(ends):
        return []
    (left, top), (right, bottom) = ((end[1], int(end[2])) for end in (ends[0], ends[-1]) if end)
    first = column_index(left) - grid.first_column
    if left != right or not 0 <= first < len(grid.columns):
        return []
    cells = grid.columns[first].slice(top - 1, min(bottom - top + 1, MAX_VALUES)).to_pylist()
    return [cell.strip() for cell in cells if cell and cell.strip()]
