"""Processes of a Spark standalone cluster: a master, and workers that start executors.

    python -m lakehouse.cluster master HOST [Spark's own arguments]
    python -m lakehouse.cluster worker HOST [Spark's own arguments] spark://HOST:PORT

HOST is the name under which other machines of the cluster reach the process, and the address on
which it listens. Both processes run in the foreground under a supervisor (a container, a service
manager). Cores and memory are set by Spark's own variables, such as `SPARK_WORKER_CORES` and
`SPARK_WORKER_MEMORY`. The Spark server joins the cluster through `CHURN_SPARK_MASTER`.
"""

import os
import sys
from pathlib import Path
from tempfile import mkdtemp

from lakehouse.jars import SPARK_HOME
from lakehouse.java import find_java
from lakehouse.spark_server import module_options
from lakehouse.truststore import java_options

# A master and a worker only manage other processes; the memory they save goes to executors.
MEMORY = ("-Xmx192m", "-XX:+UseSerialGC")
SCALA = "2.13"  # the Scala version of the pyspark wheel


def command(role: str, host: str, *arguments: str) -> list[str]:
    """Return the command line of a master or a worker."""
    return [
        str(find_java()),
        *MEMORY,
        *module_options(),
        "-Dspark.master.rest.enabled=false",  # an unauthenticated endpoint for submitting jobs
        *("-cp", f"{SPARK_HOME}/jars/*"),
        f"org.apache.spark.deploy.{role}.{role.capitalize()}",
        *("--host", host),
        *arguments,
    ]


def environment(host: str) -> dict[str, str]:
    """Return the environment of a master or a worker.

    A worker passes its environment on to the executors that it starts.
    """
    # Executors also read the object store and receive their truststore through the environment.
    trust = java_options(os.environ.get("AWS_CA_BUNDLE"), Path(mkdtemp(prefix="churn-")))
    return {
        **os.environ,
        **({"JDK_JAVA_OPTIONS": " ".join(trust)} if trust else {}),
        "SPARK_LOCAL_IP": host,
        "JAVA_HOME": str(find_java().resolve().parent.parent),
        "SPARK_HOME": str(SPARK_HOME),
        # Otherwise the worker, which starts executors, searches Spark's build folders for it.
        "SPARK_SCALA_VERSION": SCALA,
    }


def main() -> None:
    """Replace this process with the master or the worker."""
    role, *arguments = sys.argv[1:]
    line = command(role, *arguments)
    os.execve(line[0], line, environment(arguments[0]))


if __name__ == "__main__":
    main()
