"""What the tables say of a load: counts, verdict, rejects. Read for summaries, reports, people."""

from dataclasses import dataclass

from pyspark.sql.connect.session import SparkSession

from lakehouse.sql import Rows, query, statement


@dataclass(frozen=True)
class LoadState:
    """Where a load stands: counted (None before the dbt part), verdict, published or not."""

    counts: dict[str, int] | None
    verdict: str
    published: int | None


def load_state(spark: SparkSession, batch_id: str) -> LoadState:
    """The state of a load, from the tables that the dbt part keeps."""
    counts: Rows = []
    verdicts: Rows = []
    published: Rows = []
    if spark.catalog.tableExists("silver.load_counts"):
        counts = query(
            spark,
            """
            select bronze_rows, silver_rows, exact_duplicates, rejected_rows
            from silver.load_counts where batch_id = :batch
            """,
            batch=batch_id,
        )
    if spark.catalog.tableExists("audit.load_verdicts"):
        verdicts = query(
            spark, "select verdict from audit.load_verdicts where batch_id = :batch", batch=batch_id
        )
    if spark.catalog.tableExists("gold.publications"):
        published = query(
            spark, "select customers from gold.publications where batch_id = :batch", batch=batch_id
        )
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


def requeue(spark: SparkSession, where: str, run_id: str, **values: str) -> None:
    """Make loads pending again: a line in the gate's log, which is what decides.

    `where` chooses among audit.load_verdicts.
    """
    statement(
        spark,
        f"""
        insert into audit.gate_results
            (run_id, batch_id, extract_date, rule, severity, verdict, judged_at)
        select :run_id, batch_id, extract_date, 'requeued', 'info', 'pending', current_timestamp()
        from audit.load_verdicts
        where {where}
        """,
        run_id=run_id,
        **values,
    )


def failed_rules(spark: SparkSession, batch_id: str) -> Rows:
    """Rules that the load's last judgement did not pass, errors first."""
    return [each for each in gate_results(spark, batch_id) if each["verdict"] != "passed"]


def gate_results(spark: SparkSession, batch_id: str) -> Rows:
    """The last judgement of a load, errors first."""
    return query(
        spark,
        """
        select rule, severity, figure, threshold, verdict
        from audit.gate_results
        where
            batch_id = :batch
            and judged_at = (
                select max(judged_at) from audit.gate_results where batch_id = :batch
            )
        order by verdict = 'passed', severity, rule
        """,
        batch=batch_id,
    )


def passed_but_unpublished(spark: SparkSession) -> int:
    """Loads that passed while another load's refusal held the publishing back."""
    rows = query(
        spark,
        """
        select count(*) as loads
        from silver.open_loads
        inner join audit.load_verdicts using (batch_id)
        where
            load_verdicts.verdict = 'passed'
            and batch_id not in (select batch_id from gold.publications)
        """
        if spark.catalog.tableExists("gold.publications")
        else """
        select count(*) as loads
        from silver.open_loads
        inner join audit.load_verdicts using (batch_id)
        where load_verdicts.verdict = 'passed'
        """,
    )
    return int(rows[0]["loads"])
