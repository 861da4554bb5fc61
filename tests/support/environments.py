"""Environments of their own for the tests: real servers, own ports and folders."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lakehouse import spark_process, spark_session
from lakehouse.process import port_is_open
from lakehouse.settings import PROJECT, Settings, read_settings
from lakehouse.spark_credentials import read_password
from lakehouse.sql import query

BIN = Path(sys.executable).parent
RUN_SECONDS = 600
SITE_SECONDS = 90
# A Spark server takes three gigabytes; two test runs are to fit beside each other.
SERVERS_AT_ONCE = 2


def called(
    command: Sequence[str | Path], environ: dict[str, str], seconds: float, umask: int = -1
) -> "subprocess.CompletedProcess[str]":
    """A command that ran from the checkout, with what it said."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=PROJECT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=seconds,
        umask=umask,
    )


@dataclass(frozen=True)
class ChurnHome:
    """A CHURN_HOME with ports of its own."""

    path: Path
    environ: dict[str, str]

    @property
    def settings(self) -> Settings:
        """To talk to its servers, which are up again if they had made room for others."""
        _make_room_for(self)
        return read_settings(self.environ)

    def settings_in(self, path: Path) -> Settings:
        """To talk to its servers, with models and other local state in another folder."""
        settings = self.settings
        return replace(settings, home=path, spark_password=read_password(settings))

    def churn(
        self, *arguments: str | Path, code: int = 0, **environ: str
    ) -> "subprocess.CompletedProcess[str]":
        """Call the command line as a person does; it must end with the code."""
        return self.call([BIN / "churn", *arguments], code, **environ)

    def churn_json(self, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
        """What a command prints with --json: one object, and nothing beside it."""
        printed: dict[str, Any] = json.loads(self.churn(*arguments, "--json", code=code).stdout)
        return printed

    def dbt(
        self, *arguments: str, code: int = 0, **environ: str
    ) -> "subprocess.CompletedProcess[str]":
        """Call dbt from the checkout, as an analyst does."""
        places = {"DBT_TARGET_PATH": str(self.path / "target"), "DBT_LOG_PATH": str(self.path)}
        return self.call([BIN / "dbt", *arguments], code, **places, **environ)

    def call(
        self, command: list[str | Path], code: int, **environ: str
    ) -> "subprocess.CompletedProcess[str]":
        _make_room_for(self)
        return self._call(command, code, **environ)

    def end(self) -> None:
        """End what runs of it."""
        self._call([BIN / "churn", "down"], 0)

    def _call(
        self, command: list[str | Path], code: int, **environ: str
    ) -> "subprocess.CompletedProcess[str]":
        # What is written has to be private whatever the user's umask.
        answer = called(command, {**self.environ, **environ}, RUN_SECONDS, umask=0)
        said = f"{command} ended with {answer.returncode}\n{answer.stdout}\n{answer.stderr}"
        assert answer.returncode == code, said
        return answer

    def sql(self, text: str) -> list[dict[str, Any]]:
        """Rows of a query on the home's server."""
        with spark_session.session(self.settings) as spark:
            return query(spark, text)

    def gold(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Published features and labels, without the times of the loads."""
        rows = "select * except (created_timestamp) from gold.{} order by extract_date, customer_id"
        return self.sql(rows.format("customer_features")), self.sql(rows.format("churn_labels"))

    def value(self, text: str) -> Any:
        """The one value of a query."""
        return next(iter(self.sql(text)[0].values()))


# Environments by their last use, and those whose servers had to make room.
_used: dict[Path, ChurnHome] = {}
_stopped: set[Path] = set()


def _make_room_for(home: ChurnHome) -> None:
    """End the servers of the homes that were not used for longest; start its own if they were."""
    _used.pop(home.path, None)
    _used[home.path] = home
    for idle in list(_used.values())[:-SERVERS_AT_ONCE]:
        if spark_process.service(read_settings(idle.environ)).find() is not None:
            idle.end()
            _stopped.add(idle.path)
    if home.path in _stopped:
        _stopped.remove(home.path)
        home._call([BIN / "churn", "up"], 0)


class Environments:
    """Makes homes and remembers them, so that each is ended."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self.all: list[ChurnHome] = []

    def unusual(self, name: str) -> ChurnHome:
        """A home in surroundings in which programs tend to fail: in its path blanks, quotes,
        brackets and more than ASCII, the locale C, neither HOME nor TMPDIR."""
        home = self.new(f"{name} [1] {{a}} 'ö' \"東京\" & (b)")
        for variable in ("HOME", "TMPDIR", "LANG", "LC_CTYPE"):
            home.environ.pop(variable, None)
        home.environ["LC_ALL"] = "C"
        return home

    def new(self, name: str, is_brief: bool = False) -> ChurnHome:
        """A home with ports of its own. `is_brief` leaves out Java's optimizing compiler: a run of
        the whole job then takes a fifth less processor time, and later ones take more."""
        path = self._folders.mktemp(name)
        # A make that runs these tests hands its variables down to every make below it.
        foreign = ("CHURN_", "MAKE", "ARGS")
        settings = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        settings |= {
            "CHURN_HOME": str(path),
            "CHURN_THRIFT_PORT": str(quiet_port()),
            "CHURN_CONNECT_PORT": str(quiet_port()),
            "CHURN_READER_THRIFT_PORT": str(quiet_port()),
            "CHURN_READER_CONNECT_PORT": str(quiet_port()),
            "CHURN_AIRFLOW_PORT": str(quiet_port()),
            "CHURN_API_PORT": str(quiet_port()),
        }
        if is_brief:
            settings["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1"
        home = ChurnHome(path, settings)
        self.all.append(home)
        return home


def quiet_port() -> int:
    """A free port below those that the system hands out: two test runs must not meet."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        if not port_is_open(port):
            return port


@contextmanager
def served(
    home: ChurnHome, command: list[str | Path], port_variable: str, log: Path
) -> Iterator[str]:
    """A site of the home's that a command serves until it is ended: its address."""
    port = quiet_port()
    with log.open("wb") as written:
        process = subprocess.Popen(
            command,
            env={**home.environ, port_variable: str(port)},
            cwd=PROJECT,
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + SITE_SECONDS
        while not port_is_open(port):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        # Not as Ctrl-C would: who starts the tests in the background may have that ignored.
        process.terminate()
        process.wait(30)


@dataclass(frozen=True)
class CompletedRun:
    """A home in which the whole job was run, and what the run said."""

    home: ChurnHome
    summary: dict[str, Any]
