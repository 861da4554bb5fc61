"""Health check of the Spark server: execute a statement through the Thrift endpoint.

    python -m lakehouse.spark_healthcheck

Exits with 0 if healthy, otherwise with 1 and a message, for the health check of a container. It is
called every few seconds and uses Thrift because that client needs a tenth of the Connect client's
time and memory.
"""

import sys

from pyhive import hive

from lakehouse.settings import read_settings
from lakehouse.spark_credentials import USER, read_password

# The last schema that a starting server creates.
LAST_SCHEMA = "gold"


def main() -> None:
    """Query a schema, which requires a response from the metastore; exit with 1 on any error."""
    settings = read_settings()
    try:
        with (
            hive.connect(
                settings.spark_host,
                settings.thrift_port,
                username=USER,
                auth="CUSTOM",
                password=read_password(settings),
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"describe schema {LAST_SCHEMA}")
    except Exception as error:  # any error means that the server is unhealthy
        sys.exit(f"{settings.spark_host}:{settings.thrift_port}: {error}")


if __name__ == "__main__":
    main()
