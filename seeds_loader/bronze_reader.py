"""Read loads and their extracts back from bronze: reloading one needs no workbook."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path

from pyspark.sql.connect.session import SparkSession

from lakehouse import sequences
from lakehouse.sequences import query_sequence
from lakehouse.sql import literal
from seeds_loader.contract import read_contract
from seeds_loader.extract_date import ExtractDate
from seeds_loader.load import ROWS
from seeds_loader.reader.extract import EXTRA, ROW_NUMBER, Extract
from seeds_loader.source_format import SourceFormat

# Select all columns: tables written by earlier versions have fewer.
IN_ORDER = """
select *, _loaded_at as loaded_at
from {rows}
order by load_number, _loaded_at, batch_id
"""


@dataclass(frozen=True)
class LoadRow:
    """A row of bronze.loads; `loaded_at` has a time zone."""

    batch_id: str
    source_file: str
    source_sha256: str
    sheet: str
    extract_date: date
    extract_date_source: str
    loaded_at: datetime
    load_number: int | None = None
    decimal: str | None = None
    encoding: str | None = None
    row_count: int | None = None
    erased_rows: int | None = None

    @property
    def chosen_date(self) -> ExtractDate:
        """Return the extract date and its source, as chosen when the extract was loaded."""
        return ExtractDate(self.extract_date, self.extract_date_source)  # type: ignore[arg-type]


def read_loads(spark: SparkSession) -> Sequence[LoadRow]:
    """Return all rows of bronze.loads, oldest first."""
    names = {field.name for field in fields(LoadRow)}
    rows = query_sequence(spark, sequences.LOADS, IN_ORDER)
    return [LoadRow(**{name: row[name] for name in names & row.keys()}) for row in rows]


def read_extract_from_bronze(spark: SparkSession, load: LoadRow) -> Extract:
    """Return the extract of a load as it was read, with its rows in workbook order.

    The workbook itself is not read: `path` is only its name, `saved_at` is None and `header_row` is
    1.
    """
    columns = [*read_contract().names, EXTRA, ROW_NUMBER]
    named = ", ".join(f"`{name}`" for name in columns)
    rows = spark.sql(
        f"select {named} from {ROWS} where _batch_id = {literal(load.batch_id)} "
        f"and _extract_date = {literal(load.extract_date)} order by {ROW_NUMBER}"
    )
    return Extract(
        path=Path(load.source_file),
        sha256=load.source_sha256,
        sheet=load.sheet,
        table=rows.toArrow(),
        saved_at=None,
        header_row=1,
        format=SourceFormat(load.decimal, load.encoding),
    )
