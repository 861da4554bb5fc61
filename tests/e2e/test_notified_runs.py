"""Runs whose events reach a mail and an HTTP server: each once, and none with a customer.

Also what such runs leave for monitoring: metrics, JSON logs, the audit log.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from environments import ChurnHome, Environments
from killed import kill_at
from monthly import cut_off
from reference import truth_of
from sinks import Sink, http_sink, smtp_sink

from churn.pipeline import airflow_steps
from lakehouse import audit_log
from lakehouse.metrics_file import metrics_file
from seeds_loader.sample import SampleParameters, write_samples

# Four runs; test_notifications.py has one instance of each event, with the same sinks.
pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


@dataclass
class Notified:
    """A home with its sinks and workbooks, and the summary of its refused run."""

    home: ChurnHome
    sinks: list[Sink]
    workbooks: list[Path]
    refused: dict[str, Any] = field(default_factory=dict)
    logged: list[dict[str, Any]] = field(default_factory=list)

    @property
    def customers(self) -> set[str]:
        return {customer for path in self.workbooks for customer in truth_of(path).standing}


@pytest.fixture(scope="module")
def notified(
    environments: Environments, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Notified]:
    """A published month, a run that was killed and repeated, and a refusal that was repeated."""
    folder = tmp_path_factory.mktemp("months")
    months = write_samples(SampleParameters(rows=1100, months=3, seed=7), folder)
    few = cut_off(months[2], folder, rows=300)
    home = environments.new("notified")
    with http_sink() as http, smtp_sink() as mail:
        home.environ["CHURN_NOTIFY"] = f"{http.url} {mail.url}"
        found = Notified(home, [http, mail], months)
        home.churn("run", months[0])
        kill_at(home, ["run", months[1]], "3/12 ingest")
        again = home.churn("run", months[1], CHURN_LOG_FORMAT="json")
        found.logged = [json.loads(line) for line in again.stderr.splitlines()]
        for _ in range(2):
            found.refused = home.churn_json("run", few, code=3)
        yield found


def test_each_event_reaches_each_target_once(notified: Notified) -> None:
    http, mail = notified.sinks
    assert Counter(http.keys) == Counter(mail.keys)
    assert set(Counter(http.keys).values()) == {1}
    names = Counter(key.partition("-")[0] for key in http.keys)
    assert names["promoted"] >= 1
    assert (names["interrupted"], names["refused"]) == (1, 1)


def test_a_refusal_has_the_gates_words_and_a_link(notified: Notified) -> None:
    for sink in notified.sinks:
        (body,) = (body for body in sink.bodies if "Event: refused-" in body)
        assert "minimum_customers: 300 against 1000" in body
        assert "/report.html" in body


def test_no_message_names_a_customer(notified: Notified) -> None:
    customers = notified.customers
    assert len(customers) > 1000
    for sink in notified.sinks:
        text = "\n".join([*sink.titles, *sink.bodies])
        assert [each for each in customers if each in text] == []


def test_a_second_attempt_of_airflows_adds_nothing(
    notified: Notified, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the tasks call it: the red test, its callback, and the task `alert`, each twice."""
    settings, refused = notified.home.settings, notified.refused
    for name, value in notified.home.environ.items():
        monkeypatch.setenv(name, value)
    before = [list(sink.keys) for sink in notified.sinks]
    summary = {name: refused[name] for name in ("run_id", "workbook", "extract_date", "batch_id")}
    for _ in range(2):
        text, is_refused = airflow_steps.explain_refusal(settings, summary, [])
        assert is_refused
        assert text.startswith("The gate refused ")
        assert airflow_steps.print_alerts(settings, summary)["alert"].startswith("The gate refused")
    assert [sink.keys for sink in notified.sinks] == before
    for _ in range(2):
        airflow_steps.report_failure(settings, "20250101T000000Z-aaaaaa", "train_model")
    keys = [key for key in notified.sinks[0].keys if "20250101T000000Z" in key]
    assert keys == ["interrupted-20250101T000000Z-aaaaaa"]


def test_a_red_task_without_a_load_raises_no_alert(notified: Notified) -> None:
    with pytest.raises(airflow_steps.NothingToDoError):
        airflow_steps.print_alerts(notified.home.settings, {"run_id": "r"})


def test_json_logs_have_the_run_on_each_line(notified: Notified) -> None:
    runs = {line["run_id"] for line in notified.logged if line["run_id"]}
    (run_id,) = runs
    assert (notified.home.path / "runs" / run_id / "summary.json").exists()
    steps = [line["step"] for line in notified.logged if "step" in line]
    assert steps[:4] == ["read", "server", "ingest", "build"]
    assert all(line["run_id"] == run_id for line in notified.logged if "step" in line)


def test_the_metrics_are_of_the_refused_run_and_of_what_is_published(notified: Notified) -> None:
    text = metrics_file(notified.home.settings).read_text()
    assert "churn_gate_refused 1.0" in text
    assert 'churn_customers{place="online"}' in text
    assert [each for each in notified.customers if each in text] == []


def test_a_trace_is_in_the_audit_log(notified: Notified) -> None:
    home, customer = notified.home, min(truth_of(notified.workbooks[1]).standing)
    home.churn("trace", customer)
    text = audit_log.audit_file(home.settings).read_text()
    entry = json.loads(text.splitlines()[-1])
    assert entry["action"] == "trace"
    assert entry["customers"] == [audit_log.hash_customer(home.settings, customer)]
    assert customer not in text
    promoted = [
        each for each in map(json.loads, text.splitlines()) if each["action"] == "promotion"
    ]
    assert promoted
