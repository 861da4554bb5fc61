"""Seconds and memory of a command, and what the machine is."""

import os
import platform
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from lakehouse.settings import PROJECT

Servers = Callable[[], Sequence[int]]
SAMPLE_SECONDS = 0.5
GIB = 2**30


@dataclass
class Measured:
    """What one side took, round by round: seconds, and the most memory at any moment in GiB."""

    seconds: list[float] = field(default_factory=list)
    gib: list[float] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """As results.json keeps it."""
        return {
            "median_s": round(statistics.median(self.seconds), 2),
            "seconds": [round(each, 2) for each in self.seconds],
            "most_gib": round(max(self.gib, default=0), 2),
        }


@contextmanager
def measuring(into: Measured, servers: Servers = list) -> Iterator[None]:
    """Measure the body: its time, and the memory of the processes it starts and of the servers.

    Pages that processes share count for each of them.
    """
    done = threading.Event()
    most = 0.0

    def sample() -> None:
        nonlocal most
        while not done.wait(SAMPLE_SECONDS):
            most = max(most, _resident(servers()))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    start = time.monotonic()
    try:
        yield
    finally:
        seconds = time.monotonic() - start
        done.set()
        sampler.join()
    into.seconds.append(seconds)
    into.gib.append(most)


def _resident(servers: Sequence[int]) -> float:
    """GiB of the children of this process and of the servers."""
    children = (each.pid for each in psutil.Process().children(recursive=True))
    found = 0
    for pid in {*children, *servers}:
        with suppress(psutil.NoSuchProcess):
            found += psutil.Process(pid).memory_info().rss
    return found / GIB


def call(command: Sequence[str | Path], environ: Mapping[str, str] | None = None) -> None:
    """Run a command to its end, which has to be good.

    Raises:
        RuntimeError: it did not end with 0; with what it said.
    """
    answer = subprocess.run(
        [str(part) for part in command],
        cwd=PROJECT,
        env={**_own_environ(), **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if answer.returncode != 0:
        raise RuntimeError(f"{command} ended with {answer.returncode}\n{answer.stdout[-4000:]}")


def _own_environ() -> dict[str, str]:
    """This process's environment, without what a session on our server has set in it."""
    ours = "SPARK_CONNECT_MODE_ENABLED"
    return {name: value for name, value in os.environ.items() if name != ours}


def in_turns(sides: Mapping[str, Callable[[Measured], None]], rounds: int) -> dict[str, Measured]:
    """Every side `rounds` times, in turns, so that what else the machine does meets all of them."""
    found = {name: Measured() for name in sides}
    for number in range(rounds):
        for name, side in sides.items():
            side(found[name])
            print(f"  {name}, round {number + 1}: {found[name].seconds[-1]:.1f} s", flush=True)
    return found


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / GIB, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }
