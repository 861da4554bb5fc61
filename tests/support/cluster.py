"""A Spark standalone cluster of its own for tests: a master and two workers, as processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from environments import quiet_port

from lakehouse.settings import LOOPBACK, PROJECT

START_SECONDS = 60
WORKERS = 2
COMMAND = (sys.executable, "-m", "lakehouse.cluster")
Process = subprocess.Popen[bytes]


@dataclass
class Cluster:
    """Where the master answers, and the processes that live."""

    folder: Path
    environ: dict[str, str]
    port: int = field(default_factory=quiet_port)
    workers: list[Process] = field(default_factory=list)
    _started: int = 0

    @property
    def master(self) -> str:
        return f"spark://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        self.master_process = self._run("master", "master", "--port", str(self.port))
        logs = [self._start_worker() for _ in range(WORKERS)]
        for log in logs:
            _wait_for(log, "Successfully registered with master")

    def _start_worker(self) -> Path:
        """One core and 1 GB; returns its log."""
        self._started += 1
        name = f"worker-{self._started}"
        size = ("--cores", "1", "--memory", "1g", "--work-dir", str(self.folder / name))
        self.workers.append(self._run("worker", name, *size, self.master))
        return self._log(name)

    def kill_worker(self) -> None:
        """Kill one with its executors, as a machine that fails; another takes its place."""
        lost = self.workers.pop(0)
        for each in [*psutil.Process(lost.pid).children(), lost]:
            each.kill()
        lost.wait()
        self._start_worker()

    def end(self) -> None:
        for each in [*self.workers, self.master_process]:
            each.kill()
            each.wait()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _run(self, role: str, name: str, *arguments: str) -> Process:
        with self._log(name).open("wb") as log:
            return subprocess.Popen(
                [*COMMAND, role, LOOPBACK, "--webui-port", "0", *arguments],
                cwd=PROJECT,
                env={**os.environ, **self.environ},
                stdout=log,
                stderr=subprocess.STDOUT,
            )


@contextmanager
def spark_cluster(folder: Path, **environ: str) -> Iterator[Cluster]:
    """Run it on free ports."""
    running = Cluster(folder, environ)
    try:
        running.start()
        yield running
    finally:
        running.end()


def _wait_for(log: Path, words: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while words not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.2)
