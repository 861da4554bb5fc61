"""State files of servers, which commands of another version may have written."""

import json
from pathlib import Path

from lakehouse.process import ProcessInfo, Service, write_state


def test_a_state_file_is_read_as_written(tmp_path: Path) -> None:
    service = Service("redis", tmp_path)
    running = ProcessInfo(1, 2.0, 3, [4], "embedded", "redis.log")
    write_state(service.state_file, running)
    assert service.read_state() == running


def test_a_state_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    service = Service("redis", tmp_path)
    running = ProcessInfo(1, 2.0, 3, [4], "embedded", "redis.log")
    write_state(service.state_file, running)
    state = json.loads(service.state_file.read_text())
    state["keeper"] = state.pop("supervisor")  # language: a former name
    service.state_file.write_text(json.dumps(state))
    assert service.read_state() == running


def test_an_unreadable_state_file_names_no_server(tmp_path: Path) -> None:
    service = Service("redis", tmp_path)
    service.state_file.write_text("{")
    assert service.read_state() is None
