"""A real S3 server of its own for tests."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from byte_search import count_text
from environments import quiet_port
from pyarrow import fs
from tls import Identity

from lakehouse.process import port_is_open
from lakehouse.settings import LOOPBACK

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
            tls_ca_file_path=self.environ.get("AWS_CA_BUNDLE"),
            allow_bucket_creation=True,
        )

    def find_text(self, bucket: str, text: str) -> dict[str, int]:
        """Return the occurrences by object, as `byte_search.find_text` does by file."""
        files, found = self.files(), {}
        for info in files.get_file_info(fs.FileSelector(bucket, recursive=True)):
            count = info.path.count(text)
            if info.is_file:
                with files.open_input_stream(info.path) as source:
                    count += count_text(source.read(), text)
            if count:
                found[info.path] = count
        return found


@contextmanager
def object_store(
    folder: Path, kind: str = "seaweedfs", identity: Identity | None = None
) -> Iterator[ObjectStore]:
    """Run a server on free ports, with keys of its own.

    `kind`: one of SERVERS; `identity`: speaks TLS, and shows this (SeaweedFS only).
    """
    port = quiet_port()
    environ = {
        "AWS_ACCESS_KEY_ID": secrets.token_hex(10),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{port}",
    }
    command, keys = SERVERS[kind](folder, port, environ)
    if identity:
        environ["AWS_ENDPOINT_URL"] = f"https://{LOOPBACK}:{port}"
        environ["AWS_CA_BUNDLE"] = str(identity.authority)
        shown = {"cert": identity.certificate, "key": identity.key}
        command += [f"-s3.{name}.file={file}" for name, file in shown.items()]
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(
            command, cwd=folder, env={**os.environ, **keys}, stdout=log, stderr=log
        ) as server,
    ):
        try:
            _wait_for(port, server, folder / "server.log")
            yield ObjectStore(environ, server)
        finally:
            server.kill()


Start = tuple[list[str], dict[str, str]]


def _seaweedfs(folder: Path, port: int, environ: dict[str, str]) -> Start:
    others = {name: quiet_port() for name in ("master", "volume", "filer", "admin")}
    ports = [f"-{name}.port={number}" for name, number in {"s3": port, **others}.items()]
    # These have ports of their own, the same for every server, and are not asked for anything.
    ports += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    # A server less whose port might be taken meanwhile.
    ports += ["-webdav=false"]
    binds = (f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}")
    return [str(WEED), "mini", f"-dir={folder}", *binds, *ports], environ


def _minio(folder: Path, port: int, environ: dict[str, str]) -> Start:
    keys = {
        "MINIO_ROOT_USER": environ["AWS_ACCESS_KEY_ID"],
        "MINIO_ROOT_PASSWORD": environ["AWS_SECRET_ACCESS_KEY"],
        "MINIO_BROWSER": "off",
    }
    return ["minio", "server", str(folder / "data"), f"--address={LOOPBACK}:{port}"], keys


SERVERS: dict[str, Callable[[Path, int, dict[str, str]], Start]] = {
    "seaweedfs": _seaweedfs,
    "minio": _minio,
}


def _wait_for(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not port_is_open(port):
        assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.2)
