"""Airflow's parts, each a process of its own: started here with a log and a pid, or supervised.

Everything lies under CHURN_HOME/airflow: configuration, the password of `admin` and, where no
other database is named, the metadata.
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
from lakehouse.postgresql import database
from lakehouse.process import Say, Service, port_is_open
from lakehouse.settings import LOOPBACK, Settings

USER = "admin"
START_SECONDS = 180
# The API server first: the others report to it.
PARTS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
# Of a node in dbt's manifest, what no task is rendered from: it would be read at every parse.
BULKY = {"raw_code", "compiled_code", "columns", "description", "docs", "checksum", "refs"}


def services(settings: Settings) -> dict[str, Service]:
    """Airflow's parts of this CHURN_HOME, by name."""
    home = settings.home / "airflow"
    return {part: Service(f"airflow-{part}", home / part, None) for part in PARTS}


def up(settings: Settings, say: Say, dags: Path | None = None) -> str:
    """Start what does not run, with the DAGs and the docs of this checkout; returns the address.

    `dags`: a folder of other DAGs.

    Raises:
        lakehouse.errors.UnavailableError: a part did not start.
    """
    environ = prepare(settings, say, dags)
    for part, service in services(settings).items():
        with service.starting() as lock:
            if service.find() is not None:
                continue
            say(f"starting {service.name}")
            service.start(
                [sys.executable, "-m", "airflow", *PARTS[part]],
                [settings.airflow_port] if part == "api-server" else [],
                part,
                environ,
                lock,
            )
        if part == "api-server":
            service.wait_until(lambda: port_is_open(settings.airflow_port), START_SECONDS)
    api = services(settings)["api-server"]
    api.wait_until(lambda: _is_healthy(settings), START_SECONDS)
    return address(settings)


def down(settings: Settings) -> list[str]:
    """End all parts, and the tasks that they run; the names of those that ran."""
    ended = []
    for service in reversed(services(settings).values()):
        running = service.find()
        if running is None:
            continue
        children = psutil.Process(running.pid).children(recursive=True)
        service.stop()
        for child in children:
            # Workers outlive a scheduler that is ended, to bring their task to its end.
            if child.is_running():
                child.terminate()
        psutil.wait_procs(children, timeout=10)
        ended.append(service.name)
    return ended


def address(settings: Settings) -> str:
    """Where the web interface answers."""
    return f"http://{settings.airflow_host}:{settings.airflow_port}"


def password(settings: Settings) -> str:
    """The password of `admin`: the given one, else made where there is none yet."""
    path = _password_file(settings)
    known = json.loads(path.read_text())[USER] if path.exists() else None
    wanted = settings.airflow_password or known or secrets.token_urlsafe(18)
    if wanted != known:
        write_secret(path, json.dumps({USER: wanted}))
    return str(wanted)


def prepare(settings: Settings, say: Say, dags: Path | None = None) -> dict[str, str]:
    """Make what the parts need: the metadata's tables, a password, the manifest, the dbt docs.

    Returns the environment of the parts. `dags`: a folder of other DAGs.
    """
    # Imported here: a part's health check, every few seconds, has no use for Spark's client.
    from churn.reports.site import build_site

    home = settings.home / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    password(settings)
    build_site(settings, say)
    manifest = json.loads((settings.home / "dbt" / "manifest.json").read_text())
    with atomic_write(home / "manifest.json") as draft:
        draft.write_text(json.dumps(slim(manifest)))
    environ = environment(settings, dags or settings.project / "dags")
    say("preparing Airflow's database")
    _airflow(settings, environ, "db", "migrate")
    return environ


def become(settings: Settings, part: str) -> NoReturn:
    """Turn this process into a part, for a supervisor to keep up.

    Raises:
        InvalidInputError: there is no such part.
    """
    if part not in PARTS:
        raise InvalidInputError(
            f"Airflow has no part {part}", where="the command", remedy=f"say {', '.join(PARTS)}"
        )
    environ = environment(settings, settings.project / "dags")
    os.chdir(settings.home)
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *PARTS[part]], environ)


def check(settings: Settings, part: str) -> None:
    """See whether a part reports to be well; the API server does if it reaches the database.

    Raises:
        UnavailableError: it does not.
    """
    name = "metadatabase" if part == "api-server" else part.replace("-", "_")
    try:
        said = _health(settings)[name]["status"]
    except (OSError, KeyError) as fault:
        said = str(fault)
    if said != "healthy":
        raise UnavailableError(
            f"Airflow's {part} is not well: {said}",
            where=address(settings),
            remedy="look at its log",
        )


def environment(settings: Settings, dags: Path) -> dict[str, str]:  # long: a list, a line a setting
    """Airflow's configuration, as variables of its processes."""
    home = settings.home / "airflow"
    port = settings.airflow_port
    if settings.airflow_database_url is None:
        databases = {"SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db"}
    else:
        place = database(settings.airflow_database_url, "CHURN_AIRFLOW_DATABASE_URL")
        # One driver for both ways; Airflow would take another for the second.
        databases = {
            "SQL_ALCHEMY_CONN": place.for_python,
            "SQL_ALCHEMY_CONN_ASYNC": place.for_python,
        }
    return {
        **lineage_environment(settings),
        **os.environ,
        # A task waits for its turn; how long, its own time limit says.
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
        "AIRFLOW__API__BASE_URL": f"http://{LOOPBACK}:{port}",  # for browsers, wherever it runs
        "AIRFLOW__API__WORKERS": "1",
        # What a scheduler that was killed had begun is taken over soon after its next start.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(settings.home / "logs" / "airflow"),
        "AIRFLOW__COSMOS__CACHE_DIR": str(home / "cosmos"),
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        # When the producer is tried again, what its first try said of tests may be true no more.
        "AIRFLOW__COSMOS__ENABLE_WATCHER_RELIABLE_RETRY": "False",
        # Its hash of the project's folder would walk CHURN_HOME too, and change with every run.
        "AIRFLOW__COSMOS__ENABLE_DAG_VERSIONING": "False",
    }


def slim(manifest: dict[str, Any]) -> dict[str, Any]:
    """dbt's manifest without what no task is rendered from: code, macros, documentation."""
    return {
        "metadata": manifest["metadata"],
        "nodes": {
            name: {key: value for key, value in node.items() if key not in BULKY}
            for name, node in manifest["nodes"].items()
            if node["resource_type"] in ("model", "test")
        },
    }


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
            remedy="read the lines above; remove that folder to begin anew",
        )


def _is_healthy(settings: Settings) -> bool:
    """Whether every part reports to be well."""
    try:
        health = _health(settings)
    except OSError:
        return False
    parts = ("scheduler", "dag_processor", "triggerer")
    return all(health[part]["status"] == "healthy" for part in parts)


def _health(settings: Settings) -> Any:
    """What the API server says of the parts; each of them reports to the database."""
    with urllib.request.urlopen(f"{address(settings)}/api/v2/monitor/health", timeout=10) as answer:
        return json.load(answer)
