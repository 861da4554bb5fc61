"""Write the metrics of a run for Prometheus, from its summary and the model's record alone.

A refused run changes nothing that is in use: what is published, online and at work is then that of
the last run that passed.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from churn.provenance.run_history import (
    list_runs,
    read_end_time,
    read_json_or_empty,
    read_last_summary,
)
from lakehouse.atomic_write import atomic_write
from lakehouse.metrics_file import metrics_file
from lakehouse.run_log import sum_seconds
from lakehouse.settings import Settings

Summary = Mapping[str, Any]
Samples = Mapping[tuple[str, ...], float | None]
QUALITY = ("roc_auc", "pr_auc", "accuracy", "f1", "brier")
ALERTS = {
    "feature": "drift",
    "scores": "drift",
    "realised churn": "quality",
    "training": "training",
}


def write_metrics(settings: Settings, summary: Summary, ended: datetime | None = None) -> None:
    """Write the metrics of a run that has completed or was refused, by default just now."""
    registry = CollectorRegistry()
    registry.register(RunMetrics(settings, summary, ended or datetime.now(UTC)))
    path = metrics_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft:
        draft.write_bytes(generate_latest(registry))


def rewrite_metrics(settings: Settings) -> None:
    """Write the metrics of the last run again, after the champion changed outside of a run."""
    summary = read_last_summary(settings)
    if summary:
        write_metrics(settings, summary, read_end_time(settings, summary["run_id"]))


class RunMetrics(Collector):
    """Metrics of one run."""

    def __init__(self, settings: Settings, summary: Summary, ended: datetime) -> None:
        """Create the metrics.

        Args:
            settings: The settings of this CHURN_HOME.
            summary: The run's summary.
            ended: When the run ended.
        """
        self._settings, self._summary, self._ended = settings, summary, ended
        self._passed, self._passed_at = _find_last_success(settings, summary, ended)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics in the form that Prometheus's library requires."""
        yield from self._collect_run()
        if self._passed is not None:
            yield from self._collect_published(self._passed)
            yield from _collect_monitoring(self._passed)
            yield from _collect_models(self._settings, self._passed)

    def _collect_run(self) -> Iterator[Metric]:
        gate, counts = self._summary.get("gate", {}), self._summary.get("counts", {})
        seconds = self._summary.get("seconds", {})
        rows = counts.get("bronze", 0) - counts.get("exact_duplicates", 0)
        yield _gauge("last_run_timestamp_seconds", "End of the last run", self._ended.timestamp())
        yield _gauge("gate_refused", "1 if the gate refused it", gate.get("verdict") == "refused")
        yield _gauges(
            "gate_rules",
            "Rules of the gate by verdict",
            ["verdict"],
            {(name,): gate.get(name) for name in ("passed", "warned", "failed")},
        )
        kinds = ("bronze", "silver", "rejected", "exact_duplicates")
        yield _gauges(
            "rows", "Rows of its workbook", ["kind"], {(kind,): counts.get(kind) for kind in kinds}
        )
        yield _gauge(
            "reject_ratio",
            "Share of its rows that were rejected, without exact duplicates",
            counts.get("rejected", 0) / rows if rows > 0 else None,
        )
        yield _gauges(
            "step_seconds", "Seconds per step", ["step"], {(k,): v for k, v in seconds.items()}
        )
        yield _gauge("run_seconds", "Seconds of all steps", sum_seconds(seconds))

    def _collect_published(self, passed: Summary) -> Iterator[Metric]:
        counts = passed["counts"]
        day = date.fromisoformat(passed.get("scored_extract_date", passed["extract_date"]))
        yield _gauge(
            "last_success_timestamp_seconds",
            "End of the last run that published, or found its extract published",
            self._passed_at.timestamp(),
        )
        yield _gauge(
            "published_extract_timestamp_seconds",
            "Date of the latest published extract",
            datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp(),
        )
        # A late, older extract is published, but the one online is another.
        is_latest = day.isoformat() == passed["extract_date"]
        places = {"published": "gold", "online": "online_verified", "scored": "scored"}
        yield _gauges(
            "customers",
            "Customers of the latest extract that are published, online and scored",
            ["place"],
            {
                (place,): counts.get(name)
                for place, name in places.items()
                if is_latest or place != "published"
            },
        )


def _find_last_success(
    settings: Settings, summary: Summary, ended: datetime
) -> tuple[Summary | None, datetime]:
    """Return the last run that passed, and its end."""
    if summary.get("gate", {}).get("verdict") == "passed":
        return summary, ended
    for run_id in reversed(list_runs(settings)):
        earlier = read_json_or_empty(settings.home / "runs" / run_id / "summary.json")
        if earlier.get("gate", {}).get("verdict") == "passed":
            return earlier, read_end_time(settings, run_id)
    return None, ended


def _collect_monitoring(passed: Summary) -> Iterator[Metric]:
    watch = passed.get("watch") or {"worst": [], "alerts": []}
    indexes: dict[tuple[str, ...], float | None] = {}
    for metric in watch["worst"]:
        name = metric["watched"].partition(":")[0]
        if ALERTS.get(name) in ("drift", "quality"):
            indexes[name, metric["against"]] = metric["figure"]
    alerts: dict[tuple[str, ...], float | None] = {(kind,): 0 for kind in ALERTS.values()}
    for alert in watch["alerts"]:
        kind = ALERTS.get(alert["watched"].partition(":")[0])
        if kind is not None:
            alerts[kind,] = (alerts[kind,] or 0) + 1
    text = "Largest deviation: stability index of features and scores, gap of realised churn"
    yield _gauges("monitored_deviation", text, ["of", "against"], indexes)
    yield _gauges("monitoring_alerts", "Alerts of the monitoring", ["kind"], alerts)


def _collect_models(settings: Settings, passed: Summary) -> Iterator[Metric]:
    from trainer import decisions, registry

    model = passed.get("model", {})
    version = registry.champion_version(settings)
    champion = registry.read_record(settings, version) if version else None
    yield _gauges("champion_info", "The champion", ["version"], {(version,): 1} if version else {})
    measured = {"latest": model, "champion": champion.metrics if champion else {}}
    yield _gauges(
        "model_quality",
        "Metrics out of fold, of the champion and of the version trained last",
        ["role", "metric"],
        {(role, name): each.get(name) for role, each in measured.items() for name in QUALITY},
    )
    waits = decisions.find_waiting(settings) is not None
    yield _gauge("promotion_waiting", "1 if a version waits for a decision", waits)


def _gauge(name: str, text: str, value: float | None) -> Metric:
    return _gauges(name, text, [], {(): value})


def _gauges(name: str, text: str, labels: list[str], samples: Samples) -> Metric:
    """Return a metric with its samples; those without a value are left out."""
    metric = GaugeMetricFamily(f"churn_{name}", text, labels=labels)
    for values, value in samples.items():
        if value is not None:
            metric.add_metric(list(values), float(value))
    return metric
