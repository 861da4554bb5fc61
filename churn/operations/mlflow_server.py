"""MLflow's own server: the site on the models and, in the stack, what the others log to.

`mlflow server` would do, were it not for what comes with it: three processes, workers for jobs, and
an assistant whose tools run commands on this machine. Its pages and its interface are one WSGI
application, and that alone is served here (docs/decisions/0016-mlflow.md), to who has the password.
"""

import os
from typing import Any

from churn.reports.site_guard import SiteGuard, say_login, serve, site_password
from lakehouse.postgresql import database
from lakehouse.process import Say
from lakehouse.settings import LOOPBACK, Settings
from lakehouse.storage import is_folder

# Requests at once; the others wait.
THREADS = 8
# What MLflow's service is called in the stack.
SERVICE = "mlflow"
HOSTS = "MLFLOW_SERVER_ALLOWED_HOSTS"
NEW_EXPERIMENT = "/mlflow/experiments/create"


def serve_mlflow(settings: Settings, say: Say) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        lakehouse.errors.UnavailableError: the port is taken.
        lakehouse.errors.ChurnError: MLflow's file can't be used.
    """
    from a2wsgi import WSGIMiddleware

    application = WSGIMiddleware(_application(settings), workers=THREADS)
    hosts = [each.rpartition(":")[0] or each for each in os.environ[HOSTS].split(",")]
    guarded = SiteGuard(application, mlflow_password(settings), hosts)
    if settings.mlflow_password is None:
        say_login(settings, say)
    port, bind = settings.mlflow_port, settings.mlflow_bind
    serve(guarded, "MLflow's site", "CHURN_MLFLOW_PORT", port, say, bind)


def mlflow_password(settings: Settings) -> str:
    """The password of the site's user: the given one, else that of the local sites."""
    return settings.mlflow_password or site_password(settings)


def _application(settings: Settings) -> Any:
    """MLflow's WSGI application; it reads its configuration from the environment, at import."""
    from trainer import mlflow_sync  # first: it tells MLflow to report to nobody

    # Compose hands on what is not set as an empty text; the store's client takes it for a path.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        if not os.environ[name]:
            del os.environ[name]
    os.environ |= {**settings.aws, **_names()}
    # Imports MLflow's server, which by then has to know by what names it is called.
    places, root = _places(settings)
    os.environ |= places
    if settings.mlflow_database_url is None:
        mlflow_sync.open_store(settings)
    from flask import request
    from mlflow.server import app

    from churn.operations import mlflow_artifacts

    mlflow_artifacts.contain(root)

    @app.before_request  # type: ignore[untyped-decorator]
    def refuse_other_places() -> Any:
        """An experiment elsewhere could never be read: it is not made."""
        if not request.path.endswith(NEW_EXPERIMENT):
            return None
        given = request.get_json(silent=True, force=True)
        location = given.get("artifact_location") if isinstance(given, dict) else None
        if not location or mlflow_artifacts.is_within(str(location), root):
            return None
        return {"error_code": "INVALID_PARAMETER_VALUE", "message": mlflow_artifacts.ELSEWHERE}, 400

    return app


def _places(settings: Settings) -> tuple[dict[str, str], str]:
    """Where rows and files lie: a database and the lake's store, or the files that are here.

    As MLflow's server is told, and the root of the files alone.
    """
    from mlflow.server import constants

    from trainer import mlflow_sync

    files = mlflow_sync.artifacts(settings)
    if settings.mlflow_database_url is None:
        told = {
            constants.BACKEND_STORE_URI_ENV_VAR: mlflow_sync.address(settings),
            constants.ARTIFACT_ROOT_ENV_VAR: files,
        }
        return told, files
    rows = database(settings.mlflow_database_url, "CHURN_MLFLOW_DATABASE_URL").for_python
    if not is_folder(settings.lake_uri):
        # Beside the models, where no table lies.
        files = f"{settings.lake_uri.replace('s3a://', 's3://', 1)}/_mlflow"
    told = {
        constants.BACKEND_STORE_URI_ENV_VAR: rows,
        # Clients hand their files to the server, and need no keys of the store.
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: files,
    }
    return told, files


def _names() -> dict[str, str]:
    """By another name it answers nobody: no page of elsewhere can make a browser ask it.

    A port in front of this one may have another number.
    """
    hosts = ",".join(f"{name}:*" for name in ("localhost", LOOPBACK, SERVICE))
    return {HOSTS: os.environ.get(HOSTS, hosts)}
