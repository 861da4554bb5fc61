"""The sampler's monthly workbooks, and what is made of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
from environments import ChurnHome

# What a restated month leaves out, so that counts tell the two apart.
MISSING_ROWS = 30
WITHOUT_TESTS = [
    part for kind in ("unit_test", "test") for part in ("--exclude-resource-type", kind)
]


def date_of(path: Path) -> str:
    """The extract date at the end of the name that the sampler gives a workbook."""
    return path.stem[-10:]


def tables_only(home: ChurnHome, *paths: Path, extract_date: str | None = None) -> None:
    """The steps that decide what stands in gold, without dbt's test nodes: one build for all.

    Nothing is built where all of them are their dates' latest loads already.
    """
    said = [
        home.churn("ingest", path, "--extract-date", extract_date or date_of(path)).stdout
        for path in paths
    ]
    if not all("loaded before" in each for each in said):
        home.churn("build", *WITHOUT_TESTS)


def restated(path: Path, folder: Path) -> Path:
    """The month with other content: some customers missing, everybody's bill a little lower."""

    def change(sheet: Any) -> None:
        column = [cell.value for cell in sheet[1]].index("MonthlyCharges") + 1
        sheet.delete_rows(2, MISSING_ROWS)
        for row in range(2, sheet.max_row + 1):
            cell = sheet.cell(row, column)
            cell.value = round(cell.value - 0.25, 2)

    return _changed(path, folder / f"restated_{path.name}", change)


def fewer(path: Path, folder: Path) -> Path:
    """The month without some of its customers, who have left."""
    return _changed(path, folder / f"fewer_{path.name}", lambda sheet: sheet.delete_rows(2, 300))


def cut_off(path: Path, folder: Path, rows: int) -> Path:
    """The first rows of the month: the gate refuses it where they are too few."""
    return _changed(
        path, folder / f"cut_off_{path.name}", lambda sheet: sheet.delete_rows(rows + 2, 10**6)
    )


def _changed(path: Path, place: Path, change: Callable[[Any], None]) -> Path:
    book = openpyxl.load_workbook(path)
    change(book.worksheets[0])
    book.save(place)
    return place
