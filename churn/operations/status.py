"""Report what is in use, which services of this checkout are running, and where."""

from datetime import UTC, date, datetime
from typing import Any

from churn.operations import airflow_server as airflow
from churn.operations.runs import read_last_run
from churn.provenance.run_history import (
    list_runs,
    read_end_time,
    read_last_summary,
    read_summary_or_empty,
)
from feature_repo.feature_definitions import TTL
from lakehouse import online_store, spark_process
from lakehouse.errors import UnavailableError
from lakehouse.process import ProcessInfo, Service, port_is_open
from lakehouse.run_lock import find_holder
from lakehouse.settings import LOOPBACK, Settings
from serving import keys
from trainer import decisions, manual_promotion, mlflow_alias, registry
from trainer.registry import ChampionHistory

# So many days before the scoring API refuses an extract's customers, the status warns: one month,
# in which the next extract comes.
WARNING_DAYS = 31


def status(settings: Settings, today: date | None = None) -> dict[str, dict[str, Any]]:
    """Return the state of services, extract, last run, model, API keys and lake, by name."""
    return {
        "spark": {
            **_state(spark_process.find(settings), settings.spark_host),
            "host": settings.spark_host,
            "thrift_port": settings.thrift_port,
            "connect_port": settings.connect_port,
        },
        "redis": _online_store(settings),
        "airflow": _service(airflow.services(settings)["api-server"])
        | {"address": airflow.address(settings)},
        "extract": _extract(settings, today or datetime.now(UTC).date()),
        "last_run": _last_run(settings),
        "model": _model(settings),
        "api_keys": _api_keys(settings),
        "lake": {"uri": settings.lake.address, "held_by": find_holder(settings)},
    }


def _extract(settings: Settings, today: date) -> dict[str, Any]:
    """Return the published extract that scores and list are of, by the runs' summaries."""
    found = [(run_id, read_summary_or_empty(settings, run_id)) for run_id in list_runs(settings)]
    found = [(run_id, each) for run_id, each in found if each.get("scored_extract_date")]
    if not found:
        return {"state": "nothing was published yet"}
    summary = found[-1][1]
    day = summary["scored_extract_date"]
    facts = {"extract_date": day, "customers": (summary.get("counts") or {}).get("scored")}
    # An older workbook that was run later leaves the extract in use as it is.
    own = [(run_id, each.get("batch_id")) for run_id, each in found if each["extract_date"] == day]
    if own:
        first = next(run_id for run_id, batch_id in own if batch_id == own[-1][1])
        published = read_end_time(settings, first).isoformat(timespec="seconds")
        facts |= {"run": first, "published": published}
    return {**_age(date.fromisoformat(day), today), **facts}


def _age(extract_date: date, today: date) -> dict[str, Any]:
    """Return how old an extract is, and when the scoring API refuses its customers."""
    last = extract_date + TTL
    days_left = (last - today).days
    state = "current"
    if days_left <= 0:
        state = f"expired: the scoring API refuses its customers since {last}"
    elif days_left <= WARNING_DAYS:
        days = "1 day" if days_left == 1 else f"{days_left} days"
        state = f"expires in {days}: the scoring API refuses its customers from {last} on"
    age = (today - extract_date).days
    return {"state": state, "age_days": age, "expires": last.isoformat(), "days_left": days_left}


def _api_keys(settings: Settings) -> dict[str, Any]:
    names = keys.names(settings)
    none = "no keys exist; `churn api-key new NAME` makes one"
    return {"state": f"{len(names):,}: {', '.join(names)}" if names else none, "names": names}


def _last_run(settings: Settings) -> dict[str, Any]:
    """Return the result of the latest run; of an incomplete one, the step that it came to."""
    if (incomplete := read_last_run(settings)) is not None:
        return incomplete
    summary = read_last_summary(settings)
    if not summary:
        return {"state": "none yet: `churn run WORKBOOK`"}
    return {
        "state": summary.get("gate", {}).get("verdict"),
        "run": summary.get("run_id"),
        "extract_date": summary.get("extract_date"),
        "published": summary.get("counts", {}).get("gold"),
        "model": summary.get("model", {}).get("version"),
    }


def _model(settings: Settings) -> dict[str, Any]:
    """Return the champion, who promoted it and when, and what awaits a decision or a score."""
    try:
        history, waiting = (
            registry.read_champion_history(settings),
            decisions.find_waiting(settings),
        )
    except (ValueError, KeyError, TypeError):
        place = registry.folder(settings) / registry.CHAMPION
        return {"state": f"{place} is damaged: restore it, or move it away and `churn train`"}
    found = {**_champion(history), **_alias(settings)}
    if waiting is not None:
        found["waits_for_a_person"] = f"{waiting.version} ({waiting.reason})"
        found["decide"] = f"`churn promote {waiting.version} --reason TEXT`"
    return found


def _champion(history: ChampionHistory | None) -> dict[str, Any]:
    if history is None:
        return {"state": "no champion yet"}
    found = {"state": f"champion {history.version}"}
    if history.changes and history.changes[-1].version == history.version:
        change = history.changes[-1]
        by = f" by {change.user}" if change.user else ""
        found["promoted"] = f"{change.time}{by} ({change.how})"
    return found


def _alias(settings: Settings) -> dict[str, Any]:
    """Return what MLflow's alias asks for, if it differs from the registry."""
    try:
        moved = manual_promotion.moved_alias(settings, mlflow_alias.read(settings))
    except UnavailableError as error:
        return {"mlflow": f"no answer, so the champion is the last known one: {error.message}"}
    if moved is None:
        return {}
    asked = f"the alias was moved to {moved.version}: the next score promotes it"
    return {"mlflow": asked if moved.refusal is None else moved.warning()}


def _service(service: Service) -> dict[str, Any]:
    return _state(service.find(), LOOPBACK)


def _state(running: ProcessInfo | None, host: str) -> dict[str, Any]:
    if running is None:
        return {"state": "stopped", "pid": None}
    answers = all(port_is_open(port, host) for port in running.ports)
    return {"state": "running" if answers else "starting", "pid": running.pid}


def _online_store(settings: Settings) -> dict[str, Any]:
    if settings.redis_url:
        return {"state": "named by CHURN_REDIS_URL", "url": settings.redis_url}
    service = online_store.service(settings)
    running = service.find()
    return {**_service(service), "port": running.ports[0] if running else None}
