"""dbt's own events and connections, without a server: counts, effects, errors in the SQL."""

import multiprocessing
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from click import Context
from dbt.adapters.contracts.connection import Connection
from dbt.adapters.spark.connections import SparkCredentials
from dbt.cli.main import cli
from dbt.events.types import LogModelResult, LogStartLine, LogTestResult, SkippingDetails
from dbt_common.events.base_types import BaseEvent, EventLevel, msg_from_base_event
from dbt_common.exceptions import DbtDatabaseError, DbtRuntimeError
from test_sql_errors import STATEMENT, UNKNOWN_COLUMN

from churn.pipeline.steps import DATA_ONLY
from lakehouse import dbt_runner, dbt_sessions, run_log
from lakehouse.dbt_runner import BuildResult, NodeWatcher
from lakehouse.dbt_sessions import SharedSessions
from lakehouse.settings import read_settings


def node(name: str, schema: str, kind: str = "model") -> dict[str, object]:
    relation = {"schema": schema, "alias": name, "database": "", "relation_name": name}
    return {"node_name": name, "resource_type": kind, "node_relation": relation}


def send(watcher: NodeWatcher, event: BaseEvent) -> None:
    watcher(msg_from_base_event(event, level=EventLevel.INFO))


def test_nodes_are_counted_as_they_end_in_whichever_order(tmp_path: Path) -> None:
    log = run_log.start_log(read_settings({"CHURN_HOME": str(tmp_path)}), "churn build")
    try:
        seen: list[tuple[int, int, str]] = []
        watcher = NodeWatcher(lambda *reported: seen.append(reported))
        run_log.set_effect(run_log.NOTHING_PUBLISHED)
        first, second = node("customers", "silver"), node("t", "gold", "test")
        send(watcher, LogStartLine(description="", index=1, total=4, node_info=first))
        send(watcher, LogStartLine(description="", index=2, total=4, node_info=second))
        send(
            watcher,
            LogTestResult(name="t", status="pass", index=2, num_models=4, node_info=second),
        )
        send(
            watcher,
            LogModelResult(description="", status="OK", index=1, total=4, node_info=first),
        )
        assert log.effect == run_log.NOTHING_PUBLISHED, "a test publishes nothing"
        published = node("customer_features", "gold")
        send(watcher, LogStartLine(description="", index=3, total=4, node_info=published))
        assert log.effect == run_log.MAYBE_PUBLISHED
        skipped = {"resource_type": "model", "schema": "gold", "node_name": "labels"}
        info = node("labels", "gold")
        send(watcher, SkippingDetails(**skipped, index=4, total=4, node_info=info))
        assert seen == [
            *((0, 4, "customers"), (0, 4, "t"), (1, 4, "t"), (2, 4, "customers")),
            *((2, 4, "customer_features"), (3, 4, "labels")),
        ]
    finally:
        run_log.stop_log()


def test_models_are_logged_each_and_tests_together(tmp_path: Path) -> None:
    """A run of many models and tests has few lines, and a long one is never silent for long."""
    log = run_log.start_log(read_settings({"CHURN_HOME": str(tmp_path)}), "churn build")
    log.begin("20250101T000000Z-aaaaaa")
    watcher = NodeWatcher(lambda *_: None)
    try:
        for name, kind, status in (
            *(("loads", "model", "OK"), ("t1", "test", "pass"), ("t2", "unit_test", "pass")),
            *(("customers", "model", "OK"), ("t3", "test", "fail"), ("t4", "test", "pass")),
            *(("labels", "model", "ERROR"), ("t5", "test", "warn"), ("t6", "test", "pass")),
        ):
            info = node(name, "silver", kind)
            if kind == "model":
                ended = LogModelResult(status=status, execution_time=3.84, total=10, node_info=info)
            else:
                ended = LogTestResult(
                    name=name, status=status, execution_time=61, num_models=10, node_info=info
                )
            send(watcher, ended)
        skipped = {"resource_type": "model", "schema": "gold", "node_name": "gone"}
        send(watcher, SkippingDetails(**skipped, total=10, node_info=node("gone", "gold")))
        send(watcher, LogTestResult(status="pass", num_models=11, node_info=node("t7", "", "test")))
        watcher.log_tests()
    finally:
        run_log.stop_log()
    lines = Path(str(log.path)).read_text().splitlines()[1:]
    assert [" ".join((line.split()[1], *line.split()[3:])) for line in lines] == [
        "INFO dbt: 1 of 10 models and tests; loads: built in 3.8 s",
        "INFO dbt: 3 of 10 models and tests; 2 tests: passed in 2 min 02 s",
        "INFO dbt: 4 of 10 models and tests; customers: built in 3.8 s",
        "INFO dbt: 5 of 10 models and tests; t3: failed in 1 min 01 s",
        "INFO dbt: 6 of 10 models and tests; 1 test: passed in 1 min 01 s",
        "ERROR dbt: 7 of 10 models and tests; labels: error in 3.8 s",
        "INFO dbt: 8 of 10 models and tests; t5: warned in 1 min 01 s",
        "INFO dbt: 9 of 10 models and tests; 1 test: passed in 1 min 01 s",
        "INFO dbt: 10 of 10 models and tests; gone: skipped",
        "INFO dbt: 11 of 11 models and tests; 1 test: passed in 0.0 s",
    ]


def test_what_is_not_built_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dbt counts exposures as nodes, but reports none of them as complete."""
    calls: list[list[str]] = []

    def invoke(_: object, arguments: list[str], __: object) -> SimpleNamespace:
        calls.append(arguments)
        return SimpleNamespace(exception=None, result=SimpleNamespace(results=[]))

    monkeypatch.setattr(dbt_runner, "_invoke", invoke)
    monkeypatch.setattr(dbt_runner, "read_dbt", lambda _: None)
    monkeypatch.setattr(dbt_runner.spark_server, "ensure_running", lambda *_: None)
    monkeypatch.setattr(os, "environ", {})
    settings = read_settings({"CHURN_HOME": str(tmp_path)})
    dbt_runner.dbt_build(settings, DATA_ONLY, "run", lambda *_: None)
    (arguments,) = calls
    parsed = cli.commands["build"].make_context("build", arguments[1:], parent=Context(cli)).params
    assert set(parsed["exclude_resource_types"]) == {"exposure", "unit_test"}


@pytest.fixture
def sessions() -> SharedSessions:
    manager = SharedSessions(None, multiprocessing.get_context("spawn"))
    credentials = SparkCredentials(method="thrift", schema="default", host="localhost")
    name = "model.telco_churn.mine"
    manager.set_thread_connection(Connection(type="spark", name=name, credentials=credentials))
    return manager


def test_an_error_in_the_sql_is_raised_as_people_read_it(
    sessions: SharedSessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.sql").write_text("select\n\n    custmer_name\nfrom x\n")
    monkeypatch.setattr(dbt_sessions, "project_dir", lambda: tmp_path)
    with (
        pytest.raises(DbtDatabaseError, match=r"models/mine.sql, line 3:") as raised,
        sessions.exception_handler(STATEMENT),
    ):
        raise DbtRuntimeError(UNKNOWN_COLUMN)
    assert "org.apache" not in str(raised.value)


def test_other_errors_are_raised_as_dbt_raises_them(sessions: SharedSessions) -> None:
    with (
        pytest.raises(DbtRuntimeError, match=r"Job aborted\n.*at org"),
        sessions.exception_handler(STATEMENT),
    ):
        raise ValueError("Job aborted\n  at org.apache.spark.Job(Job.scala:1)")


def test_tests_are_counted_as_tests_of_dbt() -> None:
    assert BuildResult(tests=33, passed=32).format_tests() == "32 of 33 dbt tests passed"
