"""Stays with one server process: starts it, and ends it when nobody was connected for long.

Run as `python -m lakehouse.supervisor` with its order as JSON on standard input: every user of the
machine could read a command line. Started by `lakehouse.process` only.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from lakehouse.private_home import OTHERS
from lakehouse.process import ProcessInfo, empty, write_state

POLL_SECONDS = 5.0
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    os.umask(OTHERS)
    order = json.load(sys.stdin)
    with Path(order["log"]).open("ab") as log:
        server = subprocess.Popen(
            order["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )
    process = psutil.Process(server.pid)
    write_state(
        Path(order["state_file"]),
        ProcessInfo(
            pid=server.pid,
            created=process.create_time(),
            keeper=psutil.Process().pid,
            ports=order["ports"],
            identity=order["identity"],
            log=order["log"],
        ),
    )
    os.close(order["start_lock"])
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    supervise(server, process, set(order["ports"]), order["idle_seconds"])
    empty(Path(order["scratch"]))


def die_with_parent() -> None:
    """Ask the kernel to end this process with its parent: no server is left that nobody keeps."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def supervise(
    server: "subprocess.Popen[bytes]",
    process: psutil.Process,
    ports: set[int],
    idle_seconds: float | None,
) -> None:
    """Wait for the server's end; end it after `idle_seconds` without a connected client, if any."""
    last_used = time.monotonic()
    while True:
        try:
            server.wait(timeout=POLL_SECONDS)
            return
        except subprocess.TimeoutExpired:
            pass
        if is_used(process, ports):
            last_used = time.monotonic()
        elif idle_seconds is not None and time.monotonic() - last_used > idle_seconds:
            server.terminate()


def is_used(process: psutil.Process, ports: set[int]) -> bool:
    """Whether a client is connected to one of the server's ports."""
    try:
        return any(
            connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port in ports
            for connection in process.net_connections("tcp")
        )
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    main()
