"""Commands and their faults: exit codes, messages, servers that are shared and ended."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from environments import BIN, ChurnHome, Environments, quiet_port

from lakehouse import spark_session
from lakehouse.run_lock import acquire, release


@pytest.fixture(scope="module")
def bare(environments: Environments) -> ChurnHome:
    """A home in which nothing was started."""
    return environments.new("bare")


def test_a_taken_port_is_explained(environments: Environments) -> None:
    home = environments.new("taken")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(home.environ["CHURN_THRIFT_PORT"])))
        holder.listen()
        said = home.churn("up", code=4).stderr
    assert home.environ["CHURN_THRIFT_PORT"] in said
    assert "CHURN_THRIFT_PORT" in said


def test_two_commands_at_once_start_one_server(environments: Environments) -> None:
    home = environments.new("twins")
    twins = [
        subprocess.Popen([BIN / "churn", "up"], env=home.environ, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [twin.wait(300) for twin in twins] == [0, 0]
    started = [twin.stderr.read().count("starting the Spark server") for twin in twins]  # type: ignore[union-attr]
    assert sorted(started) == [0, 1]
    pid = home.churn_json("status")["spark"]["pid"]
    supervisor = json.loads((home.path / "spark" / "state.json").read_text())["supervisor"]
    home.churn("down")
    assert has_ended(pid)
    assert has_ended(supervisor)
    assert home.churn_json("status")["spark"]["state"] == "stopped"


BEGIN = "`churn run WORKBOOK`"


@pytest.fixture(scope="module")
def empty(environments: Environments) -> ChurnHome:
    """A home with a server where it is needed, and nothing in it."""
    return environments.new("empty")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("show 7590-VHVEG", "Nothing is online yet"),
        ("diff a b", "no run 'a'"),
        ("reproduce a", "no run 'a'"),
        ("evaluate", "No model"),
        *(
            pytest.param(line, word, marks=pytest.mark.long)
            for line, word in {
                "trace 7590-VHVEG": "Nothing was loaded yet",
                "rejects --out {folder}/rejects.xlsx": "Nothing was loaded yet",
                "history gold.churn_scores": "none was made yet",
                "retention-list --out {folder}/list.xlsx": "no scores",
                "monitor": "No extract",
                "rollback": "no earlier champion",
                "features verify": "No extract",
                "train": "No extract",
                "score": "No extract",
                "backup {folder}": "nothing to back up",
            }.items()
        ),
    ],
)
def test_where_nothing_is_yet_a_command_says_how_to_begin(
    empty: ChurnHome, tmp_path: Path, line: str, word: str
) -> None:
    said = empty.churn(*line.format(folder=tmp_path).split(), code=2).stderr
    assert word in said
    assert BEGIN in said
    assert not list(tmp_path.iterdir())
    assert BEGIN in empty.churn("status").stdout


def has_ended(pid: int) -> bool:
    """A zombie has: its parent may never ask for it."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_stale_state_file_does_not_stop_anybody(
    environments: Environments, shared_home: ChurnHome
) -> None:
    home = environments.new("stale")
    # Of the homes of other tests, only those used last keep their servers.
    shared_home.churn("up")
    known = json.loads((shared_home.path / "spark" / "state.json").read_text())
    state = home.path / "spark" / "state.json"
    state.parent.mkdir()
    state.write_text(json.dumps({**known, "created": known["created"] - 1000}))
    assert home.churn_json("status")["spark"]["state"] == "stopped"


def test_hive_can_list_its_functions(shared_home: ChurnHome) -> None:
    """It does when a session is closed; where it can't, sessions that close beside it never end."""
    names = "java_method('org.apache.hadoop.hive.ql.exec.FunctionRegistry', 'getFunctionNames')"
    assert "get_splits" in shared_home.value(f"select {names}")


def test_another_run_is_named(shared_home: ChurnHome) -> None:
    held = acquire(shared_home.settings, "the holder of this test", lambda _: None)
    try:
        soon = {"CHURN_LOCK_WAIT": "1"}
        said = shared_home.churn("build", code=4, **soon).stderr
        assert "the holder of this test" in said
        assert "the holder of this test" in shared_home.churn("status").stdout
        dbt = shared_home.dbt("run", "-s", "pending_loads", code=4, **soon)
        assert "the holder of this test" in dbt.stdout
        # the tests of a run wait as well, since the writer before may have to end the server
        dbt = shared_home.dbt(
            "test", "-s", "pending_loads", code=4, CHURN_RUN_ID="of-a-run", **soon
        )
        assert "the holder of this test" in dbt.stdout
    finally:
        release(held)


def test_a_dead_holder_blocks_nobody(bare: ChurnHome) -> None:
    hold = (
        "import sys, time; from lakehouse.settings import read_settings; "
        "from lakehouse.run_lock import acquire; "
        "held = acquire(read_settings(), 'soon dead', print); print('held', flush=True); "
        "time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold], env=bare.environ, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    start = time.monotonic()
    release(acquire(bare.settings, "next", lambda _: None))
    assert time.monotonic() - start < 5


def test_a_server_with_other_settings_is_not_used(shared_home: ChurnHome, tmp_path: Path) -> None:
    said = shared_home.churn("build", code=4, CHURN_LAKE_URI=str(tmp_path / "elsewhere")).stderr
    assert "churn down" in said


def test_an_online_store_that_is_not_there(shared_home: ChurnHome) -> None:
    port = quiet_port()
    said = shared_home.churn(
        "show", "7590-VHVEG", code=4, CHURN_REDIS_URL=f"redis://127.0.0.1:{port}/0"
    ).stderr
    assert str(port) in said


def test_the_session_needs_a_server(bare: ChurnHome) -> None:
    from lakehouse.errors import UnavailableError

    with (
        pytest.raises(UnavailableError, match="does not answer"),
        spark_session.session(bare.settings),
    ):
        pass
