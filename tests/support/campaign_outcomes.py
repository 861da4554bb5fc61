"""The list of a campaign as a retention team works through it."""

from pathlib import Path
from typing import Any

from openpyxl import load_workbook


def read_list(path: Path) -> list[dict[str, Any]]:
    """The rows of a list, by header."""
    header, *rows = load_workbook(path)["Customers"].iter_rows(values_only=True)
    return [dict(zip(map(str, header), row, strict=True)) for row in rows]


def enter_outcomes(path: Path, target: Path) -> None:
    """The outcomes of a team: nine of ten called, two of three of them reached."""
    book = load_workbook(path)
    sheet = book["Customers"]
    headers = [cell.value for cell in sheet[1]]
    for row in range(2, sheet.max_row + 1):
        called, reached, accepted = row % 10 > 0, row % 10 > 0 and row % 3 > 0, row % 3 == 1
        for header, answer in (
            *(("Called", called), ("Reached", reached)),
            ("Accepted", reached and accepted),
        ):
            sheet.cell(row, headers.index(header) + 1).value = "yes" if answer else "no"
    book.save(target)
