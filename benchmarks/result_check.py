"""Compare the gold tables of two sides."""

import tempfile
from pathlib import Path

import duckdb

TABLES = ("customer_features", "churn_labels")
KEY = ("extract_date", "customer_id")
# The time of the load differs between sides.
NOT_COMPARED = {"created_timestamp"}
TOLERANCE = 1e-9


def differences(one: Path, other: Path) -> list[str]:
    """Describe the differences between the gold tables of two folders; empty if there are none.

    Each folder contains `gold/<table>/extract_date=…/**/*.parquet`. Floating-point values may
    differ by `TOLERANCE`; everything else must be equal.
    """
    with tempfile.TemporaryDirectory() as spill, duckdb.connect() as database:
        database.execute(f"set temp_directory = '{spill}'")
        database.execute("set memory_limit = '3GB'")
        database.execute("set preserve_insertion_order = false")
        database.execute("set TimeZone = 'UTC'")
        return [
            f"{table}: {difference}"
            for table in TABLES
            for difference in _differences_of_table(database, table, one, other)
        ]


def _differences_of_table(
    database: duckdb.DuckDBPyConnection, table: str, one: Path, other: Path
) -> list[str]:
    """Describe the differences of one table: its columns, or else its keys and values."""
    folders = [side / "gold" / table for side in (one, other)]
    if absent := [folder for folder in folders if not any(folder.rglob("*.parquet"))]:
        return [f"nothing in {folder}" for folder in absent]
    columns, others = (
        _read(database, name, folder)
        for name, folder in zip(("one", "other"), folders, strict=True)
    )
    if columns.keys() != others.keys():
        return [f"the column {name} is on one side only" for name in columns.keys() ^ others.keys()]
    compared = {name: kind for name, kind in columns.items() if name not in {*KEY, *NOT_COMPARED}}
    metrics = {
        "keys on one side only": "count_if(one.customer_id is null or other.customer_id is null)",
        # a duplicate key on either side produces more pairs than rows
        "rows more or fewer than pairs on one side": "count(*) - (select count(*) from one)",
        "rows more or fewer than pairs on the other": "count(*) - (select count(*) from other)",
    } | {
        f"values of {name}": f"count_if({_differs(name, kind)})" for name, kind in compared.items()
    }
    query = (
        f"select {', '.join(metrics.values())} from one full join other using ({', '.join(KEY)})"
    )
    counts = database.execute(query).fetchone() or ()
    return [f"{count} {name}" for name, count in zip(metrics, counts, strict=True) if count]


def _read(database: duckdb.DuckDBPyConnection, name: str, folder: Path) -> dict[str, str]:
    """Create a view of a table's files and return its columns with their types."""
    files = f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
    described = database.execute(f"describe select * from {files}").fetchall()
    columns = {column: kind for column, kind, *_ in described}
    # writers differ in whether they mark timestamps as UTC
    times = [column for column, kind in columns.items() if kind.startswith("TIMESTAMP")]
    casts = ", ".join(f"cast({column} as timestamptz) as {column}" for column in times)
    replaced = f"replace ({casts})" if casts else ""
    database.execute(f"create or replace view {name} as select * {replaced} from {files}")
    return columns


def _differs(name: str, kind: str) -> str:
    """Return the SQL condition under which two values of a column differ."""
    differ = f"one.{name} is distinct from other.{name}"
    if kind in ("DOUBLE", "FLOAT"):
        differ += f" and coalesce(abs(one.{name} - other.{name}) > {TOLERANCE}, true)"
    # a row missing on one side has no values to compare
    return f"one.customer_id = other.customer_id and {differ}"
