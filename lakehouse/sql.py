"""Safe embedding of values in SQL text.

Spark's own named parameters do not pass Delta's parser (Delta 4.4 on Spark 4.2 reports them as
unbound), so values are written as literals, in this module only.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:  # callers that only build SQL do not need Spark
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.session import SparkSession

Rows = list[dict[str, Any]]
# The tables that a session has found, by session.
_found: "WeakKeyDictionary[SparkSession, set[str]]" = WeakKeyDictionary()
Value = str | int | date | Sequence[str] | Sequence[int]


def statement(spark: "SparkSession", sql: str, **values: Value) -> "DataFrame":
    """Run a statement, replacing each `:name` with its value, and return the DataFrame."""
    frame: DataFrame = spark.sql(bind(sql, **values))
    return frame


def query(spark: "SparkSession", sql: str, **values: Value) -> Rows:
    """Run a query, replacing each `:name` with its value, and return its rows as dictionaries."""
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.plan import SQL

    # One request: `spark.sql` sends the statement first, and its result asks for the rows.
    rows: Rows = DataFrame(SQL(bind(sql, **values)), spark).toArrow().to_pylist()
    return rows


def query_if_exists(spark: "SparkSession", table: str, sql: str, **values: Value) -> Rows:
    """Return the rows of a query on a table, or no rows if the table does not exist."""
    from pyspark.errors import AnalysisException

    # A query of a missing table is an error in the server's log, and a check is another request: so
    # a session checks once that a table exists.
    found = _found.setdefault(spark, set())
    if table not in found and not spark.catalog.tableExists(table):
        return []
    found.add(table)
    try:
        return query(spark, sql, **values)
    except AnalysisException:
        # It may have been dropped since.
        if spark.catalog.tableExists(table):
            raise
        found.discard(table)
        return []


def run_together(calls: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Run queries at the same time and return their results by name.

    A small query mostly waits: for its planning, for its jobs to be scheduled, and for the network.
    """
    with ThreadPoolExecutor(len(calls)) as executor:
        futures = {name: executor.submit(call) for name, call in calls.items()}
        return {name: future.result() for name, future in futures.items()}


def bind(sql: str, **values: Value) -> str:
    """Return the statement with each `:name` replaced by its value as a literal.

    Raises:
        KeyError: If a name in the statement has no value.
    """
    return re.sub(
        r"(?<!:):([a-z_][a-z0-9_]*)\b", lambda found: literal(values[found.group(1)]), sql
    )


def literal(value: Value) -> str:
    """Return a value as a SQL literal.

    Several values become a comma-separated list, for `in (:names)`.
    """
    if isinstance(value, date):
        return f"date '{value.isoformat()}'"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        # A SQL list cannot be empty; no value equals null.
        return ", ".join(map(literal, value)) or "null"
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
