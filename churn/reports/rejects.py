"""Write the rejected rows of a load to a workbook for correction."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pyspark.sql.connect.session import SparkSession

from churn.provenance import load_state
from churn.provenance.run_history import HINT_LATEST, read_summary
from churn.reports.rejects_workbook import (
    CONFLICTING_DUPLICATE,
    EXACT_DUPLICATE,
    Reject,
    RejectedLoad,
    write_rejects_workbook,
)
from churn.reports.xlsx_output import require_writable, translate_write_errors
from lakehouse import audit_log, sequences, spark_server, spark_session
from lakehouse.atomic_write import atomic_write
from lakehouse.audit_log import Action
from lakehouse.command_name import format_rerun
from lakehouse.errors import InvalidInputError
from lakehouse.process import Log
from lakehouse.sample_home import is_sample
from lakehouse.sequences import query_sequence
from lakehouse.settings import Settings
from lakehouse.sql import query, statement
from seeds_loader.contract import read_contract
from seeds_loader.reject_messages import Reason, read_reject_messages

ROWS_PER_MESSAGE = 100_000
LATEST_LOAD = """
    select batch_id, source_file, sheet, row_count, extract_date, _loaded_at as loaded_at
    from {{rows}}
    {where}
    order by load_number desc, _loaded_at desc, batch_id
    limit 1
"""
# The additional columns of the whole load: the map omits blank cells, so that a single row may not
# have all of them.
EXTRA_HEADERS = """
    select header
    from (
        select posexplode(map_keys(_extra)) as (place, header)
        from bronze.telco_customers
        where _batch_id = :batch and _extract_date = :day
    )
    group by header
    order by max(place), header
"""
# For a duplicate, also the row that silver has instead; its cells if they differ. Exact copies, in
# which nothing is to be corrected, come last.
REJECTED_ROWS = """
    select
        rejects._row_number, {columns}, rejects._extra, rejects.reasons,
        kept._row_number as kept_row,
        if(source._row_number is null, null, array({source_columns})) as kept_cells,
        source._extra as kept_extra
    from silver.rejected_rows as rejects
    left join silver.customers as kept
        on
            rejects._batch_id = kept._batch_id
            and rejects.extract_date = kept.extract_date
            and get(filter(rejects.reasons, each -> each.column_name = '{id}'), 0).value
            = kept.customer_id
    left join bronze.telco_customers as source
        on
            source._batch_id = :batch
            and source._extract_date = :day
            and kept._row_number = source._row_number
            and get(rejects.reasons, 0).code = '{conflict}'
    where rejects._batch_id = :batch and rejects.extract_date = :day
    order by get(rejects.reasons, 0).code = '{copy}', rejects._row_number
"""


def write_rejects(settings: Settings, run_id: str | None, path: Path, log: Log) -> str:
    """Write the rejected rows of a run's load, by default of the latest load, to a workbook.

    If no row was rejected, nothing is written. An existing file is not overwritten, because it may
    have corrections already.

    Args:
        settings: The settings of this CHURN_HOME.
        run_id: Name of the run; None for the latest load.
        path: The .xlsx file to write.
        log: Callback for progress messages.

    Returns:
        A message about the result.

    Raises:
        InvalidInputError: There is no such run or load, its rejects do not exist (any longer), or
            the file can't be written; nothing was written.
    """
    require_writable(path)
    batch_id = run_id and read_summary(settings, run_id, HINT_LATEST)["batch_id"]
    spark_server.ensure_running(settings, log)
    with spark_session.session(settings) as spark:
        load = _read_load(settings, spark, batch_id)
        about = f"{load.source_file} (extract of {load.extract_date})"
        rejected, copies = _count_rejects(spark, load)
        expected = rejected + copies
        if expected == 0:
            rows = f"all {load.row_count:,} rows of {about}"
            return f"no rejects: {rows} were taken; no file was written"
        facts = {"what": "rejects", "load": load.batch_id, "file": str(path)}
        audit_log.append(settings, Action.EXPORT, rows=expected, **facts)
        _write_workbook(spark, load, expected, path, log)
    rerun = format_rerun(load.source_file, load.extract_date)
    return (
        f"{path}: {rejected:,} rejected of {load.row_count:,} rows of {about}, and {copies:,} "
        f"exact copies; correct the rejected in that workbook, save it, then {rerun}"
    )


def _read_load(settings: Settings, spark: SparkSession, batch_id: str | None) -> RejectedLoad:
    where, values = ("where batch_id = :batch", {"batch": batch_id}) if batch_id else ("", {})
    loads = query_sequence(spark, sequences.LOADS, LATEST_LOAD.format(where=where), **values)
    if not loads:
        raise load_state.not_loaded_error(batch_id)
    load = loads[0]
    headers = query(spark, EXTRA_HEADERS, batch=load["batch_id"], day=load["extract_date"])
    return RejectedLoad(
        **load, extra=[row["header"] for row in headers], is_sample=is_sample(settings)
    )


def _count_rejects(spark: SparkSession, load: RejectedLoad) -> tuple[int, int]:
    """Return the numbers of rows rejected in the load's cleaning, and of exact copies besides."""
    counts = load_state.load_state(spark, load.batch_id).counts
    if counts is None:
        raise InvalidInputError(
            f"{load.source_file} is loaded, but its rows have not been checked yet",
            where=f"load {load.batch_id}, extract of {load.extract_date}",
            hint="`churn build`, then repeat the command",
        )
    return counts["rejected"], counts["exact_duplicates"]


def _write_workbook(
    spark: SparkSession, load: RejectedLoad, expected: int, path: Path, log: Log
) -> None:
    contract = read_contract()
    rejects = _report_progress(_read_rejects(spark, load, contract.names), expected, log)
    with translate_write_errors(path), atomic_write(path) as draft:
        row_count = write_rejects_workbook(rejects, load, contract, read_reject_messages(), draft)
        if row_count != expected:
            raise _missing_rejects_error(load, row_count, expected)


def _read_rejects(
    spark: SparkSession, load: RejectedLoad, names: Sequence[str]
) -> Iterator[Reject]:
    """Yield the rows in the order of the sheet; they are fetched in batches, not all at once."""
    sql = REJECTED_ROWS.format(
        columns=", ".join(f"rejects.`{name}`" for name in names),
        source_columns=", ".join(f"source.`{name}`" for name in names),
        id=read_contract().id,
        conflict=CONFLICTING_DUPLICATE,
        copy=EXACT_DUPLICATE,
    )
    frame = statement(spark, sql, batch=load.batch_id, day=load.extract_date)
    for row in frame.toLocalIterator():
        yield Reject(
            row_number=row["_row_number"],
            cells=[row[name] for name in names],
            extra=row["_extra"] or {},
            reasons=[
                Reason(reason["code"], reason["column_name"], reason["value"])
                for reason in row["reasons"]
            ],
            kept_row=row["kept_row"],
            kept_cells=row["kept_cells"],
            kept_extra=row["kept_extra"] or {},
        )


def _report_progress(rejects: Iterator[Reject], total: int, log: Log) -> Iterator[Reject]:
    for number, reject in enumerate(rejects, 1):
        yield reject
        if number % ROWS_PER_MESSAGE == 0:
            log(f"{number:,} of {total:,} rows written")


def _missing_rejects_error(load: RejectedLoad, present: int, expected: int) -> InvalidInputError:
    """Return the error for missing rejects: silver only has those of a date's latest load."""
    return InvalidInputError(
        f"Of the {expected:,} rejects of {load.source_file}, {present:,} are there: its date was "
        "restated by another workbook",
        where=f"silver.rejected_rows, load {load.batch_id}, extract of {load.extract_date}",
        hint="run that workbook again, or leave --run out, which takes the latest load",
    )
