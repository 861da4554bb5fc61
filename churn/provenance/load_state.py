"""What the tables say of a load: counts, verdict, rejects. Read for summaries, reports, people."""

from dataclasses import dataclass

from pyspark.sql.connect.session import SparkSession

from lakehouse import sequences
from lakehouse.errors import InvalidInputError
from lakehouse.sequences import numbered, query_sequence
from lakehouse.sql import Rows, query, query_if_exists, statement

# The loads that a rebuild judges again. One whose date a later load was refused for is in gold, but
# no longer in silver: it stays as it is.
PASSED_AND_LATEST = f"""
    verdict = 'passed'
    and batch_id in (
        select max_by(batch_id, {sequences.LOADS.position}) from {{loads}} group by extract_date
    )
"""


@dataclass(frozen=True)
class LoadState:
    """Where a load stands: counted (None before the dbt part), verdict, published or not."""

    counts: dict[str, int] | None
    verdict: str
    published: int | None

    @property
    def is_settled(self) -> bool:
        """Published and judged: the dbt part has nothing left to do for it."""
        return self.published is not None and self.verdict == "passed"


def not_loaded_error(batch_id: str | None = None) -> InvalidInputError:
    """The fault of who asks for a load where there is none, or not that one."""
    return InvalidInputError(
        f"The load {batch_id} is not in this lake" if batch_id else "Nothing was loaded yet",
        where="bronze.loads",
        remedy="`churn run WORKBOOK` loads a workbook",
    )


def load_state(spark: SparkSession, batch_id: str) -> LoadState:
    """The state of a load, from the tables that the dbt part keeps."""
    counts = query_if_exists(
        spark,
        "silver.load_counts",
        """
        select bronze_rows, silver_rows, exact_duplicates, rejected_rows
        from silver.load_counts where batch_id = :batch
        """,
        batch=batch_id,
    )
    verdicts = query_if_exists(
        spark,
        "audit.load_verdicts",
        "select verdict from audit.load_verdicts where batch_id = :batch",
        batch=batch_id,
    )
    published = query_if_exists(
        spark,
        "gold.publications",
        "select customers from gold.publications where batch_id = :batch",
        batch=batch_id,
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


def mark_pending(spark: SparkSession, where: str, run_id: str, **values: str) -> None:
    """Make loads pending again: a line in the gate's log, which is what decides.

    `where` chooses among audit.load_verdicts; `{loads}` in it stands for bronze.loads.
    """
    log = numbered(spark, sequences.VERDICTS)
    chosen = where.replace("{loads}", numbered(spark, sequences.LOADS))
    lines = statement(
        spark,
        f"""
        select :run_id as run_id, batch_id, extract_date, 'requeued' as rule, 'info' as severity,
            'pending' as verdict, current_timestamp() as judged_at,
            {sequences.VERDICTS.next_number(log)} as verdict_number
        from audit.load_verdicts
        where {chosen}
        """,
        run_id=run_id,
        **values,
    )
    # A log of an earlier version gets its column by this.
    append = lines.write.format("delta").mode("append").option("mergeSchema", "true")
    append.saveAsTable(sequences.VERDICTS.table)


def gate_results(spark: SparkSession, batch_id: str) -> Rows:
    """The last judgement of a load, errors first."""
    return query_sequence(
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


def refused_in(spark: SparkSession, run_id: str) -> dict[str, Rows]:
    """The loads that the gate refused in a run and that stand refused, with the rules they broke.

    By batch, oldest extract first; each rule with the load's `extract_date` and `source_file`.
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
        batch: [each for each in broken if each["batch_id"] == batch]
        for batch in dict.fromkeys(each["batch_id"] for each in broken)
    }


def passed_unpublished_loads(spark: SparkSession) -> set[str]:
    """Open loads that passed while another load's refusal held the publishing back."""
    passed = query(
        spark,
        """
        select batch_id
        from silver.open_loads inner join audit.load_verdicts using (batch_id)
        where load_verdicts.verdict = 'passed'
        """,
    )
    published = query_if_exists(
        spark, "gold.publications", "select batch_id from gold.publications"
    )
    return {row["batch_id"] for row in passed} - {row["batch_id"] for row in published}


def has_unevaluated_loads(spark: SparkSession, but: str) -> bool:
    """Whether loads wait for their first judgement; those of the workbook of that hash aside."""
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
