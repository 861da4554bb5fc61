"""Whether the Spark server does its work: a statement through the DataFrame door.

    python -m lakehouse.health

Ends with 0 or, with a word on why, with 1: for a container's health check.
"""

import sys

from lakehouse import spark_server
from lakehouse.errors import ChurnError
from lakehouse.settings import read_settings


def main() -> None:
    """Ask for the number of schemas, which the metastore has to answer."""
    try:
        with spark_server.session(read_settings()) as spark:
            known = spark.sql("show schemas").toArrow().num_rows
    except ChurnError as fault:
        sys.exit(str(fault))
    if known < len(spark_server.SCHEMAS):
        sys.exit(f"the metastore knows {known} schemas only")


if __name__ == "__main__":
    main()
