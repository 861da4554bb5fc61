"""Check that MLflow answers an authenticated request that needs its database.

python -m churn.operations.mlflow_healthcheck
"""

import base64
import sys
import urllib.request

from churn.operations.mlflow_server import mlflow_password
from churn.reports.site_guard import USER
from lakehouse.settings import LOOPBACK, Settings, read_settings

REQUEST = "api/2.0/mlflow/experiments/search?max_results=1"


def check(settings: Settings) -> None:
    """Send a request to the server of this machine.

    Raises:
        OSError: The server does not respond, or responds with an error.
    """
    request = urllib.request.Request(f"http://{LOOPBACK}:{settings.mlflow_port}/{REQUEST}")
    login = base64.b64encode(f"{USER}:{mlflow_password(settings)}".encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    urllib.request.urlopen(request, timeout=15).close()


if __name__ == "__main__":
    try:
        check(read_settings())
    except OSError as error:
        sys.exit(f"MLflow is not well: {error}")
