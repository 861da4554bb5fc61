"""A Spark standalone cluster's own processes: a master, and workers that start executors.

    python -m lakehouse.cluster master HOST [arguments of Spark's own]
    python -m lakehouse.cluster worker HOST [arguments of Spark's own] spark://HOST:PORT
    python -m lakehouse.cluster check http://HOST:PORT [HOST of a worker]

HOST is the name by which others of the cluster reach the process, and what it listens on. Both
stay in the foreground, for a supervisor (a container, a service manager) to keep up; cores and
memory are Spark's own variables, such as `SPARK_WORKER_CORES` and `SPARK_WORKER_MEMORY`. The Spark
server joins the cluster by `CHURN_SPARK_MASTER`.

`check` asks a master, at its web door, whether it is at work and, if named, knows that worker.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path
from tempfile import mkdtemp

from lakehouse.authorities import java_options
from lakehouse.spark_server import module_options
from lakehouse.toolbox import SPARK_HOME, find_java

# A master and a worker only watch over others; what they do not need, executors have.
MEMORY = ("-Xmx192m", "-XX:+UseSerialGC")
SCALA = "2.13"  # of the pyspark wheel
ALIVE = "ALIVE"


def command(role: str, host: str, *arguments: str) -> list[str]:
    """The command line of a master or a worker."""
    return [
        str(find_java()),
        *MEMORY,
        *module_options(),
        "-Dspark.master.rest.enabled=false",  # a door for jobs of others, and nobody's guard
        *("-cp", f"{SPARK_HOME}/jars/*"),
        f"org.apache.spark.deploy.{role}.{role.capitalize()}",
        *("--host", host),
        *arguments,
    ]


def environment(host: str) -> dict[str, str]:
    """The environment of either: executors are started with the worker's."""
    # Executors read the object store too, and are told by the environment whom to trust.
    trust = java_options(os.environ.get("AWS_CA_BUNDLE"), Path(mkdtemp(prefix="churn-")))
    return {
        **os.environ,
        **({"JDK_JAVA_OPTIONS": " ".join(trust)} if trust else {}),
        "SPARK_LOCAL_IP": host,
        "JAVA_HOME": str(find_java().resolve().parent.parent),
        "SPARK_HOME": str(SPARK_HOME),
        # Else the worker, which starts executors, would look for it in Spark's own build folders.
        "SPARK_SCALA_VERSION": SCALA,
    }


def check(address: str, worker: str | None = None) -> None:
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


def main() -> None:
    """Check, or become the process."""
    role, *arguments = sys.argv[1:]
    if role == "check":
        check(*arguments)
        return
    line = command(role, *arguments)
    os.execve(line[0], line, environment(arguments[0]))


if __name__ == "__main__":
    main()
