"""Check whether the API is healthy, for its supervisor: `python -m serving.healthcheck`.

Healthy means ready, or only waiting for a first run: a restart would not help that.
"""

import http.client
import json
import sys

from lakehouse.settings import LOOPBACK, read_settings

SECONDS = 5
EVERY_ADDRESS = ("0.0.0.0", "::")
WAITING = ("no-model", "online-store-empty")


def main() -> int:
    """Return 0 if the API on this machine is healthy, else 1; write what it lacks to stderr."""
    settings = read_settings()
    host = LOOPBACK if settings.api_bind in EVERY_ADDRESS else settings.api_bind
    try:
        connection = http.client.HTTPConnection(host, settings.api_port, timeout=SECONDS)
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        said = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"the API does not answer at {host}:{settings.api_port}: {error}", file=sys.stderr)
        return 1
    if answer.status == 200:
        return 0
    print(f"{said['title']}: {said['what_to_do']}", file=sys.stderr)
    return 0 if said["type"].endswith(WAITING) else 1


if __name__ == "__main__":
    sys.exit(main())
