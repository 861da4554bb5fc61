"""Health check of a Spark cluster's master and, optionally, of one worker.

    python -m lakehouse.cluster_healthcheck http://HOST:PORT [HOST of a worker]

Queries the master's HTTP endpoint. Exits with 0 if healthy, otherwise with 1 and a message. It is
called every few seconds in each container of the cluster, so it imports only what it needs.
"""

import json
import sys
import urllib.request

ALIVE = "ALIVE"


def main(address: str, worker: str | None = None) -> None:
    """Exit with an error message if the master or the given worker is not alive.

    Args:
        address: URL of the master's HTTP endpoint.
        worker: Host of a worker that must be registered with the master and alive.
    """
    try:
        with urllib.request.urlopen(f"{address}/json/", timeout=10) as answer:
            master = json.load(answer)
    except OSError as error:
        sys.exit(f"{address}: {error}")
    if master["status"] != ALIVE:
        sys.exit(f"{address}: {master['status']}")
    alive = {member["host"] for member in master["workers"] if member["state"] == ALIVE}
    if worker is not None and worker not in alive:
        sys.exit(f"{address}: knows no worker {worker}, but {', '.join(sorted(alive)) or 'none'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
