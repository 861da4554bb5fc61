"""The alert rules under Prometheus's test tool: each fires, and none on twelve ordinary months."""

import json
import re
import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from environments import Environments

from churn.pipeline.run_metrics import write_metrics
from lakehouse.metrics_file import metrics_file
from lakehouse.settings import PROJECT, Settings, read_settings
from seeds_loader.sample import SampleParameters, write_samples

RULES = PROJECT / "docker" / "prometheus" / "alerts.yml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
# Summaries of twelve months of `churn sample --rows 3000 --months 12 --seed 5`, and the time at
# which each run ended after the date of its extract.
MONTHS = json.loads(Path(__file__).with_name("twelve_months.json").read_text())
ARRIVAL = timedelta(days=5)
SERIES = re.compile(r"^(churn_\w+(?:\{.*\})?) (\S+)$", re.MULTILINE)
STAMPS = re.compile(r"churn_\w+_timestamp_seconds")
DAY = 24 * 60
# What makes an alert fire: the series of the rule, one value a minute for two days.
MINUTES = 48 * 60
END = "48h"
FIRING: dict[str, dict[str, str]] = {
    "ChurnWorkbookRefused": {"churn_gate_refused": f"1x{MINUTES}"},
    "ChurnRejectsHigh": {"churn_reject_ratio": f"0.03x{MINUTES}"},
    "ChurnDrift": {'churn_monitoring_alerts{kind="drift"}': f"2x{MINUTES}"},
    "ChurnModelWorse": {'churn_monitoring_alerts{kind="quality"}': f"1x{MINUTES}"},
    "ChurnModelPoor": {'churn_model_quality{role="champion", metric="roc_auc"}': f"0.69x{MINUTES}"},
    "ChurnExtractExcluded": {'churn_monitoring_alerts{kind="training"}': f"1x{MINUTES}"},
    "ChurnPromotionWaiting": {"churn_promotion_waiting": f"1x{MINUTES}"},
    "ChurnExtractOld": {"churn_published_extract_timestamp_seconds": f"-{41 * 86400}x{MINUTES}"},
    "ChurnNoSuccess": {"churn_last_success_timestamp_seconds": f"-{41 * 86400}x{MINUTES}"},
    "ChurnOnlineIncomplete": {
        'churn_customers{place="online"}': f"2999x{MINUTES}",
        'churn_customers{place="published"}': f"3000x{MINUTES}",
    },
    "ChurnRunSlow": {"churn_run_seconds": f"3601x{MINUTES}"},
    "ChurnMetricsMissing": {},
    "ChurnApiDown": {'up{job="churn-api"}': f"0x{MINUTES}"},
    "ChurnApiErrors": {
        'churn_api_requests_total{status="200"}': f"0+9000x{MINUTES}",
        'churn_api_requests_total{status="503"}': f"0+1000x{MINUTES}",
    },
    "ChurnApiSlow": {
        'churn_api_request_seconds_bucket{le="0.5"}': f"0+90x{MINUTES}",
        'churn_api_request_seconds_bucket{le="1.0"}': f"0+100x{MINUTES}",
        'churn_api_request_seconds_bucket{le="+Inf"}': f"0+100x{MINUTES}",
    },
    "ChurnApiOtherModel": {
        'churn_api_model_info{version="old"}': f"1x{MINUTES}",
        'churn_champion_info{version="new"}': f"1x{MINUTES}",
    },
}
# The same without the cause, with which none fires: values at the bounds of the rules.
QUIET = {
    "churn_last_run_timestamp_seconds": f"0x{MINUTES}",
    "churn_gate_refused": f"0x{MINUTES}",
    "churn_reject_ratio": f"0.02x{MINUTES}",
    'churn_monitoring_alerts{kind="drift"}': f"0x{MINUTES}",
    'churn_monitoring_alerts{kind="quality"}': f"0x{MINUTES}",
    'churn_monitoring_alerts{kind="training"}': f"0x{MINUTES}",
    'churn_model_quality{role="champion", metric="roc_auc"}': f"0.7x{MINUTES}",
    "churn_promotion_waiting": f"0x{MINUTES}",
    "churn_published_extract_timestamp_seconds": f"-{37 * 86400}x{MINUTES}",
    "churn_last_success_timestamp_seconds": f"-{37 * 86400}x{MINUTES}",
    'churn_customers{place="online"}': f"3000x{MINUTES}",
    'churn_customers{place="published"}': f"3000x{MINUTES}",
    "churn_run_seconds": f"3600x{MINUTES}",
    'up{job="churn-api"}': f"1x{MINUTES}",
    'churn_api_requests_total{status="200"}': f"0+9600x{MINUTES}",
    'churn_api_requests_total{status="503"}': f"0+400x{MINUTES}",
    'churn_api_request_seconds_bucket{le="0.5"}': f"0+100x{MINUTES}",
    'churn_api_request_seconds_bucket{le="1.0"}': f"0+100x{MINUTES}",
    'churn_api_request_seconds_bucket{le="+Inf"}': f"0+100x{MINUTES}",
    'churn_api_model_info{version="new"}': f"1x{MINUTES}",
    'churn_champion_info{version="new"}': f"1x{MINUTES}",
}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    assert found, "promtool is missing: Debian's package prometheus has it"
    return found


def check(promtool: str, folder: Path, tests: list[dict[str, Any]], interval: str) -> str:
    """Run promtool's tests of the rules; return what it prints, empty if they pass."""
    rules = {"rule_files": [str(RULES)], "evaluation_interval": interval, "tests": tests}
    path = folder / "tests.yml"
    path.write_text(yaml.safe_dump(rules))
    command = [promtool, "test", "rules", str(path)]
    answer = subprocess.run(command, capture_output=True, text=True)
    return "" if answer.returncode == 0 else answer.stdout + answer.stderr


def expect_alerts(
    series: dict[str, str], firing: set[str], interval: str, at: str
) -> dict[str, Any]:
    """A test of promtool's: the alerts that fire at a time are exactly these."""
    # Asked by expression, because an alert's texts and labels are not of interest here.
    return {
        "interval": interval,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count by (alertname) (ALERTS{{alertname="{rule["alert"]}", '
                'alertstate="firing"})',
                "eval_time": at,
                "exp_samples": [{"labels": f'{{alertname="{rule["alert"]}"}}', "value": 1}]
                if rule["alert"] in firing
                else [],
            }
            for rule in ALERTS
        ],
    }


def test_every_rule_has_a_cause() -> None:
    assert {rule["alert"] for rule in ALERTS} == set(FIRING)


def test_each_rule_fires_alone_and_none_at_its_bound(promtool: str, tmp_path: Path) -> None:
    tests = [expect_alerts(QUIET, set(), "1m", END)]
    for alert, caused in FIRING.items():
        series = {**QUIET, **caused}
        if alert == "ChurnMetricsMissing":
            del series["churn_last_run_timestamp_seconds"]
        if alert == "ChurnApiOtherModel":
            del series['churn_api_model_info{version="new"}']
        tests.append(expect_alerts(series, {alert}, "1m", END))
    assert not check(promtool, tmp_path, tests, "10m")


def check_months(series: dict[str, str], months: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tests every five days that no alert of the pipeline fires."""
    days = (date.fromisoformat(months[-1]["extract_date"]) - first_day(months)).days + 25
    return [expect_alerts(series, set(), "1d", f"{day}d") for day in range(0, days, 5)]


def test_none_fires_in_twelve_ordinary_months(promtool: str, tmp_path: Path) -> None:
    series = months_of_metrics(tmp_path, MONTHS)
    assert not check(promtool, tmp_path, check_months(series, MONTHS), "1d")


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_none_fires_in_twelve_months_that_are_run(
    environments: Environments, promtool: str, tmp_path: Path
) -> None:
    """Also what `twelve_months.json` is recorded from: the summaries, without what is not read."""
    home = environments.new("months")
    parameters = SampleParameters(rows=3000, months=12, seed=5)
    summaries = []
    for workbook in write_samples(parameters, tmp_path):
        summaries.append(home.churn_json("run", workbook))
    read = ("run_id", "workbook", "extract_date", "scored_extract_date", "counts", "gate")
    recorded = [
        {name: each[name] for name in (*read, "model", "watch", "seconds") if name in each}
        for each in summaries
    ]
    (tmp_path / "twelve_months.json").write_text(json.dumps(recorded, indent=1))
    series = months_of_metrics(tmp_path, recorded)
    assert not check(promtool, tmp_path, check_months(series, recorded), "1d")


def test_the_metrics_are_those_of_the_summary(tmp_path: Path) -> None:
    found = read_series(read_settings({"CHURN_HOME": str(tmp_path)}), MONTHS[-1])
    counts = MONTHS[-1]["counts"]
    assert found['churn_rows{kind="bronze"}'] == counts["bronze"]
    assert found['churn_customers{place="online"}'] == counts["online_verified"]
    assert found["churn_gate_refused"] == 0
    assert found["churn_run_seconds"] == pytest.approx(sum(MONTHS[-1]["seconds"].values()))
    model = MONTHS[-1]["model"]
    assert found['churn_model_quality{metric="roc_auc",role="latest"}'] == model["roc_auc"]


def test_a_refused_run_leaves_what_is_published(tmp_path: Path) -> None:
    settings = read_settings({"CHURN_HOME": str(tmp_path)})
    passed = read_series(settings, MONTHS[-2])
    run = settings.home / "runs" / MONTHS[-2]["run_id"]
    run.mkdir(parents=True)
    (run / "summary.json").write_text(json.dumps(MONTHS[-2]))
    refused = {
        **{name: MONTHS[-1][name] for name in ("run_id", "workbook", "extract_date", "counts")},
        "gate": {**MONTHS[-1]["gate"], "verdict": "refused", "failed": 1},
    }
    found = read_series(settings, refused)
    assert found["churn_gate_refused"] == 1
    assert found['churn_gate_rules{verdict="failed"}'] == 1
    for name in ('churn_customers{place="online"}', "churn_published_extract_timestamp_seconds"):
        assert found[name] == passed[name]


def first_day(months: list[dict[str, Any]]) -> date:
    return date.fromisoformat(months[0]["extract_date"])


def read_series(settings: Settings, summary: dict[str, Any]) -> dict[str, float]:
    write_metrics(settings, summary)
    text = metrics_file(settings).read_text()
    return {name: float(value) for name, value in SERIES.findall(text)}


def months_of_metrics(folder: Path, months: list[dict[str, Any]]) -> dict[str, str]:
    """One value a day of every series, from the first extract's date on, in promtool's notation."""
    start = datetime.combine(first_day(months), datetime.min.time(), UTC)
    values: dict[str, list[str]] = {}
    total = 0
    for number, summary in enumerate(months):
        settings = read_settings({"CHURN_HOME": str(folder / str(number))})
        found = read_series(settings, summary)
        arrived = datetime.combine(
            date.fromisoformat(summary["extract_date"]) + ARRIVAL, datetime.min.time(), UTC
        )
        last = number == len(months) - 1
        following = months[number if last else number + 1]["extract_date"]
        until = date.fromisoformat(following) + (timedelta(days=30) if last else ARRIVAL)
        days = (until - (first_day(months) if number == 0 else arrived.date())).days
        for name, value in found.items():
            if STAMPS.match(name):
                # Promtool's time begins at zero, and the runs were made at another time.
                is_run = "extract" not in name
                value = (arrived.timestamp() if is_run else value) - start.timestamp()
            values.setdefault(name, ["_"] * total).extend([str(value)] * days)
        total += days
        for series in values.values():
            series.extend(["_"] * (total - len(series)))
    return {name: " ".join(series) for name, series in values.items()}
