"""Report what is in use, which services of this checkout are running, and where."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from churn.operations import airflow_server as airflow
from churn.operations.runs import WITH_SUMMARY, Run, list_all_runs
from churn.provenance.run_history import (
    LIST,
    list_runs,
    read_end_time,
    read_last_summary,
    read_summary_or_empty,
)
from feature_repo.feature_definitions import TTL
from lakehouse import online_store, sites, spark_process
from lakehouse.errors import UnavailableError
from lakehouse.process import ProcessInfo, Service, port_is_open
from lakehouse.run_lock import read_holder
from lakehouse.run_log import REFUSED, find_record
from lakehouse.sample_home import is_sample
from lakehouse.settings import LOOPBACK, Settings
from lakehouse.spark_credentials import USER, password_file
from serving import keys
from trainer import decisions, manual_promotion, mlflow_alias, registry
from trainer.registry import ChampionHistory

# So many days before the scoring API refuses an extract's customers, the status warns: one month,
# in which the next extract comes.
WARNING_DAYS = 31
REPORT = "report.html"
SITES = (sites.DOCS, sites.FEAST, sites.MLFLOW, sites.API)
# The states, apart from the results of a run (`lakehouse.run_log`).
NONE, EXTERNAL, UNAVAILABLE = "none", "external", "unavailable"
CURRENT, EXPIRING, EXPIRED = "current", "expiring", "expired"
CHAMPION, DAMAGED, MOVED = "champion", "damaged", "moved"


def status(settings: Settings, today: date | None = None) -> dict[str, dict[str, Any]]:
    """Return what is in use, the last run and the services, by name; docs/terminal.md lists it.

    Each part has a `state` of one word. Times are in ISO 8601, in UTC. What is not known is null.
    """
    return {
        "home": {"path": str(settings.home), "is_sample": is_sample(settings)},
        "lake": {"uri": settings.lake.address, "held_by": read_holder(settings)},
        "extract": _extract(settings, today or datetime.now(UTC).date()),
        "model": _model(settings),
        "last_run": _last_run(settings),
        "files": _files(settings),
        "monitoring": {
            "alerts": len((read_last_summary(settings).get("watch") or {}).get("alerts") or ())
        },
        "spark": _spark(settings),
        "redis": _online_store(settings),
        "airflow": _airflow(settings),
        "sites": _sites(settings),
        "api_keys": _api_keys(settings),
    }


def _spark(settings: Settings) -> dict[str, Any]:
    running = spark_process.find(settings)
    state = _state(running, settings.spark_host)
    if settings.spark_is_elsewhere:
        state["state"] = EXTERNAL
    configured = [settings.thrift_port, settings.connect_port]
    ports = running.ports if running else configured
    return {
        **state,
        "host": settings.spark_host,
        "thrift_port": ports[0],
        "connect_port": ports[1],
        "settings_differ": ports != configured,
        "user": USER,
        "password_file": None if settings.spark_password else str(password_file(settings)),
    }


def _airflow(settings: Settings) -> dict[str, Any]:
    running = airflow.services(settings)["api-server"].find()
    port = running.ports[0] if running else settings.airflow_port
    return {**_state(running, LOOPBACK), "address": f"http://{settings.airflow_host}:{port}"}


def _sites(settings: Settings) -> dict[str, Any]:
    """Return the addresses of the sites that run, by name."""
    found = {each.key: (each.name, each.find_port(settings)) for each in SITES}
    return {
        key: {"name": name, "url": f"http://{LOOPBACK}:{port}"}
        for key, (name, port) in found.items()
        if port is not None
    }


def _files(settings: Settings) -> dict[str, Any]:
    """Return the latest report, the latest list, and what the list promises."""
    report, calls = _find_file(settings, REPORT), _find_file(settings, LIST)
    summary = read_summary_or_empty(settings, calls.parent.name) if calls is not None else {}
    return {
        "report": str(report) if report else None,
        "list": str(calls) if calls else None,
        "calls": summary.get("calls") or None,
    }


def _find_file(settings: Settings, name: str) -> Path | None:
    paths = (settings.home / "runs" / run_id / name for run_id in reversed(list_runs(settings)))
    return next((path for path in paths if path.is_file()), None)


def _extract(settings: Settings, today: date) -> dict[str, Any]:
    """Return the published extract that scores and list are of, by the runs' summaries."""
    found = [(run_id, read_summary_or_empty(settings, run_id)) for run_id in list_runs(settings)]
    found = [(run_id, each) for run_id, each in found if each.get("scored_extract_date")]
    if not found:
        return {"state": NONE}
    summary = found[-1][1]
    day = summary["scored_extract_date"]
    facts = {"extract_date": day, "customers": (summary.get("counts") or {}).get("scored")}
    # An older workbook that was run later leaves the extract in use as it is.
    own = [(run_id, each.get("batch_id")) for run_id, each in found if each["extract_date"] == day]
    if own:
        first = next(run_id for run_id, batch_id in own if batch_id == own[-1][1])
        published = read_end_time(settings, first).astimezone(UTC)
        facts |= {"run": first, "published_at": published.isoformat(timespec="seconds")}
    return {**_age(date.fromisoformat(day), today), **facts}


def _age(extract_date: date, today: date) -> dict[str, Any]:
    """Return how old an extract is, and when the scoring API refuses its customers."""
    last = extract_date + TTL
    days_left = (last - today).days
    state = EXPIRED if days_left <= 0 else EXPIRING if days_left <= WARNING_DAYS else CURRENT
    age = (today - extract_date).days
    return {"state": state, "age_days": age, "expires": last.isoformat(), "days_left": days_left}


def _api_keys(settings: Settings) -> dict[str, Any]:
    names = keys.names(settings)
    return {"count": len(names), "names": names}


def _last_run(settings: Settings) -> dict[str, Any]:
    """Return the latest run of a workbook, unlike other commands that are in `churn runs`."""
    run = _find_last_run(settings)
    if run is None:
        return {"state": NONE}
    summary = read_summary_or_empty(settings, run.run_id)
    record = find_record(settings, run.run_id)
    counts, model = summary.get("counts") or {}, summary.get("model") or {}
    return {
        "state": run.result,
        "run": run.run_id,
        "step": run.step,
        "command": run.command,
        "started_at": run.started,
        "seconds": run.seconds,
        "workbook": run.workbook,
        "extract_date": summary.get("extract_date"),
        "load": summary.get("batch_id"),
        "verdict": (summary.get("gate") or {}).get("verdict"),
        "published": counts.get("gold"),
        "model": model.get("version"),
        "effect": record.effect if record else None,
        "log": run.log,
    }


def _find_last_run(settings: Settings) -> Run | None:
    summaries = set(list_runs(settings))
    runs = list_all_runs(settings)
    return next((r for r in runs if r.command in WITH_SUMMARY or r.run_id in summaries), None)


def _model(settings: Settings) -> dict[str, Any]:
    """Return the champion, who promoted it and when, and what awaits a decision or a score."""
    try:
        history, waiting = (
            registry.read_champion_history(settings),
            decisions.find_waiting(settings),
        )
    except (ValueError, KeyError, TypeError):
        return {"state": DAMAGED, "path": str(registry.folder(settings) / registry.CHAMPION)}
    return {
        **_champion(settings, history),
        "waiting": {"version": waiting.version, "reason": waiting.reason} if waiting else None,
        "mlflow": _alias(settings),
    }


def _champion(settings: Settings, history: ChampionHistory | None) -> dict[str, Any]:
    if history is None:
        return {"state": NONE, "version": None}
    record = registry.read_record(settings, history.version)
    found: dict[str, Any] = {
        "state": CHAMPION,
        "version": history.version,
        "kind": record.kind if record else None,
        "roc_auc": record.metrics["roc_auc"] if record else None,
    }
    change = history.changes[-1] if history.changes else None
    is_known = change is not None and change.version == history.version
    return found | {
        "promoted_at": change.time if change and is_known else None,
        "promoted_by": (change.user or None) if change and is_known else None,
        "how": change.how if change and is_known else None,
        "reason": change.reason if change and is_known else None,
    }


def _alias(settings: Settings) -> dict[str, Any]:
    """Return the version that MLflow's alias names, and what follows if a person moved it."""
    try:
        alias = mlflow_alias.read(settings)
        moved = manual_promotion.moved_alias(settings, alias)
    except UnavailableError as error:
        return {"state": UNAVAILABLE, "version": None, "reason": error.message}
    if moved is None:
        state = NONE if alias.version is None else CURRENT
        return {"state": state, "version": alias.version, "reason": None}
    state = MOVED if moved.refusal is None else REFUSED
    return {"state": state, "version": moved.version, "reason": moved.refusal}


def _service(service: Service) -> dict[str, Any]:
    return _state(service.find(), LOOPBACK)


def _state(running: ProcessInfo | None, host: str) -> dict[str, Any]:
    if running is None:
        return {"state": "stopped", "pid": None}
    answers = all(port_is_open(port, host) for port in running.ports)
    return {"state": "running" if answers else "starting", "pid": running.pid}


def _online_store(settings: Settings) -> dict[str, Any]:
    if settings.redis_url:
        return {"state": EXTERNAL, "pid": None, "port": None, "url": settings.redis_url}
    service = online_store.service(settings)
    running = service.find()
    return {**_service(service), "port": running.ports[0] if running else None, "url": None}
