"""Whether the API is ready, for who supervises it: python -m serving.check"""

import http.client
import sys

from lakehouse.settings import LOOPBACK, read_settings

SECONDS = 5


def main() -> int:
    """0 where the API on this machine is ready; else 1, and why on stderr."""
    settings = read_settings()
    every = ("0.0.0.0", "::")
    host = LOOPBACK if settings.api_bind in every else settings.api_bind
    try:
        connection = http.client.HTTPConnection(host, settings.api_port, timeout=SECONDS)
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace")
    except OSError as fault:
        answer, said = None, str(fault)
    if answer is not None and answer.status == 200:
        return 0
    print(said, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
