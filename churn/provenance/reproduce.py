"""Rebuild the results of a past run from bronze in a temporary CHURN_HOME, and compare them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from typing import Any

from pyspark.sql.connect.session import SparkSession

from churn.provenance import load_state
from churn.provenance.compare_rebuild import ERASED_MODEL, PastRun, compare
from churn.provenance.run_history import parse_start_time, read_end_time, read_summary
from churn.provenance.scratch_home import Scratch, scratch_home
from lakehouse import sequences, spark_server, spark_session
from lakehouse.amounts import format_number
from lakehouse.errors import InvalidInputError
from lakehouse.progress import Steps
from lakehouse.sequences import query_sequence
from lakehouse.settings import Settings
from lakehouse.sql import Rows
from seeds_loader.bronze_reader import LoadRow, read_extract_from_bronze, read_loads
from seeds_loader.load import load

STEPS = 4
PUBLISHED_LOADS = f"""
select extract_date, max_by(batch_id, {sequences.PUBLICATIONS.position}) as batch_id
from {{rows}}
where {{reached}}
group by extract_date
order by extract_date
"""


def reproduce(settings: Settings, run_id: str, steps: Steps) -> dict[str, Any]:
    """Load what was loaded up to the run again, build and train, and compare the results.

    Nothing in this CHURN_HOME is changed: the rebuild uses a temporary one with own servers.

    Args:
        settings: The settings of this CHURN_HOME.
        run_id: Name of the run.
        steps: Progress display with `STEPS` steps.

    Returns:
        The result as printed by `churn reproduce --json`. `identical` is true if gold, in every
        column except `created_timestamp`, the counts, the verdict and the model's metrics (to 1e-9)
        are the same; `differences` describes what is not; `unknown` names the parts of gold that no
        longer exist for a comparison; `warnings` has further remarks.

    Raises:
        InvalidInputError: There is no such run, or its load is not in this lake.
    """
    summary = read_summary(settings, run_id)
    spark_server.ensure_running(settings, steps.log)
    with ExitStack() as stack:
        live = stack.enter_context(spark_session.session(settings))
        past = _read_past_run(settings, live, summary)
        scratch = stack.enter_context(scratch_home(settings, steps.log))
        with steps.step("server") as step:
            spark_server.ensure_running(scratch.settings, step.log)
            step.outcome = "started for the separate lake"
        rebuilt = stack.enter_context(spark_session.session(scratch.settings))
        _rebuild(past, live, rebuilt, scratch, steps)
        with steps.step("compare") as step:
            result = compare(settings, past, live, rebuilt, scratch.settings)
            step.outcome = "identical" if result["identical"] else "not identical"
    return {"run_id": run_id, **result}


def _read_past_run(settings: Settings, live: SparkSession, summary: Mapping[str, Any]) -> PastRun:
    loads = read_loads(live)
    own = next((load for load in loads if load.batch_id == summary["batch_id"]), None)
    if own is None:
        raise InvalidInputError(
            f"The load of run {summary['run_id']} is not in this lake",
            where=f"bronze.loads, {summary['batch_id']}",
            hint="name a run of this lake; `churn history bronze.loads` lists them",
        )
    # A run on a workbook that was loaded before saw all loads since then.
    until = max(own.loaded_at, parse_start_time(summary["run_id"]))
    numbers = summary.get("last_numbers", {})
    reached = sequences.PUBLICATIONS.existed_condition(
        numbers, read_end_time(settings, summary["run_id"])
    )
    sql = PUBLISHED_LOADS.replace("{reached}", reached)
    published = query_sequence(live, sequences.PUBLICATIONS, sql)
    return PastRun(
        summary,
        [load for load in loads if sequences.LOADS.is_included(vars(load), numbers, until)],
        {row["extract_date"]: row["batch_id"] for row in published},
        _read_past_approvals(settings, live, summary),
    )


def _read_past_approvals(
    settings: Settings, live: SparkSession, summary: Mapping[str, Any]
) -> dict[str, Rows]:
    """Return what had been approved when the run ended, by load."""
    reached = sequences.VERDICTS.existed_condition(
        summary.get("last_numbers", {}), read_end_time(settings, summary["run_id"])
    )
    approvals: dict[str, Rows] = {}
    for approval in load_state.read_approvals(live, reached):
        approvals.setdefault(approval["batch_id"], []).append(approval)
    return approvals


def _rebuild(
    past: PastRun, live: SparkSession, rebuilt: SparkSession, scratch: Scratch, steps: Steps
) -> None:
    with steps.step("load and build") as step:
        for group in group_loads(past.loads, past.approvals):
            for past_load in group:
                step.log(
                    f"loading the extract of {past_load.extract_date}, {past_load.source_file}"
                )
                extract = read_extract_from_bronze(live, past_load)
                load(scratch.settings, rebuilt, extract, past_load.chosen_date, step.log)
            # Loads that were refused in the past are refused again.
            scratch.churn(["build"], step.log, allowed=(0, 3))
            if _approve_again(past, group, rebuilt):
                scratch.churn(["build"], step.log, allowed=(0, 3))
        step.outcome = format_number(len(past.loads), "load")
    if "model" not in past.summary:
        return
    with steps.step("train") as step:
        scratch.churn(["features", "apply"], step.log)
        scratch.churn(["train"], step.log)
        step.outcome = "trained again"


def _approve_again(past: PastRun, group: Sequence[LoadRow], rebuilt: SparkSession) -> bool:
    """Approve what was approved of the loads; return whether anything was."""
    approved = [load.batch_id for load in group if load.batch_id in past.approvals]
    for batch_id in approved:
        approvals = past.approvals[batch_id]
        load_state.approve_rules(
            rebuilt,
            batch_id,
            [each["rule"] for each in approvals],
            run_id=past.summary["run_id"],
            approver=approvals[-1]["approver"],
            reason=approvals[-1]["reason"],
        )
    return bool(approved)


def group_loads(
    loads: Sequence[LoadRow], approved: Collection[str] = ()
) -> Iterator[Sequence[LoadRow]]:
    """Group the loads so that one build per group evaluates them as if they came one by one.

    A build evaluates pending loads on its own in the order of their dates, so that extracts with
    ascending dates may be pending together. A load that came late, or for an existing date, was
    compared with other loads or replaced one: it forms its own group. An approved load ends its
    group, because later ones were compared with it.

    Args:
        loads: The loads in their order.
        approved: The loads that the gate had refused before they were approved.
    """
    group: list[LoadRow] = []
    latest = date.min
    for past_load in loads:
        if past_load.extract_date > latest:
            latest = past_load.extract_date
            group.append(past_load)
            if past_load.batch_id in approved:
                yield group
                group = []
            continue
        if group:
            yield group
            group = []
        yield [past_load]
    if group:
        yield group


def is_gap_of_erasure(result: Mapping[str, Any]) -> bool:
    """Return whether only customers who were erased since prevent a complete comparison."""
    return not result["differences"] and set(result["unknown"]) <= {ERASED_MODEL}


def format_reproduction(result: Mapping[str, Any]) -> list[str]:
    """Format the result as lines of text."""
    rows = sum(table["rows"] for table in result["gold"])
    dates = len({table["extract_date"] for table in result["gold"]})
    model = result["model"]
    lines = [f"warning: {text}" for text in result["warnings"]]
    lines += [f"not comparable: {text}" for text in result["unknown"]]
    lines += [f"differs: {text}" for text in result["differences"]]
    lines.append(
        f"{format_number(result['loads'], 'load')} built again; gold of "
        f"{format_number(dates, 'extract')}, {format_number(rows, 'row')} of features "
        f"and labels compared"
    )
    if model["version"]:
        lines.append(
            f"model {model['rebuilt']} trained again; "
            f"{format_number(model['figures'], 'figure')} compared, "
            f"the largest difference {model['largest']:.1e}"
        )
    if result["erased_rows"]:
        lines.append(
            f"{format_number(result['erased_rows'], 'row')} of the loads were erased since"
        )
    words = "identical" if result["identical"] else "NOT identical"
    if result["unknown"] and not result["differences"]:
        words = "identical, as far as it can be compared"
    return [*lines, f"run {result['run_id']}: {words}"]
