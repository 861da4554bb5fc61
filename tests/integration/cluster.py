"""A Spark standalone cluster of its own for tests: a master and two workers, as processes."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from homes import quiet_port

from lakehouse import cluster
from lakehouse.settings import LOOPBACK

START_SECONDS = 60
WORKERS = 2


@dataclass(frozen=True)
class Cluster:
    """Where the master answers, and the processes."""

    master: str
    master_process: "subprocess.Popen[bytes]"
    workers: "list[subprocess.Popen[bytes]]"


@contextmanager
def spark_cluster(folder: Path) -> Iterator[Cluster]:
    """Run it on free ports; one core and 1 GB a worker."""
    address = f"spark://127.0.0.1:{quiet_port()}"
    port = address.rpartition(":")[2]
    with ExitStack() as running:
        master = _run(running, folder / "master.log", "master", "--port", port)
        size = ("--cores", "1", "--memory", "1g")
        workers = [
            _run(
                running,
                folder / f"worker-{number}.log",
                "worker",
                *size,
                *("--work-dir", str(folder / f"work-{number}"), address),
            )
            for number in range(WORKERS)
        ]
        for number in range(WORKERS):
            _wait_for(folder / f"worker-{number}.log", "Successfully registered with master")
        yield Cluster(address, master, workers)


def _run(running: ExitStack, log: Path, role: str, *arguments: str) -> "subprocess.Popen[bytes]":
    line = cluster.command(role, LOOPBACK, "--webui-port", "0", *arguments)
    process = running.enter_context(
        subprocess.Popen(
            line,
            env=cluster.environment(LOOPBACK),
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
        )
    )
    running.callback(process.kill)
    return process


def _wait_for(log: Path, words: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not re.search(words, log.read_text()):
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.2)
