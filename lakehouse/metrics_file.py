"""The file with the pipeline's metrics, in Prometheus's text format.

Each run writes it; a node exporter can collect it, and the sites serve it at /metrics. It contains
numbers of the customer base as a whole, and no customer.
"""

from pathlib import Path

from lakehouse.settings import Settings

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_file(settings: Settings) -> Path:
    """Return the path of the file."""
    return settings.home / "metrics" / "churn.prom"


def read_metrics(settings: Settings) -> bytes:
    """Return the metrics of the last run; empty if there was none."""
    try:
        return metrics_file(settings).read_bytes()
    except FileNotFoundError:
        return b""
