"""Read all stages of a trace from the tables, for several customers at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.connect.session import SparkSession

from churn.provenance import trace_sql
from churn.provenance.as_of import AsOfReader, RunEnd
from churn.provenance.load_state import not_loaded_error
from lakehouse import spark_process
from lakehouse.domain import read_domain
from lakehouse.errors import InvalidInputError
from lakehouse.lake_files import is_delta, locate_table, read_rows
from lakehouse.near_matches import format_meant, list_spellings
from lakehouse.process import Log
from lakehouse.sequences import LOADS, PUBLICATIONS, VERDICTS, query_sequence
from lakehouse.settings import Settings
from lakehouse.sql import Rows, query_if_exists, run_together
from lakehouse.table_history import TableHistory, table_history
from seeds_loader.contract import read_contract

BRONZE, SILVER, SCORES = "bronze.telco_customers", "silver.customers", "gold.churn_scores"


@dataclass
class TraceData:
    """Rows of some customers, stage by stage, as the tables have them.

    `loads` and `published` (one per extract date) are those of all customers. `evaluations` has a
    row for every rule of a load's latest evaluation. `histories` is keyed by table, `cleanings` and
    `verdicts` by load. `as_of` describes a past run and how its state was read; None is the current
    state.
    """

    loads: Rows
    source: Rows
    silver: Rows = field(default_factory=list)
    rejected: Rows = field(default_factory=list)
    cleanings: dict[str, dict[str, Any]] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    evaluations: Rows = field(default_factory=list)
    published: Rows = field(default_factory=list)
    gold: Rows = field(default_factory=list)
    scores: Rows = field(default_factory=list)
    histories: dict[str, TableHistory] = field(default_factory=dict)
    as_of: dict[str, Any] | None = None

    @property
    def batches(self) -> list[str]:
        """Return the loads with rows of the customers."""
        return sorted({row["_batch_id"] for row in self.source})


def read_stages(
    settings: Settings,
    spark: SparkSession,
    customers: Sequence[str],
    champion: str,
    moment: RunEnd | None,
    log: Log,
) -> TraceData:
    """Read all stages, in their current state or as of the end of a run.

    Args:
        settings: The settings of this CHURN_HOME.
        spark: A Spark Connect session.
        customers: Ids of the customers.
        champion: The champion's version, whose scores come first.
        moment: The end of the run; None for the current state.
        log: Callback for progress messages.

    Raises:
        InvalidInputError: No workbook that was loaded (by then) has one of the customers.
    """
    data = _read_bronze(spark, customers, moment)
    if moment is None:
        _read_current(spark, customers, champion, data)
    else:
        reader = AsOfReader(settings, spark, customers, moment, data.source, data.loads, log)
        _read_as_of(spark, reader, moment, customers, champion, data)
    return data


def _read_bronze(spark: SparkSession, customers: Sequence[str], moment: RunEnd | None) -> TraceData:
    tables, key = (BRONZE, SILVER, SCORES), read_contract().id
    source_rows = trace_sql.SOURCE_ROWS.format(id=key)
    rows = run_together(
        {
            "loads": partial(query_sequence, spark, LOADS, trace_sql.LOADS),
            "source": partial(query_if_exists, spark, BRONZE, source_rows, customers=customers),
            **{table: partial(table_history, spark, table) for table in tables},
        }
    )
    loads = rows["loads"]
    if not loads:
        raise not_loaded_error()
    # Trim ids as silver does: Unicode white space.
    source = [row for row in rows["source"] if row[key].strip() in customers]
    if moment is not None:
        loads = [row for row in loads if LOADS.is_included(row, moment.numbers, moment.at)]
    order = {load["batch_id"]: number for number, load in enumerate(loads)}
    # Sort by load; rows of later loads are left out.
    source = [row for row in source if row["_batch_id"] in order]
    source.sort(key=lambda row: (order[row["_batch_id"]], row["_row_number"]))
    named = {row[key].strip() for row in source}
    unknown = [customer for customer in customers if customer not in named]
    if unknown:
        spellings = _list_spellings(unknown)
        near = query_if_exists(spark, BRONZE, source_rows, customers=spellings)
        found = {row[key].strip() for row in near if row["_batch_id"] in order}
        raise unknown_customers_error(unknown, sorted(found.intersection(spellings)), moment)
    return TraceData(loads, source, histories={table: rows[table] for table in tables})


def require_in_bronze(settings: Settings, customers: Sequence[str]) -> None:
    """Check ids by the lake's files, before a server is started for them.

    The server compares ids beyond ASCII, which may be in several Unicode forms.

    Raises:
        InvalidInputError: No workbook that was loaded has one of the customers.
    """
    if spark_process.find(settings) is not None:
        return
    key, table = read_contract().id, locate_table(settings.lake, BRONZE)
    if not is_delta(table):
        raise not_loaded_error()
    spellings = _list_spellings(customers)
    wanted = pa.array([*customers, *spellings], pa.string())
    rows = read_rows(
        table, key, lambda ids: pc.is_in(_trim(ids), value_set=wanted), current_only=True
    )
    named = {str(row.values[key]).strip() for row in rows}
    unknown = [each for each in customers if each.isascii() and each not in named]
    if unknown:
        near = sorted(named.intersection(_list_spellings(unknown)))
        raise unknown_customers_error(unknown, near)


def _trim(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_trim_whitespace(pc.cast(ids, pa.string()))


def _list_spellings(customers: Sequence[str]) -> list[str]:
    return sorted(set().union(*map(list_spellings, customers)))


def unknown_customers_error(
    unknown: Sequence[str], near: Sequence[str] = (), moment: RunEnd | None = None
) -> InvalidInputError:
    """Return the error for customers whom no loaded workbook names (by the end of a run).

    Args:
        unknown: The customers.
        near: Other spellings of them that a workbook names.
        moment: The end of the run; None for the current state.
    """
    who = ", ".join(repr(customer) for customer in unknown)
    return InvalidInputError(
        f"There is no customer {who} in the workbooks that were loaded"
        + (f" when run {moment.run_id} had ended" if moment else ""),
        where=BRONZE,
        hint=f"{format_meant(near)}check the id, which looks like "
        f"{read_domain().report.example_id}",
    )


def _read_current(
    spark: SparkSession, customers: Sequence[str], champion: str, data: TraceData
) -> None:
    read = partial(query_if_exists, spark)
    silver = trace_sql.SILVER_ROWS.format(customers=SILVER)
    rejected = trace_sql.REJECTED_ROWS.format(rejected_rows="silver.rejected_rows")
    row_numbers = [row["_row_number"] for row in data.source]
    loads = {"batches": data.batches}
    verdicts = trace_sql.VERDICTS.format(verdicts="audit.load_verdicts")
    scores = trace_sql.SCORES.format(scores=SCORES)
    rows = run_together(
        {
            "silver": partial(read, SILVER, silver, customers=customers),
            "rejected": partial(
                read, "silver.rejected_rows", rejected, **loads, row_numbers=row_numbers
            ),
            "cleanings": partial(read, "silver.load_counts", trace_sql.CLEANINGS, **loads),
            "verdicts": partial(read, "audit.load_verdicts", verdicts),
            "evaluations": partial(_read_evaluations, spark, data.batches, "true"),
            "published": partial(query_sequence, spark, PUBLICATIONS, trace_sql.PUBLICATIONS),
            "gold": partial(_read_current_gold, spark, customers),
            "scores": partial(read, SCORES, scores, customers=customers, champion=champion),
        }
    )
    data.silver, data.rejected = rows["silver"], rows["rejected"]
    data.cleanings = {row["batch_id"]: row for row in rows["cleanings"]}
    data.verdicts = {row["batch_id"]: row["verdict"] for row in rows["verdicts"]}
    data.evaluations, data.gold, data.scores = rows["evaluations"], rows["gold"], rows["scores"]
    data.published = list({row["extract_date"]: row for row in rows["published"]}.values())


def _read_as_of(
    spark: SparkSession,
    reader: AsOfReader,
    moment: RunEnd,
    customers: Sequence[str],
    champion: str,
    data: TraceData,
) -> None:
    data.silver, data.rejected = reader.silver()
    verdicts = reader.verdicts()
    data.verdicts = {row["batch_id"]: row["verdict"] for row in verdicts}
    reached = VERDICTS.existed_condition(moment.numbers, moment.at)
    data.evaluations = _read_evaluations(spark, data.batches, reached)
    data.published = reader.read_publications(verdicts)
    data.gold = reader.gold(data.published, _read_current_gold(spark, customers))
    data.scores = reader.scores(champion)
    versions = {row["rules_version"] for row in data.evaluations}
    data.as_of = {
        "run_id": moment.run_id,
        "ended_at": moment.at,
        "read": reader.read,
        "todays_rules": reader.has_current_rules(versions),
    }


def _read_current_gold(spark: SparkSession, customers: Sequence[str]) -> Rows:
    return query_sequence(spark, PUBLICATIONS, trace_sql.GOLD_ROWS, customers=customers)


def _read_evaluations(spark: SparkSession, batches: Sequence[str], reached: str) -> Rows:
    """Return the latest evaluation of each load within the condition: one row per rule."""
    sql = trace_sql.EVALUATIONS.replace("{reached}", reached)
    return query_sequence(spark, VERDICTS, sql, batches=batches)
