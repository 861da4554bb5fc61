"""What another user of the machine tries on a running home: its ports by each protocol, its files.

    python other_user.py < order.json

Started as root: it imports what it needs, becomes that user, and prints what it got as JSON. What
a user whom the system keeps out of the checkout could import doesn't matter to the servers.
"""

import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import grpc
import redis
from pyhive import hive
from pyspark.sql.connect.proto import base_pb2
from pyspark.sql.connect.proto.base_pb2_grpc import SparkConnectServiceStub
from pyspark.sql.connect.session import SparkSession

UNPRIVILEGED_UID = 65534
HOST = "127.0.0.1"
SECONDS = 5
GUESS = "guess"
# Kinds of messages between the parts of Spark, and of answers that give something.
RPC, STREAM = 3, 6
GIVING = {b"\x01", b"\x04", b"\x07"}
RPC_FAILURE = b"\x05"


def thrift(port: int, **login: Any) -> Any:
    with closing(hive.connect(HOST, port, **login)) as connection, connection.cursor() as cursor:
        cursor.execute("show schemas")
        return cursor.fetchall()


def connect(port: int, token: str | None = None) -> Any:
    metadata = [("authorization", f"Bearer {token}")] if token is not None else []
    with grpc.insecure_channel(f"{HOST}:{port}") as channel:
        request = base_pb2.AnalyzePlanRequest(session_id="00112233-4455-4677-8899-aabbccddeeff")
        request.spark_version.SetInParent()
        answer = SparkConnectServiceStub(channel).AnalyzePlan(
            request, metadata=metadata, timeout=SECONDS
        )
        return answer.spark_version.version


def pyspark(port: int, token: str | None = None) -> Any:
    """With what PySpark's documentation names, which needs the name `localhost`."""
    suffix = f"/;token={token}" if token is not None else ""
    spark = SparkSession.builder.remote(f"sc://localhost:{port}{suffix}").create()
    try:
        return [row.asDict() for row in spark.sql("show schemas").collect()]
    finally:
        with suppress(Exception):
            spark.stop()


def redis_keys(port: int, password: str | None = None) -> Any:
    with redis.Redis(HOST, port, password=password, socket_timeout=SECONDS) as client:
        return repr(client.keys("*"))


def http(port: int) -> Any:
    with socket.create_connection((HOST, port), SECONDS) as connection:
        connection.settimeout(SECONDS)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = connection.recv(4096)
    if not answer.startswith(b"HTTP/1.1 2"):
        raise ConnectionRefusedError(repr(answer[:80]))
    return answer.decode(errors="replace")


def spark_internal(port: int, kind: int, payload: bytes) -> Any:
    """A message as the parts of Spark send them to each other, without a handshake."""
    with socket.create_connection((HOST, port), SECONDS) as connection:
        connection.settimeout(SECONDS)
        connection.sendall(struct.pack(">qb", 9 + len(payload), kind) + payload)
        answer = connection.recv(4096)
    answered, said = answer[8:9], answer[9:].decode(errors="replace")
    if answered in GIVING:
        return repr(answer[:80])
    # Where no handshake is asked for it is Java's deserialization that finds fault with it.
    if kind == RPC and answered == RPC_FAILURE and "SaslMessage" not in said:
        return f"it was read: {said[:160]}"
    raise ConnectionRefusedError(said[:160])


Attempt = Callable[[int], Any]
WITHOUT: dict[str, Attempt] = {
    "Thrift, no login": thrift,
    "Thrift, no SASL": lambda port: thrift(port, auth="NOSASL"),
    "Thrift, wrong password": lambda port: thrift(
        port, auth="CUSTOM", username="root", password=GUESS
    ),
    "Thrift, empty password": lambda port: thrift(
        port, auth="CUSTOM", username="churn", password=""
    ),
    "Connect, no token": connect,
    "Connect, wrong token": lambda port: connect(port, GUESS),
    "Connect, empty token": lambda port: connect(port, ""),
    "Redis, no password": redis_keys,
    "Redis, wrong password": lambda port: redis_keys(port, GUESS),
    "HTTP": http,
    "Spark RPC": lambda port: spark_internal(port, RPC, struct.pack(">qi", 1, 4) + b"\0" * 4),
    "Spark stream": lambda port: spark_internal(port, STREAM, struct.pack(">i", 5) + b"/jars"),
}


def outcomes(attempts: dict[tuple[str, int], Callable[[], Any]]) -> list[list[Any]]:
    """[attempt, port, whether it got something, what] of all, side by side."""
    found: list[list[Any]] = []

    def run(name: str, port: int, attempt: Callable[[], Any]) -> None:
        try:
            found.append([name, port, True, str(attempt())])
        except BaseException as fault:
            found.append([name, port, False, f"{type(fault).__name__}: {str(fault)[:160]}"])

    threads = {
        key: threading.Thread(target=run, args=(*key, attempt), daemon=True)
        for key, attempt in attempts.items()
    }
    for thread in threads.values():
        thread.start()
    deadline = time.monotonic() + 3 * SECONDS
    for key, thread in threads.items():
        thread.join(max(0, deadline - time.monotonic()))
        if thread.is_alive():
            found.append([*key, False, "no answer"])
    return found


def with_credentials(order: dict[str, Any]) -> list[list[Any]]:
    password, thrift_port, connect_port = (
        order[key] for key in ("password", "thrift_port", "connect_port")
    )
    return outcomes(
        {
            ("Thrift", thrift_port): lambda: thrift(
                thrift_port, auth="CUSTOM", username="churn", password=password
            ),
            ("Connect", connect_port): lambda: connect(connect_port, password),
            ("PySpark", connect_port): lambda: pyspark(connect_port, password),
            ("Redis", order["redis_port"]): lambda: redis_keys(
                order["redis_port"], order["redis_password"]
            ),
        }
    )


def without_credentials(order: dict[str, Any]) -> list[list[Any]]:
    attempts = {
        (name, port): (lambda attempt=attempt, port=port: attempt(port))
        for name, attempt in WITHOUT.items()
        for port in order["ports"]
    }
    port = order["connect_port"]
    attempts["PySpark, no token", port] = lambda: pyspark(port)
    return outcomes(attempts)


def opened(paths: list[str]) -> list[str]:
    """The paths that can be opened for reading or writing, or listed."""
    found = []
    for path in paths:
        for mode in (os.O_RDONLY, os.O_WRONLY):
            with suppress(OSError):
                os.close(os.open(path, mode | os.O_NONBLOCK))
                found.append(path)
    return found


def made(folder: str) -> bool:
    """Whether a file can be made in the folder."""
    try:
        (Path(folder) / "of-another-user").touch()
    except OSError:
        return False
    return True


def main() -> None:
    order = json.load(sys.stdin)
    # All is imported that a client imports when it is first used.
    result: dict[str, Any] = {"root": with_credentials(order)}
    os.setgroups([])
    os.setresgid(UNPRIVILEGED_UID, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
    os.setresuid(UNPRIVILEGED_UID, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
    result["with"] = with_credentials(order)
    result["without"] = without_credentials(order)
    result["opened"] = opened(order["paths"])
    result["made"] = [each for each in order["folders"] if made(each)]
    print(json.dumps(result), flush=True)
    os._exit(0)  # threads that wait for an answer


if __name__ == "__main__":
    main()
