"""Where the rows of a load's extract are to be read: in gold, or in what the gate saw of them."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from pyspark.sql.connect.session import SparkSession

from lakehouse.sequences import PUBLICATIONS, query_sequence
from lakehouse.sql import literal, query, query_if_exists
from lakehouse.table_history import table_history, unless_gone

Kind = Literal["customer_features", "churn_labels"]
IN_GOLD = f"""
select extract_date
from {{rows}}
group by extract_date
having max_by(batch_id, {PUBLICATIONS.position}) = :batch
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
    published = query_sequence(spark, PUBLICATIONS, IN_GOLD, batch=batch_id)
    if published:
        day = published[0]["extract_date"]
        table = f"gold.{kind}"
        return Rows(f"select * from {table} where extract_date = {literal(day)}", table)
    for state in _states(spark, f"audit.{kind}", batch_id):
        sql = f"select * from {state} where batch_id = {literal(batch_id)}"
        there = unless_gone(partial(query, spark, f"{sql} limit 1"))
        if there is None:  # and those before it are gone too
            return None
        if there:
            return Rows(sql, state)
    return None


def _states(spark: SparkSession, table: str, batch_id: str) -> list[str]:
    """The table as of the versions that may hold the load, the latest first: those of the runs
    that judged it."""
    runs = query_if_exists(spark, "audit.gate_results", JUDGED_BY, batch=batch_id)
    judged_by = {row["run_id"] for row in runs}
    if not judged_by:
        return []
    history = table_history(spark, table)
    return [
        history.stood(each.version)
        for each in reversed(history.commits)
        # Versions of before commits were signed may be of any run.
        if each.run_id in (None, *judged_by)
    ]
