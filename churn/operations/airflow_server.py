"""Run Airflow's components, each as its own process, started here or by an external supervisor.

Components that are started here have a log and a pid file. CHURN_HOME/airflow has the
configuration, the password of `admin` and, if no other database is configured, the metadata
database.
"""

import json
import os
import secrets
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

import psutil

from churn.operations.airflow_lineage import lineage_environment
from lakehouse.atomic_write import atomic_write, write_secret
from lakehouse.errors import ChurnError, InvalidInputError, UnavailableError
from lakehouse.near_matches import format_suggestion
from lakehouse.node_descriptions import describe_node
from lakehouse.postgresql import database
from lakehouse.process import Log, Service, port_is_open
from lakehouse.project_files import PACKAGES
from lakehouse.settings import LOOPBACK, Settings

USER = "admin"
START_SECONDS = 180
# The DAG of the pipeline, which has to be known before Airflow is of use.
DAG_ID, DAG_FILE = "01_etl", "etl.py"
# The API server comes first, because the other components report to it.
COMPONENTS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
# Fields of a node in dbt's manifest that no task rendering needs; they would be read at every
# parse.
UNUSED_NODE_FIELDS = {
    "raw_code",
    "compiled_code",
    "columns",
    "docs",
    "checksum",
    "refs",
}


def services(settings: Settings) -> dict[str, Service]:
    """Return Airflow's components of this CHURN_HOME as services, by name."""
    home = settings.home / "airflow"
    return {part: Service(f"airflow-{part}", home / part, None) for part in COMPONENTS}


def up(settings: Settings, log: Log, dags: Path | None = None) -> str:
    """Start the components that are not running, with this checkout's DAGs and dbt docs.

    Args:
        settings: The settings of this CHURN_HOME.
        log: Callback for progress messages.
        dags: Another folder of DAGs to use.

    Returns:
        The address of the web interface.

    Raises:
        lakehouse.errors.UnavailableError: A component did not start.
        ChurnError: The DAG can't be imported.
    """
    environ = initialize(settings, log, dags)
    for part, service in services(settings).items():
        with service.start_lock() as lock:
            if service.find() is not None:
                continue
            log(f"starting {service.name}")
            service.start(
                _command(part),
                [settings.airflow_port] if part == "api-server" else [],
                part,
                environ,
                lock,
            )
        if part == "api-server":
            service.wait_until(lambda: port_is_open(settings.airflow_port), START_SECONDS)
    api = services(settings)["api-server"]
    api.wait_until(lambda: _is_healthy(settings), START_SECONDS)
    if dags is None:
        token = _log_in(settings)
        api.wait_until(lambda: _has_dag(settings, token), START_SECONDS)
    return address(settings)


def down(settings: Settings) -> list[str]:
    """Stop all components and the tasks that they run; return the names of those that ran."""
    ended = []
    for service in reversed(services(settings).values()):
        running = service.find()
        if running is None:
            continue
        children = psutil.Process(running.pid).children(recursive=True)
        service.stop()
        for child in children:
            # Workers outlive a stopped scheduler, in order to complete their tasks.
            if child.is_running():
                child.terminate()
        psutil.wait_procs(children, timeout=10)
        ended.append(service.name)
    return ended


def address(settings: Settings) -> str:
    """Return the address of the web interface."""
    return f"http://{settings.airflow_host}:{settings.airflow_port}"


def password(settings: Settings) -> str:
    """Return the password of `admin` and store it.

    The configured password takes precedence over the stored one; if there is neither, a password
    is generated.
    """
    path = _password_file(settings)
    stored = json.loads(path.read_text())[USER] if path.exists() else None
    password_text = settings.airflow_password or stored or secrets.token_urlsafe(18)
    if password_text != stored:
        write_secret(path, json.dumps({USER: password_text}))
    return str(password_text)


def initialize(settings: Settings, log: Log, dags: Path | None = None) -> dict[str, str]:
    """Create what the components need before they start, and return their environment.

    That is the tables of the metadata database, a password, the reduced dbt manifest and the dbt
    docs.

    Args:
        settings: The settings of this CHURN_HOME.
        log: Callback for progress messages.
        dags: Another folder of DAGs to use.

    Returns:
        The environment variables of the components' processes.

    Raises:
        ChurnError: The migration of Airflow's database failed.
    """
    # Imported here: a component's health check runs every few seconds and does not need Spark's
    # client.
    from churn.reports.site import build_site

    home = settings.home / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    password(settings)
    build_site(settings, log)
    manifest = json.loads((settings.home / "dbt" / "manifest.json").read_text())
    with atomic_write(home / "manifest.json") as draft:
        draft.write_text(json.dumps(slim_manifest(manifest)))
    environ = environment(settings, dags or PACKAGES / "dags")
    log("initialising Airflow's database")
    _airflow(settings, environ, "db", "migrate")
    return environ


def run_component(settings: Settings, component: str) -> NoReturn:
    """Replace this process by a component of Airflow, so that a supervisor can run it.

    Raises:
        InvalidInputError: There is no such component.
    """
    _require_component(component)
    environ = environment(settings, PACKAGES / "dags")
    os.chdir(settings.home)
    os.execve(sys.executable, _command(component), environ)


def _require_component(component: str) -> None:
    if component not in COMPONENTS:
        raise InvalidInputError(
            f"There is no component {component!r} of Airflow",
            where="COMPONENT",
            hint=f"{format_suggestion(component, COMPONENTS)}name one of {', '.join(COMPONENTS)}",
        )


def check_health(settings: Settings, component: str) -> None:
    """Check that a component reports itself healthy.

    The API server is healthy if it reaches the database.

    Raises:
        InvalidInputError: There is no such component.
        UnavailableError: The component is not healthy or the API server does not respond.
    """
    _require_component(component)
    name = "metadatabase" if component == "api-server" else component.replace("-", "_")
    try:
        status = _health(settings)[name]["status"]
    except (OSError, KeyError) as error:
        status = str(error)
    if status != "healthy":
        raise UnavailableError(
            f"Airflow's {component} is not healthy: {status}",
            where=address(settings),
            hint="read the log of that component",
        )


def environment(settings: Settings, dags: Path) -> dict[str, str]:  # long: one line per setting
    """Return Airflow's configuration as environment variables of its processes."""
    home = settings.home / "airflow"
    port = settings.airflow_port
    if settings.airflow_database_url is None:
        databases = {"SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db"}
    else:
        metadata_database = database(settings.airflow_database_url, "CHURN_AIRFLOW_DATABASE_URL")
        # One driver for both connections; Airflow would choose another for the asynchronous one.
        databases = {
            "SQL_ALCHEMY_CONN": metadata_database.for_python,
            "SQL_ALCHEMY_CONN_ASYNC": metadata_database.for_python,
        }
    return {
        **lineage_environment(settings),
        **os.environ,
        # A task waits for the run lock; its own execution timeout limits the wait.
        "CHURN_LOCK_WAIT": "86400",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": os.environ.get("AIRFLOW__CORE__PARALLELISM", "8"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_password_file(settings)),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address(settings)}/execution/",
        **{f"AIRFLOW__DATABASE__{name}": value for name, value in databases.items()},
        "AIRFLOW__API__HOST": settings.airflow_bind,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://{LOOPBACK}:{port}",  # for browsers, on any bind
        "AIRFLOW__API__WORKERS": "1",
        # Ten steps follow one another in a run, and each waits for the scheduler's next round.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        # A restarted scheduler soon adopts the tasks that a killed scheduler had started.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(settings.home / "logs" / "airflow"),
        "AIRFLOW__COSMOS__CACHE_DIR": str(home / "cosmos"),
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        # After a retry of the producer, the test results of its first try may no longer be true.
        "AIRFLOW__COSMOS__ENABLE_WATCHER_RELIABLE_RETRY": "False",
        # Its hash of the project's folder would include CHURN_HOME and change with every run.
        "AIRFLOW__COSMOS__ENABLE_DAG_VERSIONING": "False",
    }


def slim_manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return dbt's manifest without code and macros, which no task needs."""
    return {
        "metadata": manifest["metadata"],
        "nodes": {
            name: {key: value for key, value in node.items() if key not in UNUSED_NODE_FIELDS}
            | {"description": describe_node(node)}
            for name, node in manifest["nodes"].items()
            if node["resource_type"] in ("model", "test")
        },
    }


def _command(component: str) -> list[str]:
    module = "churn.operations.airflow_scheduler" if component == "scheduler" else "airflow"
    return [sys.executable, "-m", module, *COMPONENTS[component]]


def _password_file(settings: Settings) -> Path:
    return settings.home / "airflow" / "passwords.json"


def _airflow(settings: Settings, environ: dict[str, str], *arguments: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        env=environ,
        cwd=settings.home,
        capture_output=True,
        text=True,
    )
    if answer.returncode:
        end = "\n    ".join(answer.stderr.splitlines()[-12:])
        raise ChurnError(
            f"`airflow {' '.join(arguments)}` failed\n    {end}",
            where=str(settings.home / "airflow"),
            hint="correct what the lines above name; removing that folder resets Airflow",
        )


def _is_healthy(settings: Settings) -> bool:
    """Return whether every component reports itself healthy."""
    try:
        health = _health(settings)
    except OSError:
        return False
    parts = ("scheduler", "dag_processor", "triggerer")
    return all(health[part]["status"] == "healthy" for part in parts)


def _log_in(settings: Settings) -> str:
    """Return a token of the user `admin` for Airflow's API."""
    login = json.dumps({"username": USER, "password": password(settings)}).encode()
    return str(
        _call(settings, "/auth/token", {"Content-Type": "application/json"}, login)["access_token"]
    )


def _has_dag(settings: Settings, token: str) -> bool:
    """Return whether Airflow can run the DAG of the pipeline.

    Raises:
        ChurnError: The DAG can't be imported.
    """
    login = {"Authorization": f"Bearer {token}"}
    try:
        _call(settings, f"/api/v2/dags/{DAG_ID}", login)
        return True
    except OSError:
        errors = _call(settings, "/api/v2/importErrors", login)["import_errors"]
    for error in errors:
        if error["filename"].endswith(DAG_FILE):
            raise ChurnError(
                f"Airflow can't import {DAG_FILE}: {error['stack_trace'].splitlines()[-1]}",
                where=str(settings.home / "logs" / "airflow"),
                hint="correct the file; Airflow reads the file again by itself",
            )
    return False


def _call(settings: Settings, path: str, headers: dict[str, str], body: bytes | None = None) -> Any:
    request = urllib.request.Request(address(settings) + path, body, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def _health(settings: Settings) -> Any:
    """Return the API server's health report; each component reports to the database."""
    return _call(settings, "/api/v2/monitor/health", {})
