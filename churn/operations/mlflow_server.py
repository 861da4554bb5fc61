"""Run MLflow's own server: the site on the models and, in the stack, its tracking server.

`mlflow server` would also start three processes, workers for jobs, and an assistant whose tools
run commands on this machine. MLflow's pages and its interface are one WSGI application, and only
that is served here, protected by the password (docs/decisions/0016-mlflow.md).
"""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from churn.reports.front_page import missing_page_of
from churn.reports.site_guard import SiteGuard, log_login, serve, site_password
from lakehouse import sites
from lakehouse.navigation import ROW_STYLE, format_site_navigation, insert_navigation
from lakehouse.postgresql import database
from lakehouse.process import Log
from lakehouse.sample_home import is_sample
from lakehouse.settings import LOOPBACK, Settings

# Maximum number of concurrent requests; further ones wait.
THREADS = 8
# Host name of MLflow's service in the stack.
SERVICE = "mlflow"
HOSTS = "MLFLOW_SERVER_ALLOWED_HOSTS"
# The view for trained models instead of language models, as MLflow's pages call and remember it.
TRAINING = "workflowType=machine_learning"
# Columns of the list of runs, as MLflow's pages name and remember them; all fit into 1440 pixels.
COLUMNS = (
    *("tags.`champion`", "params.`kind`", "metrics.`roc_auc`", "metrics.`pr_auc`"),
    *("metrics.`brier`", "attributes.`Models`"),
)
SCRIPT = Path(__file__).with_name("mlflow_page.js")
# The assistant is not served, the switch of pages has one useful position, versions come from
# training alone, and nothing here logs traces, metrics of the machine, or models without a run.
HIDDEN = (
    "[data-assistant-ui]",
    '[data-component-id^="mlflow.assistant"]',
    '[data-component-id$="modelsnextuipromomodal.tsx_15"]',
    'div:has(> [data-component-id$="modelsnextuitoggleswitch.tsx_39"])',
    '[role="tab"][id$="-trigger-system-metrics"]',
    '[role="tab"][id$="-trigger-evaluations"]',
    'li:has(> a[href*="/experiments/"][href*="/traces"])',
    'li:has(> a[href*="/experiments/"][href*="/models"])',
)
# MLflow's pages fill the window; the bar takes its own row of it.
STYLE = (
    f"<style>{ROW_STYLE}\n.site-nav ~ #root {{ height: calc(100% - 44px); }}\n"
    f"{', '.join(HIDDEN)} {{ display: none !important; }}</style>"
)
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
    serve(guarded, settings, sites.MLFLOW, log)


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
    app.view_functions["serve"] = partial(start_page, settings)
    app.register_error_handler(404, partial(answer_missing, settings))

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


def start_page(settings: Settings) -> Any:
    """Return MLflow's page; without an address below it, it opens on the training runs.

    MLflow itself would open on its pages for language models.
    """
    from flask import Response, request
    from mlflow.server import app
    from mlflow.server.handlers import _get_tracking_store

    from trainer.mlflow_alias import NAME

    found = _get_tracking_store().get_experiment_by_name(NAME)
    html = (Path(str(app.static_folder)) / "index.html").read_text()
    html = adapt_index(html, found and str(found.experiment_id))
    bar = format_site_navigation(settings, sites.MLFLOW, request.host)
    return Response(insert_navigation(html, bar), mimetype="text/html")


def adapt_index(html: str, experiment: str | None) -> str:
    """Return MLflow's page with the style of the bar, and without what is of no use here.

    Args:
        html: The page of MLflow's build.
        experiment: The id of the experiment, whose runs are the first page; None: there is none.
    """
    start = f"#/experiments/{experiment}/runs?{TRAINING}" if experiment else "#/models"
    values = json.dumps({"experiment": experiment, "start": start, "columns": COLUMNS})
    script = f"<script>{SCRIPT.read_text().replace('VALUES', values, 1)}</script>"
    return html.replace("<head>", f"<head>{script}{STYLE}", 1)


def answer_missing(settings: Settings, error: Any) -> Any:
    """Answer a request for nothing that is there: a browser gets a page with the bar."""
    from flask import request

    if "text/html" not in request.headers.get("Accept", ""):
        return error
    bar = format_site_navigation(settings, sites.MLFLOW, request.host)
    return missing_page_of(sites.MLFLOW.name, bar, is_sample(settings)), 404


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
