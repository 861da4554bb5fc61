"""Input of a comparison: the same seeded customers for all sides, as rows of bronze.

A data set is a folder of Parquet files, one per part of an extract: the 21 columns of the contract
as text, and `_batch_id`, `_row_number`, `_extract_date`, `_loaded_at`. It is generated once.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.atomic_write import atomic_write
from seeds_loader.sample import SampleParameters, simulate

SEED = 42
# A sheet holds a million rows; more customers are drawn as several sheets, each of its own seed.
PIECE = 1_000_000


def bronze_rows(folder: Path, customers: int, months: int = 1) -> Path:
    """Return a data set of that many customers per month; 0.5 % of its rows have known faults."""
    target = folder / f"bronze-{customers}-{months}"
    target.mkdir(parents=True, exist_ok=True)
    done = target / "_complete"
    if not done.exists():
        for name, rows in _pieces(customers, months):
            with atomic_write(target / name) as draft:
                pq.write_table(rows, draft, compression="snappy")
        done.touch()
    return target


def dates_of(bronze: Path) -> list[date]:
    """Return the extract dates of a data set in ascending order."""
    return sorted({date.fromisoformat(file.name[:10]) for file in bronze.glob("*.parquet")})


def _pieces(customers: int, months: int) -> Iterator[tuple[str, pa.Table]]:
    """Yield name and rows of each file."""
    first = 2  # Excel's number of the first row below the header
    for piece, start in enumerate(range(0, customers, PIECE)):
        size = min(PIECE, customers - start)
        drawn = SampleParameters(size, months, seed=SEED + piece, dirt=True)
        most = 0
        for month in simulate(drawn):
            rows = _as_read(month.sheet, month.extract_date, customers, first)
            most = max(most, rows.num_rows)
            yield f"{month.extract_date}-{piece:02}.parquet", rows
        first += most


def _as_read(sheet: pd.DataFrame, day: date, customers: int, first: int) -> pa.Table:
    count = len(sheet)
    columns: dict[str, pa.Array] = {
        name: pa.array([None if cell is None else str(cell) for cell in sheet[name]], pa.string())
        for name in sheet
    }
    loaded = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=6)
    columns |= {
        "_batch_id": pa.array([f"{day:%Y%m%d}-{customers}"] * count),
        "_row_number": pa.array(range(first, first + count), pa.int32()),
        "_extract_date": pa.array([day] * count),
        "_loaded_at": pa.array([loaded] * count, pa.timestamp("us", "UTC")),
    }
    return pa.table(columns)
