"""Write months as workbooks whose bytes depend only on the parameters."""

import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook
from openpyxl.writer.excel import ExcelWriter

from lakehouse.amounts import format_number
from lakehouse.atomic_write import atomic_write
from lakehouse.errors import InvalidInputError
from seeds_loader.reader.file_format import SAMPLE_CREATOR
from seeds_loader.sample.data_faults import count_extra_rows
from seeds_loader.sample.months import Month, simulate
from seeds_loader.sample.parameters import SampleParameters

SHEET = "Customers"

# Maximum number of rows of an .xlsx sheet, including its header.
MOST_SHEET_ROWS = 1_048_576


def write_samples(
    parameters: SampleParameters, out: Path, progress: Callable[[str], None] | None = None
) -> list[Path]:
    """Write one workbook per month into the folder `out`, and return their paths in order.

    The folder is created if missing. A workbook appears under its name when it is complete, and
    replaces an older one.

    Args:
        parameters: Size, span and seed of the sample.
        out: The folder for the workbooks.
        progress: Called with a line of text for each workbook.

    Raises:
        InvalidInputError: `out` can't be a folder, or a sheet can't contain the rows; nothing is
            written then.
    """
    _check_size(parameters)
    _make_folder(out)
    paths = []
    for month in simulate(parameters):
        path = out / f"telco_customers_{month.extract_date}.xlsx"
        with atomic_write(path) as draft:
            _write_workbook(month, draft)
        paths.append(path)
        if progress is not None:
            progress(f"{path.name}: {format_number(len(month.sheet), 'row')}")
    return paths


def _check_size(parameters: SampleParameters) -> None:
    added = count_extra_rows(parameters.rows) if parameters.dirt else 0
    if parameters.rows + added + 1 > MOST_SHEET_ROWS:
        raise InvalidInputError(
            f"{parameters.rows:,} rows do not fit on a sheet, which holds {MOST_SHEET_ROWS:,}",
            where="rows of the sample",
            hint="ask for 1,000,000 rows or fewer",
        )


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(
            f"the folder can't be made: {error.strerror}",
            where=str(out),
            hint="name a folder that exists or can be made",
        ) from error


def _write_workbook(month: Month, path: Path) -> None:
    saved = datetime.combine(month.extract_date, datetime.min.time())
    workbook = Workbook(write_only=True)
    workbook.properties.creator = SAMPLE_CREATOR
    workbook.properties.created = workbook.properties.modified = saved
    sheet = workbook.create_sheet(SHEET)
    sheet.append(list(month.sheet.columns))
    # In lists the cells are Python's own numbers and text, which openpyxl writes fastest.
    for row in zip(*(month.sheet[column].tolist() for column in month.sheet), strict=True):
        sheet.append(row)
    # Workbook.save would write the present time into the properties and the archive.
    with _DatedZip(path, month.extract_date) as archive:
        ExcelWriter(workbook, archive).save()


class _DatedZip(ZipFile):
    """A new zip archive whose entries all have one date, whenever they are written."""

    def __init__(self, path: Path, day: date) -> None:
        super().__init__(path, "w", compression=ZIP_DEFLATED, allowZip64=True)
        self._day = day

    def _entry(self, name: str) -> ZipInfo:
        entry = ZipInfo(name, date_time=(self._day.year, self._day.month, self._day.day, 0, 0, 0))
        entry.compress_type = ZIP_DEFLATED
        entry.create_system = 3  # the same on every platform
        entry.external_attr = 0o644 << 16
        return entry

    def writestr(self, zinfo_or_arcname: Any, data: Any, *args: Any, **kwargs: Any) -> None:
        super().writestr(self._entry(str(zinfo_or_arcname)), data)

    def write(self, filename: Any, arcname: Any = None, *args: Any, **kwargs: Any) -> None:
        entry = self._entry(str(arcname))
        entry.file_size = Path(filename).stat().st_size
        with Path(filename).open("rb") as source, self.open(entry, "w") as target:
            shutil.copyfileobj(source, target, 1 << 20)
