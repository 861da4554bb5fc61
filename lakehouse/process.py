"""Server processes that commands start on demand, share, and leave running.

A service has a folder with its state file, its log and a lock. The process that starts the service
holds the lock, so two commands at the same moment start only one server. A supervisor process
(`lakehouse.supervisor`) runs beside the server and terminates it after an idle period without
connected clients.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

from lakehouse.atomic_write import atomic_write
from lakehouse.errors import UnavailableError
from lakehouse.file_locks import lock_within
from lakehouse.settings import LOOPBACK

CONNECT_SECONDS = 10
IDLE_SECONDS = 30 * 60
# Modules that a supervisor's command line names; versions before 2026-12 used the second.
SUPERVISORS = {"lakehouse.supervisor", "lakehouse.keeper"}  # language: a former name
# Longer than any start takes.
START_WAIT_SECONDS = 300
# The system needs some seconds to reclaim the resources of a killed process of some gigabytes.
PORT_SECONDS = 10.0
Log = Callable[[str], None]


@dataclass(frozen=True)
class ProcessInfo:
    """A running server.

    Attributes:
        pid: Process id of the server.
        created: Creation time of the process, since process ids are reused.
        supervisor: Process id of the server's supervisor.
        ports: TCP ports on which the server listens.
        identity: Settings that a client and the server must have in common.
        log: Path of the log file.
    """

    pid: int
    created: float
    supervisor: int
    ports: list[int]
    identity: str
    log: str


@dataclass(frozen=True)
class Service:
    """A type of server with a folder of its own under CHURN_HOME."""

    name: str
    folder: Path
    # None: it runs until it is stopped
    idle_seconds: float | None = IDLE_SECONDS
    start_wait: float = START_WAIT_SECONDS

    @property
    def log(self) -> Path:
        """Return the path of the log file."""
        return self.folder.parent / "logs" / f"{self.name}.log"

    @property
    def state_file(self) -> Path:
        """Return the path of the state file, which describes the running server."""
        return self.folder / "state.json"

    @property
    def scratch(self) -> Path:
        """Return the folder of the server's temporary files, which exists while it runs."""
        return self.folder / "scratch"

    def find(self) -> ProcessInfo | None:
        """Return the running server, or None.

        A state file that a dead server left is ignored.
        """
        running = self.read_state()
        return running if running and is_alive(running.pid, running.created) else None

    def read_state(self) -> ProcessInfo | None:
        """Return the contents of the state file, whether or not that server is running."""
        try:
            state = json.loads(self.state_file.read_text())
            # Versions before 2026-12 wrote this name.
            if former := state.pop("keeper", None):  # language: a former name
                state["supervisor"] = former
            return ProcessInfo(**state)
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            return None

    @contextmanager
    def start_lock(self) -> Iterator[IO[str]]:
        """Acquire the lock for starting or stopping this service, and yield the open lock file.

        Raises:
            UnavailableError: If another process does not release the lock within `start_wait`.
        """
        # Private mode for CHURN_HOME as well, if a caller does not have the umask of our commands.
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.mkdir(exist_ok=True)
        path = self.folder / "start.lock"
        with path.open("a+") as lock:
            if not lock_within(lock, path, self.start_wait):
                raise self._start_locked_error(lock, path)
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield lock

    def _start_locked_error(self, lock: IO[str], path: Path) -> UnavailableError:
        lock.seek(0)
        return UnavailableError(
            f"The {self.name} server has been starting or stopping for over "
            f"{self.start_wait:.0f} s, by process {lock.read() or 'unknown'}",
            where=str(path),
            hint="wait for that process, or end it, then repeat the command",
        )

    def start(
        self,
        command: Sequence[str],
        ports: Sequence[int],
        identity: str,
        environ: Mapping[str, str],
        lock: IO[str],
    ) -> ProcessInfo:
        """Start the server and its supervisor without waiting for the server to respond.

        The supervisor also holds `lock`, as yielded by `starting()`, until it has written the state
        file. If the caller dies, the next one finds the server instead of starting a second.

        Raises:
            UnavailableError: If a port is in use, or the supervisor did not start.
        """
        for port in ports:
            check_port_free(port, f"the {self.name} server", _port_variables(self.name))
        self.state_file.unlink(missing_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        remove_scratch(self.scratch)  # left by a server that was killed
        self.scratch.mkdir()
        request = {
            "state_file": str(self.state_file),
            "scratch": str(self.scratch),
            "log": str(self.log),
            "command": list(command),
            "ports": list(ports),
            "identity": identity,
            "idle_seconds": self.idle_seconds,
            "start_lock": lock.fileno(),
        }
        supervisor = self._start_supervisor(request, environ, lock)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and supervisor.poll() is None:
            if running := self.find():
                return running
            time.sleep(0.02)
        raise self.start_error("the process ended at once")

    def _start_supervisor(
        self, order: Mapping[str, object], environ: Mapping[str, str], lock: IO[str]
    ) -> "subprocess.Popen[bytes]":
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "lakehouse.supervisor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self.log.open("ab"),
            start_new_session=True,
            pass_fds=[lock.fileno()],
            env=dict(environ),
            cwd=self.folder,
        )
        assert supervisor.stdin is not None
        supervisor.stdin.write(json.dumps(order).encode())
        supervisor.stdin.close()
        return supervisor

    def wait_until(self, answers: Callable[[], bool], seconds: float) -> None:
        """Wait until the server responds.

        Raises:
            UnavailableError: If the server ended, or did not respond in time. The message includes
                the last lines of the log.
        """
        deadline = time.monotonic() + seconds
        while not answers():
            if self.find() is None:
                raise self.start_error("the process ended")
            if time.monotonic() > deadline:
                raise self.start_error(f"no answer within {seconds:.0f} s")
            time.sleep(0.1)

    def stop(self, patience: float = 30) -> bool:
        """Stop the server and its supervisor; return False if no server was running.

        Waits for both to exit. `patience` is the number of seconds to wait before both are killed.

        Raises:
            UnavailableError: If another process does not release the start lock in time.
        """
        with self.start_lock():
            running = self.find()
            if running is None:
                remove_scratch(self.scratch)
                self.state_file.unlink(missing_ok=True)
                return False
            server = psutil.Process(running.pid)
            ending = [server, *_supervisor_of(running)]
            if server.status() == psutil.STATUS_STOPPED:
                server.kill()  # a stopped process reacts to no other signal
            else:
                server.terminate()
            for process in _wait_for_end(ending, patience):
                process.kill()
            _wait_for_end(ending, 5)
            remove_scratch(self.scratch)
            self.state_file.unlink(missing_ok=True)
            return True

    def start_error(self, why: str) -> UnavailableError:
        """Return the error for a failed start, with the last lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        end = "\n    ".join(lines[-12:])
        return UnavailableError(
            f"The {self.name} server did not start: {why}\n    {end}",
            where=str(self.log),
            hint="read the log; `churn down` clears what is left, then try again",
        )


def _wait_for_end(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait for the processes to end and return those that have not ended in time.

    A zombie counts as ended, because its parent may never reap it: the parent of a supervisor is
    the process that started it.
    """
    deadline = time.monotonic() + seconds
    while True:
        alive = [process for process in processes if is_alive(process.pid, process.create_time())]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.05)


def _supervisor_of(running: ProcessInfo) -> list[psutil.Process]:
    """Return the server's supervisor as a list of at most one process.

    The list is empty if the supervisor has ended, even if another process has its process id.
    """
    try:
        process = psutil.Process(running.supervisor)
        return [process] if SUPERVISORS & set(process.cmdline()) else []
    except psutil.Error:
        return []


def remove_scratch(scratch: Path) -> None:
    """Remove a server's temporary files, which may contain rows of tables."""
    shutil.rmtree(scratch, ignore_errors=True)


def write_state(path: Path, running: ProcessInfo) -> None:
    """Write the state file atomically."""
    with atomic_write(path) as draft:
        draft.write_text(json.dumps(asdict(running)))


def is_alive(pid: int, created: float) -> bool:
    """Return whether the process with this id and creation time exists and is not a zombie."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < 2 and process.status() != "zombie"
    except psutil.NoSuchProcess:
        return False


def port_is_open(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a process accepts connections on the port.

    Connections to an unused port are refused at once; a machine under heavy load may take some
    seconds to accept one.
    """
    try:
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False


def free_port() -> int:
    """Return a loopback port that is currently free."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def check_port_free(port: int, what: str, variables: str) -> None:
    """Raise an error if the port stays in use.

    The message names the process that uses it, if that can be determined.

    Args:
        port: The loopback port.
        what: The server that needs the port, for the message.
        variables: The environment variables that set the port, for the message.

    Raises:
        UnavailableError: If the port is still in use after `PORT_SECONDS`.
    """
    deadline = time.monotonic() + PORT_SECONDS
    while not _is_free(port):
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    else:
        return
    raise UnavailableError(
        f"Port {port} for {what} is taken by {_port_user(port)}",
        where=f"{LOOPBACK}:{port}",
        hint=f"stop that process, or choose other ports ({variables})",
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _port_variables(name: str) -> str:
    return {
        "spark": "CHURN_THRIFT_PORT and CHURN_CONNECT_PORT",
        "airflow-api-server": "CHURN_AIRFLOW_PORT",
        "readers": "CHURN_READER_THRIFT_PORT and CHURN_READER_CONNECT_PORT",
    }.get(name, "CHURN_REDIS_URL")


def _port_user(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.pid is not None
            if listens and tuple(connection.laddr)[1:2] == (port,):
                name = psutil.Process(connection.pid).name()
                return f"process {connection.pid} ({name})"
    except psutil.Error:
        pass
    return "another process"
