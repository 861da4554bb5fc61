"""Show what was written to a table, when, by which user and in which run; also champions."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pyspark.sql.connect.session import SparkSession

from churn.provenance.run_history import HINT_RUN_FIRST
from lakehouse import sequences, spark_process, spark_server, spark_session
from lakehouse.amounts import format_number
from lakehouse.commit_metadata import parse_commit_metadata
from lakehouse.errors import InvalidInputError
from lakehouse.lake_files import find_tables
from lakehouse.metastore_snapshot import list_tables
from lakehouse.near_matches import format_suggestion
from lakehouse.process import Log
from lakehouse.project_files import PROJECT
from lakehouse.published_files import TABLES as PUBLISHED
from lakehouse.sequences import query_sequence
from lakehouse.settings import Settings
from lakehouse.sql import Rows, query
from trainer import registry

PUBLICATIONS = "gold.publications"
# Not a table: tables have a schema before their name.
CHAMPION = "champion"
# Publications of a table without versions of its own: the last one of each date is in gold.
PUBLISHED_BEFORE = f"""
select extract_date, batch_id, run_id, published_at, customers,
    batch_id = max_by(batch_id, {sequences.PUBLICATIONS.position})
        over (partition by extract_date) as in_gold
from {{rows}}
order by {sequences.PUBLICATIONS.position} desc, extract_date desc
"""


def history(settings: Settings, table: str, log: Log) -> dict[str, Any]:
    """Return the writes to a table, latest first: time, run, user, operation, rows.

    For a Delta table these are its versions, as far back as its log is kept; for a published table
    (Parquet), all its publications. For `champion`, which is not a table, they are the models that
    became champion.

    Args:
        settings: The settings of this CHURN_HOME.
        table: The table with its schema, or `champion`.
        log: Callback for progress messages.

    Raises:
        InvalidInputError: There is no such table, or it is a view.
    """
    if table == CHAMPION:
        return {"table": table, "written": _champions(settings)}
    _require_in_lake(settings, table)
    spark_server.ensure_running(settings, log)
    with spark_session.session(settings) as spark:
        known = list_tables(spark)
        if table not in known:
            raise _unknown_table_error(table, known)
        written = _publications(spark) if table in PUBLISHED else _versions(spark, table)
    return {"table": table, "written": written}


def _require_in_lake(settings: Settings, table: str) -> None:
    """Check a name by the lake's folders, before a server is started for it.

    Views have no folder; the server knows whether those of the project exist.
    """
    if spark_process.find(settings) is not None:
        return
    known = list(find_tables(settings.lake))
    views = [f"{path.parent.name}.{path.stem}" for path in PROJECT.glob("models/*/*.sql")]
    if not known or table not in (*known, *views):
        raise _unknown_table_error(table, known)


def _unknown_table_error(table: str, known: Collection[str]) -> InvalidInputError:
    names = sorted([*known, CHAMPION]) if known else []
    return InvalidInputError(
        f"There is no table {table!r}",
        where=f"the lake, which has {format_number(len(known), 'table')}"
        if known
        else "the lake, which is empty",
        hint=f"{format_suggestion(table, names)}name one with its schema, such as "
        "gold.churn_scores; `churn docs` lists all"
        if known
        else HINT_RUN_FIRST,
    )


def _champions(settings: Settings) -> Rows:
    """Return champions, latest first; `how` is that of `trainer.registry.Change`."""
    now = registry.read_champion_history(settings)
    return [asdict(each) for each in reversed(now.changes if now else ())]


def _publications(spark: SparkSession) -> Rows:
    users = {each["run_id"]: each["user"] for each in _versions(spark, PUBLICATIONS)}
    return [
        {
            "time": _format_time(row["published_at"]),
            "run_id": row["run_id"],
            "user": users.get(row["run_id"]),
            "operation": "publish",
            "rows": row["customers"],
            "extract_date": row["extract_date"].isoformat(),
            "batch_id": row["batch_id"],
            "in_gold": row["in_gold"],
        }
        for row in query_sequence(spark, sequences.PUBLICATIONS, PUBLISHED_BEFORE)
    ]


def _versions(spark: SparkSession, table: str) -> Rows:
    described = query(spark, f"describe table extended {table}")
    kinds = {row["col_name"]: row["data_type"] for row in described}
    if kinds.get("Type") == "VIEW":
        raise InvalidInputError(
            f"{table} is a view and has no history of its own",
            where=f"models/{table.replace('.', '/')}.sql",
            hint="name a table that the view reads",
        )
    return [_version(row) for row in query(spark, f"describe history {table}")]


def _version(row: Mapping[str, Any]) -> dict[str, Any]:
    run_id, user = parse_commit_metadata(row["userMetadata"])
    metrics = dict(row["operationMetrics"] or {})
    return {
        "version": row["version"],
        "time": _format_time(row["timestamp"]),
        "run_id": run_id,
        "user": user,
        "operation": row["operation"].lower(),
        "rows": _number(metrics, "numOutputRows"),
        "rows_deleted": _number(metrics, "numDeletedRows", "numTargetRowsDeleted"),
    }


def _number(metrics: Mapping[str, str], *names: str) -> int | None:
    """Return the first of the named metrics that the operation has."""
    return next((int(metrics[name]) for name in names if name in metrics), None)


def _format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_history(found: Mapping[str, Any]) -> list[str]:
    """Format the history as lines of text."""
    if found["table"] == CHAMPION and found["written"]:
        return [CHAMPION, *map(_champion_line, found["written"])]
    if not found["written"]:
        return [f"{found['table']}: nothing was written yet"]
    return [found["table"], *map(_line, found["written"])]


def _champion_line(each: Mapping[str, Any]) -> str:
    by = f" by {each['user']}" if each["user"] else ""
    return f"  {each['time']}  {each['version']}  {each['how']}{by}: {each['reason']}"


def _line(each: Mapping[str, Any]) -> str:
    rows = "" if each["rows"] is None else format_number(each["rows"], "row")
    if each.get("rows_deleted"):
        rows += f"{', ' if rows else ''}{each['rows_deleted']:,} deleted"
    what = f"v{each['version']}" if "version" in each else f"extract of {each['extract_date']}"
    if each.get("in_gold") is False:
        rows += ", replaced since"
    by = " ".join(filter(None, [each["run_id"], f"by {each['user']}" if each["user"] else ""]))
    return f"  {each['time']}  {what:<5} {each['operation']:<28} {rows:<24} {by}".rstrip()
