"""Whether a Spark cluster's master is at work and, if named, knows a worker.

    python -m lakehouse.cluster_healthcheck http://HOST:PORT [HOST of a worker]

Asks at the master's web door. Ends with 0 or, with a word on why, with 1. It is called every few
seconds in each container of the cluster, so it imports nothing that is not needed for that.
"""

import json
import sys
import urllib.request

ALIVE = "ALIVE"


def main(address: str, worker: str | None = None) -> None:
    """End with a word on why where the master, or that worker of it, is not at work."""
    try:
        with urllib.request.urlopen(f"{address}/json/", timeout=10) as answer:
            master = json.load(answer)
    except OSError as fault:
        sys.exit(f"{address}: {fault}")
    if master["status"] != ALIVE:
        sys.exit(f"{address}: {master['status']}")
    alive = {each["host"] for each in master["workers"] if each["state"] == ALIVE}
    if worker is not None and worker not in alive:
        sys.exit(f"{address}: knows no worker {worker}, but {', '.join(sorted(alive)) or 'none'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
