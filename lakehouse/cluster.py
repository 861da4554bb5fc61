"""A Spark standalone cluster's own processes: a master, and workers that start executors.

    python -m lakehouse.cluster master
    python -m lakehouse.cluster worker spark://HOST:PORT

The Spark server joins it by `CHURN_SPARK_MASTER`. These stay in the foreground, for a supervisor
(a container, a service manager) to keep up. Addresses, cores and memory are Spark's own variables:
`SPARK_LOCAL_IP` (default 127.0.0.1), `SPARK_MASTER_PORT`, `SPARK_WORKER_CORES`,
`SPARK_WORKER_MEMORY`, `SPARK_WORKER_DIR`.
"""

import os
import sys

from lakehouse.spark_server import module_options
from lakehouse.toolbox import SPARK_HOME, find_java

MEMORY = "-Xmx512m"  # a master and a worker only watch over others


def command(role: str, *arguments: str) -> list[str]:
    """The command line of a master or a worker; `arguments` are Spark's own."""
    return [
        str(find_java()),
        MEMORY,
        *module_options(),
        *("-cp", f"{SPARK_HOME}/jars/*"),
        f"org.apache.spark.deploy.{role}.{role.capitalize()}",
        *arguments,
    ]


def environment() -> dict[str, str]:
    """The environment of either: executors are started with the worker's Java."""
    java_home = str(find_java().resolve().parent.parent)
    return {
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_HOME": java_home,
        **os.environ,
        "SPARK_HOME": str(SPARK_HOME),
    }


def main() -> None:
    """Become the process."""
    line = command(*sys.argv[1:])
    os.execve(line[0], line, environment())


if __name__ == "__main__":
    main()
