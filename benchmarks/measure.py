"""Measure time and memory of a command, and describe the machine."""

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

ServerProcesses = Callable[[], Sequence[int]]
SAMPLE_SECONDS = 0.5
GIB = 2**30


@dataclass
class Measurement:
    """Seconds and peak memory in GiB of one side, per round."""

    seconds: list[float] = field(default_factory=list)
    gib: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the entry of results.json."""
        return {
            "median_s": round(statistics.median(self.seconds), 2),
            "seconds": [round(duration, 2) for duration in self.seconds],
            "most_gib": round(max(self.gib, default=0), 2),
        }


@contextmanager
def measuring(into: Measurement, servers: ServerProcesses = list) -> Iterator[None]:
    """Measure the body: its time, and the memory of the processes it starts and of the servers.

    Memory that processes share counts for each of them.
    """
    stopped = threading.Event()
    peak = 0.0

    def sample() -> None:
        nonlocal peak
        while not stopped.wait(SAMPLE_SECONDS):
            peak = max(peak, _resident_gib(servers()))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    start = time.monotonic()
    try:
        yield
    finally:
        seconds = time.monotonic() - start
        stopped.set()
        sampler.join()
    into.seconds.append(seconds)
    into.gib.append(peak)


def _resident_gib(servers: Sequence[int]) -> float:
    children = (child.pid for child in psutil.Process().children(recursive=True))
    total = 0
    for pid in {*children, *servers}:
        with suppress(psutil.NoSuchProcess):
            total += psutil.Process(pid).memory_info().rss
    return total / GIB


def call(command: Sequence[str | Path], environ: Mapping[str, str] | None = None) -> None:
    """Run a command and wait for it.

    Raises:
        RuntimeError: If it does not exit with 0; the message contains its output.
    """
    process = subprocess.run(
        [str(part) for part in command],
        cwd=PROJECT,
        env={**_own_environ(), **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if process.returncode != 0:
        raise RuntimeError(f"{command} ended with {process.returncode}\n{process.stdout[-4000:]}")


def _own_environ() -> dict[str, str]:
    """Return this process's environment without the variable that a Connect session sets."""
    connect = "SPARK_CONNECT_MODE_ENABLED"
    return {name: value for name, value in os.environ.items() if name != connect}


def in_turns(
    sides: Mapping[str, Callable[[Measurement], None]], rounds: int
) -> dict[str, Measurement]:
    """Run all sides alternately, so that other load on the machine affects all of them."""
    measurements = {name: Measurement() for name in sides}
    for number in range(rounds):
        for name, side in sides.items():
            side(measurements[name])
            seconds = measurements[name].seconds[-1]
            print(f"  {name}, round {number + 1}: {seconds:.1f} s", flush=True)
    return measurements


def machine() -> dict[str, Any]:
    """Describe the machine: processor, cores, memory, system and load."""
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
