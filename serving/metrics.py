"""What Prometheus reads at /metrics. No customer and no key is in it."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds. Most answers take about a millisecond, a full batch a few hundred.
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """Counters of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "churn_api_requests",
            "Requests by route, method and status",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "churn_api_request_seconds",
            "Time to answer, by route",
            ["route"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._customers = Counter(
            "churn_api_customers",
            "Customers asked for, by outcome",
            ["outcome"],
            registry=self._registry,
        )
        self._model = Gauge(
            "churn_api_model_info",
            "1 for the model at work",
            ["version"],
            registry=self._registry,
        )
        # Looked up once: labels() costs as much as all the rest.
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._outcomes = {
            outcome: self._customers.labels(outcome) for outcome in ("found", "unknown", "expired")
        }

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        key = (route, method, status)
        known = self._known.get(key)
        if known is None:
            counter = self._requests.labels(route, method, str(status))
            known = self._known[key] = (counter, self._seconds.labels(route))
        known[0].inc()
        known[1].observe(seconds)

    def customer(self, outcome: str) -> None:
        """Count a customer: found, unknown or expired."""
        self._outcomes[outcome].inc()

    def text(self, model_version: str | None) -> bytes:
        """All of them, with the model at work."""
        self._model.clear()
        if model_version is not None:
            self._model.labels(model_version).set(1)
        return generate_latest(self._registry)
