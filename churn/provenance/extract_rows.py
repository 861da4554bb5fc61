"""Locate the rows of a load's extract: in gold, or among the gate's candidates."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from pyspark.sql.connect.session import SparkSession

from lakehouse.sequences import PUBLICATIONS, query_sequence
from lakehouse.sql import literal, query, query_if_exists
from lakehouse.table_history import none_if_vacuumed, table_history

Kind = Literal["customer_features", "churn_labels"]
IN_GOLD = f"""
select extract_date
from {{rows}}
group by extract_date
having max_by(batch_id, {PUBLICATIONS.position}) = :batch
"""
EVALUATING_RUNS = "select distinct run_id from audit.gate_results where batch_id = :batch"


@dataclass(frozen=True)
class LoadRows:
    """Rows of a load.

    `sql` is a query for use as a subquery; `place` describes where the rows are stored.
    """

    sql: str
    location: str


def find_rows(spark: SparkSession, batch_id: str, kind: Kind) -> LoadRows | None:
    """Return the features or labels of a load.

    Gold has the rows of the load that was published last for its date. For a load that was replaced
    or refused, the rows are the candidates, in the version that the table had at the time.

    Args:
        spark: A Spark Connect session.
        batch_id: The load.
        kind: Which rows to locate.

    Returns:
        The rows; None if cleanup has removed that version.
    """
    published = query_sequence(spark, PUBLICATIONS, IN_GOLD, batch=batch_id)
    if published:
        day = published[0]["extract_date"]
        table = f"gold.{kind}"
        return LoadRows(f"select * from {table} where extract_date = {literal(day)}", table)
    for state in _list_states(spark, f"audit.{kind}", batch_id):
        sql = f"select * from {state} where batch_id = {literal(batch_id)}"
        first = none_if_vacuumed(partial(query, spark, f"{sql} limit 1"))
        if first is None:  # and so are all earlier versions
            return None
        if first:
            return LoadRows(sql, state)
    return None


def _list_states(spark: SparkSession, table: str, batch_id: str) -> list[str]:
    """Return the table as of the versions that may have the load, latest first.

    Those are the versions written by the runs that evaluated the load.
    """
    runs = query_if_exists(spark, "audit.gate_results", EVALUATING_RUNS, batch=batch_id)
    judged_by = {row["run_id"] for row in runs}
    if not judged_by:
        return []
    history = table_history(spark, table)
    return [
        history.as_of_clause(commit.version)
        for commit in reversed(history.commits)
        # Versions without commit metadata, from before it was introduced, may be of any run.
        if commit.run_id in (None, *judged_by)
    ]
