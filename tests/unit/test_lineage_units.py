"""Lineage without servers: names, columns of SQL, the file, the endpoint."""

import json
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from openlineage.client.event_v2 import Job, Run, RunEvent
from openlineage.client.transport.file import FileConfig
from openlineage.client.uuid import generate_new_uuid

from lakehouse import lineage_events
from lakehouse.lineage import Dataset, StepIO, StepRun, file, lineage_file, table
from lakehouse.lineage_columns import sources
from lakehouse.lineage_events import Command, emit
from lakehouse.lineage_file import LineageFile
from lakehouse.settings import PROJECT, Settings

BEGUN = datetime(2025, 1, 31, 6, tzinfo=UTC)
KEY = "the-key-of-the-endpoint"
WRITERS, LINES, LONG = 4, 50, 100_000


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("URL", "CONFIG", "API_KEY", "DISABLED", "PARENT_ID", "ROOT_PARENT_ID"):
        monkeypatch.delenv(f"OPENLINEAGE_{name}", raising=False)
    # The client copies what it finds to names of its own.
    for name in ("TYPE", "URL", "AUTH"):
        variable = f"OPENLINEAGE__TRANSPORT__TRANSPORTS__DEFAULT_HTTP__{name}"
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    home = tmp_path / "home"
    return Settings(PROJECT, home, str(home / "lake"), str(home / "landing"))


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that takes events: its address, and what it was sent."""
    taken: list[dict[str, Any]] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Authorization"] == f"Bearer {KEY}"
            taken.append(json.loads(body))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Taking)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", taken
    server.shutdown()
    thread.join()
    server.server_close()


def steps(settings: Settings) -> list[StepRun]:
    gold, scores = table(settings, "gold.customer_features"), table(settings, "gold.churn_scores")
    made = replace(scores, sources={"probability": [(gold, "tenure")]})
    works = [StepIO([gold, file("/somewhere/model")], [made])]
    return [StepRun("score", BEGUN, BEGUN + timedelta(seconds=2), False, works)]


def command(failed: bool = False) -> Command:
    return Command("churn score", "20250131T060000Z-abcdef", BEGUN, BEGUN + timedelta(3), failed)


def told(settings: Settings) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lineage_file(settings).read_text().splitlines()]


def test_places_have_the_names_of_openlineage(settings: Settings) -> None:
    assert table(settings, "gold.churn_scores") == Dataset(
        "file", f"{settings.home}/lake/gold/churn_scores", table="gold.churn_scores"
    )
    stored = replace(settings, lake_uri="s3a://bucket/prefix")
    assert table(stored, "gold.churn_scores") == Dataset(
        "s3://bucket", "prefix/gold/churn_scores", table="gold.churn_scores"
    )


def test_a_command_is_told_with_its_steps_as_children(settings: Settings) -> None:
    said: list[str] = []
    emit(settings, command(), steps(settings), said.append)
    assert said == []
    events = told(settings)
    assert [(each["eventType"], each["job"]["name"]) for each in events] == [
        ("START", "churn score"),
        ("START", "churn score.score"),
        ("COMPLETE", "churn score.score"),
        ("COMPLETE", "churn score"),
    ]
    parent = events[2]["run"]["facets"]["parent"]
    assert parent["run"]["runId"] == parent["root"]["run"]["runId"] == events[0]["run"]["runId"]
    assert "parent" not in events[0]["run"]["facets"]
    (output,) = events[2]["outputs"]
    (source,) = output["facets"]["columnLineage"]["fields"]["probability"]["inputFields"]
    assert source["name"].endswith("gold/customer_features")
    assert source["field"] == "tenure"
    (symlink,) = output["facets"]["symlinks"]["identifiers"]
    assert symlink["name"] == "gold.churn_scores"


def test_what_started_the_command_is_its_parent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, dag = str(generate_new_uuid()), str(generate_new_uuid())
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"airflow/01_etl.score/{task}")
    monkeypatch.setenv("OPENLINEAGE_ROOT_PARENT_ID", f"airflow/01_etl/{dag}")
    emit(settings, command(failed=True), steps(settings), print)
    events = told(settings)
    assert events[0]["run"]["facets"]["parent"]["run"]["runId"] == task
    assert {each["run"]["facets"]["parent"]["root"]["run"]["runId"] for each in events} == {dag}
    assert events[-1]["eventType"] == "FAIL"


def test_an_endpoint_is_sent_what_the_file_has(
    settings: Settings,
    endpoint: tuple[str, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, taken = endpoint
    monkeypatch.setenv("OPENLINEAGE_URL", address)
    monkeypatch.setenv("OPENLINEAGE_API_KEY", KEY)
    said: list[str] = []
    emit(settings, command(), steps(settings), said.append)
    assert said == []
    assert taken == told(settings)
    assert len(taken) == 4
    assert KEY not in lineage_file(settings).read_text()


def test_an_endpoint_that_is_away_is_a_warning_and_no_wait(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage_events, "ENDPOINT_SECONDS", 1)
    with socket.socket() as silent:  # takes connections, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        said: list[str] = []
        begun = time.monotonic()
        emit(settings, command(), steps(settings), said.append)
        assert time.monotonic() - begun < 10
    (warning,) = said
    assert "endpoint did not take" in warning
    assert str(lineage_file(settings)) in warning
    assert len(told(settings)) == 4


def test_a_home_that_cannot_be_written_stops_nothing(settings: Settings) -> None:
    settings.home.mkdir()
    (settings.home / "lineage").write_text("in the way")
    said: list[str] = []
    emit(settings, command(), steps(settings), said.append)
    assert "could not be told" in said[0]


def test_lineage_can_be_switched_off(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    emit(settings, command(), steps(settings), print)
    assert not lineage_file(settings).exists()


def test_long_lines_of_many_writers_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write, args=(path, n)) for n in range(WRITERS)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == WRITERS * LINES
    assert all(len(set(each["job"]["name"])) == 1 for each in lines)


def write(path: Path, writer: int) -> None:
    transport = LineageFile(FileConfig(str(path)))
    for _ in range(LINES):
        job = Job("test", str(writer) * LONG)
        run = Run(str(generate_new_uuid()))
        transport.emit(RunEvent(eventTime=BEGUN.isoformat(), producer="urn:test", run=run, job=job))


def test_columns_are_followed_through_stars_structs_and_steps() -> None:
    sql = """
    with
    source_rows as (select * from bronze.rows),
    typed as (
        select `Total`, struct(`customerID`, `Monthly`) as cells,
            try_cast(`Monthly` as double) as monthly
        from source_rows
    ),
    final as (select * except (`Total`, cells), monthly / tenure as ratio
        from typed cross join (select max(tenure) as tenure from bronze.others))
    select * from final
    """
    known = {
        "bronze": {"rows": ["customerID", "Monthly", "Total"], "others": ["tenure", "Monthly"]}
    }
    assert sources(sql, known) == {
        "monthly": [("bronze.rows", "Monthly")],
        "tenure": [("bronze.others", "tenure")],
        "ratio": [("bronze.others", "tenure"), ("bronze.rows", "Monthly")],
    }


def test_sql_that_is_beyond_the_parser_has_no_columns() -> None:
    assert sources("this is no sql at all (", {}) == {}
