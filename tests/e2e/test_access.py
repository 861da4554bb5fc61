"""Another user of the machine gets nothing of a running home: no port of it, no file of it."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import other_user
import pandas as pd
import psutil
import pytest
from environments import BIN, ChurnHome, CompletedRun, Environments, called

from feature_repo import store as configured_store
from lakehouse import online_store, spark_process
from lakehouse.jars import SPARK_HOME
from lakehouse.java import find_java
from lakehouse.private_home import OTHERS
from lakehouse.process import ProcessInfo
from lakehouse.settings import PROJECT
from lakehouse.spark_credentials import USER, password_file, read_password

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
SECONDS = 120


def servers(home: ChurnHome) -> list[ProcessInfo]:
    """The running servers of the home."""
    settings = home.settings
    found = [spark_process.find(settings), online_store.service(settings).find()]
    return [each for each in found if each is not None]


def listening(home: ChurnHome) -> dict[int, str]:
    """Every port that a process of the home, or one that it started, listens on, and which."""
    processes = [psutil.Process(each.pid) for each in servers(home)]
    return {
        connection.laddr.port: process.name()
        for parent in processes
        for process in (parent, *parent.children(recursive=True))
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


@dataclass(frozen=True)
class Attack:
    """What the other user was told to try, and got: [attempt, port, got something, what] each."""

    ports: dict[int, str]
    paths: list[Path]
    got: dict[str, Any]


@pytest.fixture(scope="module")
def attack(completed_run: CompletedRun) -> Attack:
    """What another user tries on the home in which a whole job was run, and that is up."""
    home = completed_run.home
    settings = home.settings
    ports = listening(home)
    paths = [home.path, *home.path.rglob("*")]
    order = {
        "password": read_password(settings),
        "redis_password": online_store.read_embedded_password(settings),
        "thrift_port": settings.thrift_port,
        "connect_port": settings.connect_port,
        "redis_port": online_store.service(settings).find().ports[0],  # type: ignore[union-attr]
        "ports": list(ports),
        "paths": [str(each) for each in paths],
        "folders": [str(each) for each in paths if each.is_dir()],
    }
    answer = subprocess.run(
        [sys.executable, str(Path(other_user.__file__))],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert answer.returncode == 0, answer.stderr
    return Attack(ports, paths, json.loads(answer.stdout))


def test_no_port_lets_in_who_has_no_password(attack: Attack) -> None:
    # Thrift, Connect, two of Spark's own and Redis
    assert len(attack.ports) >= 5
    tried = {(name, port) for name, port, *_ in attack.got["without"]}
    assert len(tried) == len(attack.got["without"]) > 12 * len(attack.ports)
    assert [each for each in attack.got["without"] if each[2]] == []


def test_the_password_lets_in(attack: Attack) -> None:
    for who in ("root", "with"):
        let_in = {name: what for name, _, got, what in attack.got[who] if got}
        assert set(let_in) == {"Thrift", "Connect", "PySpark", "Redis"}, attack.got[who]
        assert "gold" in let_in["Thrift"] and "gold" in let_in["PySpark"]


def test_no_file_can_be_read_or_written(attack: Attack) -> None:
    assert len(attack.paths) > 500
    assert attack.got["opened"] == []
    assert attack.got["made"] == []


def test_every_file_is_its_owners_alone(attack: Attack) -> None:
    """Whatever folder above it is opened one day."""
    open_to_others = [
        f"{each} {stat.S_IMODE(each.lstat().st_mode):04o}"
        for each in attack.paths
        if each.exists() and not each.is_symlink() and each.lstat().st_mode & OTHERS
    ]
    assert open_to_others == []


def test_servers_keep_no_file_elsewhere(completed_run: CompletedRun) -> None:
    home = completed_run.home
    folder = str(home.path)
    for server in servers(home):
        written = [
            str(each.readlink())
            for each in Path(f"/proc/{server.pid}/fd").iterdir()
            if each.lstat().st_mode & stat.S_IWUSR
        ]
        files = [each for each in written if each.startswith("/") and each != "/dev/null"]
        assert [each for each in files if not each.startswith(folder)] == []
        assert not list(Path("/tmp").glob(f"hsperfdata_*/{server.pid}"))


def test_no_secret_stands_in_another_file(completed_run: CompletedRun) -> None:
    """Nor on a command line of a server."""
    home = completed_run.home
    secret = read_password(home.settings).encode()
    files = [each for each in home.path.rglob("*") if each.is_file()]
    assert [each for each in files if secret in each.read_bytes()] == [password_file(home.settings)]
    for server in servers(home):
        parents = psutil.Process(server.pid).parents()[:1]
        for process in (psutil.Process(server.pid), *parents):
            assert secret.decode() not in " ".join(process.cmdline())


@pytest.fixture(scope="module")
def stranger(environments: Environments, completed_run: CompletedRun) -> Iterator[dict[str, str]]:
    """The environment of a user with a home of his own, and the ports of the other's."""
    own = environments.new("stranger")
    ports = ("CHURN_THRIFT_PORT", "CHURN_CONNECT_PORT")
    yield {
        **own.environ,
        **{name: completed_run.home.environ[name] for name in ports},
        "DBT_TARGET_PATH": str(own.path / "target"),
        "DBT_LOG_PATH": str(own.path),
    }


def test_dbt_is_let_in_by_the_password_alone(
    completed_run: CompletedRun, stranger: dict[str, str], tmp_path: Path
) -> None:
    _ = completed_run.home.settings  # it is up
    # He asks once: the profile tries again when a server is slow to start.
    profile = tmp_path / "profiles.yml"
    profile.write_text(
        (PROJECT / profile.name).read_text().replace("connect_retries: 3", "connect_retries: 0")
    )
    once = ("debug", "--profiles-dir", str(tmp_path))
    refused = called([BIN / "dbt", *once], stranger, SECONDS)
    assert refused.returncode != 0
    assert "Error validating the login" in refused.stdout
    variable = {"DBT_ENV_SECRET_CHURN_SPARK_PASSWORD": read_password(completed_run.home.settings)}
    let_in = called([BIN / "dbt", *once], {**stranger, **variable}, SECONDS)
    assert let_in.returncode == 0, let_in.stdout
    for said in (let_in.stdout, (Path(stranger["DBT_LOG_PATH"]) / "dbt.log").read_text()):
        assert variable["DBT_ENV_SECRET_CHURN_SPARK_PASSWORD"] not in said


def test_beeline_is_let_in_by_the_password_alone(
    completed_run: CompletedRun, tmp_path: Path
) -> None:
    guess = tmp_path / "guess"
    guess.write_text("guess")
    right = password_file(completed_run.home.settings)
    url = f"jdbc:hive2://127.0.0.1:{completed_run.home.settings.thrift_port}/"

    def beeline(*login: str | Path) -> "subprocess.CompletedProcess[str]":
        line = [find_java(), "-cp", f"{SPARK_HOME}/jars/*", "org.apache.hive.beeline.BeeLine"]
        # Java reads the names of files as the locale says, and this home's is not ASCII.
        environ = {**completed_run.home.environ, "LC_ALL": "C.UTF-8"}
        return called([*line, "-u", url, *login, "-e", "show schemas"], environ, SECONDS)

    refused = beeline("-n", USER, "-w", guess)
    assert "gold" not in refused.stdout
    assert "Error validating the login" in refused.stdout + refused.stderr
    let_in = beeline("-n", USER, "-w", right)
    assert "gold" in let_in.stdout, let_in.stderr


def test_feast_opens_a_session_with_the_password(completed_run: CompletedRun) -> None:
    """Where its caller has none, as in a notebook: a thread has no session of another one's."""
    store = configured_store(completed_run.home.settings)
    customers = pd.DataFrame(
        {"customer_id": ["7590-VHVEG"], "event_timestamp": [datetime(2026, 1, 1, tzinfo=UTC)]}
    )

    def training_set() -> pd.DataFrame:
        return store.get_historical_features(
            entity_df=customers, features=store.get_feature_service("churn")
        ).to_df()

    with ThreadPoolExecutor(1) as alone:
        rows = alone.submit(training_set).result()
    assert list(rows["tenure"]) == [1]


def test_a_statement_reads_no_variable_of_the_server(completed_run: CompletedRun) -> None:
    text = "${env:SPARK_CONNECT_AUTHENTICATE_TOKEN} ${env:PATH}"
    assert completed_run.home.value(f"select '{text}'") == text
