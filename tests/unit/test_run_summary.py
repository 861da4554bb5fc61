"""The summary at the end of a run, and the outcome of its monitoring."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from churn.pipeline import steps
from churn.pipeline.context import RunContext
from churn.pipeline.steps import format_alert_count
from churn.pipeline.summary import format_summary
from lakehouse.amounts import format_number
from lakehouse.progress import Steps
from lakehouse.settings import read_settings
from trainer import monitoring
from trainer.monitoring import MonitoredMetric, MonitoringResult
from trainer.train import Training

METRIC = MonitoredMetric("feature: Tenure", "training", 0.4, 0.2, False, "Tenure drifted by 0.40")
ALERT = replace(METRIC, alert=True)


def result(*metrics: MonitoredMetric) -> MonitoringResult:
    return MonitoringResult(date(2025, 7, 14), "v1", metrics)


def summary(watch: MonitoringResult) -> dict[str, Any]:
    promotion = {"champion": "v1", "reason": "a gain of 0.01 is uncertain", "waits": True}
    names = ("bronze", "silver", "rejected", "exact_duplicates", "gold", "online_verified")
    return {
        "run_id": "20250101T000000Z-aaaaaa",
        "counts": {**dict.fromkeys(names, 1), "scored": 1},
        "gate": {"verdict": "passed", "passed": 1, "tests": 1, "warned": 0},
        "model": {
            **{"version": "v2", "kind": "logistic", "roc_auc": 0.8, "pr_auc": 0.6},
            **{"champion": False, "promotion": promotion},
        },
        "unchanged": False,
        "watch": watch.to_json(),
    }


def test_an_alert_is_in_the_summary_once(tmp_path: Path) -> None:
    settings = read_settings({"CHURN_HOME": str(tmp_path)})
    text = format_summary(settings, summary(result(METRIC, ALERT)))
    assert text.count(ALERT.words) == 1
    assert "alert: Tenure drifted by 0.40; `churn monitor`" in text
    assert text.count("promote") == 1
    assert "alert:" not in format_summary(settings, summary(result(METRIC)))


def test_the_step_refers_to_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(monitoring, "monitor", lambda *_: result(METRIC, ALERT))
    run = RunContext(read_settings({"CHURN_HOME": str(tmp_path)}), Steps(1))
    steps.monitor(run, None)  # type: ignore[arg-type]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("1 alert; see below")
    assert format_alert_count(result(ALERT, ALERT)) == "2 alerts; see below"
    assert format_alert_count(result(METRIC)) == "no alert from 1 metric"
    assert format_alert_count(result()) == "no earlier extract to compare with"


def test_a_command_is_named_at_the_end_only() -> None:
    record = SimpleNamespace(version="v2", kind="logistic", metrics={"roc_auc": 0.8})
    decision = SimpleNamespace(promoted=False, champion="v1", waits=True)
    training = Training(record, True, decision)  # type: ignore[arg-type]
    assert "`churn promote v2 --reason TEXT`" in training.format_outcome()
    assert training.format_outcome(names_command=False).endswith("; a person decides")


def test_one_thing_is_in_the_singular() -> None:
    assert format_number(1, "day") == "1 day"
    assert format_number(0, "day") == "0 days"
    assert format_number(1234, "day") == "1,234 days"
    assert format_number(2, "entry", "entries") == "2 entries"
