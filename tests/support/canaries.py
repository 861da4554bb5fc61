"""A customer whose every trace a test looks for, and what a home has of all other customers."""

from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
from deltalake import DeltaTable

CANARY = "QX47-ZBWKV"
# Columns that count rows: they change with the customer.
COUNTS = {
    "bronze/loads": {"row_count", "erased_rows"},
    "silver/load_counts": {"bronze_rows", "silver_rows", "exact_duplicates", "rejected_rows"},
    "gold/publications": {"customers"},
}


def place_canary(paths: list[Path], rejected_in: Path) -> None:
    """Give the id to one customer of all workbooks, with a second, broken row in one of them.

    It is one with a high risk, so that the customer is on lists.
    """
    books = {path: openpyxl.load_workbook(path) for path in paths}
    rows = {path: list(book.active.values) for path, book in books.items()}
    header = list(map(str, rows[paths[0]][0]))
    common = set.intersection(*({row[0] for row in each[1:]} for each in rows.values()))
    wanted = {"Contract": "Month-to-month", "InternetService": "Fiber optic", "Churn": "No"}

    def fits(row: tuple[Any, ...]) -> bool:
        cells = dict(zip(header, row, strict=True))
        return row[0] in common and all(cells[name] == wanted[name] for name in wanted)

    tenure = header.index("tenure")
    chosen = min(filter(fits, rows[paths[-1]][1:]), key=lambda row: (row[tenure], row[0]))[0]
    for path, book in books.items():
        sheet = book.active
        for cells in sheet.iter_rows(min_row=2):
            if cells[0].value == chosen:
                cells[0].value = CANARY
                copy = [cell.value for cell in cells]
        if path == rejected_in:
            copy[header.index("Contract")] = "Weekly"
            sheet.append(copy)
        book.save(path)


def read_versions(lake: Path) -> dict[str, list[str]]:
    """The rows of every version of every table except the canary's, as sorted texts."""
    found = {}
    for log in sorted(lake.glob("*/*/_delta_log")):
        table = str(log.parent.relative_to(lake))
        for version in range(DeltaTable(log.parent).version() + 1):
            rows = DeltaTable(log.parent, version=version).to_pyarrow_table().to_pylist()
            found[f"{table} {version}"] = _plain(rows, COUNTS.get(table, set()))
    for file in sorted(lake.glob("gold/c*/*/*/*.parquet")):
        found[str(file.relative_to(lake))] = _plain(pq.ParquetFile(file).read().to_pylist(), set())
    return found


def _plain(rows: list[dict[str, Any]], counts: set[str]) -> list[str]:
    others = (row for row in rows if CANARY not in (row.get("customer_id"), row.get("customerID")))
    return sorted(
        repr({name: value for name, value in row.items() if name not in counts}) for row in others
    )
