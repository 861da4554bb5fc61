"""Collect a report's data from the tables, the gate's results and the model's record."""

from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql.connect.session import SparkSession

from churn.provenance import load_state
from churn.reports.curves import Evaluation
from churn.reports.report import (
    AT_RISK_SHOWN,
    ChurnGroup,
    CustomerAtRisk,
    GateResult,
    RejectedRow,
    RejectReason,
    ReportData,
    write_report,
)
from lakehouse.domain import read_domain
from lakehouse.sql import query, run_together
from seeds_loader.contract import format_value, read_contract
from seeds_loader.reject_messages import Reason, format_reason, read_reject_messages
from trainer.metrics import HOLDOUT, OUT_OF_FOLD
from trainer.record import ModelRecord

EXAMPLES = 12


def write_run_report(
    spark: SparkSession,
    summary: dict[str, Any],
    record: ModelRecord | None,
    folder: Path,
) -> Path:
    """Write a run's report.html; parts that a refused run does not have are omitted.

    Args:
        spark: A Spark Connect session.
        summary: The run's summary.
        record: The model that the run trained; None if it trained none.
        folder: The run's folder.

    Returns:
        The path of the report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    write_report(_gather(spark, summary, record), path)
    return path


def _gather(spark: SparkSession, summary: dict[str, Any], record: ModelRecord | None) -> ReportData:
    batch_id, extract_date = summary["batch_id"], summary["extract_date"]
    published = "gold" in summary.get("counts", {})
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
            "top_customers": partial(_top_customers, spark, summary, record if published else None),
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
    )


def _gate(spark: SparkSession, batch_id: str) -> tuple[GateResult, ...]:
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
            drift_of=result["rule"].partition("drift_of_")[2],
        )
        for result in load_state.gate_results(spark, batch_id)
    )


def _reject_reasons(spark: SparkSession, batch_id: str) -> tuple[RejectReason, ...]:
    rows = query(
        spark,
        """
        select reason.code, reason.column_name, count(*) as rejects
        from silver.rejected_rows lateral view explode(reasons) as reason
        where _batch_id = :batch
        group by all
        order by rejects desc, reason.code, reason.column_name
        """,
        batch=batch_id,
    )
    return tuple(RejectReason(row["code"], row["column_name"], row["rejects"]) for row in rows)


def _read_rejected_rows(spark: SparkSession, batch_id: str) -> tuple[RejectedRow, ...]:
    rows = query(
        spark,
        """
        select _row_number, reasons from silver.rejected_rows
        where _batch_id = :batch order by _row_number limit :most
        """,
        batch=batch_id,
        most=EXAMPLES,
    )
    words = read_reject_messages()
    columns = {column.name: column for column in read_contract().columns}
    return tuple(
        RejectedRow(
            row["_row_number"],
            tuple(
                format_reason(
                    Reason(reason["code"], reason["column_name"], reason["value"]),
                    columns.get(reason["column_name"]),
                    words,
                )
                for reason in row["reasons"]
            ),
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


def _top_customers(
    spark: SparkSession, summary: dict[str, Any], record: ModelRecord | None
) -> tuple[CustomerAtRisk, ...]:
    """Return the customers with the champion's highest risk who have not churned yet."""
    if record is None:
        return ()
    shown, contract = read_domain().report.list_columns, read_contract()
    named = "".join(f", {column.column}" for column in shown)
    rows = query(
        spark,
        f"""
        select customer_id, probability, decile, reasons{named}
        from gold.churn_scores as scores
        inner join silver.customers as customers using (customer_id)
        where
            model_version = :version and churned = 0
            and scores.extract_date = :day and customers.extract_date = :day
        order by probability desc, customer_id limit :most
        """,
        version=summary["model"].get("promotion", {}).get("champion") or record.version,
        day=summary.get("scored_extract_date") or record.extract_date,
        most=AT_RISK_SHOWN,
    )
    return tuple(
        CustomerAtRisk(
            **{key: row[key] for key in ("customer_id", "probability", "decile")},
            details=tuple(
                (column, format_value(row[column.column], contract.find(column.column)))
                for column in shown
            ),
            reasons=tuple(reason["text"] for reason in row["reasons"]),
        )
        for row in rows
    )
