"""Run MLflow's own server: the site on the models and, in the stack, its tracking server.

`mlflow server` would also start three processes, workers for jobs, and an assistant whose tools
run commands on this machine. MLflow's pages and its interface are one WSGI application, and only
that is served here, protected by the password (docs/decisions/0016-mlflow.md).
"""

import os
from pathlib import Path
from typing import Any

from churn.reports.site_guard import SiteGuard, log_login, serve, site_password
from lakehouse.postgresql import database
from lakehouse.process import Log
from lakehouse.settings import LOOPBACK, Settings

# Maximum number of concurrent requests; further ones wait.
THREADS = 8
# Host name of MLflow's service in the stack.
SERVICE = "mlflow"
HOSTS = "MLFLOW_SERVER_ALLOWED_HOSTS"
# The view for trained models instead of language models, as MLflow's pages call and remember it.
TRAINING = "workflowType=machine_learning"
START_SCRIPT = """<script>
if (localStorage.getItem("mlflow.workflowType_v1") === null)
  localStorage.setItem("mlflow.workflowType_v1", JSON.stringify("machine_learning"));
if (!/^#\\/./.test(location.hash)) location.replace("%s");
</script>"""
NEW_EXPERIMENT = "/mlflow/experiments/create"


def serve_mlflow(settings: Settings, log: Log) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        lakehouse.errors.UnavailableError: The port is in use.
        lakehouse.errors.ChurnError: MLflow's database file is unusable.
    """
    from a2wsgi import WSGIMiddleware

    application = WSGIMiddleware(_application(settings), workers=THREADS)
    hosts = [each.rpartition(":")[0] or each for each in os.environ[HOSTS].split(",")]
    guarded = SiteGuard(application, mlflow_password(settings), hosts)
    if settings.mlflow_password is None:
        log_login(settings, log)
    port, bind = settings.mlflow_port, settings.mlflow_bind
    serve(guarded, "MLflow's site", "CHURN_MLFLOW_PORT", port, log, bind)


def mlflow_password(settings: Settings) -> str:
    """Return the password of the site's user: the configured one, else that of the local sites."""
    return settings.mlflow_password or site_password(settings)


def _application(settings: Settings) -> Any:
    """Return MLflow's WSGI application, which reads its environment variables at import."""
    from trainer import mlflow_sync  # first: it disables MLflow's telemetry

    # Compose passes an unset variable as an empty text, which the store's client uses as a path.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        if not os.environ[name]:
            del os.environ[name]
    os.environ |= {**settings.aws, **_names()}
    # This imports MLflow's server, for which the allowed host names must be set before.
    places, root = _places(settings)
    os.environ |= places
    if settings.mlflow_database_url is None:
        mlflow_sync.open_store(settings)
    from flask import request
    from mlflow.server import app

    from churn.operations import mlflow_artifacts

    mlflow_artifacts.restrict_to(root)
    app.view_functions["serve"] = start_page

    @app.before_request  # type: ignore[untyped-decorator]
    def refuse_other_places() -> Any:
        """Refuse to create an experiment outside the root: it could never be read."""
        if not request.path.endswith(NEW_EXPERIMENT):
            return None
        given = request.get_json(silent=True, force=True)
        location = given.get("artifact_location") if isinstance(given, dict) else None
        if not location or mlflow_artifacts.is_within(str(location), root):
            return None
        return {"error_code": "INVALID_PARAMETER_VALUE", "message": mlflow_artifacts.ELSEWHERE}, 400

    return app


def start_page() -> Any:
    """Return MLflow's page; without an address below it, it opens on the training runs.

    MLflow itself would open on its pages for language models.
    """
    from flask import Response
    from mlflow.server import app
    from mlflow.server.handlers import _get_tracking_store

    from trainer.mlflow_alias import NAME

    found = _get_tracking_store().get_experiment_by_name(NAME)
    start = f"#/experiments/{found.experiment_id}/runs?{TRAINING}" if found else "#/models"
    html = (Path(str(app.static_folder)) / "index.html").read_text()
    return Response(
        html.replace("<head>", f"<head>{START_SCRIPT % start}", 1), mimetype="text/html"
    )


def _places(settings: Settings) -> tuple[dict[str, str], str]:
    """Return where MLflow stores rows and files, as environment variables, and the files' root.

    The locations are a database and the lake's store, or the local files.
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
    if not settings.lake.folder:
        # Next to the models, where no table is stored.
        files = settings.lake.join("_mlflow").s3_address
    told = {
        constants.BACKEND_STORE_URI_ENV_VAR: rows,
        # Clients send their files to the server and need no credentials for the store.
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: files,
    }
    return told, files


def _names() -> dict[str, str]:
    """Return the allowed host names, so that no page of another site can query the server.

    Any port is allowed, because a published port may differ from the server's own.
    """
    hosts = ",".join(f"{name}:*" for name in ("localhost", LOOPBACK, SERVICE))
    return {HOSTS: os.environ.get(HOSTS, hosts)}
