"""A Spark standalone cluster's own processes: a master, and workers that start executors.

    python -m lakehouse.cluster master HOST [arguments of Spark's own]
    python -m lakehouse.cluster worker HOST [arguments of Spark's own] spark://HOST:PORT

HOST is the name by which others of the cluster reach the process, and what it listens on. Both
stay in the foreground, for a supervisor (a container, a service manager) to keep up; cores and
memory are Spark's own variables, such as `SPARK_WORKER_CORES` and `SPARK_WORKER_MEMORY`. The Spark
server joins the cluster by `CHURN_SPARK_MASTER`.
"""

import os
import sys
from pathlib import Path
from tempfile import mkdtemp

from lakehouse.jars import SPARK_HOME
from lakehouse.java import find_java
from lakehouse.spark_server import module_options
from lakehouse.truststore import java_options

# A master and a worker only watch over others; what they do not need, executors have.
MEMORY = ("-Xmx192m", "-XX:+UseSerialGC")
SCALA = "2.13"  # of the pyspark wheel


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


def main() -> None:
    """Become the process."""
    role, *arguments = sys.argv[1:]
    line = command(role, *arguments)
    os.execve(line[0], line, environment(arguments[0]))


if __name__ == "__main__":
    main()
