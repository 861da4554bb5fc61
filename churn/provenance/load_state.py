"""Read and change the state of loads: counts, verdict, rejects and publication."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyspark.sql.connect.session import SparkSession

from lakehouse import sequences
from lakehouse.errors import InvalidInputError
from lakehouse.lake_files import read_current_rows
from lakehouse.near_matches import format_suggestion
from lakehouse.sequences import add_number_column, query_sequence
from lakehouse.settings import Settings
from lakehouse.sql import Rows, Value, query, query_if_exists, run_together, statement

LATEST = f"""
    batch_id in (
        select max_by(batch_id, {sequences.LOADS.position}) from {{loads}} group by extract_date
    )
"""
# The loads that a rebuild evaluates again. If a later load of the same date was refused, the
# earlier one is in gold, but no longer in silver, and is left unchanged.
LATEST_PASSED = f"verdict = 'passed' and {LATEST}"
# How people read a rule: what it means, `at least` or `at most`, and the unit of its figures. A log
# that an earlier version wrote lacks these columns; rows of before have nulls.
RULE_COLUMNS = ("description", "direction", "unit")
# Who approved the value of a failed rule, and why; also added later.
APPROVAL_COLUMNS = ("approver", "reason")


@dataclass(frozen=True)
class LoadState:
    """State of a load: counts (None before the dbt build), verdict, published customers."""

    counts: dict[str, int] | None
    verdict: str
    published: int | None

    @property
    def is_settled(self) -> bool:
        """Return whether the load passed and is published, so that dbt has nothing left to do."""
        return self.published is not None and self.verdict == "passed"


def not_loaded_error(batch_id: str | None = None, loads: Sequence[str] = ()) -> InvalidInputError:
    """Return the error for a load that does not exist, or for a lake without any load.

    Args:
        batch_id: The load; None if the lake has none.
        loads: The existing loads, oldest first, as far as the caller has read them.
    """
    named = f"name one of these ({', '.join(loads[:-4:-1])}); " if loads else ""
    return InvalidInputError(
        f"There is no load {batch_id!r}" if batch_id else "Nothing was loaded yet",
        where="bronze.loads",
        hint=f"{format_suggestion(batch_id or '', loads)}{named}"
        "`churn run WORKBOOK` loads a workbook",
    )


def require_in_bronze(settings: Settings, batch_id: str) -> None:
    """Check that a load exists by the lake's files, before a server is started for it.

    Raises:
        InvalidInputError: There is no such load.
    """
    rows = read_current_rows(settings.lake, "bronze.loads", "batch_id")
    if rows is None:
        raise not_loaded_error()
    rows.sort(key=lambda row: (row.get("load_number") or 0, row["_loaded_at"]))
    names = [row["batch_id"] for row in rows]
    if batch_id not in names:
        raise not_loaded_error(batch_id, names)


def load_state(spark: SparkSession, batch_id: str) -> LoadState:
    """Return the state of a load, from the tables that dbt maintains."""
    columns = {
        "silver.load_counts": "bronze_rows, silver_rows, exact_duplicates, rejected_rows",
        "audit.load_verdicts": "verdict",
        "gold.publications": "customers",
    }
    counts, verdicts, published = run_together(
        {
            table: partial(
                query_if_exists,
                spark,
                table,
                f"select {names} from {table} where batch_id = :batch",
                batch=batch_id,
            )
            for table, names in columns.items()
        }
    ).values()
    return LoadState(
        counts=_counts(counts[0]) if counts else None,
        verdict=verdicts[0]["verdict"] if verdicts else "pending",
        published=published[0]["customers"] if published else None,
    )


def _counts(row: dict[str, int]) -> dict[str, int]:
    return {
        "bronze": row["bronze_rows"],
        "exact_duplicates": row["exact_duplicates"],
        "rejected": row["rejected_rows"],
        "silver": row["silver_rows"],
    }


def mark_pending(spark: SparkSession, where: str, run_id: str, **values: str) -> None:
    """Make loads pending again by adding a line to the gate's log, which decides.

    Args:
        spark: A Spark Connect session.
        where: A condition on audit.load_verdicts; `{loads}` in it is replaced by bronze.loads.
        run_id: The run that makes the loads pending.
        **values: Values of the condition's named parameters.
    """
    chosen = where.replace("{loads}", add_number_column(spark, sequences.LOADS))
    _append_pending(
        spark,
        f"""
        select batch_id, extract_date, 'requeued' as rule
        from audit.load_verdicts
        where {chosen}
        """,
        run_id=run_id,
        **values,
    )


def approve_rules(
    spark: SparkSession,
    batch_id: str,
    rules: Sequence[str],
    *,
    run_id: str,
    approver: str,
    reason: str,
) -> None:
    """Approve the values with which rules failed, and make the load pending again.

    The gate then takes the rules for expected, as long as their values are not worse.

    Args:
        spark: A Spark Connect session.
        batch_id: The load.
        rules: The rules; those that did not fail in the latest evaluation are ignored.
        run_id: The run that makes the load pending.
        approver: Who approves.
        reason: Why.
    """
    log = add_number_column(spark, sequences.VERDICTS)
    _append_pending(
        spark,
        f"""
        select batch_id, extract_date, rule, figure, threshold, compared_with,
            :approver as approver, :reason as reason
        from (
            select * from {log} where batch_id = :batch
            qualify rank() over (order by {sequences.VERDICTS.position} desc) = 1
        )
        where severity = 'error' and verdict = 'failed' and rule in (:rules)
        """,
        run_id=run_id,
        batch=batch_id,
        rules=rules,
        approver=approver,
        reason=reason,
    )


def _append_pending(spark: SparkSession, rows: str, **values: Value) -> None:
    """Add the rows of a query to the gate's log, as ones that make their loads pending."""
    log = add_number_column(spark, sequences.VERDICTS)
    lines = statement(
        spark,
        f"""
        select *, :run_id as run_id, 'info' as severity, 'pending' as verdict,
            current_timestamp() as judged_at,
            {sequences.VERDICTS.next_number(log)} as verdict_number
        from ({rows})
        """,
        **values,
    )
    # This adds the columns that a log written by an earlier version lacks.
    append = lines.write.format("delta").mode("append").option("mergeSchema", "true")
    append.saveAsTable(sequences.VERDICTS.table)


def gate_results(spark: SparkSession, batch_id: str) -> Rows:
    """Return the results of a load's latest evaluation, errors first.

    Each result has the `RULE_COLUMNS` and `APPROVAL_COLUMNS`, which are None if an earlier version
    wrote it.
    """
    results = query_sequence(
        spark,
        sequences.VERDICTS,
        f"""
        select *
        from {{rows}}
        where batch_id = :batch
        qualify rank() over (order by {sequences.VERDICTS.position} desc) = 1
        order by verdict = 'passed', severity, rule
        """,
        batch=batch_id,
    )
    return [_add_rule_columns(result) for result in results]


def _add_rule_columns(result: dict[str, Any]) -> dict[str, Any]:
    return {**dict.fromkeys((*RULE_COLUMNS, *APPROVAL_COLUMNS)), **result}


def read_approvals(spark: SparkSession, condition: str = "true") -> Rows:
    """Return what people have approved: load, rule, approver and reason, oldest first.

    Args:
        spark: A Spark Connect session.
        condition: A condition on the rows of the gate's log.
    """
    return query_sequence(
        spark,
        sequences.VERDICTS,
        f"""
        select batch_id, rule, approval.approver, approval.reason
        from (
            -- a struct of all columns can be read without those that an earlier log lacks
            select *, from_json(to_json(struct(*)), 'approver string, reason string') as approval
            from {{rows}}
            where verdict = 'pending' and {condition}
        )
        where approval.approver is not null
        order by {sequences.VERDICTS.position}, batch_id, rule
        """,
    )


def find_refused_load(spark: SparkSession) -> str | None:
    """Return the load that was refused last, of those that no later load has replaced."""
    if not spark.catalog.tableExists("audit.load_verdicts"):
        return None
    refused = query_sequence(
        spark,
        sequences.LOADS,
        f"""
        select max_by(batch_id, {sequences.VERDICTS.position}) as batch_id
        from audit.load_verdicts
        where verdict = 'refused' and {LATEST.format(loads="{rows}")}
        """,
    )
    batch_id = refused[0]["batch_id"] if refused else None
    return None if batch_id is None else str(batch_id)


def list_refused_loads(spark: SparkSession, run_id: str) -> dict[str, Rows]:
    """Return the loads that the gate refused in a run and whose verdict is still refused.

    Returns:
        The failed rules by batch id, oldest extract first; each rule has the load's `extract_date`
        and `source_file`, and the `RULE_COLUMNS`.
    """
    broken = query_if_exists(
        spark,
        "audit.gate_results",
        """
        select
            gate_results.*, loads.source_file
        from audit.gate_results
        inner join audit.load_verdicts
            on gate_results.batch_id = load_verdicts.batch_id
            and load_verdicts.verdict = 'refused'
        left join bronze.loads on gate_results.batch_id = loads.batch_id
        where gate_results.run_id = :run_id
            and gate_results.severity = 'error' and gate_results.verdict = 'failed'
        order by gate_results.extract_date, gate_results.batch_id, gate_results.rule
        """,
        run_id=run_id,
    )
    return {
        batch: [_add_rule_columns(each) for each in broken if each["batch_id"] == batch]
        for batch in dict.fromkeys(each["batch_id"] for each in broken)
    }


def list_unpublished_loads(spark: SparkSession) -> set[str]:
    """Return pending loads that passed but were not published because another was refused."""
    passed = query(
        spark,
        """
        select batch_id
        from silver.pending_loads inner join audit.load_verdicts using (batch_id)
        where load_verdicts.verdict = 'passed'
        """,
    )
    published = query_if_exists(
        spark, "gold.publications", "select batch_id from gold.publications"
    )
    return {row["batch_id"] for row in passed} - {row["batch_id"] for row in published}


def has_unevaluated_loads(spark: SparkSession, but: str) -> bool:
    """Return whether loads await their first evaluation.

    Args:
        spark: A Spark Connect session.
        but: SHA-256 of the workbook whose loads are ignored.
    """
    loads = query_if_exists(
        spark,
        "bronze.loads",
        "select batch_id from bronze.loads where source_sha256 <> :sha256",
        sha256=but,
    )
    judged = query_if_exists(
        spark,
        "audit.load_verdicts",
        "select batch_id from audit.load_verdicts where verdict <> 'pending'",
    )
    return bool({row["batch_id"] for row in loads} - {row["batch_id"] for row in judged})
