"""Where the rows of a load's extract are to be read: in gold, or in what the gate saw of them."""

from dataclasses import dataclass
from typing import Literal

from pyspark.errors import PySparkException
from pyspark.sql.connect.session import SparkSession

from lakehouse.commits import signed
from lakehouse.sql import literal, query, query_table

Kind = Literal["customer_features", "churn_labels"]
IN_GOLD = """
select extract_date
from gold.publications
group by extract_date
having max_by(batch_id, published_at) = :batch
"""
JUDGED_BY = "select distinct run_id from audit.gate_results where batch_id = :batch"


@dataclass(frozen=True)
class Rows:
    """A load's rows as SQL, a query to be put in brackets; `place` says in words where they lie."""

    sql: str
    place: str


def rows_of(spark: SparkSession, batch_id: str, kind: Kind) -> Rows | None:
    """The features or labels of a load.

    Gold has those of the load that was published last for its date. Of one that was replaced or
    refused there are the candidates, in the state that the table had then; None where that state
    was tidied away.
    """
    published = query_table(spark, "gold.publications", IN_GOLD, batch=batch_id)
    if published:
        day = published[0]["extract_date"]
        table = f"gold.{kind}"
        return Rows(f"select * from {table} where extract_date = {literal(day)}", table)
    table = f"audit.{kind}"
    for version in _versions(spark, table, batch_id):
        state = f"{table} version as of {version}"
        sql = f"select * from {state} where batch_id = {literal(batch_id)}"
        try:
            if query(spark, f"{sql} limit 1"):
                return Rows(sql, state)
        except PySparkException:  # files of that state are gone, and of those before it too
            return None
    return None


def _versions(spark: SparkSession, table: str, batch_id: str) -> list[int]:
    """Versions that may hold the load, the latest first: those of the runs that judged it."""
    runs = query_table(spark, "audit.gate_results", JUDGED_BY, batch=batch_id)
    judged_by = {row["run_id"] for row in runs}
    if not judged_by:
        return []
    return [
        row["version"]
        for row in query(spark, f"describe history {table}")
        # Versions of before commits were signed may be of any run.
        if signed(row["userMetadata"])[0] in (None, *judged_by)
    ]
