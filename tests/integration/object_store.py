"""A real S3 server of its own for tests."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from homes import quiet_port
from pyarrow import fs

from lakehouse.service import answers_on

WEED = Path(sys.executable).with_name("weed")
START_SECONDS = 60


@dataclass(frozen=True)
class ObjectStore:
    """Where it answers, as the variables that its clients read."""

    environ: dict[str, str]
    process: "subprocess.Popen[bytes]"

    def files(self) -> fs.S3FileSystem:
        scheme, _, address = self.environ["AWS_ENDPOINT_URL"].partition("://")
        return fs.S3FileSystem(
            access_key=self.environ["AWS_ACCESS_KEY_ID"],
            secret_key=self.environ["AWS_SECRET_ACCESS_KEY"],
            endpoint_override=address,
            scheme=scheme,
            allow_bucket_creation=True,
        )


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """Run a server on free ports, with keys of its own."""
    ports = {name: quiet_port() for name in ("s3", "master", "volume", "filer", "webdav", "admin")}
    environ = {
        "AWS_ACCESS_KEY_ID": secrets.token_hex(10),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3']}",
    }
    command = [
        *(str(WEED), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-{name}.port={port}" for name, port in ports.items()),
    ]
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environ}, stdout=log, stderr=log
        ) as server,
    ):
        try:
            _wait_for(ports["s3"], server, folder / "server.log")
            yield ObjectStore(environ, server)
        finally:
            server.kill()


def _wait_for(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers_on(port):
        assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.2)
