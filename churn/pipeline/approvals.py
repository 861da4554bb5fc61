"""Approve an expected change: a person accepts the values with which the gate refused a load.

The approval is a part of the gate. It is recorded for one load and the rules that refused it, and
the gate evaluates the load again; only if it passes then is it published, like any other load.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql.connect.session import SparkSession

from churn.pipeline.context import RunContext, new_run_id, writer_session
from churn.pipeline.libraries import preload
from churn.pipeline.rule_texts import can_approve, format_rule
from churn.pipeline.run import complete_run
from churn.pipeline.summary import load_summary
from churn.provenance import load_state
from lakehouse import audit_log, commit_metadata
from lakehouse.audit_log import Action
from lakehouse.command_name import format_rerun
from lakehouse.errors import InvalidInputError
from lakehouse.progress import Steps
from lakehouse.settings import Settings
from lakehouse.sql import Rows
from seeds_loader.bronze_reader import LoadRow, read_loads

STEPS = 11
# Relative difference of values that are the same.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Refusal:
    """A refused load that a person may approve, with the results of the rules that refused it."""

    load: LoadRow
    failed: Rows

    @property
    def values(self) -> dict[str, float]:
        """Return the value of each rule."""
        return {result["rule"]: result["figure"] for result in self.failed}


@dataclass(frozen=True)
class Approval:
    """A person's decision to publish a refused load.

    Attributes:
        approver: The person's name.
        reason: The person's reason.
        values: The values of the rules that the person was shown; None for the latest ones.
    """

    approver: str
    reason: str
    values: Mapping[str, float] | None = None


def approve(
    settings: Settings,
    batch_id: str,
    approval: Approval,
    progress: Steps,
    run_id: str | None = None,
) -> dict[str, Any]:
    """Approve a refused load and do the rest of its run: publish, serve, train, score, report.

    Args:
        settings: The settings of this CHURN_HOME.
        batch_id: The load.
        approval: The person's decision.
        progress: Progress display with `STEPS` steps.
        run_id: The run. One that was interrupted completes what is missing under the same name.

    Returns:
        The run's summary, the content of summary.json.

    Raises:
        InvalidInputError: There is no such load, or it can't be approved: it is not refused, was
            approved before, was replaced or evaluated again, or a rule that refused it compares
            nothing.
        lakehouse.errors.GateRefusedError: The gate refused the load again, by other values.
    """
    run = RunContext(
        settings, progress, {"run_id": run_id or new_run_id(), "unchanged": False, "counts": {}}
    )
    load_state.require_in_bronze(settings, batch_id)
    preload()
    with writer_session(settings, "churn approve", progress, run.run_id) as spark:
        with progress.step("approve") as step:
            step.outcome = _approve_once(run, spark, batch_id, approval)
        return complete_run(run, spark, is_changed=True)


def _approve_once(run: RunContext, spark: SparkSession, batch_id: str, approval: Approval) -> str:
    """Record the approval, unless an interrupted command has; return what was done, as text."""
    loads = read_loads(spark)
    load = find_load(loads, batch_id)
    require_latest(loads, load)
    run.summary |= load_summary(load.source_file, load)
    results = load_state.gate_results(spark, batch_id)
    if is_approved(results) and not _is_done(spark, batch_id, results, run.run_id):
        return "approved before; completing what is missing"
    refusal = require_approvable(load, results, approval.values)
    record_approval(run.settings, spark, refusal, approval, run.run_id)
    return f"{', '.join(refusal.values)}: by {approval.approver}"


def make_approval(
    reason: str | None, user: str | None = None, values: Mapping[str, float] | None = None
) -> Approval:
    """Return the decision of a person, by default of this process's user.

    Raises:
        InvalidInputError: There is no reason.
    """
    if not (reason or "").strip():
        raise InvalidInputError(
            "An approval needs a reason",
            where="the reason is blank",
            hint="state why the change is expected; in Airflow, clear the task that asks",
        )
    return Approval(user or commit_metadata.user() or "unknown", str(reason).strip(), values)


def read_refusal(spark: SparkSession, batch_id: str) -> Refusal:
    """Return a refused load with the rules that refused it.

    Raises:
        InvalidInputError: There is no such load, or it can't be approved.
    """
    loads = read_loads(spark)
    load = find_load(loads, batch_id)
    require_latest(loads, load)
    return require_approvable(load, load_state.gate_results(spark, batch_id))


def find_load(loads: Sequence[LoadRow], batch_id: str) -> LoadRow:
    """Return the load.

    Raises:
        InvalidInputError: There is no such load.
    """
    load = next((each for each in loads if each.batch_id == batch_id), None)
    if load is None:
        raise load_state.not_loaded_error(batch_id, [each.batch_id for each in loads])
    return load


def is_approved(results: Rows) -> bool:
    """Return whether a load's latest results are those of an approval, and none of them failed."""
    return any(each["approver"] for each in results) and not list_failed(results)


def list_failed(results: Rows) -> Rows:
    """Return the results that refuse the load."""
    return [each for each in results if each["severity"] == "error" and each["verdict"] == "failed"]


def require_latest(loads: Sequence[LoadRow], load: LoadRow) -> None:
    """Verify that the load is the latest of its date.

    Args:
        loads: All loads, oldest first.
        load: The load.

    Raises:
        InvalidInputError: A later load has replaced it.
    """
    latest = [each for each in loads if each.extract_date == load.extract_date][-1]
    if latest.batch_id != load.batch_id:
        raise InvalidInputError(
            f"{latest.source_file} has replaced {load.source_file}, which is no longer decided on",
            where=_format_place(load),
            hint=f"if {latest.batch_id} was refused too, decide on that load",
        )


def _format_place(load: LoadRow) -> str:
    return f"load {load.batch_id}, extract of {load.extract_date}"


def require_approvable(
    load: LoadRow, results: Rows, values: Mapping[str, float] | None = None
) -> Refusal:
    """Return the refusal of a load, if a person may approve it.

    Args:
        load: The load, the latest of its date.
        results: The results of its latest evaluation.
        values: The values that the person was shown; None if those of `results` were.

    Raises:
        InvalidInputError: It is not refused, a rule that refused it compares nothing, or it was
            evaluated again with other values.
    """
    where, failed = _format_place(load), list_failed(results)
    if not failed:
        raise _not_refused_error(load, results, where)
    if not can_approve(failed):
        raise InvalidInputError(
            f"The gate refused {load.source_file} by rules that can't be approved, because they "
            "compare no extracts, or have no value: "
            + ", ".join(each["rule"] for each in failed if not can_approve([each])),
            where=where,
            hint="correct the workbook, then "
            f"{format_rerun(load.source_file, load.extract_date)}; a rule that is too strict is "
            "changed in rules.yml of the domain",
        )
    refusal = Refusal(load, failed)
    if values is not None and not _are_equal(values, refusal.values):
        raise InvalidInputError(
            f"{load.source_file} was evaluated again since the question, with another result: "
            + "; ".join(map(format_rule, failed)),
            where=where,
            hint="decide on the new result: `churn approve`, or a new run of the DAG 05_approval",
        )
    return refusal


def _not_refused_error(load: LoadRow, results: Rows, where: str) -> InvalidInputError:
    approved = next((each for each in results if each["approver"]), None)
    if approved is not None:
        return InvalidInputError(
            f"{load.source_file} was approved by {approved['approver']}: {approved['reason']}",
            where=where,
            hint="nothing is left to decide",
        )
    return InvalidInputError(
        f"The gate has not refused {load.source_file}",
        where=where,
        hint="nothing is left to decide; `churn build` evaluates a load that is pending",
    )


def _are_equal(asked: Mapping[str, float], now: Mapping[str, float]) -> bool:
    return asked.keys() == now.keys() and all(
        math.isclose(value, now[rule], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        for rule, value in asked.items()
    )


def _is_done(spark: SparkSession, batch_id: str, results: Rows, run_id: str) -> bool:
    """Return whether an approval is published, and not by an earlier try of this run."""
    is_own = any(each["run_id"] == run_id for each in results)
    return load_state.load_state(spark, batch_id).is_settled and not is_own


def record_approval(
    settings: Settings, spark: SparkSession, refusal: Refusal, approval: Approval, run_id: str
) -> None:
    """Record the approval in the audit log, then in the gate's log; the next build evaluates it.

    Call it under the run lock.
    """
    batch_id, rules = refusal.load.batch_id, sorted(refusal.values)
    audit_log.append(
        settings,
        Action.APPROVAL,
        load=batch_id,
        rules=", ".join(rules),
        decided_by=approval.approver,
    )
    load_state.approve_rules(
        spark,
        batch_id,
        rules,
        run_id=run_id,
        approver=approval.approver,
        reason=approval.reason,
    )
