"""Supervisor of one server process: start it, and terminate it when it has been idle for long.

Run as `python -m lakehouse.supervisor` by `lakehouse.process` only. The order is passed as JSON on
standard input, because a command line is readable by every user of the machine.
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
from lakehouse.process import ProcessInfo, remove_scratch, write_state

POLL_SECONDS = 5.0
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Start the server described on standard input, record its state and supervise it."""
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
            supervisor=psutil.Process().pid,
            ports=order["ports"],
            identity=order["identity"],
            log=order["log"],
        ),
    )
    os.close(order["start_lock"])
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    supervise(server, process, set(order["ports"]), order["idle_seconds"])
    remove_scratch(Path(order["scratch"]))


def die_with_parent() -> None:
    """Ask the kernel to terminate this process when its parent dies.

    No orphaned server remains.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def supervise(
    server: "subprocess.Popen[bytes]",
    process: psutil.Process,
    ports: set[int],
    idle_seconds: float | None,
) -> None:
    """Wait until the server ends.

    Terminate it after `idle_seconds` without a connected client, unless that is None.
    """
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
    """Return whether a client is connected to one of the server's ports."""
    try:
        return any(
            connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port in ports
            for connection in process.net_connections("tcp")
        )
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    main()
