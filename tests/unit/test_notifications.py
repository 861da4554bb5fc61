"""Notifications to a real SMTP and HTTP server: what is sent, once, whatever happens meanwhile."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sinks import Sink, find_free_port, http_sink, smtp_sink

from churn.pipeline import notifications, outbox
from lakehouse.errors import DiskFullError, GateRefusedError
from lakehouse.settings import PROJECT, Settings, read_settings
from trainer import decisions, registry

TEXT = "rejects_bearable: 0.4 against 0.1, compared with the extract of 2025-01-01"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"CHURN_HOME": str(tmp_path), "CHURN_SITE_URL": "https://site.example/"})


@pytest.fixture
def sinks(settings: Settings) -> Iterator[tuple[Settings, Sink, Sink]]:
    with http_sink() as http, smtp_sink() as mail:
        yield replace(settings, notify=f"{http.url} {mail.url}"), http, mail


def summary(**parts: Any) -> dict[str, Any]:
    return {
        "run_id": "20250201T000000Z-abcdef",
        "batch_id": "0123456789abcdef",
        "extract_date": "2025-02-01",
        "workbook": {"path": "/in/telco 02.xlsx"},
        "gate": {"verdict": "passed", "attention": []},
        **parts,
    }


def refused() -> dict[str, Any]:
    return summary(gate={"verdict": "refused", "attention": [{"verdict": "failed", "text": TEXT}]})


def deliver(settings: Settings) -> list[str]:
    said: list[str] = []
    outbox.deliver(settings, said.append)
    return said


def test_a_refusal_reaches_every_target_once(sinks: tuple[Settings, Sink, Sink]) -> None:
    settings, http, mail = sinks
    for _ in range(3):
        notifications.record_summary(settings, refused())
        assert deliver(settings) == []
    for sink in (http, mail):
        assert sink.titles == ["Churn: The gate refused telco 02.xlsx"]
        assert sink.keys == ["refused-0123456789abcdef"]
        (body,) = sink.bodies
        assert TEXT in body
        assert "https://site.example/runs/20250201T000000Z-abcdef/report.html" in body


def test_warnings_drift_and_quality_are_events_of_their_own(
    sinks: tuple[Settings, Sink, Sink],
) -> None:
    settings, http, mail = sinks
    alerts = [
        {"watched": "feature: tenure", "words": "tenure shifted by 0.20"},
        {"watched": "scores", "words": "the scores shifted by 0.11"},
        {"watched": "realised churn", "words": "of 7,000 customers, 100 were predicted, 300 did"},
        {"watched": "training", "words": "excluded from training: 2025-02-01"},
    ]
    watch = {"extract_date": "2025-02-01", "champion": "20250101-aaaaaaaa", "alerts": alerts}
    gate = {"verdict": "passed", "attention": [{"verdict": "warned", "text": TEXT}]}
    for _ in range(2):
        notifications.record_summary(settings, summary(gate=gate, watch=watch))
        deliver(settings)
    expected = [
        "warned-0123456789abcdef",
        "drift-feature-2025-02-01-20250101-aaaaaaaa",
        "quality-realised-2025-02-01-20250101-aaaaaaaa",
        "warned-training-2025-02-01-20250101-aaaaaaaa",
    ]
    assert sorted(http.keys) == sorted(mail.keys) == sorted(expected)
    (drift,) = (body for body in http.bodies if "drift" in body)
    assert "tenure shifted by 0.20\nthe scores shifted by 0.11" in drift


def test_promotions_and_requests_are_read_from_the_registry(
    sinks: tuple[Settings, Sink, Sink],
) -> None:
    settings, http, _ = sinks
    first, second = "20250101-aaaaaaaa", "20250201-bbbbbbbb"
    for version in (first, second):
        folder = registry.folder(settings) / version
        folder.mkdir(parents=True)
        (folder / registry.RECORD).write_text("{}")
    # The champion from before notifications were switched on is no event.
    registry.promote(settings, first, reason="it is the first model")
    history = registry.folder(settings) / registry.CHAMPION
    stored = json.loads(history.read_text())
    stored["changes"][0]["time"] = "2025-01-01T00:00:00Z"
    history.write_text(json.dumps(stored))
    outbox.open_outbox(settings)
    waits = decisions.Decision(second, first, False, "what churn means has changed", waits=True)
    decisions.write(registry.folder(settings) / second, waits)
    for _ in range(2):
        notifications.record_champion(settings)
        deliver(settings)
    assert http.keys == [f"promotion-requested-{second}"]
    assert f"churn promote {second}" in http.bodies[0]
    registry.promote(settings, second, registry.PROMOTE, "compared by hand", "ada")
    for _ in range(2):
        notifications.record_champion(settings)
        deliver(settings)
    (_, promoted) = http.titles
    assert promoted == f"Churn: Model {second} is the champion"
    assert "compared by hand" in http.bodies[1]


def test_a_target_that_refuses_gets_it_later_and_others_not_twice(settings: Settings) -> None:
    with (
        http_sink(lambda call: 503 if call < 3 else 200) as http,
        smtp_sink() as mail,
    ):
        both = replace(settings, notify=f"{http.url} {mail.url}")
        notifications.record_summary(both, refused())
        said = deliver(both)
        assert len(said) == 1
        assert "did not accept" in said[0]
        assert "127.0.0.1" not in said[0]
        assert len(deliver(both)) == 1
        assert deliver(both) == deliver(both) == []
        assert (len(http.bodies), http.calls, len(mail.bodies)) == (1, 3, 1)


def test_a_target_that_is_down_is_given_up_some_time(settings: Settings) -> None:
    down = replace(settings, notify=f"json://127.0.0.1:{find_free_port()}/?cto=1&rto=1")
    notifications.record_summary(down, refused())
    said = [line for _ in range(outbox.MOST_TRIES + 2) for line in deliver(down)]
    assert len(said) == outbox.MOST_TRIES


def test_an_address_that_apprise_does_not_know_is_a_warning_without_it(settings: Settings) -> None:
    wrong = replace(settings, notify="nothing://sesame")
    notifications.record_summary(wrong, refused())
    (said,) = deliver(wrong)
    assert "warning" in said
    assert "sesame" not in said


def test_without_a_target_nothing_is_recorded(settings: Settings) -> None:
    notifications.record_summary(settings, refused())
    notifications.record_champion(settings)
    deliver(settings)
    assert list(settings.home.iterdir()) == []


def test_a_folder_that_cannot_be_written_stops_no_run(settings: Settings) -> None:
    (settings.home / "notifications").write_text("no folder")
    notified = replace(settings, notify="json://127.0.0.1:1")
    with notifications.send_notifications(notified, print):
        notifications.record_summary(notified, refused())
        with notifications.record_interruption(notified, "run", "load", "a.xlsx"):
            pass


def test_senders_at_the_same_moment_send_it_once(sinks: tuple[Settings, Sink, Sink]) -> None:
    settings, http, mail = sinks

    def work(_: int) -> None:
        notifications.record_summary(settings, refused())
        deliver(settings)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    deliver(settings)
    assert len(http.bodies) == len(mail.bodies) == 1


# A process that dies at the nth step of recording and sending: each write of a state is a step.
DYING = """
import os, sys
from churn.pipeline import notifications, outbox
from lakehouse.settings import read_settings
settings, last = read_settings(), int(sys.argv[1])
write, steps = outbox.write_secret, []

def counted(path, text):
    steps.append(path)
    if len(steps) > last:
        os._exit(7)
    write(path, text)

outbox.write_secret = counted
summary = {summary!r}
notifications.record_summary(settings, summary)
outbox.deliver(settings, print)
"""


@pytest.mark.parametrize("last", range(5))
def test_a_process_that_dies_at_any_step_leads_to_one_message(
    sinks: tuple[Settings, Sink, Sink], last: int
) -> None:
    """Steps: record, sending, sent (http), sending, sent (mail)."""
    settings, http, mail = sinks
    environ = {
        **os.environ,
        "CHURN_HOME": str(settings.home),
        "CHURN_NOTIFY": settings.notify or "",
    }
    code = DYING.replace("{summary!r}", repr(refused()))
    died = subprocess.run(
        [sys.executable, "-c", code, str(last)], cwd=PROJECT, env=environ, capture_output=True
    )
    assert died.returncode == 7, died.stderr
    notifications.record_summary(settings, refused())
    said = [*deliver(settings), *deliver(settings)]
    assert len(http.bodies) == len(mail.bodies) == 1
    # Between `sending` and `sent` the target has accepted it, and the state is unknown.
    assert len(said) == (1 if last in (2, 4) else 0)


def test_a_process_that_dies_before_the_target_answers_never_sends_it_twice(
    settings: Settings,
) -> None:
    with http_sink() as http:
        notified = replace(settings, notify=http.url)
        notifications.record_summary(notified, refused())
        ((path, entry),) = outbox.read_entries(notified).items()
        (target,) = outbox._list_targets(notified)
        outbox._write_state(path, entry, target, outbox.SENDING)
        (said,) = deliver(notified)
        assert "unknown whether" in said
        assert deliver(notified) == []
        assert http.calls == 0


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (KeyboardInterrupt(), "interrupted it"),
        (DiskFullError("7590-VHVEG", where="7590-VHVEG", hint=""), "the disk is full"),
        (ValueError("7590-VHVEG"), "an unexpected error (ValueError)"),
    ],
)
def test_an_interrupted_run_is_named_without_the_error(
    sinks: tuple[Settings, Sink, Sink], error: BaseException, cause: str
) -> None:
    settings, http, _ = sinks
    for run in ("first", "second"):
        with (
            pytest.raises(type(error)),
            notifications.send_notifications(settings, print),
            notifications.record_interruption(settings, run, "load", "telco.xlsx"),
        ):
            raise error
    assert http.keys == ["interrupted-load"]
    assert cause in http.bodies[0]
    assert "7590-VHVEG" not in http.bodies[0]


def test_a_refusal_is_no_interruption(sinks: tuple[Settings, Sink, Sink]) -> None:
    settings, http, _ = sinks
    with (
        pytest.raises(GateRefusedError),
        notifications.send_notifications(settings, print),
        notifications.record_interruption(settings, "run", "load", "telco.xlsx"),
    ):
        raise GateRefusedError("refused", where="", hint="")
    assert http.calls == 0


RUNNING = """
import sys, time
from churn.pipeline import notifications
from lakehouse.settings import read_settings
with notifications.record_interruption(read_settings(), "run", "load", "telco.xlsx"):
    print("running", flush=True)
    time.sleep(60)
"""


def test_a_killed_run_is_noticed_by_the_next_command(sinks: tuple[Settings, Sink, Sink]) -> None:
    settings, http, _ = sinks
    environ = {
        **os.environ,
        "CHURN_HOME": str(settings.home),
        "CHURN_NOTIFY": settings.notify or "",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNING], cwd=PROJECT, env=environ, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    with notifications.send_notifications(settings, print):
        pass
    assert http.calls == 0
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    for _ in range(2):
        with notifications.send_notifications(settings, print):
            pass
    assert http.keys == ["interrupted-load"]
    assert "its process ended without a result" in http.bodies[0]


def test_a_month_without_a_workbook_is_one_message(sinks: tuple[Settings, Sink, Sink]) -> None:
    settings, http, _ = sinks
    due = replace(settings, expected_day=5)
    found = [
        notifications.record_overdue(each, date(2025, 3, day), waits)
        for each, day, waits in (
            (due, 5, False),
            (settings, 20, False),
            (due, 6, True),
            (due, 6, False),
            (due, 7, False),
        )
    ]
    assert found == [False, False, False, True, True]
    deliver(settings)
    assert http.keys == ["overdue-2025-03"]
    run = settings.home / "runs" / "20250406T000000Z-abcdef"
    run.mkdir(parents=True)
    (run / "summary.json").write_text("{}")
    assert not notifications.record_overdue(due, date(2025, 4, 10), False)
    assert notifications.record_overdue(due, date(2025, 5, 10), False)


def test_the_target_is_a_secret(tmp_path: Path) -> None:
    environ = {**os.environ, "CHURN_HOME": str(tmp_path), "CHURN_NOTIFY": "json://sesame"}
    said = subprocess.run(
        [sys.executable, "-m", "churn.cli.main", "config"],
        cwd=PROJECT,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    assert "CHURN_NOTIFY=********" in said.stdout
    assert "sesame" not in said.stdout + said.stderr
