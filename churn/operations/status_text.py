"""Write the status of a home as sentences: what is in use, the last run, servers, what to do."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from churn.operations.runs import WITH_SUMMARY, Run, list_all_runs
from churn.provenance.retention_lists import format_headline
from churn.provenance.run_history import (
    LIST,
    list_runs,
    read_last_summary,
    read_summary_or_empty,
)
from lakehouse import sites
from lakehouse.amounts import format_amount
from lakehouse.run_log import FAILED, INTERRUPTED, REFUSED, RUNNING, format_result
from lakehouse.sample_home import is_sample
from lakehouse.settings import LOOPBACK, Settings
from trainer import registry

LABEL = 9
REPORT = "report.html"
# A time of the registry, and how all other lines write one.
STAMP, MINUTES = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\dZ"), r"\1 \2 UTC"
Status = Mapping[str, Mapping[str, Any]]


def format_status(settings: Settings, status: Status) -> list[str]:
    """Format the status of a home, one line per subject.

    Args:
        settings: The settings of this CHURN_HOME.
        status: Its status, as `churn status --json` prints it.
    """
    last = _find_last_run(settings)
    lines = [
        ("Home", f"{settings.home}{_format_lake(settings, status['lake'])}"),
        ("In use", _format_extract(status["extract"])),
        ("Model", _format_model(settings, status["model"])),
        ("Last run", _format_last_run(settings, last, status["last_run"])),
        ("Servers", _format_servers(settings, status)),
        ("API keys", status["api_keys"]["state"]),
        *_list_files(settings),
        ("Next", _format_next(settings, last, status)),
    ]
    return [f"{label:<{LABEL}} {text}" for label, text in lines]


def _format_lake(settings: Settings, lake: Mapping[str, Any]) -> str:
    place = "" if settings.lake.folder else f", lake {lake['uri']}"
    return f"{place}; in use by another command: {lake['held_by']}" if lake["held_by"] else place


def _format_extract(extract: Mapping[str, Any]) -> str:
    """Format the published extract that scores and list are of, and how old it is."""
    if "extract_date" not in extract:
        return str(extract["state"])
    text = f"the extract of {extract['extract_date']}"
    if extract["customers"]:
        text += f", {extract['customers']:,} customers"
    if "run" in extract:
        published = _format_time(datetime.fromisoformat(extract["published"]))
        text += f", published by run {extract['run']}, {published}"
    age = "1 day" if extract["age_days"] == 1 else f"{extract['age_days']:,} days"
    text += f"; {age} old"
    if extract["state"] == "current":
        return text
    return f"{text}; warning: {extract['state']}; run a newer one"


def _format_model(settings: Settings, model: Mapping[str, Any]) -> str:
    version = registry.champion_version(settings) if "damaged" not in model["state"] else None
    record = registry.read_record(settings, version) if version else None
    text = str(model["state"])
    if record is not None:
        kind = record.kind.replace("_", " ")
        text = f"{record.version} is the champion: {kind}"
        text += f", ROC-AUC {record.metrics['roc_auc']:.3f} out of fold"
    if model.get("promoted"):
        text += f", since {STAMP.sub(MINUTES, model['promoted'])}"
    if model.get("mlflow"):
        text += f"; MLflow: {model['mlflow']}"
    if model.get("waits_for_a_person"):
        text += f"; {model['waits_for_a_person']} waits for a decision"
    return text


def _find_last_run(settings: Settings) -> Run | None:
    """Return the latest run of a workbook, unlike other commands that are in `churn runs`."""
    summaries = set(list_runs(settings))
    return next(
        (
            run
            for run in list_all_runs(settings)
            if run.command in WITH_SUMMARY or run.run_id in summaries
        ),
        None,
    )


def _format_last_run(settings: Settings, run: Run | None, status: Mapping[str, Any]) -> str:
    if run is None:
        return "none yet"
    step = f" in {run.step}" if run.step else ""
    outcome = f"{run.result}{step}" if step else format_result(run.result, run.seconds)
    began = _format_time(datetime.fromisoformat(run.started))
    text = f"{run.run_id}: {outcome}, started {began}"
    if run.workbook:
        text += f", {run.workbook}"
    day = read_summary_or_empty(settings, run.run_id).get("extract_date")
    if day:
        text += f", extract of {day}"
    if run.result == REFUSED:
        text += "; the gate refused the workbook, and nothing of it is in use"
    elif status.get("effect") and run.result in (RUNNING, INTERRUPTED, FAILED):
        text += f"; {status['effect']}"
    return text


def _format_servers(settings: Settings, status: Status) -> str:
    spark, redis, airflow = status["spark"], status["redis"], status["airflow"]
    if settings.spark_is_elsewhere:
        first = f"Spark is that of CHURN_SPARK_HOST, {spark['host']}"
    else:
        ports = f"Thrift port {spark['thrift_port']}, Connect port {spark['connect_port']}"
        where = "" if spark["host"] == LOOPBACK else f" on {spark['host']}"
        first = f"Spark is {spark['state']}{where}{_format_process(spark, ports)}"
    if "url" in redis:
        second = f"the online store is {redis['state']}"
    else:
        details = _format_process(redis, f"port {redis['port']}")
        second = f"the online store is {redis['state']}{details}"
    parts = [first, second, f"Airflow is {airflow['state']}"]
    if airflow["state"] != "stopped":
        parts[-1] += f" ({airflow['address']})"
    for site in (sites.DOCS, sites.FEAST, sites.MLFLOW, sites.API):
        port = site.find_port(settings)
        if port is not None:
            parts.append(f"{site.name} is running (http://{LOOPBACK}:{port})")
    return "; ".join(parts)


def _format_process(state: Mapping[str, Any], ports: str) -> str:
    return f" ({ports}, process {state['pid']})" if state["pid"] else ""


def _list_files(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield where the latest report and the latest list are; the list of the extract in use."""
    report, calls = _find_file(settings, REPORT), _find_file(settings, LIST)
    if report is not None:
        yield "Report", str(report)
    if calls is not None:
        yield "List", f"{calls}{_format_calls(settings, calls.parent.name)}"


def _find_file(settings: Settings, name: str) -> Path | None:
    paths = (settings.home / "runs" / run_id / name for run_id in reversed(list_runs(settings)))
    return next((path for path in paths if path.is_file()), None)


def _format_calls(settings: Settings, run_id: str) -> str:
    calls = read_summary_or_empty(settings, run_id).get("calls") or {}
    if "listed" not in calls:
        return ""
    text = f": {format_headline(calls, is_sample(settings))}"
    if "cost" in calls:
        text += f"; cost of the calls {format_amount(calls['cost'], calls.get('currency', ''))}"
    return text


def _format_next(settings: Settings, run: Run | None, status: Status) -> str:
    """Format what to do next: the most urgent, or how to go on."""
    if run is None:
        return "`churn run WORKBOOK` runs a workbook; `churn demo` runs generated customers"
    if run.result == RUNNING or status["lake"]["held_by"]:
        return "wait; `churn logs --follow` shows the progress"
    if run.result == INTERRUPTED:
        return "repeat the command: it continues where it stopped"
    if run.result == FAILED:
        return f"`churn logs --run {run.run_id}` says why; then repeat the command"
    if run.result == REFUSED:
        load = read_summary_or_empty(settings, run.run_id).get("batch_id", "LOAD")
        return (
            f"correct the workbook and run it again: `churn rejects --run {run.run_id} --out "
            f"rejects.xlsx` writes its faulty rows; if it is right, `churn approve {load} --reason "
            "TEXT` publishes it"
        )
    if decide := status["model"].get("decide"):
        return f"decide on the waiting model: {decide}"
    if (read_last_summary(settings).get("watch") or {}).get("alerts"):
        return "the monitoring of the model has alerts: `churn monitor` shows them"
    return "`churn run WORKBOOK` with the next extract; `churn docs` shows all pages"


def _format_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
