"""Feast's registry in PostgreSQL, as the stack has it, and a training set by way of it."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from environments import CompletedRun, quiet_port
from feast.feature_view import DUMMY_ENTITY_NAME
from pyspark.sql.connect.dataframe import DataFrame

from feature_repo.feature_store import open_store
from feature_repo.online.materialize import apply
from feature_repo.registry_snapshot import diff_registries, read_registry
from feature_repo.training import training_set
from lakehouse import spark_session
from lakehouse.process import port_is_open
from lakehouse.settings import LOOPBACK

POSTGRES = shutil.which("postgres")
START_SECONDS = 60
DECLARED = [
    f"entities: {DUMMY_ENTITY_NAME}",
    "entities: customer",
    "feature_services: churn",
    "feature_views: customer_features",
]


def ignore(_: str) -> None:
    """Discard progress messages."""


@pytest.fixture(scope="module")
def database() -> Iterator[dict[str, str]]:  # long: a server's whole life
    """A server of its own; the variables that name its database and the password's file."""
    if POSTGRES is None:
        pytest.skip("PostgreSQL is not on this machine")
    port, password = quiet_port(), secrets.token_hex(16)
    # It will not run as root, and pytest's own folders are closed to others.
    is_root = os.geteuid() == 0
    run: dict[str, Any] = {"user": "postgres", "group": "postgres"} if is_root else {}
    folder = Path(tempfile.mkdtemp(prefix="registry"))
    data, word, log = folder / "data", folder / "word", folder / "server.log"
    word.write_text(password)
    if is_root:
        owner = pwd.getpwnam("postgres")
        for each in (folder, word):
            os.chown(each, owner.pw_uid, owner.pw_gid)
    try:
        subprocess.run(
            [
                *(Path(POSTGRES).resolve().with_name("initdb"), "-D", data, "--no-sync"),
                *("-U", "registry", "-A", "scram-sha-256", f"--pwfile={word}"),
            ],
            **run,
            cwd=folder,
            check=True,
            capture_output=True,
        )
        # PostgreSQL clients read the password from this file only if other users can't read it
        passfile = folder / "pgpass"
        passfile.write_text(f"{LOOPBACK}:{port}:*:registry:{password}\n")
        passfile.chmod(0o600)
        command = [POSTGRES, "-D", data, "-h", LOOPBACK, "-p", str(port), "-k", "", "-F"]
        with (
            log.open("wb") as said,
            subprocess.Popen(command, **run, cwd=folder, stdout=said, stderr=said) as server,
        ):
            try:
                deadline = time.monotonic() + START_SECONDS
                while not port_is_open(port):
                    assert server.poll() is None and time.monotonic() < deadline, log.read_text()
                    time.sleep(0.1)
                yield {
                    "CHURN_REGISTRY_URL": f"postgresql://registry@{LOOPBACK}:{port}/postgres",
                    "PGPASSFILE": str(passfile),
                }
            finally:
                # fast shutdown: SIGTERM would wait for the connections that Feast keeps
                server.send_signal(signal.SIGINT)
    finally:
        shutil.rmtree(folder)


def test_a_training_set_by_a_registry_in_postgresql(
    completed_run: CompletedRun, database: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also through the Connect endpoint: the calling process has only a Spark client."""
    monkeypatch.setenv("PGPASSFILE", database["PGPASSFILE"])
    by_file = completed_run.home.settings
    by_sql = replace(by_file, registry_url=database["CHURN_REGISTRY_URL"])
    assert diff_registries(read_registry(by_file), read_registry(by_sql)) == DECLARED
    apply(by_sql, ignore)
    assert diff_registries(read_registry(by_file), read_registry(by_sql)) == []
    with psycopg.connect(by_sql.registry_url) as connection:
        for table in ("entities", "feature_views", "feature_services"):
            found = connection.execute(f"select count(*) from {table}").fetchone()
            assert found is not None and found[0] >= 1, table

    offline = open_store(by_sql).config.offline_store
    assert offline.spark_conf == {"spark.remote": by_file.connect_url}
    with spark_session.session(by_file) as spark:
        frames = [training_set(each, spark, ignore).retrieve() for each in (by_file, by_sql)]
        assert all(isinstance(each, DataFrame) for each in frames)
        one, other = (each.toArrow().sort_by("customer_id") for each in frames)
    assert one.num_rows == completed_run.summary["counts"]["gold"]
    assert other.equals(one)
    ours = psutil.Process().children(recursive=True)
    assert not [each for each in ours if each.name() == "java"]
