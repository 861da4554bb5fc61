"""JSON logs: every line of standard error is one object with the run."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from openpyxl import Workbook

from lakehouse import log_format
from lakehouse.progress import Steps
from lakehouse.settings import PROJECT, read_settings


@pytest.fixture
def json_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(log_format, "_state", log_format.LogState(is_json=True))
    yield


def test_steps_and_warnings_carry_the_run(
    json_log: None, capsys: pytest.CaptureFixture[str]
) -> None:
    log_format.set_run("20250101T000000Z-aaaaaa")
    with Steps(1).step("build") as step:
        step.log("warning: two\nlines")
        step.outcome = "passed"
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["message"]) for line in lines] == [
        ("warning", "warning: two\nlines"),
        ("info", "passed"),
    ]
    assert {line["run_id"] for line in lines} == {"20250101T000000Z-aaaaaa"}
    assert lines[1]["step"] == "build"
    assert lines[1]["seconds"] >= 0


def test_records_of_libraries_are_objects_with_their_stack(json_log: None) -> None:
    try:
        raise ValueError("cause")
    except ValueError:
        record = logging.LogRecord("lib", 40, "p", 1, "failed %s", ("x",), sys.exc_info())
    line = json.loads(log_format.JsonFormatter().format(record))
    assert (line["level"], line["message"], line["logger"]) == ("error", "failed x", "lib")
    assert "ValueError: cause" in line["stack"]


def test_without_the_setting_messages_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    log_format.configure_log(read_settings({}))
    Steps(1).log("as it is")
    assert capsys.readouterr().err == "  as it is\n"


class Calls(io.StringIO):
    """Standard error that records each call of `write`."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[str] = []

    def write(self, text: str) -> int:
        self.all.append(text)
        return len(text)


def test_a_line_is_one_call_so_that_threads_do_not_mix_lines(
    json_log: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls()
    monkeypatch.setattr(sys, "stderr", calls)
    with Steps(1).step("train") as step:
        step.log("warning: fold 1")
        step.log("warning: fold 2")
    assert [json.loads(call)["message"] for call in calls.all][:2] == [
        "warning: fold 1",
        "warning: fold 2",
    ]
    assert all(call.endswith("}\n") for call in calls.all)


def test_the_command_line_logs_objects_with_the_run(tmp_path: Path) -> None:
    environ = {"CHURN_HOME": str(tmp_path), "CHURN_LOG_FORMAT": "json", "PATH": ""}
    Workbook().save(broken := tmp_path / "broken.xlsx")
    said = subprocess.run(
        [sys.executable, "-m", "churn.cli.main", "run", broken],
        cwd=PROJECT,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 2
    lines = [json.loads(line) for line in said.stderr.splitlines()]
    assert lines[-1]["level"] == "error"
    assert "broken.xlsx" in lines[-1]["message"]
    assert all(line["run_id"] for line in lines)
