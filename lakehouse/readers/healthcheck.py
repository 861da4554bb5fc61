"""Health check of the readers' server where it is a container of its own.

    python -m lakehouse.readers.healthcheck

Exits with 0 if the server responds, or if it has no copies to read yet; otherwise with 1 and a
message. The check has no reader's key: that its request is refused is a response as well.
"""

import sys
from dataclasses import replace

from lakehouse import spark_process
from lakehouse.readers.server import service
from lakehouse.settings import read_settings


def main() -> None:
    """Check the server; exit with 1 if it does not respond."""
    settings = read_settings()
    endpoint = replace(settings, connect_port=settings.reader_connect_port)
    if service(settings).find() is not None and not spark_process.is_responsive(endpoint):
        sys.exit(f"no answer at {endpoint.connect_url}")


if __name__ == "__main__":
    main()
