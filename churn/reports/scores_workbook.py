"""Write the scores of a file as a workbook: customers by risk, and rejected rows with reasons."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment
from openpyxl.utils import get_column_letter

from churn.reports.rejects_workbook import ROWS_A_SHEET
from churn.reports.retention_workbook import HEADER, SHARE, WHITE, WRAPPED, set_value
from lakehouse.sample_home import NOTE
from lakehouse.sample_home import TITLE as SAMPLE

CUSTOMERS = (
    ("Customer", 18),
    ("Probability of leaving", 13),
    ("Decile (10: highest risk)", 13),
    *((f"Reason {rank}", 36) for rank in (1, 2, 3)),
)
REJECTED = (("Row", 8), ("Customer", 18), ("What is wrong", 90))
ABOUT = (("", 24), ("", 90))


@dataclass(frozen=True)
class ScoredCustomer:
    """Scored customer of the file; `reasons` as text, the strongest first.

    `decile` is relative to the customers that the champion scored last (10 is the highest risk);
    None if there are none.
    """

    customer_id: str
    probability: float
    decile: int | None
    reasons: Sequence[str]


@dataclass(frozen=True)
class RejectedRow:
    """Row that the row rules reject: its number on the sheet, and the reasons as sentences."""

    row_number: int
    customer_id: str | None
    reasons: Sequence[str]


@dataclass(frozen=True)
class ScoredFile:
    """Scores of a file, the highest risk first, and its rejected rows in the order of the sheet.

    `rows` is the number of rows of the sheet, each of which is either scored or rejected.
    """

    file: str
    sheet: str
    rows: int
    model_version: str
    compared_extract: date | None
    customers: Sequence[ScoredCustomer]
    rejected: Sequence[RejectedRow]
    is_sample: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        return asdict(self)


def write_scores_workbook(result: ScoredFile, path: Path) -> None:
    """Write the sheets Customers, Rejected rows and About."""
    workbook = Workbook(write_only=True)
    customers = [
        [
            customer.customer_id,
            customer.probability,
            customer.decile,
            *customer.reasons,
        ]
        for customer in result.customers
    ]
    _write_sheets(workbook, "Customers", CUSTOMERS, customers)
    rejected = [[row.row_number, row.customer_id, " ".join(row.reasons)] for row in result.rejected]
    _write_sheets(workbook, "Rejected rows", REJECTED, rejected)
    _write_sheets(workbook, "About", ABOUT, _about(result))
    workbook.save(path)


def _about(result: ScoredFile) -> list[list[Any]]:
    compared = result.compared_extract
    return [
        *([[SAMPLE, NOTE]] if result.is_sample else []),
        ["File", result.file],
        ["Sheet", result.sheet],
        ["Rows", result.rows],
        ["Model", result.model_version],
        ["Decile", f"among the customers of the extract of {compared}" if compared else "unknown"],
        ["Published", "no: these scores are in no table, and the online store does not have them"],
    ]


def _write_sheets(
    workbook: Workbook,
    title: str,
    columns: Sequence[tuple[str, int]],
    rows: Sequence[Sequence[Any]],
) -> None:
    """Write the rows to a sheet, and those beyond Excel's limit to further sheets."""
    for start in range(0, max(len(rows), 1), ROWS_A_SHEET):
        number = start // ROWS_A_SHEET
        sheet = workbook.create_sheet(f"{title} {number + 1}" if number else title)
        sheet.freeze_panes = "A2"
        for position, (_, width) in enumerate(columns, 1):
            sheet.column_dimensions[get_column_letter(position)].width = width
        if any(header for header, _ in columns):
            sheet.append([_header(sheet, header) for header, _ in columns])
        for row in rows[start : start + ROWS_A_SHEET]:
            sheet.append([_cell(sheet, value) for value in row])


def _header(sheet: Any, text: str) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet, text)
    cell.fill, cell.font = HEADER, WHITE
    cell.alignment = Alignment(vertical="center", wrap_text=True)
    return cell


def _cell(sheet: Any, value: Any) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet)
    set_value(cell, value)
    if isinstance(value, float):
        cell.number_format = SHARE
    elif isinstance(value, str):
        cell.alignment = WRAPPED
    return cell
