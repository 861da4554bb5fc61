"""Collect the metrics that Prometheus reads at /metrics. They contain no customer and no key.

They are counted by hand, in one thread, and written by Prometheus's own library. Its counters use
locks that are not needed here, and Feast configures them to share their values through files.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

# Seconds. Most responses need about a millisecond, a full batch a few hundred.
BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BOUND_NAMES = (*(str(each) for each in BOUNDS), "+Inf")


class Metrics(Collector):
    """Counters of one process."""

    def __init__(self) -> None:
        """Create the counters, and a registry with them and metrics of process and platform."""
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._customers: Counter[str] = Counter()
        # By route: the number of responses in each bucket, and the seconds of all.
        self._times: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self._version: str | None = None
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(self)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered, and the seconds that it needed."""
        self._requests[route, method, status] += 1
        times = self._times.get(route)
        if times is None:
            times = self._times[route] = [0] * len(BOUND_NAMES)
            self._seconds[route] = 0.0
        times[bisect_left(BOUNDS, seconds)] += 1
        self._seconds[route] += seconds

    def customer(self, outcome: str) -> None:
        """Count a customer by outcome: found, unknown or expired."""
        self._customers[outcome] += 1

    def format_text(self, model_version: str | None) -> bytes:
        """Return all metrics in Prometheus's text format, with the version of the model in use."""
        self._version = model_version
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield the counters in the form that Prometheus's library requires."""
        requests = CounterMetricFamily(
            "churn_api_requests",
            "Requests by route, method and status",
            labels=["route", "method", "status"],
        )
        for (route, method, status), count in self._requests.items():
            requests.add_metric([route, method, str(status)], count)
        yield requests
        seconds = HistogramMetricFamily(
            "churn_api_request_seconds", "Time to answer, by route", labels=["route"]
        )
        for route, times in self._times.items():
            buckets = zip(BOUND_NAMES, accumulate(times), strict=True)
            seconds.add_metric([route], list(buckets), self._seconds[route])
        yield seconds
        customers = CounterMetricFamily(
            "churn_api_customers", "Customers asked for, by outcome", labels=["outcome"]
        )
        for outcome, count in self._customers.items():
            customers.add_metric([outcome], count)
        yield customers
        model = GaugeMetricFamily(
            "churn_api_model_info", "1 for the model at work", labels=["version"]
        )
        if self._version is not None:
            model.add_metric([self._version], 1)
        yield model
