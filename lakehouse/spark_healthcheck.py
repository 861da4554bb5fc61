"""Whether the Spark server does its work: a statement through the SQL door.

    python -m lakehouse.spark_healthcheck

Ends with 0 or, with a word on why, with 1: for a container's health check. Called every few
seconds, it goes by Thrift, whose client costs a tenth of the DataFrame door's in time and memory.
"""

import sys

from pyhive import hive

from lakehouse.settings import read_settings
from lakehouse.spark_credentials import USER, read_password

# The last of the schemas that a starting server makes.
LAST_SCHEMA = "gold"


def main() -> None:
    """Ask for a schema, which the metastore has to answer."""
    settings = read_settings()
    try:
        with (
            hive.connect(
                settings.spark_host,
                settings.thrift_port,
                username=USER,
                auth="CUSTOM",
                password=read_password(settings),
            ) as door,
            door.cursor() as cursor,
        ):
            cursor.execute(f"describe schema {LAST_SCHEMA}")
    except Exception as fault:  # whatever it is, the server is not well
        sys.exit(f"{settings.spark_host}:{settings.thrift_port}: {fault}")


if __name__ == "__main__":
    main()
