"""Collect a report's data from the tables, the gate's results and the model's record."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql.connect.session import SparkSession

from churn.provenance import load_state
from churn.provenance.run_history import LIST
from churn.provenance.trace_rules import explain_rejection
from churn.reports.curves import Evaluation
from churn.reports.gate_statements import DRIFT_RULE, format_statement
from churn.reports.report import (
    ChurnGroup,
    GateResult,
    RejectedRow,
    RejectReason,
    ReportData,
    write_report,
)
from churn.reports.retention_list import MOST, read_scored_extract, select_customers
from churn.reports.retention_workbook import RetentionList, write_retention_workbook
from lakehouse.atomic_write import atomic_write
from lakehouse.domain import read_domain
from lakehouse.sample_home import command_of, is_sample
from lakehouse.settings import Settings
from lakehouse.sql import query, run_together
from seeds_loader.contract import read_contract
from seeds_loader.reject_messages import Reason, omit_consequences, read_reject_messages
from trainer import registry
from trainer.metrics import HOLDOUT, OUT_OF_FOLD
from trainer.record import ModelRecord

EXAMPLES = 12


def write_run_report(
    settings: Settings,
    spark: SparkSession,
    summary: dict[str, Any],
    record: ModelRecord | None,
    folder: Path,
) -> Path:
    """Write a run's report.html, and beside it the list of customers to call.

    Parts that a refused run does not have are omitted.

    Args:
        settings: The settings of this CHURN_HOME.
        spark: A Spark Connect session.
        summary: The run's summary. Its part `calls`, the list in numbers, is added here.
        record: The model that the run trained; None if it trained none.
        folder: The run's folder.

    Returns:
        The path of the report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    data = _gather(settings, spark, summary, record)
    if data.retention_list:
        summary["calls"] = data.retention_list.summary
        with atomic_write(folder / LIST) as draft:
            write_retention_workbook(data.retention_list, draft)
    write_report(data, path)
    return path


def _select_customers(
    settings: Settings, spark: SparkSession, is_scored: bool
) -> RetentionList | None:
    """Return the customers to call; None if the run scored none, or an old model has no list."""
    if not is_scored:
        return None
    record, publication = read_scored_extract(settings, spark)
    if not registry.has_out_of_fold(settings, record.version):
        return None
    return select_customers(settings, spark, record, publication, MOST)


def _gather(
    settings: Settings, spark: SparkSession, summary: dict[str, Any], record: ModelRecord | None
) -> ReportData:
    batch_id, extract_date = summary["batch_id"], summary["extract_date"]
    is_scored = "scored" in summary.get("counts", {})
    displayed = summary
    # Date of the latest published extract; the model may have been trained on earlier ones.
    scored = summary.get("scored_extract_date")
    if record and (scored or record.extract_date.isoformat()) != extract_date:
        # A late, older extract changes nothing online: those counts belong to the latest extract.
        later = {"online_verified", "scored"}
        counts = {name: n for name, n in summary["counts"].items() if name not in later}
        displayed = {**summary, "counts": counts}
    parts = run_together(
        {
            "gate_results": partial(_gate, spark, batch_id),
            "reject_reasons": partial(_reject_reasons, spark, batch_id),
            "rejected_rows": partial(_read_rejected_rows, spark, batch_id),
            "retention_list": partial(_select_customers, settings, spark, is_scored),
        }
    )
    churn_by = {
        name: partial(_churn_by, spark, column, extract_date)
        for name, column in read_domain().report.breakdowns.items()
    }
    return ReportData(
        summary=displayed,
        **parts,
        churn_by=run_together(churn_by) if churn_by else {},
        evaluations=evaluations(record) if record else (),
        is_sample=is_sample(settings),
        command=command_of(settings),
    )


def _gate(spark: SparkSession, batch_id: str) -> tuple[GateResult, ...]:
    declared = [*read_domain().rules.gate_rules]
    # Errors first, then as the domain declares the rules: by what they protect. Drift is last.
    results = sorted(
        load_state.gate_results(spark, batch_id),
        key=lambda each: (
            each["severity"] != "error",
            declared.index(each["rule"]) if each["rule"] in declared else len(declared),
        ),
    )
    return tuple(
        GateResult(
            rule=result["rule"],
            severity=result["severity"],
            figure=result["figure"],
            threshold=result["threshold"],
            direction=result["direction"] or "",
            verdict=result["verdict"],
            description=result["description"] or "",
            unit=result["unit"] or "",
            compared_with=str(result["compared_with"] or ""),
            drift_of=result["rule"].partition(DRIFT_RULE)[2],
            approver=result["approver"] or "",
            reason=result["reason"] or "",
            statement=format_statement(result["rule"], result["threshold"], read_domain()),
        )
        for result in results
    )


def _reject_reasons(spark: SparkSession, batch_id: str) -> tuple[RejectReason, ...]:
    """Return how many rows have each reason, the most frequent first, without consequences."""
    rows = query(
        spark,
        """
        select
            transform(reasons, each -> struct(each.code, each.column_name)) as reasons,
            count(*) as rejects
        from silver.rejected_rows
        where _batch_id = :batch
        group by all
        """,
        batch=batch_id,
    )
    contract, messages = read_contract(), read_reject_messages()
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        reasons = [Reason(each["code"], each["column_name"], None) for each in row["reasons"]]
        for each in omit_consequences(reasons, contract):
            counts[each.code, each.column] += row["rejects"]
    return tuple(
        RejectReason(code, column, count, messages.get(code, ""))
        for (code, column), count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    )


def _read_rejected_rows(spark: SparkSession, batch_id: str) -> tuple[RejectedRow, ...]:
    rows = query(
        spark,
        """
        select * from silver.rejected_rows
        where _batch_id = :batch order by _row_number limit :most
        """,
        batch=batch_id,
        most=EXAMPLES,
    )
    words = read_reject_messages()
    contract = read_contract()
    return tuple(
        RejectedRow(
            row["_row_number"],
            tuple(explain_rejection(row["reasons"], row, contract, words)),
        )
        for row in rows
    )


def _churn_by(spark: SparkSession, column: str, extract_date: str) -> tuple[ChurnGroup, ...]:
    rows = query(
        spark,
        f"""
        select cast({column} as string) as label, count(*) as customers, sum(churned) as churned
        from silver.customers where extract_date = :day group by 1 order by 1
        """,
        day=extract_date,
    )
    return tuple(
        ChurnGroup(row["label"].split(": ")[-1], row["customers"], row["churned"]) for row in rows
    )


def evaluations(record: ModelRecord) -> tuple[Evaluation, ...]:
    """Return the metrics and curves of the model types in the form that the report uses.

    A challenger that was not trained on all folds is left out.
    """
    return tuple(
        Evaluation(
            kind=kind,
            out_of_fold=_figures(evaluated, OUT_OF_FOLD),
            holdout=_figures(evaluated, HOLDOUT),
            curves=record.curves[kind][OUT_OF_FOLD],
            threshold=float(record.parameters["threshold"]),
        )
        for kind, evaluated in record.evaluations.items()
        if OUT_OF_FOLD in evaluated
    )


def _figures(evaluated: dict[str, Any], name: str) -> dict[str, float]:
    return dict(vars(evaluated[name])) if name in evaluated else {}
