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
# Days from an extract's date to its run; workbooks do not always come as fast.
ARRIVAL = (2, 5, 1, 7, 3, 4, 6, 2, 3, 7, 1, 5)
SERIES = re.compile(r"^(churn_\w+(?:\{.*\})?) (\S+)$", re.MULTILINE)
STAMPS = re.compile(r"churn_\w+_timestamp_seconds")
# What makes an alert fire: the series of the rule, a value every four minutes for four days.
INTERVAL, SAMPLES, END = "4m", 96 * 15, "96h"
FIRING: dict[str, dict[str, str]] = {
    "ChurnWorkbookRefused": {"churn_gate_refused": f"1x{SAMPLES}"},
    "ChurnRejectsHigh": {"churn_reject_ratio": f"0.03x{SAMPLES}"},
    "ChurnDrift": {'churn_monitoring_alerts{kind="drift"}': f"2x{SAMPLES}"},
    "ChurnModelWorse": {'churn_monitoring_alerts{kind="quality"}': f"1x{SAMPLES}"},
    "ChurnModelPoor": {'churn_model_quality{role="champion", metric="roc_auc"}': f"0.69x{SAMPLES}"},
    "ChurnExtractExcluded": {'churn_monitoring_alerts{kind="training"}': f"1x{SAMPLES}"},
    "ChurnPromotionWaiting": {"churn_promotion_waiting": f"1x{SAMPLES}"},
    "ChurnExtractOld": {"churn_published_extract_timestamp_seconds": f"-{41 * 86400}x{SAMPLES}"},
    "ChurnNoSuccess": {"churn_last_success_timestamp_seconds": f"-{41 * 86400}x{SAMPLES}"},
    "ChurnOnlineIncomplete": {
        'churn_customers{place="online"}': f"2999x{SAMPLES}",
        'churn_customers{place="published"}': f"3000x{SAMPLES}",
    },
    "ChurnRunSlow": {"churn_run_seconds": f"3601x{SAMPLES}"},
    "ChurnMetricsMissing": {},
    "ChurnApiDown": {'up{job="churn-api"}': f"0x{SAMPLES}"},
    "ChurnApiErrors": {
        'churn_api_requests_total{status="200"}': f"0+9000x{SAMPLES}",
        'churn_api_requests_total{status="503"}': f"0+1000x{SAMPLES}",
    },
    "ChurnApiSlow": {
        'churn_api_request_seconds_bucket{le="0.5"}': f"0+90x{SAMPLES}",
        'churn_api_request_seconds_bucket{le="1.0"}': f"0+100x{SAMPLES}",
        'churn_api_request_seconds_bucket{le="+Inf"}': f"0+100x{SAMPLES}",
    },
    "ChurnApiOtherModel": {
        'churn_api_model_info{version="old"}': f"1x{SAMPLES}",
        'churn_champion_info{version="new"}': f"1x{SAMPLES}",
    },
}
# The same without the cause, with which none fires: values at the bounds of the rules.
QUIET = {
    "churn_last_run_timestamp_seconds": f"0x{SAMPLES}",
    "churn_gate_refused": f"0x{SAMPLES}",
    "churn_reject_ratio": f"0.02x{SAMPLES}",
    'churn_monitoring_alerts{kind="drift"}': f"0x{SAMPLES}",
    'churn_monitoring_alerts{kind="quality"}': f"0x{SAMPLES}",
    'churn_monitoring_alerts{kind="training"}': f"0x{SAMPLES}",
    'churn_model_quality{role="champion", metric="roc_auc"}': f"0.7x{SAMPLES}",
    "churn_promotion_waiting": f"0x{SAMPLES}",
    "churn_published_extract_timestamp_seconds": f"-{35 * 86400}x{SAMPLES}",
    "churn_last_success_timestamp_seconds": f"-{35 * 86400}x{SAMPLES}",
    'churn_customers{place="online"}': f"3000x{SAMPLES}",
    'churn_customers{place="published"}': f"3000x{SAMPLES}",
    "churn_run_seconds": f"3600x{SAMPLES}",
    'up{job="churn-api"}': f"1x{SAMPLES}",
    'churn_api_requests_total{status="200"}': f"0+9600x{SAMPLES}",
    'churn_api_requests_total{status="503"}': f"0+400x{SAMPLES}",
    'churn_api_request_seconds_bucket{le="0.5"}': f"0+100x{SAMPLES}",
    'churn_api_request_seconds_bucket{le="1.0"}': f"0+100x{SAMPLES}",
    'churn_api_request_seconds_bucket{le="+Inf"}': f"0+100x{SAMPLES}",
    'churn_api_model_info{version="new"}': f"1x{SAMPLES}",
    'churn_champion_info{version="new"}': f"1x{SAMPLES}",
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
    tests = [expect_alerts(QUIET, set(), INTERVAL, END)]
    for alert, caused in FIRING.items():
        series = {**QUIET, **caused}
        if alert == "ChurnMetricsMissing":
            del series["churn_last_run_timestamp_seconds"]
        if alert == "ChurnApiOtherModel":
            del series['churn_api_model_info{version="new"}']
        tests.append(expect_alerts(series, {alert}, INTERVAL, END))
    assert not check(promtool, tmp_path, tests, "20m")


def ordinary_month(number: int) -> dict[str, Any]:
    """The summary of a month in which values vary as they do without an incident."""
    customers, rejected = 3000 + 40 * number, (0, 3, 12, 1)[number % 4]
    drift = (0.01, 0.04, 0.08, 0.02, 0.06)[number % 5]
    worst = [{"watched": "feature: tenure", "against": "the previous extract", "figure": drift}]
    counts = {"bronze": customers + rejected + 4, "exact_duplicates": 4, "rejected": rejected}
    places = ("silver", "gold", "online_verified", "scored")
    return {
        "run_id": f"2025{number + 1:02}05T060000Z-{number:06x}",
        "workbook": {"path": "customers.xlsx"},
        "extract_date": f"2025-{number + 1:02}-01",
        "scored_extract_date": f"2025-{number + 1:02}-01",
        "counts": counts | dict.fromkeys(places, customers),
        "gate": {"verdict": "passed", "passed": 20, "warned": number % 3 == 2, "failed": 0},
        "model": {"version": "v", "roc_auc": (0.85, 0.74, 0.79)[number % 3]},
        "watch": {"worst": worst, "alerts": []},
        "seconds": {"build": 20.0 + number, "train": 30.0, "score": 3.0},
    }


MONTHS = [ordinary_month(number) for number in range(12)]


def test_none_fires_in_twelve_ordinary_months(promtool: str, tmp_path: Path) -> None:
    series = months_of_metrics([read_series(home(tmp_path, each), each) for each in MONTHS], MONTHS)
    assert not check(promtool, tmp_path, check_months(series, MONTHS), "1d")


def test_a_month_without_a_workbook_fires(promtool: str, tmp_path: Path) -> None:
    months = [*MONTHS[:6], *MONTHS[7:]]
    series = months_of_metrics([read_series(home(tmp_path, each), each) for each in months], months)
    found = check(promtool, tmp_path, check_months(series, months), "1d")
    assert set(re.findall(r'got: {alertname="(\w+)"', found)) == {
        "ChurnExtractOld",
        "ChurnNoSuccess",
    }


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_none_fires_in_twelve_months_that_are_run(
    environments: Environments, promtool: str, tmp_path: Path
) -> None:
    """An operator decides on the models that wait, as the notification asks for."""
    churn, found, months = environments.new("months"), [], []
    for workbook in write_samples(SampleParameters(rows=3000, months=12, seed=5), tmp_path):
        summary = churn.churn_json("run", workbook)
        if summary["model"]["promotion"].get("waits"):
            churn.churn("promote", summary["model"]["version"], "--reason", "compared by hand")
        found.append(parse_series(metrics_file(churn.settings).read_text()))
        months.append(summary)
    series = months_of_metrics(found, months)
    assert not check(promtool, tmp_path, check_months(series, months), "1d")


def check_months(series: dict[str, str], months: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tests every three days that no alert of the pipeline fires."""
    days = (date.fromisoformat(months[-1]["extract_date"]) - first_day(months)).days + 30
    return [expect_alerts(series, set(), "1d", f"{day}d") for day in range(ARRIVAL[0], days, 3)]


def home(folder: Path, summary: dict[str, Any]) -> Settings:
    return read_settings({"CHURN_HOME": str(folder / summary["run_id"])})


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
    return parse_series(metrics_file(settings).read_text())


def parse_series(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in SERIES.findall(text)}


def months_of_metrics(
    found: list[dict[str, float]], months: list[dict[str, Any]]
) -> dict[str, str]:
    """One value a day of every series, from the first extract's date on, in promtool's notation."""
    start = datetime.combine(first_day(months), datetime.min.time(), UTC)
    days = [date.fromisoformat(month["extract_date"]) for month in months]
    runs = [day + timedelta(days=ARRIVAL[day.month - 1]) for day in days]
    ends = [*runs[1:], runs[-1] + timedelta(days=30)]
    values: dict[str, list[str]] = {}
    total = (runs[0] - first_day(months)).days
    for series, run, end in zip(found, runs, ends, strict=True):
        arrived = datetime.combine(run, datetime.min.time(), UTC).timestamp()
        for name, value in series.items():
            if STAMPS.match(name):
                # Promtool's time begins at zero, and the runs were made at another time.
                value = (value if "extract" in name else arrived) - start.timestamp()
            values.setdefault(name, ["_"] * total).extend([str(value)] * (end - run).days)
        total += (end - run).days
        for each in values.values():
            each.extend(["_"] * (total - len(each)))
    return {name: " ".join(each) for name, each in values.items()}
