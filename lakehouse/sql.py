"""SQL text with values in it, safely.

Spark's own named parameters don't get through Delta's parser (Delta 4.4 on Spark 4.2 reports them
as unbound), so values are written as literals here and nowhere else.
"""

import re
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # who only writes SQL has no Spark
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.session import SparkSession

Rows = list[dict[str, Any]]
Value = str | int | date | Sequence[str] | Sequence[int]


def statement(spark: "SparkSession", sql: str, **values: Value) -> "DataFrame":
    """Run a statement in which `:name` stands for a value."""
    frame: DataFrame = spark.sql(bind(sql, **values))
    return frame


def query(spark: "SparkSession", sql: str, **values: Value) -> Rows:
    """Rows of a query in which `:name` stands for a value, as dictionaries."""
    rows: Rows = statement(spark, sql, **values).toArrow().to_pylist()
    return rows


def query_if_exists(spark: "SparkSession", table: str, sql: str, **values: Value) -> Rows:
    """Rows of a query on a table; none where no build has made the table yet."""
    return query(spark, sql, **values) if spark.catalog.tableExists(table) else []


def bind(sql: str, **values: Value) -> str:
    """The statement with its values written as literals; an unknown name is a KeyError."""
    return re.sub(
        r"(?<!:):([a-z_][a-z0-9_]*)\b", lambda found: literal(values[found.group(1)]), sql
    )


def literal(value: Value) -> str:
    """A value as a SQL literal; several values as a list of them, for `in (:names)`."""
    if isinstance(value, date):
        return f"date '{value.isoformat()}'"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        # A list can't be empty in SQL; nothing equals null.
        return ", ".join(map(literal, value)) or "null"
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
