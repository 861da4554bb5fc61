"""The Grafana dashboard and the alert rules ask for metrics that the pipeline and the API have."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from starlette.testclient import TestClient

from churn.operations import site_server
from churn.pipeline.run_metrics import RunMetrics
from churn.reports.site_guard import SiteGuard
from lakehouse.metrics_file import metrics_file
from lakehouse.settings import PROJECT, read_settings
from serving.metrics import Metrics

NAME = re.compile(r"\bchurn_\w+")
SUFFIXES = ("_total", "_bucket")
DASHBOARD = json.loads((PROJECT / "docker" / "grafana" / "churn.json").read_text())
RULES = yaml.safe_load((PROJECT / "docker" / "prometheus" / "alerts.yml").read_text())


def known(home: Path) -> set[str]:
    summary: dict[str, Any] = {
        "run_id": "20250101T000000Z-aaaaaa",
        "extract_date": "2025-01-01",
        "counts": {"bronze": 1},
        "gate": {"verdict": "passed"},
    }
    run = RunMetrics(read_settings({"CHURN_HOME": str(home)}), summary, datetime.now(UTC))
    return {metric.name for collector in (run, Metrics()) for metric in collector.collect()}


def names(text: str) -> set[str]:
    return {re.sub(f"({'|'.join(SUFFIXES)})$", "", name) for name in NAME.findall(text)}


def test_the_dashboard_shows_every_metric_that_there_is(tmp_path: Path) -> None:
    asked = names(json.dumps([panel["targets"] for panel in DASHBOARD["panels"]]))
    assert asked <= known(tmp_path)
    # The others are in alerts, or parts of what is shown.
    assert known(tmp_path) - asked <= {
        *("churn_last_run_timestamp_seconds", "churn_run_seconds", "churn_monitoring_alerts"),
        "churn_api_model_info",
    }


def test_alerts_ask_for_metrics_that_exist(tmp_path: Path) -> None:
    asked = names(str([rule["expr"] for group in RULES["groups"] for rule in group["rules"]]))
    assert asked and asked <= known(tmp_path)


def test_the_docs_site_serves_them_behind_its_password(tmp_path: Path) -> None:
    settings = read_settings({"CHURN_HOME": str(tmp_path)})
    site = site_server.application(settings, tmp_path, print)
    with TestClient(SiteGuard(site, "word"), base_url="http://127.0.0.1") as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", auth=("admin", "word")).content == b""
        metrics_file(settings).parent.mkdir()
        metrics_file(settings).write_text("churn_run_seconds 1.0\n")
        answer = client.get("/metrics", auth=("admin", "word"))
    assert answer.text == "churn_run_seconds 1.0\n"
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_panels_lie_beside_each_other() -> None:
    cells = [
        (column, row)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
