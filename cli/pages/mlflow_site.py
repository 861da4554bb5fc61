"""MLflow's own server: the site on the models and, in the stack, what the others log to.

`mlflow server` would do, were it not for what comes with it: three processes, workers for jobs, and
an assistant whose tools run commands on this machine. Its pages and its interface are one WSGI
application, and that alone is served here (docs/decisions/0016-mlflow.md).
"""

import os
from pathlib import Path
from secrets import token_urlsafe
from tempfile import TemporaryDirectory
from typing import Any

from lakehouse.postgresql import database
from lakehouse.service import Say, check_port_free
from lakehouse.settings import LOOPBACK, Settings
from lakehouse.storage import is_folder

# One user, made at each start with the password of then; others may do nothing.
LOGIN = """[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{folder}/logins.db
"""
# Requests at once; the others wait.
THREADS = 8


def serve(settings: Settings, say: Say) -> None:
    """Serve until SIGTERM or SIGINT; with a login where there is a password.

    Raises:
        lakehouse.errors.Unavailable: the port is taken.
        lakehouse.errors.ChurnError: MLflow's file can't be used.
    """
    port = settings.mlflow_port
    check_port_free(port, "MLflow's site", "CHURN_MLFLOW_PORT")
    with TemporaryDirectory(prefix="mlflow-") as folder:
        application = _application(settings, Path(folder))
        say(f"MLflow's site is at http://{LOOPBACK}:{port} (Ctrl-C ends)")
        _run(application, settings.mlflow_bind, port)


def _run(application: Any, host: str, port: int) -> None:
    import uvicorn
    from a2wsgi import WSGIMiddleware

    uvicorn.run(
        WSGIMiddleware(application, workers=THREADS),
        host=host,
        port=port,
        log_level="warning",
        server_header=False,
    )


def _application(settings: Settings, folder: Path) -> Any:
    """MLflow's WSGI application; it reads its configuration from the environment, at import."""
    from trainer import tracking  # first: it tells MLflow to report to nobody

    # Compose hands on what is not set as an empty text; the store's client takes it for a path.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        if not os.environ[name]:
            del os.environ[name]
    os.environ |= {**settings.aws, **_names()}
    # Imports MLflow's server, which by then has to know by what names it is called.
    os.environ |= _places(settings)
    if settings.mlflow_database_url is None:
        tracking.open_store(settings)
    from mlflow.server import app

    if settings.mlflow_password is None:
        return app
    (folder / "login.ini").write_text(LOGIN.format(folder=folder))
    os.environ |= {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "login.ini"),
        "MLFLOW_AUTH_ADMIN_USERNAME": tracking.USER,
        "MLFLOW_AUTH_ADMIN_PASSWORD": settings.mlflow_password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": token_urlsafe(32),
    }
    from mlflow.server.auth import create_app

    return create_app(app)


def _places(settings: Settings) -> dict[str, str]:
    """Where rows and files lie: a database and the lake's store, or the files that are here."""
    from mlflow.server import constants

    from trainer import tracking

    if settings.mlflow_database_url is None:
        return {
            constants.BACKEND_STORE_URI_ENV_VAR: tracking.address(settings),
            constants.ARTIFACT_ROOT_ENV_VAR: tracking.artifacts(settings),
        }
    rows = database(settings.mlflow_database_url, "CHURN_MLFLOW_DATABASE_URL").for_python
    files = tracking.artifacts(settings)
    if not is_folder(settings.lake_uri):
        # Beside the models, where no table lies.
        files = f"{settings.lake_uri.replace('s3a://', 's3://', 1)}/_mlflow"
    return {
        constants.BACKEND_STORE_URI_ENV_VAR: rows,
        # Clients hand their files to the server, and need no keys of the store.
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: files,
    }


def _names() -> dict[str, str]:
    """By another name it answers nobody: no page of elsewhere can make a browser ask it.

    A port in front of this one may have another number.
    """
    hosts = ",".join(f"{name}:*" for name in ("localhost", LOOPBACK, "mlflow"))
    return {"MLFLOW_SERVER_ALLOWED_HOSTS": os.environ.get("MLFLOW_SERVER_ALLOWED_HOSTS", hosts)}
