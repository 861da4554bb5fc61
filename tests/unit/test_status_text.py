"""What `churn status` says, in sentences, of homes made up of their small files."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from churn.operations import status_text
from churn.operations.status import status
from churn.operations.status_text import format_status
from lakehouse import run_log
from lakehouse.run_log import RunRecord
from lakehouse.settings import Settings, read_settings

FIRST, LATER = "20250301T060000Z-aaaaaa", "20250401T060000Z-bbbbbb"
CALLS = {"listed": 100, "gain": 8123.4, "cost": 1240.0, "currency": "$"}


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
    found = format_status(settings, status(settings))
    return {line[:width].strip(): line[width:].strip() for line in found}


def test_an_empty_home_names_the_first_command(home: Settings) -> None:
    found = lines(home)
    assert found["Home"] == str(home.home)
    assert found["In use"] == "nothing was published yet"
    assert found["Last run"] == "none yet"
    assert "`churn run WORKBOOK`" in found["Next"]
    assert "Report" not in found and "List" not in found


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
    assert found["List"] == f"{list_file} (100 calls, expected gain $8,123 after costs of $1,240)"
    assert "the online store is stopped; Airflow is stopped" in found["Servers"]
    assert "with the next extract" in found["Next"]


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
        ({}, {"decide": "`churn promote v2 --reason TEXT`"}, "`churn promote v2"),
    ],
)
def test_what_waits_comes_before_the_next_extract(
    home: Settings, summary: dict[str, Any], state: dict[str, str], said: str
) -> None:
    add_run(home, FIRST, **summary)
    found = status(home)
    text = format_status(home, {**found, "model": {**found["model"], **state}})[-1]
    assert text.startswith("Next") and said in text


def test_a_command_that_holds_the_lake_is_named(home: Settings) -> None:
    add_run(home, FIRST)
    found = status(home)
    text = format_status(home, {**found, "lake": {**found["lake"], "held_by": "churn run, ann"}})
    assert "in use by another command: churn run, ann" in text[0]
    assert "`churn logs --follow`" in text[-1]


def test_the_time_of_a_promotion_is_as_all_others(home: Settings) -> None:
    model = {"state": "champion v1", "promoted": "2025-03-01T06:02:03Z by ann (train)"}
    text = status_text._format_model(home, model)
    assert text == "champion v1, since 2025-03-01 06:02 UTC by ann (train)"
