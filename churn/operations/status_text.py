"""Write the status of a home as sentences: what is in use, the last run, servers, what to do."""

import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from churn.operations.status import (
    DAMAGED,
    EXPIRED,
    EXPIRING,
    EXTERNAL,
    MOVED,
    NONE,
    UNAVAILABLE,
)
from churn.provenance.retention_lists import format_headline
from lakehouse.amounts import format_amount, format_number
from lakehouse.command_name import format_rerun
from lakehouse.run_lock import format_holder
from lakehouse.run_log import (
    DEMO_COMMAND,
    FAILED,
    INTERRUPTED,
    REFUSED,
    RUN_COMMAND,
    RUNNING,
    format_result,
)
from lakehouse.sample_home import TITLE as SAMPLE
from lakehouse.settings import LOOPBACK

LABEL = 9
Status = Mapping[str, Mapping[str, Any]]


def format_status(status: Status) -> list[str]:
    """Format the status of a home, one line per subject.

    Args:
        status: Its status, as `churn status --json` prints it.
    """
    last = status["last_run"]
    lines = [
        ("Home", f"{status['home']['path']}{_format_lake(status['lake'])}"),
        ("In use", _format_extract(status["extract"])),
        ("Model", _format_model(status["model"])),
        ("Last run", _format_last_run(last)),
        ("Servers", _format_servers(status)),
        ("SQL", _format_login(status["spark"])),
        ("API keys", _format_keys(status["api_keys"])),
        *_list_files(status),
        ("Next", _format_next(status)),
    ]
    return [f"{label:<{LABEL}} {text}" for label, text in lines]


def _format_lake(lake: Mapping[str, Any]) -> str:
    place = f", lake {lake['uri']}" if "://" in lake["uri"] else ""
    holder = lake["held_by"]
    return f"{place}; in use by another command: {format_holder(holder)}" if holder else place


def _format_extract(extract: Mapping[str, Any]) -> str:
    """Format the published extract that scores and list are of, and how old it is."""
    if extract["state"] == NONE:
        return "nothing was published yet"
    text = f"the extract of {extract['extract_date']}"
    if extract["customers"]:
        text += f", {format_number(extract['customers'], 'customer')}"
    if "run" in extract:
        text += f", published by run {extract['run']}, {_format_time(extract['published_at'])}"
    text += f"; {_format_age(extract['age_days'])}"
    if extract["state"] == EXPIRED:
        text += "; warning: expired: the scoring API refuses its customers since "
        return f"{text}{extract['expires']}; run a newer one"
    if extract["state"] == EXPIRING:
        text += (
            f"; warning: expires in {format_number(extract['days_left'], 'day')}: the scoring API "
        )
        return f"{text}refuses its customers from {extract['expires']} on; run a newer one"
    return text


def _format_age(days: int) -> str:
    """Format the age of an extract, whose date may be one to come."""
    if days >= 0:
        return f"{format_number(days, 'day')} old"
    return "dated tomorrow" if days == -1 else f"dated {format_number(-days, 'day')} ahead"


def _format_model(model: Mapping[str, Any]) -> str:
    if model["state"] == DAMAGED:
        return f"{model['path']} is damaged: restore it, or move it away and `churn train`"
    if model["state"] == NONE:
        text = "no champion yet"
    else:
        text = f"{model['version']} is the champion"
        if model["kind"]:
            kind = model["kind"].replace("_", " ")
            text += f": {kind}, ROC-AUC {model['roc_auc']:.3f} out of fold"
        if model["promoted_at"]:
            by = f" by {model['promoted_by']}" if model["promoted_by"] else ""
            text += f", since {_format_time(model['promoted_at'])}{by} ({model['how']})"
    text += _format_alias(model["mlflow"])
    if waiting := model["waiting"]:
        text += f"; {waiting['version']} ({waiting['reason']}) waits for a decision"
    return text


def _format_alias(alias: Mapping[str, Any]) -> str:
    version, reason = alias["version"], alias["reason"]
    texts = {
        UNAVAILABLE: f"no answer, so the champion is the last known one: {reason}",
        MOVED: f"the alias was moved to {version}: the next score promotes it",
        REFUSED: f"the alias names {version}, which is not promoted: {reason}",
    }
    return f"; MLflow: {texts[alias['state']]}" if alias["state"] in texts else ""


def _format_last_run(run: Mapping[str, Any]) -> str:
    if run["state"] == NONE:
        return "none yet"
    step = f" in {run['step']}" if run["step"] else ""
    outcome = f"{run['state']}{step}" if step else format_result(run["state"], run["seconds"])
    text = f"{run['run']}: {outcome}, started {_format_time(run['started_at'])}"
    if run["workbook"]:
        text += f", {run['workbook']}"
    if run["extract_date"]:
        text += f", extract of {run['extract_date']}"
    if run["state"] == REFUSED:
        text += "; the gate refused the workbook, and nothing of it is in use"
    elif run["effect"] and run["state"] in (RUNNING, INTERRUPTED, FAILED):
        text += f"; {run['effect']}"
    return text


def _format_servers(status: Status) -> str:
    spark, redis, airflow = status["spark"], status["redis"], status["airflow"]
    if spark["state"] == EXTERNAL:
        first = f"Spark is that of CHURN_SPARK_HOST, {spark['host']}"
    else:
        ports = f"Thrift port {spark['thrift_port']}, Connect port {spark['connect_port']}"
        if spark["settings_differ"]:
            ports += ", not those of the settings: `churn down` first, or change the settings"
        where = "" if spark["host"] == LOOPBACK else f" on {spark['host']}"
        first = f"Spark is {spark['state']}{where}{_format_process(spark, ports)}"
    if redis["state"] == EXTERNAL:
        second = "the online store is named by CHURN_REDIS_URL"
    else:
        details = _format_process(redis, f"port {redis['port']}")
        second = f"the online store is {redis['state']}{details}"
    parts = [first, second, f"Airflow is {airflow['state']}"]
    if airflow["state"] != "stopped":
        parts[-1] += f" ({airflow['address']})"
    parts += [f"{each['name']} is running ({each['url']})" for each in status["sites"].values()]
    return "; ".join(parts)


def _format_login(spark: Mapping[str, Any]) -> str:
    """Format what SQL clients need to connect."""
    password = spark["password_file"] or "CHURN_SPARK_PASSWORD"
    where = f"host {spark['host']}, port {spark['thrift_port']}, user {spark['user']}"
    return f"`churn sql QUERY`; other clients: {where}, password in {password}"


def _format_process(state: Mapping[str, Any], ports: str) -> str:
    return f" ({ports}, process {state['pid']})" if state["pid"] else ""


def _format_keys(api_keys: Mapping[str, Any]) -> str:
    if not api_keys["names"]:
        return "no keys exist; `churn api-key new NAME` makes one"
    return f"{api_keys['count']:,}: {', '.join(api_keys['names'])}"


def _list_files(status: Status) -> Iterator[tuple[str, str]]:
    """Yield where the latest report and the latest list are; the list of the extract in use."""
    files = status["files"]
    if files["report"]:
        yield "Report", files["report"]
    if files["list"]:
        yield "List", f"{files['list']}{_format_calls(files['calls'], status['home'])}"


def _format_calls(calls: Mapping[str, Any] | None, home: Mapping[str, Any]) -> str:
    if calls is None or "listed" not in calls:
        return ""
    text = f": {format_headline(calls, is_sample=False)}"
    if "cost" in calls:
        text += f"; cost of the calls {format_amount(calls['cost'], calls.get('currency', ''))}"
    return f"{text}; {SAMPLE}, generated customers" if home["is_sample"] else text


def _format_next(status: Status) -> str:
    """Format what to do next: the most urgent, or how to go on."""
    run = status["last_run"]
    if run["state"] == NONE:
        return "`churn run WORKBOOK` runs a workbook; `churn demo` runs generated customers"
    if run["state"] == RUNNING or status["lake"]["held_by"]:
        return "wait; `churn logs --follow` shows the progress"
    if run["state"] == INTERRUPTED:
        return f"repeat {_format_command(run)}: it continues where it stopped"
    if run["state"] == FAILED:
        return f"`churn logs --run {run['run']}` says why; then repeat {_format_command(run)}"
    if run["state"] == REFUSED:
        rerun = format_rerun(run["workbook"] or "WORKBOOK", run["extract_date"] or "YYYY-MM-DD")
        return (
            f"correct the workbook, then {rerun}; `churn rejects --run {run['run']} --out "
            "rejects.xlsx` writes its faulty rows; if it is right, `churn approve "
            f"{run['load'] or 'LOAD'} --reason TEXT` publishes it"
        )
    if waiting := status["model"].get("waiting"):
        promote = f"`churn promote {waiting['version']} --reason TEXT`"
        return f"decide on the waiting model: {promote}"
    if status["monitoring"]["alerts"]:
        return "the monitoring of the model has alerts: `churn monitor` shows them"
    return "`churn run WORKBOOK` with the next extract; `churn docs` shows all pages"


def _format_command(run: Mapping[str, Any]) -> str:
    """Format the command of a run; the record has the name of its workbook, not the options."""
    if run["command"] == DEMO_COMMAND:
        return f"`{DEMO_COMMAND}`"
    if run["command"] == RUN_COMMAND and run["workbook"]:
        return f"`{RUN_COMMAND} {shlex.quote(run['workbook'])}`"
    return "the command"


def _format_time(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
