"""Warn of variables that look like settings and have no effect: misspelt ones, those of a demo."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from lakehouse.near_matches import find_near_matches
from lakehouse.project_files import WORKSPACE
from lakehouse.settings import FILE, NAMES, Settings, find_origins, is_secret, read_dotenv, variable

# Variables that are no settings of a command: of processes of this project, of the compose file and
# of the shell's completion. A test compares them with the sources.
OTHERS = frozenset(
    f"CHURN_{name}"
    for name in (
        *("COMPLETE", "RUN_ID", "RUN_LOCK", "FAULT", "SHARE", "USER", "WORKERS", "TASKS_AT_ONCE"),
        *("DRIVER_MEMORY", "EXECUTOR_MEMORY", "READERS_ADDRESS", "READERS_MEMORY", "READER_KEYS"),
        *("S3_IMAGE", "REDIS_IMAGE", "POSTGRES_IMAGE", "MLFLOW_SERVERS", "TRIGGERERS"),
        *("LANDING_FOLDER",),
    )
)


def find_unknown_variables(
    environ: Mapping[str, str] | None = None, project: Path = WORKSPACE
) -> Iterator[str]:
    """Yield a warning for each variable CHURN_ that nothing reads."""
    known = {variable(name) for name in NAMES}
    known |= {f"{variable(name)}{FILE}" for name in NAMES if is_secret(name)}
    values = {**read_dotenv(project / ".env"), **(os.environ if environ is None else environ)}
    for name, value in sorted(values.items()):
        if not name.startswith("CHURN_") or not value or name in known | OTHERS:
            continue
        near = find_near_matches(name, known, count=1)
        hint = f"did you mean {near[0]}?" if near else "`churn config` lists the settings"
        yield f"warning: {name} is no setting; {hint}"


def format_ignored_settings(settings: Settings) -> str:
    """Return the warning of the settings that the demo ignores; empty if there are none."""
    names = [
        variable(name)
        for name in NAMES
        if name != "home"
        and not name.endswith("_port")
        and find_origins(project=settings.project)[variable(name)] != "default"
    ]
    return f"warning: the demo ignores {', '.join(names)}" if names else ""
