"""How fast the scoring API answers, beside a route that only reads the same bytes.

    python -m benchmarks.serving [SECONDS]

After a `churn run`. The API runs in a process of its own with the checkout's settings, its load
comes from this one; the routes take turns, and what is printed is the median of the rounds. Prints
a table for docs/serving.md.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from itertools import islice

from benchmarks.serving.load import Measured, get, load, post
from feature_repo.project import PROJECT_NAME
from lakehouse import online_store
from lakehouse.errors import ChurnError
from lakehouse.process import port_is_open
from lakehouse.settings import PROJECT, Settings, read_settings
from serving import keys

NAME = "benchmark"
ROUNDS = 5
CONNECTIONS = (1, 16)
CUSTOMERS = (1, 100)
START_SECONDS = 60


def main(seconds: float) -> None:
    settings = read_settings()
    ids = customers(settings, 1000)
    key = keys.new(settings, NAME)
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.serving.server"],
        env={**os.environ, "CHURN_API_RATE": "1000000"},
        cwd=PROJECT,
        # As in service, each request has its line; nobody reads it here.
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(server, settings.api_port)
        measure(settings.api_port, key, ids, seconds)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        keys.revoke(settings, NAME)


def customers(settings: Settings, count: int) -> list[str]:
    """Ids of customers who are online."""
    with online_store.ensure(settings, print).client() as client:
        found = client.scan_iter(match=b"*" + PROJECT_NAME.encode(), count=1000)
        # The id stands between its length and the project's name at the end of the key.
        tail = len(PROJECT_NAME)
        return [key[:-tail].split(b"\x00")[-1].decode() for key in islice(found, count)]


def wait_for(server: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not port_is_open(port):
        if server.poll() is not None or time.monotonic() > deadline:
            raise ChurnError(
                "The API did not start",
                where=f"port {port}",
                remedy="`churn serve` says why",
            )
        time.sleep(0.1)


def measure(port: int, key: str, ids: list[str], seconds: float) -> None:
    print("| Customers | Connections | Route | p50 ms | p99 ms | requests/s | p50 to floor |")
    print("|---|---|---|---|---|---|---|")
    for count in CUSTOMERS:
        routes = {name: requests(name, count, key, ids) for name in ("floor", "churn")}
        for connections in CONNECTIONS:
            found: dict[str, list[Measured]] = {name: [] for name in routes}
            for each in routes.values():
                load(port, each, connections, seconds / 2)  # warm
            for _ in range(ROUNDS):
                for name, each in routes.items():
                    found[name].append(load(port, each, connections, seconds))
            floor = middle(found["floor"]).p50
            for name, rounds in found.items():
                each_one = middle(rounds)
                print(
                    f"| {count} | {connections} | {name} | {each_one.p50:.2f} | {each_one.p99:.2f} "
                    f"| {each_one.throughput:,.0f} | {each_one.p50 / floor:.2f} |",
                    flush=True,
                )


def requests(route: str, count: int, key: str, ids: list[str]) -> list[bytes]:
    """A request for each customer, or for each `count` of them."""
    if count == 1:
        return [get(f"/v1/customers/{each}/{route}", key) for each in ids]
    parts = [ids[start : start + count] for start in range(0, len(ids), count)]
    bodies = [json.dumps({"customer_ids": part}).encode() for part in parts]
    # As many as there are connections at least.
    return [post(f"/v1/{route}:batch", key, body) for body in bodies] * max(CONNECTIONS)


def middle(rounds: list[Measured]) -> Measured:
    """The medians of the rounds."""
    return Measured(
        *(
            statistics.median(getattr(each, name) for each in rounds)
            for name in ("p50", "p99", "throughput")
        )
    )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0)
