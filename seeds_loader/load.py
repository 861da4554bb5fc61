"""Write an extract to bronze: its rows, then the load record that makes them valid."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession

from lakehouse import sequences
from lakehouse.amounts import format_number
from lakehouse.erased_customers import read_erased_customers
from lakehouse.process import Log
from lakehouse.sequences import add_number_column, query_sequence, read_last_number
from lakehouse.settings import Settings
from lakehouse.sql import Rows, literal, statement
from lakehouse.storage import escape_glob
from seeds_loader.contract import read_contract
from seeds_loader.extract_date import ExtractDate
from seeds_loader.reader.customer_ids import are_mostly_numbers, count_lost_zeros, distinct_ids
from seeds_loader.reader.extract import Extract
from seeds_loader.source_format import SourceFormat
from seeds_loader.staging import stage_rows

ROWS = "bronze.telco_customers"
LOADS = "bronze.loads"
# Batches without a load record, and batches whose number of rows differs from their record. The
# latter are left out if a later load of the date replaced them, because their rows are no longer
# used.
BATCHES = f"""
with there as (
    select coalesce(_batch_id, '') as batch_id, count(*) as there from {ROWS} group by all
),
latest as (
    select max_by(batch_id, {sequences.LOADS.position}) as batch_id
    from {{rows}} group by extract_date
)
select batch_id, coalesce(there.there, 0) as there, loads.row_count as recorded,
    loads.source_file, loads.extract_date
from there full join {{rows}} as loads using (batch_id)
where loads.row_count is null or (
    loads.row_count != coalesce(there.there, 0) and batch_id in (select batch_id from latest)
)
order by loads.load_number, loads._loaded_at, batch_id
"""
# The columns of origin are added to slices of this many rows, so that memory use stays bounded.
SLICE_ROWS = 200_000


@dataclass(frozen=True)
class Load:
    """A load as recorded in bronze.loads; `is_new` is true if this call wrote it.

    `erased_rows` is the number of rows left out or removed because their customers were erased.
    """

    batch_id: str
    source_file: str
    source_sha256: str
    sheet: str
    row_count: int
    extract_date: date
    extract_date_source: str
    loaded_at: datetime
    load_number: int | None
    is_new: bool
    decimal: str | None = None
    encoding: str | None = None
    erased_rows: int | None = None


def load(
    settings: Settings, spark: SparkSession, extract: Extract, extract_date: ExtractDate, log: Log
) -> Load:
    """Write the extract to bronze, unless it already is the latest load of its date.

    The rows are written before the load record: rows without a record are not used, and the next
    attempt replaces them.

    Args:
        settings: The project's settings.
        spark: The Spark session.
        extract: The extract to write.
        extract_date: Its extract date.
        log: Called with each message for the user.

    Returns:
        The load that contains the extract, new or existing.
    """
    extract, erased_rows = leave_out_erased(settings, extract)
    first = _new_load(extract, extract_date, [], 1, erased_rows)
    # Readers read one load at a time; partitioning by its date prunes the files they scan.
    rows = _add_origin(extract.table.slice(0, 1), first)
    _create_table(spark, ROWS, rows, "partitioned by (_extract_date)")
    _create_table(spark, LOADS, _load_record(first))
    incomplete = _clean_up(spark, log)
    earlier = _read_loads_of_date(spark, extract_date.date)
    if earlier and _is_same(earlier[-1], extract):
        if earlier[-1].batch_id not in incomplete:
            return earlier[-1]
        log(f"loading {extract.path.name} again: the rows of its earlier load are incomplete")
    number = read_last_number(spark, sequences.LOADS) + 1
    new = _new_load(extract, extract_date, earlier, number, erased_rows)
    if erased_rows:
        log(f"leaving out {format_number(erased_rows, 'row')} of customers who were erased")
    if earlier:
        log(f"restating {new.extract_date}: {earlier[-1].source_file} was loaded before")
    _warn_of_lost_zeros(spark, extract, new, log)
    _write_rows(settings, spark, extract, new, log)
    _append(spark.createDataFrame(_load_record(new)), LOADS)
    return new


def leave_out_erased(settings: Settings, extract: Extract) -> tuple[Extract, int]:
    """Return the extract without customers who were erased, and the number of their rows."""
    erased = read_erased_customers(settings)
    if not erased.hashes:
        return extract, 0
    chosen = erased.match(extract.table[read_contract().id])
    kept = extract.table.filter(pc.invert(chosen))
    return replace(extract, table=kept), extract.table.num_rows - kept.num_rows


def _create_table(spark: SparkSession, table: str, example: pa.Table, layout: str = "") -> None:
    """Create the table, empty and with the example's columns, if the metastore does not know it.

    The location is given although it is the default: after an interrupted creation, or under a new
    metastore, the table's files may already exist there, and only an explicit location makes Spark
    adopt them. It also makes the table external, which is right for the only copy of the source:
    dropping the table keeps its files.
    """
    if spark.catalog.tableExists(table):
        return
    schema, _, name = table.partition(".")
    schema_location = unquote(spark.catalog.getDatabase(schema).locationUri)
    fields = spark.createDataFrame(example).schema
    columns = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in fields)
    location = literal(f"{schema_location}/{name}")
    spark.sql(f"create table {table} ({columns}) using delta {layout} location {location}")


def _read_loads_of_date(spark: SparkSession, extract_date: date) -> list[Load]:
    """Return the loads of a date, oldest first."""
    rows = query_sequence(
        spark,
        sequences.LOADS,
        f"select * from {{rows}} where extract_date = :day order by {sequences.LOADS.position}",
        day=extract_date,
    )
    return [
        Load(
            **{key: value for key, value in row.items() if key != "_loaded_at"},
            loaded_at=row["_loaded_at"].astimezone(UTC),
            is_new=False,
        )
        for row in rows
    ]


def _is_same(load: Load, extract: Extract) -> bool:
    """Return whether the load is the same file, read in the same way; otherwise rows may differ."""
    stated = SourceFormat(load.decimal, load.encoding)
    return (load.source_sha256, load.sheet, stated) == (
        extract.sha256,
        extract.sheet,
        extract.format,
    )


def _new_load(
    extract: Extract,
    extract_date: ExtractDate,
    earlier: list[Load],
    number: int,
    erased_rows: int = 0,
) -> Load:
    loaded_at = datetime.now(UTC)
    if earlier:
        # Gold's rows identify their load by this time, and Feast uses the later row of two.
        # Therefore no two loads of a date have the same time, and the last load has the latest,
        # even if the clock was set back.
        latest = max(previous.loaded_at for previous in earlier)
        loaded_at = max(loaded_at, latest + timedelta(milliseconds=1))
    identity = f"{extract.sha256}|{extract.sheet}|{extract_date.date}|{len(earlier)}"
    return Load(
        batch_id=hashlib.sha256(identity.encode()).hexdigest()[:16],
        source_file=extract.path.name,
        source_sha256=extract.sha256,
        sheet=extract.sheet,
        row_count=extract.table.num_rows,
        extract_date=extract_date.date,
        extract_date_source=extract_date.source,
        loaded_at=loaded_at,
        load_number=number,
        is_new=True,
        decimal=extract.format.decimal,
        encoding=extract.format.encoding,
        erased_rows=erased_rows,
    )


def _warn_of_lost_zeros(spark: SparkSession, extract: Extract, new: Load, log: Log) -> None:
    """Warn if the ids differ from those of the previous extract only by leading zeros.

    Excel drops leading zeros when it converts an id to a number; the gate then sees unknown
    customers.
    """
    key = read_contract().id
    ids = distinct_ids(extract.table[key])
    if not are_mostly_numbers(ids):
        return
    loads, position = add_number_column(spark, sequences.LOADS), sequences.LOADS.position
    previous = spark.sql(
        f"select `{key}` from {ROWS} where _batch_id = (select max_by(batch_id, "
        f"struct(extract_date, {position})) from {loads} "
        f"where extract_date < {literal(new.extract_date)})"
    ).toArrow()
    lost = count_lost_zeros(ids, distinct_ids(previous[key]))
    if lost:
        log(
            f"warning: {lost:,} of {len(ids):,} customer ids are in the extract before only with "
            "zeros in front (00123, now 123): Excel drops them when it takes ids for numbers; "
            "format the column as Text before the ids are put in"
        )


def _write_rows(
    settings: Settings, spark: SparkSession, extract: Extract, new: Load, log: Log
) -> None:
    total = extract.table.num_rows
    log(f"writing {format_number(total, 'row')} to {ROWS}")
    slices = (
        _add_origin(extract.table.slice(start, SLICE_ROWS), new)
        for start in range(0, total, SLICE_ROWS)
    )
    with stage_rows(settings, slices) as address:
        _append(spark.read.parquet(escape_glob(address)), ROWS)


def _clean_up(spark: SparkSession, log: Log) -> set[str]:
    """Remove rows without a load record; warn of loads whose row count differs from their record.

    Returns:
        The batch ids of the loads with a warning. Their rows are left unchanged: bronze is the only
        copy, and the other loads do not depend on them.
    """
    log("comparing with earlier loads")
    # Delta answers counts from its log; the table is scanned only if they differ.
    recorded = spark.sql(f"select coalesce(sum(row_count), 0) as n from {LOADS}").head()["n"]
    if spark.table(ROWS).count() == recorded:
        return set()
    batches = query_sequence(spark, sequences.LOADS, BATCHES)
    leftovers = [batch for batch in batches if batch["recorded"] is None]
    if leftovers:
        _remove_leftovers(spark, leftovers, log)
    incomplete = [batch for batch in batches if batch["recorded"] not in (None, batch["there"])]
    for batch in incomplete:
        log(
            f"warning: {ROWS} has {format_number(batch['there'], 'row')} of the "
            f"load {batch['batch_id']} "
            f"({batch['source_file']}, extract of {batch['extract_date']}); bronze.loads records "
            f"{batch['recorded']:,}. Other loads are not affected. What to do: ingest that "
            "workbook again for that date, or restore a backup"
        )
    return {batch["batch_id"] for batch in incomplete}


def _remove_leftovers(spark: SparkSession, leftovers: Rows, log: Log) -> None:
    """Remove the rows of ingests that terminated before they wrote their load record."""
    count = sum(batch["there"] for batch in leftovers)
    log(f"removing {format_number(count, 'row')} of an interrupted ingest")
    # As literals: Delta rejects a DELETE with a subquery.
    statement(
        spark,
        f"delete from {ROWS} where coalesce(_batch_id, '') in (:batches)",
        batches=[batch["batch_id"] for batch in leftovers],
    )


def _add_origin(rows: pa.Table, new: Load) -> pa.Table:
    """Return the rows with the columns that record their origin."""
    origin = {
        "_batch_id": new.batch_id,
        "_source_file": new.source_file,
        "_source_sha256": new.source_sha256,
        "_sheet": new.sheet,
    }
    for name, value in origin.items():
        rows = rows.append_column(name, pa.repeat(pa.scalar(value), rows.num_rows))
    extract_date = pa.repeat(pa.scalar(new.extract_date), rows.num_rows)
    loaded_at = pa.repeat(pa.scalar(new.loaded_at, pa.timestamp("us", "UTC")), rows.num_rows)
    rows = rows.append_column("_extract_date", extract_date)
    return rows.append_column("_loaded_at", loaded_at)


def _load_record(new: Load) -> pa.Table:
    return pa.table(
        {
            "batch_id": [new.batch_id],
            "source_file": [new.source_file],
            "source_sha256": [new.source_sha256],
            "sheet": [new.sheet],
            "row_count": pa.array([new.row_count], pa.int32()),
            "extract_date": [new.extract_date],
            "extract_date_source": [new.extract_date_source],
            "decimal": pa.array([new.decimal], pa.string()),
            "encoding": pa.array([new.encoding], pa.string()),
            "_loaded_at": pa.array([new.loaded_at], pa.timestamp("us", "UTC")),
            "load_number": pa.array([new.load_number], pa.int64()),
            "erased_rows": pa.array([new.erased_rows], pa.int32()),
        }
    )


def _append(rows: DataFrame, table: str) -> None:
    # A column that is new in the contract is added; earlier rows have no value in it.
    rows.write.format("delta").mode("append").option("mergeSchema", "true").saveAsTable(table)
