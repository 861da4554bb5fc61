"""Retention of files, with the tables' answers given."""

import json
import os
import time
from pathlib import Path

import pytest

from churn.operations import cleanup
from lakehouse.process import ProcessInfo
from lakehouse.settings import Settings, read_settings

DAY = 24 * 3600
BEFORE = time.time() - 90 * DAY


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"CHURN_HOME": str(tmp_path)})


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, str]]]:
    """What queries find, by table."""
    found: dict[str, list[dict[str, str]]] = {}
    monkeypatch.setattr(cleanup, "query_if_exists", lambda _, table, sql: found.get(table, []))
    return found


def written(path: Path, days: float, text: str = "12345") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def test_old_logs_go_with_the_folders_they_leave_empty(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = tmp_path / "logs"
    old = written(logs / "airflow" / "dag_id=01_etl" / "run_id=1" / "attempt=1.log", 91)
    beside = written(logs / "airflow" / "dag_id=01_etl" / "run_id=2" / "attempt=1.log", 89)
    quiet = written(logs / "redis.log", 200)
    running = ProcessInfo(1, 1.0, 1, [1], "", str(quiet))
    monkeypatch.setattr(
        "lakehouse.process.Service.find", lambda self: running if self.name == "redis" else None
    )
    assert cleanup._remove_logs(settings, BEFORE, dry_run=True) == cleanup.Removed(
        "log files", 1, 5
    )
    assert old.exists()
    assert cleanup._remove_logs(settings, BEFORE, dry_run=False) == cleanup.Removed(
        "log files", 1, 5
    )
    assert not old.parent.exists()
    assert beside.exists()
    assert quiet.exists()


def test_runs_stay_that_a_table_refers_to_and_the_last_one(
    settings: Settings, tmp_path: Path, answers: dict[str, list[dict[str, str]]]
) -> None:
    runs = tmp_path / "runs"
    for name, batch, days in [
        ("published", "superseded", 400),
        ("in_silver", "b1", 300),
        ("rejected", "b2", 300),
        ("restated", "superseded", 300),
        ("young", "superseded", 10),
    ]:
        written(runs / name / "summary.json", days, json.dumps({"batch_id": batch}))
    written(runs / "broken" / "of_sample", 300)
    answers["gold.publications"] = [{"run_id": "published"}]
    answers["silver.customers"] = [{"batch_id": "b1"}]
    answers["silver.rejected_rows"] = [{"batch_id": "b2"}]
    found = cleanup._remove_runs(settings, None, BEFORE, dry_run=True)
    assert sorted(found.names) == ["broken", "restated"]
    assert len(list(runs.iterdir())) == 6
    removed = cleanup._remove_runs(settings, None, BEFORE, dry_run=False)
    assert removed == found
    assert removed.bytes == len('{"batch_id": "superseded"}') + len("12345")
    assert sorted(each.name for each in runs.iterdir()) == [
        *("in_silver", "published", "rejected", "young")
    ]


def test_the_last_run_stays_however_old(
    settings: Settings, tmp_path: Path, answers: dict[str, list[dict[str, str]]]
) -> None:
    written(tmp_path / "runs" / "first" / "summary.json", 300, "{}")
    last = written(tmp_path / "runs" / "a_later_one" / "summary.json", 200, "{}")
    assert cleanup._remove_runs(settings, None, BEFORE, dry_run=False).names == ["first"]
    assert last.exists()


def test_models_stay_that_are_champion_or_have_scores(
    settings: Settings, tmp_path: Path, answers: dict[str, list[dict[str, str]]]
) -> None:
    models = tmp_path / "models"
    for version, days in [("champion", 300), ("scored", 300), ("unused", 300), ("young", 10)]:
        written(models / version / "record.json", days)
        written(models / version / "model" / "part-0", days)
    (models / "champion.json").write_text(json.dumps({"version": "champion"}))
    answers["gold.churn_scores"] = [{"model_version": "scored"}]
    found = cleanup._remove_models(settings, None, BEFORE, dry_run=True)
    assert found == cleanup.Removed("model versions", 1, 10, ["unused"])
    assert (models / "unused").exists()
    assert cleanup._remove_models(settings, None, BEFORE, dry_run=False) == found
    assert sorted(each.name for each in models.iterdir()) == [
        *("champion", "champion.json", "scored", "young")
    ]


def test_where_there_is_nothing_nothing_is_removed(
    settings: Settings, answers: dict[str, list[dict[str, str]]]
) -> None:
    for found in (
        cleanup._remove_logs(settings, BEFORE, dry_run=False),
        cleanup._remove_runs(settings, None, BEFORE, dry_run=False),
        cleanup._remove_models(settings, None, BEFORE, dry_run=False),
    ):
        assert (found.count, found.bytes) == (0, 0)


def test_lines_name_what_was_removed() -> None:
    removed = [cleanup.Removed("runs", 2, 12_345, ["a", "b"]), cleanup.Removed("log files", 0, 0)]
    assert cleanup.format_removed(removed, dry_run=False) == [
        "removed 2 runs, 12,345 bytes: a, b",
        "removed 0 log files, 0 bytes",
    ]
    assert cleanup.format_removed(removed[:1], dry_run=True) == [
        "would remove 2 runs, 12,345 bytes: a, b"
    ]
