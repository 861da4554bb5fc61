"""Airflow on this machine: its parts, each a process of its own with a log and a pid, on loopback.

Everything lies under CHURN_HOME/airflow: metadata, configuration, the password of `admin`.
"""

import json
import os
import secrets
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from cli.site import build_site
from lakehouse.errors import ChurnError
from lakehouse.service import Say, Service, answers_on
from lakehouse.settings import Settings
from lakehouse.whole_files import write_secret, written_whole

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
        lakehouse.errors.Unavailable: a part did not start.
    """
    home = settings.home / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    prepare(settings, say)
    environ = environment(settings, dags or settings.project / "dags")
    _airflow(settings, environ, "db", "migrate")
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
            service.wait_until(lambda: answers_on(settings.airflow_port), START_SECONDS)
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
    return f"http://127.0.0.1:{settings.airflow_port}"


def password(settings: Settings) -> str:
    """The password of `admin`, made where there is none yet."""
    path = _password_file(settings)
    if not path.exists():
        write_secret(path, json.dumps({USER: secrets.token_urlsafe(18)}))
    return str(json.loads(path.read_text())[USER])


def prepare(settings: Settings, say: Say) -> None:
    """What the DAG and the menu show: the manifest that is rendered, the dbt docs, a password."""
    password(settings)
    build_site(settings, say)
    manifest = json.loads((settings.home / "dbt" / "manifest.json").read_text())
    path = settings.home / "airflow" / "manifest.json"
    with written_whole(path) as draft:
        draft.write_text(json.dumps(slim(manifest)))


def environment(settings: Settings, dags: Path) -> dict[str, str]:
    """Airflow's configuration, as variables of its processes."""
    home = settings.home / "airflow"
    port = settings.airflow_port
    return {
        **os.environ,
        # A task waits for its turn; how long, its own time limit says.
        "CHURN_LOCK_WAIT": "86400",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_password_file(settings)),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address(settings)}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address(settings),
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
        with urllib.request.urlopen(f"{address(settings)}/api/v2/monitor/health") as answer:
            health = json.load(answer)
    except OSError:
        return False
    parts = ("scheduler", "dag_processor", "triggerer")
    return all(health[part]["status"] == "healthy" for part in parts)
