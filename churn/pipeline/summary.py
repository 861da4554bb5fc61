"""Write a run's summary.json and report, and format the summary for the terminal."""

import json
from pathlib import Path
from typing import Any

from pyspark.sql.connect.session import SparkSession

from churn.pipeline.context import RunContext
from churn.pipeline.notifications import record_summary
from churn.pipeline.rule_texts import format_approver, format_rule
from churn.pipeline.run_metrics import write_metrics
from churn.provenance import load_state
from churn.provenance.run_history import LIST, find_run_of_load
from churn.reports.retention_workbook import read_first_customer
from lakehouse.amounts import format_number
from lakehouse.atomic_write import atomic_write
from lakehouse.run_log import mark_unchanged
from lakehouse.sample_home import NOTE, command_of, is_sample
from lakehouse.sequences import read_last_numbers
from lakehouse.settings import Settings
from seeds_loader.bronze_reader import LoadRow
from seeds_loader.load import Load


def load_summary(path: Path | str, load: Load | LoadRow) -> dict[str, Any]:
    """Return the summary's part about the workbook and its load."""
    return {
        "workbook": {
            "path": str(path),
            "sha256": load.source_sha256,
            "sheet": load.sheet,
            "rows": load.row_count,
        },
        "extract_date": load.extract_date.isoformat(),
        "extract_date_source": load.extract_date_source,
        "batch_id": load.batch_id,
    }


def update_gate_summary(run: RunContext, spark: SparkSession) -> load_state.LoadState:
    """Add the load's counts and verdicts after a build to the summary; return its state."""
    state = load_state.load_state(spark, run.summary["batch_id"])
    run.summary["counts"] = {**(state.counts or {})}
    run.summary["gate"] = _gate(spark, run.summary["batch_id"], state)
    if state.published is not None and state.verdict != "refused":
        run.counts["gold"] = state.published
    # Later readers reconstruct what this run saw from these numbers, not from timestamps.
    run.summary["last_numbers"] = read_last_numbers(spark)
    return state


def _gate(spark: SparkSession, batch_id: str, state: load_state.LoadState) -> dict[str, Any]:
    results = load_state.gate_results(spark, batch_id)
    verdicts = [result["verdict"] for result in results]
    passed, failed = verdicts.count("passed"), verdicts.count("failed")
    # An expected change is not a reason to refuse a load, but it needs attention.
    warned = verdicts.count("warned") + verdicts.count("expected")
    return {
        # A rule without a baseline was not tested.
        "tests": passed + warned + failed,
        "passed": passed,
        "warned": warned,
        "failed": failed,
        "verdict": state.verdict,
        # What needs attention, in words: for notifications, which are sent without the lake.
        "attention": [
            {"verdict": result["verdict"], "text": format_rule(result) + format_approver(result)}
            for result in results
            if result["verdict"] in ("failed", "warned", "expected")
        ],
    }


def format_rule_counts(gate: dict[str, Any]) -> str:
    """Format how many of the gate's rules that apply to the load passed."""
    text = f"{gate['passed']} of {gate['tests']} rules passed"
    return f"{text}, {gate['warned']} warned" if gate["warned"] else text


def write_report(run: RunContext, spark: SparkSession) -> Path:
    """Write the run's report from its summary and the tables; return its path."""
    from churn.reports.report_data import write_run_report

    run.summary["seconds"] = {**run.summary.get("seconds", {}), **run.steps.seconds}
    return write_run_report(run.settings, spark, run.summary, run.record, run.folder)


def write_summary(run: RunContext) -> dict[str, Any]:
    """Write the run so far to summary.json and return it."""
    run.summary["seconds"] = {**run.summary.get("seconds", {}), **run.steps.seconds}
    run.folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(run.folder / "summary.json") as draft:
        draft.write_text(json.dumps(run.summary, indent=2) + "\n")
    return run.summary


def write_final_summary(run: RunContext, spark: SparkSession) -> dict[str, Any]:
    """Write and return the summary, with what is made of it: front page, metrics, notifications."""
    from churn.reports.site import write_front_page

    summary = write_summary(run)
    write_front_page(run.settings, spark)
    write_metrics(run.settings, summary)
    record_summary(run.settings, summary)
    return summary


def reuse_report(run: RunContext) -> bool:
    """Name the run that wrote the report of this load; return whether there is one."""
    earlier = find_run_of_load(run.settings, run.summary["batch_id"])
    if earlier is None:
        return False
    run.summary["report_run"] = earlier
    with run.steps.step("report") as step:
        step.outcome = f"that of run {earlier}, unchanged"
    return True


def finish_unchanged(run: RunContext) -> dict[str, Any]:
    """Return the summary of a run that changed nothing, and record that it was a success."""
    run.summary["seconds"] = {**run.summary.get("seconds", {}), **run.steps.seconds}
    mark_unchanged(run.summary)
    write_metrics(run.settings, run.summary)
    # Its messages link to a report.
    record_summary(run.settings, {**run.summary, "run_id": run.summary["report_run"]})
    return run.summary


def format_summary(settings: Settings, summary: dict[str, Any]) -> str:
    """Format the summary for a terminal."""
    counts, model = summary["counts"], summary["model"]
    folder = settings.home / "runs" / summary.get("report_run", summary["run_id"])
    lines = [
        f"{format_number(counts['bronze'], 'row')} read, "
        f"{format_number(counts['silver'], 'customer')}, "
        f"{counts['rejected']:,} rejected, "
        f"{format_number(counts['exact_duplicates'], 'exact duplicate')}",
        f"gate {summary['gate']['verdict']} ({format_rule_counts(summary['gate'])}); "
        f"{counts['gold']:,} in gold, "
        f"{counts['online_verified']:,} online and equal, {counts['scored']:,} scored",
        f"model {model['version']} ({model['kind']}): ROC-AUC {model['roc_auc']:.3f}, "
        f"PR-AUC {model['pr_auc']:.3f} out of fold; "
        + ("it is the champion" if model["champion"] else _format_not_promoted(model)),
        f"report: {folder / 'report.html'}",
    ]
    if customer := read_first_customer(folder / LIST):
        lines.append(f"try: {command_of(settings)} show {customer}")
    if alerts := (summary.get("watch") or {}).get("alerts"):
        lines.append(_format_alerts(alerts))
    if is_sample(settings):
        lines.append(NOTE)
    if summary["unchanged"]:
        lines.insert(0, "unchanged: this workbook was run before, and nothing is left to do")
    return "\n".join(lines)


def _format_alerts(alerts: list[dict[str, Any]]) -> str:
    named = "; ".join(alert["words"] for alert in alerts)
    return f"alert: {named}; `churn monitor` names what can be done"


def _format_not_promoted(model: dict[str, Any]) -> str:
    promotion = model["promotion"]
    champion = promotion["champion"]
    outcome = f"{champion} remains the champion" if champion else "there is no champion yet"
    outcome += f": {promotion['reason']}"
    if promotion.get("waits"):
        outcome += f". A person decides: `churn promote {model['version']} --reason TEXT`"
    return outcome
