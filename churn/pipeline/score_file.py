"""Score the customers of a file that need not have the label; nothing is published.

Row rules and features come from the SQL that dbt compiles for a build, applied to the rows of the
file. Model, probabilities and reasons are the same as those of the batch scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.ml import PipelineModel
from pyspark.sql.connect.session import SparkSession

from churn.pipeline.context import start_server
from churn.pipeline.mlflow_sync import adopt_alias_if_free
from churn.provenance.compiled_sql import CLEANED, COMPOSED, FEATURES, compose
from churn.provenance.trace_rules import explain_rejection
from churn.reports.scores_workbook import (
    RejectedRow,
    ScoredCustomer,
    ScoredFile,
    write_scores_workbook,
)
from churn.reports.xlsx_output import require_writable, translate_write_errors
from lakehouse import audit_log, spark_session
from lakehouse.amounts import format_number
from lakehouse.atomic_write import atomic_write
from lakehouse.audit_log import Action
from lakehouse.dbt_runner import compile_models
from lakehouse.process import Log
from lakehouse.progress import Steps
from lakehouse.settings import Settings
from lakehouse.sql import bind
from lakehouse.storage import escape_glob
from seeds_loader.contract import Contract, read_contract
from seeds_loader.reader.extract import Extract
from seeds_loader.reader.sandbox import read_workbook
from seeds_loader.reject_messages import read_reject_messages
from seeds_loader.source_format import UNSTATED, SourceFormat
from trainer import deciles, registry
from trainer.pipeline import run_in_threads
from trainer.record import ModelRecord
from trainer.score import score_rows

STEPS = 4
TOP_LINES = 10
SUBMITTED = "submitted_rows"
# The columns that bronze adds to those of the sheet. The label is not a feature: every row gets the
# same accepted value for it, so that no rule about the label rejects a row.
ROWS = f"""
    select
        *,
        {{label}}
        'submitted' as _batch_id,
        :file as _source_file,
        :sha256 as _source_sha256,
        :sheet as _sheet,
        current_date() as _extract_date,
        current_timestamp() as _loaded_at
    from {SUBMITTED}
"""
LOADS = """
    select
        'submitted' as batch_id,
        current_date() as extract_date,
        current_timestamp() as loaded_at,
        true as to_clean
"""


@dataclass(frozen=True)
class Request:
    """File to score, and the options for reading it."""

    file: Path
    sheet: str | None = None
    source_format: SourceFormat = UNSTATED


def score_file(settings: Settings, request: Request, out: Path | None, steps: Steps) -> ScoredFile:
    """Score the customers of a workbook or CSV file with the champion, and write them to `out`.

    No table, model or online store is changed. The champion is the version that MLflow's alias
    names, if a person moved it.

    Args:
        settings: The settings of this CHURN_HOME.
        request: The file, and the options for reading it.
        out: The .xlsx file to write; None to write none.
        steps: Progress display with `STEPS` steps, or one less without `out`.

    Returns:
        Scores with reasons, sorted by descending probability, and the rejected rows.

    Raises:
        InvalidInputError: The file or `out` is unusable, or there is no champion.
    """
    if out is not None:
        require_writable(out)
    adopt_alias_if_free(settings, steps.log)
    record = registry.champion_or_error(settings)
    contract = read_contract()
    with steps.step("read") as step:
        extract = read_workbook(
            request.file, request.sheet, step.log, request.source_format, labelled=False
        )
        step.outcome = format_number(extract.table.num_rows, "row")
    with steps.step("server") as step:
        _, step.outcome = start_server(settings, step.log)
    with steps.step("score") as step, spark_session.session(settings) as spark:
        result = _score(settings, spark, record, extract, contract, step.log)
        step.outcome = f"{len(result.customers):,} scored, {len(result.rejected):,} rejected"
    if out is not None:
        facts = {"what": "scores of a file", "version": record.version, "file": str(out)}
        audit_log.append(settings, Action.EXPORT, rows=len(result.customers), **facts)
        with steps.step("write") as step, translate_write_errors(out), atomic_write(out) as draft:
            write_scores_workbook(result, draft)
            step.outcome = str(out)
    return result


def _score(
    settings: Settings,
    spark: SparkSession,
    record: ModelRecord,
    extract: Extract,
    contract: Contract,
    log: Log,
) -> ScoredFile:
    log("asking dbt for the SQL of its models")
    models = compile_models(settings, COMPOSED)
    spark.createDataFrame(extract.table).createOrReplaceTempView(SUBMITTED)
    rows = bind(
        ROWS.format(label=_label_value(contract)),
        file=extract.path.name,
        sha256=extract.sha256,
        sheet=extract.sheet,
    )
    features = spark.sql(compose(models, FEATURES, rows, LOADS)).localCheckpoint()
    rejected = spark.sql(compose(models, CLEANED[0], rows, LOADS)).toArrow().to_pylist()
    log(f"scoring with {record.version}")
    model = registry.pipeline(settings, record.version)
    inputs = features.select("customer_id", *record.features)
    (scores,) = run_in_threads(
        spark,
        lambda place: score_rows(PipelineModel.load(escape_glob(place)), record, inputs).toArrow(),
        [model],
    )
    bounds = deciles.read(registry.folder(settings) / record.version)
    return ScoredFile(
        file=str(extract.path),
        sheet=extract.sheet,
        rows=extract.table.num_rows,
        model_version=record.version,
        compared_extract=date.fromisoformat(bounds.extract_date) if bounds else None,
        customers=_customers(scores, bounds),
        rejected=_list_rejected_rows(rejected, contract),
        is_sample=extract.is_sample,
    )


def _label_value(contract: Contract) -> str:
    """Return the select item that sets the label to an accepted placeholder value."""
    label = next(column for column in contract.columns if column.is_label)
    accepted = (*label.false_values, *label.true_values, *label.categories)[0]
    return f"{bind(':accepted', accepted=accepted)} as `{label.name}`,"


def _customers(scores: pa.Table, bounds: deciles.Deciles | None) -> list[ScoredCustomer]:
    rows = sorted(scores.to_pylist(), key=lambda row: (-row["probability"], row["customer_id"]))
    return [
        ScoredCustomer(
            customer_id=row["customer_id"],
            probability=row["probability"],
            decile=bounds.decile(row["probability"], row["customer_id"]) if bounds else None,
            reasons=[reason["text"] for reason in row["reasons"]],
        )
        for row in rows
    ]


def _list_rejected_rows(rows: Sequence[Mapping[str, Any]], contract: Contract) -> list[RejectedRow]:
    messages = read_reject_messages()
    key = next(column.name for column in contract.columns if column.silver == "customer_id")
    return [
        RejectedRow(
            row_number=row["_row_number"],
            customer_id=row[key],
            reasons=explain_rejection(row["reasons"], row, contract, messages),
        )
        for row in sorted(rows, key=lambda row: row["_row_number"])
    ]


def format_scored_file(result: ScoredFile, out: Path | None) -> list[str]:
    """Format the result: the customers with the highest risk, the rejects, the counts."""
    lines = []
    if out is None:
        for customer in result.customers[:TOP_LINES]:
            reasons = "; ".join(customer.reasons)
            lines.append(f"{customer.customer_id}  {customer.probability:6.1%}  {reasons}")
    for row in result.rejected[:TOP_LINES]:
        lines.append(f"row {row.row_number} rejected: {' '.join(row.reasons)}")
    lines.append(
        f"{len(result.customers):,} of {format_number(result.rows, 'row')} scored "
        f"with {result.model_version}, "
        f"{len(result.rejected):,} rejected; nothing was published"
    )
    if out is not None:
        lines.append(f"all scores, reasons and rejects: {out}")
    elif len(result.customers) > TOP_LINES or len(result.rejected) > TOP_LINES:
        lines.append("`--out scores.xlsx` writes all of them, `--json` prints them")
    return lines
