"""Whether the API is well, for who supervises it: python -m serving.healthcheck

Well is what is ready, and what only waits for a first run: starting it anew would not help that.
"""

import http.client
import json
import sys

from lakehouse.settings import LOOPBACK, read_settings

SECONDS = 5
EVERY_ADDRESS = ("0.0.0.0", "::")
WAITING = ("no-model", "online-store-empty")


def main() -> int:
    """0 where the API on this machine is well; else 1. Says on stderr what it lacks."""
    settings = read_settings()
    host = LOOPBACK if settings.api_bind in EVERY_ADDRESS else settings.api_bind
    try:
        connection = http.client.HTTPConnection(host, settings.api_port, timeout=SECONDS)
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        said = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as fault:
        print(f"the API does not answer at {host}:{settings.api_port}: {fault}", file=sys.stderr)
        return 1
    if answer.status == 200:
        return 0
    print(f"{said['title']}: {said['what_to_do']}", file=sys.stderr)
    return 0 if said["type"].endswith(WAITING) else 1


if __name__ == "__main__":
    sys.exit(main())
