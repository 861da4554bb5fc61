"""What `churn status` says, in sentences, of homes made up of their small files."""

import json
import re
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from churn.operations import status_text
from churn.operations.status import status
from churn.operations.status_text import format_status
from feature_repo.feature_definitions import TTL
from lakehouse import run_log, spark_process
from lakehouse.process import ProcessInfo
from lakehouse.run_log import RunRecord
from lakehouse.sample_home import mark_as_sample
from lakehouse.settings import PROJECT, Settings, read_settings
from serving import keys

FIRST, LATER = "20250301T060000Z-aaaaaa", "20250401T060000Z-bbbbbb"
CALLS = {
    **{"listed": 100, "gain": 8123.4, "gain_low": 2990.0, "gain_high": 14002.5},
    **{"cost": 1240.0, "currency": "$"},
}


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return read_settings({"CHURN_HOME": str(tmp_path / "home")})


def add_run(settings: Settings, run_id: str, result: str = "done", **summary: Any) -> Path:
    folder = settings.home / "runs" / run_id
    folder.mkdir(parents=True)
    content = {
        "run_id": run_id,
        "batch_id": "1f0c",
        "extract_date": "2025-02-01",
        "scored_extract_date": "2025-02-01",
        "counts": {"scored": 7043},
        "gate": {"verdict": "refused" if result == "refused" else "passed"},
        "seconds": {"build": 61.5, "train": 91.4},
        **summary,
    }
    (folder / "summary.json").write_text(json.dumps(content))
    logs = run_log.folder(settings)
    logs.mkdir(parents=True, exist_ok=True)
    started = f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}T06:00:00+00:00"
    record = RunRecord(run_id, "churn run", started, "", workbook="a.xlsx", result=result)
    record.seconds = dict(content["seconds"])
    (logs / f"{run_id}.json").write_text(json.dumps(asdict(record)))
    return folder


def lines(settings: Settings) -> dict[str, str]:
    """The status by label."""
    width = status_text.LABEL
    found = format_status(status(settings))
    return {line[:width].strip(): line[width:].strip() for line in found}


def test_an_empty_home_names_the_first_command(home: Settings) -> None:
    found = lines(home)
    assert found["Home"] == str(home.home)
    assert found["In use"] == "nothing was published yet"
    assert found["Last run"] == "none yet"
    assert "`churn run WORKBOOK`" in found["Next"]
    assert "Report" not in found and "List" not in found
    login = f"port 10000, user churn, password in {home.home}/secrets/spark_password"
    assert found["SQL"].endswith(f"host 127.0.0.1, {login}")


def test_a_finished_run_says_what_is_in_use_and_where(home: Settings) -> None:
    folder = add_run(home, FIRST, calls=CALLS)
    (folder / "report.html").touch()
    (folder / "retention_list.xlsx").touch()
    found = lines(home)
    assert found["In use"].startswith(
        f"the extract of 2025-02-01, 7,043 customers, published by run {FIRST}, "
    )
    assert found["Last run"] == (
        f"{FIRST}: done in 2 min 33 s, started 2025-03-01 06:00 UTC, a.xlsx, extract of 2025-02-01"
    )
    assert found["Report"] == str(folder / "report.html")
    list_file = folder / "retention_list.xlsx"
    headline = "100 calls, expected gain about $8,100 ($3,000 to $14,000)"
    assert found["List"] == f"{list_file}: {headline}; cost of the calls $1,240"
    mark_as_sample(home)
    sample = f"{found['List']}; SAMPLE, generated customers"
    assert lines(home)["List"] == sample and sample.count(": ") == 1
    assert "the online store is stopped; Airflow is stopped" in found["Servers"]
    assert "with the next extract" in found["Next"]


def test_the_ports_are_those_of_the_running_server(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = ProcessInfo(1, 0, 1, ports=[10200, 15202], identity="", log="")
    monkeypatch.setattr(spark_process, "find", lambda _: running)
    said = lines(home)["Servers"]
    assert "Thrift port 10200, Connect port 15202, not those of the settings" in said
    same = replace(home, thrift_port=10200, connect_port=15202)
    assert "not those" not in lines(same)["Servers"]


@pytest.mark.parametrize(
    ("today", "age", "days_left", "said"),
    [
        ("2025-01-20", -12, 378, "UTC; dated 12 days ahead"),
        ("2025-01-31", -1, 367, "UTC; dated tomorrow"),
        ("2025-02-01", 0, 366, "UTC; 0 days old"),
        ("2025-02-02", 1, 365, "UTC; 1 day old"),
        ("2026-01-01", 334, 32, "UTC; 334 days old"),
        (
            "2026-01-02",
            335,
            31,
            "335 days old; warning: expires in 31 days: the scoring API refuses its customers from "
            "2026-02-02 on; run a newer one",
        ),
        ("2026-02-01", 365, 1, "expires in 1 day: the scoring API"),
        (
            "2026-02-02",
            366,
            0,
            "366 days old; warning: expired: the scoring API refuses its customers since "
            "2026-02-02; run a newer one",
        ),
    ],
)
def test_an_old_extract_is_announced_before_the_api_refuses_it(
    home: Settings, today: str, age: int, days_left: int, said: str
) -> None:
    """The text has the facts of the JSON object."""
    add_run(home, FIRST)
    found = status(home, date.fromisoformat(today))
    extract = found["extract"]
    assert (extract["age_days"], extract["days_left"]) == (age, days_left)
    assert (extract["extract_date"], extract["expires"]) == ("2025-02-01", "2026-02-02")
    assert (extract["state"] == "current") == (days_left > 31)
    assert (extract["customers"], extract["run"]) == (7043, FIRST)
    (line,) = [line for line in format_status(found) if line.startswith("In use")]
    assert said in line


def test_the_limit_is_that_of_the_api(home: Settings) -> None:
    add_run(home, FIRST)
    moment = datetime(2025, 2, 1, tzinfo=UTC)
    for today, is_refused in (("2026-02-01", False), ("2026-02-02", True)):
        day = date.fromisoformat(today)
        at_noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        assert (at_noon - moment > TTL) == is_refused
        assert (status(home, day)["extract"]["state"] == "expired") == is_refused


def test_keys_of_the_api_are_named_or_how_to_make_one(home: Settings) -> None:
    assert lines(home)["API keys"] == "no keys exist; `churn api-key new NAME` makes one"
    assert status(home)["api_keys"]["names"] == []
    keys.new(home, "retention-team")
    assert lines(home)["API keys"] == "1: retention-team"
    assert status(home)["api_keys"]["names"] == ["retention-team"]


def test_a_refused_run_leaves_what_is_in_use(home: Settings) -> None:
    add_run(home, FIRST)
    refused = {"extract_date": "2025-03-01", "scored_extract_date": None, "counts": {}}
    add_run(home, LATER, "refused", batch_id="2e1d", **refused)
    found = lines(home)
    assert "the extract of 2025-02-01" in found["In use"] and FIRST in found["In use"]
    assert "refused in 2 min 33 s" in found["Last run"]
    assert "nothing of it is in use" in found["Last run"]
    assert f"churn rejects --run {LATER}" in found["Next"]
    assert "churn approve 2e1d" in found["Next"]


def test_an_older_workbook_that_is_run_later_is_not_in_use(home: Settings) -> None:
    add_run(home, FIRST)
    add_run(home, LATER, extract_date="2024-12-01", batch_id="2e1d")
    expected = f"the extract of 2025-02-01, 7,043 customers, published by run {FIRST}"
    assert expected in lines(home)["In use"]


@pytest.mark.parametrize(
    ("summary", "state", "said"),
    [
        ({"watch": {"alerts": [{"words": "drift"}]}}, {}, "`churn monitor`"),
        ({}, {"waiting": {"version": "v2", "reason": "b"}}, "`churn promote v2 --reason TEXT`"),
    ],
)
def test_what_waits_comes_before_the_next_extract(
    home: Settings, summary: dict[str, Any], state: dict[str, Any], said: str
) -> None:
    add_run(home, FIRST, **summary)
    found = status(home)
    text = format_status({**found, "model": {**found["model"], **state}})[-1]
    assert text.startswith("Next") and said in text


@pytest.mark.parametrize(
    ("command", "workbook", "called"),
    [
        ("churn run", "jan.xlsx", "`churn run jan.xlsx`"),
        ("churn run", "jan 2025.xlsx", "`churn run 'jan 2025.xlsx'`"),
        ("churn demo", "generated.xlsx", "`churn demo`"),
        ("churn approve", "jan.xlsx", "the command"),
        ("churn run", None, "the command"),
    ],
)
def test_the_command_to_repeat_is_named(
    home: Settings, command: str, workbook: str | None, called: str
) -> None:
    add_run(home, FIRST)
    found = status(home)
    for state, said in (
        ("interrupted", f"repeat {called}: it continues where it stopped"),
        ("failed", f"says why; then repeat {called}"),
    ):
        run = {"state": state, "command": command, "workbook": workbook, "effect": None}
        text = format_status({**found, "last_run": {**found["last_run"], **run}})
        assert text[-1].endswith(said)


def test_a_command_that_holds_the_lake_is_named(home: Settings) -> None:
    add_run(home, FIRST)
    found = status(home)
    holder = {"purpose": "churn run", "pid": 7, "since": "2025-03-01T06:00:00+00:00"}
    text = format_status({**found, "lake": {**found["lake"], "held_by": holder}})
    assert "in use by another command: churn run (process 7, since 2025-" in text[0]
    assert "`churn logs --follow`" in text[-1]


def test_the_time_of_a_promotion_is_as_all_others(home: Settings) -> None:
    model = {
        **{"state": "champion", "version": "v1", "kind": None, "promoted_by": "ann"},
        **{"promoted_at": "2025-03-01T06:02:03Z", "how": "train", "waiting": None},
        "mlflow": {"state": "current", "version": None, "reason": None},
    }
    text = status_text._format_model(model)
    assert text == "v1 is the champion, since 2025-03-01 06:02 UTC by ann (train)"


def test_states_are_words_and_times_are_in_iso_format(home: Settings) -> None:
    """A program needs to parse no sentence."""
    add_run(home, FIRST)
    keys.new(home, "retention-team")
    for found in (status(home), status(read_settings({"CHURN_HOME": str(home.home / "other")}))):
        assert json.loads(json.dumps(found)) == found
        for name, part in found.items():
            assert re.fullmatch("[a-z]+", part.get("state", "none")), name
            for key, value in part.items():
                if key.endswith("_at") and value:
                    assert datetime.fromisoformat(value).tzinfo is not None, key
    assert datetime.fromisoformat(status(home)["last_run"]["started_at"]).year == 2025


def test_the_reference_lists_the_fields(home: Settings) -> None:
    add_run(home, FIRST)
    page = (PROJECT / "docs" / "terminal.md").read_text()
    for name, part in status(home).items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert not {key for key in part if f"`{key}`" not in row}, name
