"""Report which services of this checkout are running, and where."""

from typing import Any

from churn.operations import airflow_server as airflow
from churn.operations.runs import read_last_run
from churn.provenance.run_history import read_last_summary
from lakehouse import online_store, spark_process
from lakehouse.errors import UnavailableError
from lakehouse.process import ProcessInfo, Service, port_is_open
from lakehouse.run_lock import find_holder
from lakehouse.settings import LOOPBACK, Settings
from trainer import decisions, manual_promotion, mlflow_alias, registry
from trainer.registry import ChampionHistory


def status(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the state of services, last run, model and lake, by name."""
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
        "last_run": _last_run(settings),
        "model": _model(settings),
        "lake": {"uri": settings.lake.address, "held_by": find_holder(settings)},
    }


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
