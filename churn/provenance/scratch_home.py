"""Create a temporary CHURN_HOME with its own lake, metastore, servers and models."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from dotenv import dotenv_values

from lakehouse.errors import ChurnError
from lakehouse.process import Log, free_port
from lakehouse.project_files import PACKAGES
from lakehouse.settings import Settings, read_settings

FOLDER = "scratch"
# Settings of this CHURN_HOME do not apply to another one.
FOREIGN = ("CHURN_", "OPENLINEAGE", "AIRFLOW", "MLFLOW")
LINES_SHOWN = 15


@dataclass(frozen=True)
class Scratch:
    """Settings of a temporary CHURN_HOME, and the environment of its commands."""

    settings: Settings
    environ: Mapping[str, str]

    def churn(self, arguments: Sequence[str], log: Log, allowed: Sequence[int] = (0,)) -> int:
        """Run a command in the temporary CHURN_HOME and forward its messages.

        Args:
            arguments: The arguments of `churn`.
            log: Callback for the command's messages.
            allowed: Accepted exit codes.

        Returns:
            The exit code.

        Raises:
            ChurnError: The command ended with another exit code.
        """
        command = [sys.executable, "-m", "churn.cli.main", *arguments]
        output = []
        with subprocess.Popen(
            command,
            cwd=PACKAGES,
            env=dict(self.environ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                output.append(line.rstrip())
                log(line.strip())
        if process.returncode not in allowed:
            raise ChurnError(
                f"`churn {' '.join(arguments)}` failed in the scratch home: "
                + "\n    ".join(output[-LINES_SHOWN:]),
                where=str(self.settings.home),
                hint="read the lines above, then repeat the command",
            )
        return process.returncode


@contextmanager
def scratch_home(settings: Settings, log: Log) -> Iterator[Scratch]:
    """Create a temporary CHURN_HOME below CHURN_HOME, and remove it with its servers at exit.

    Folders that interrupted commands left behind are removed first.
    """
    folder = settings.home / FOLDER
    for left in folder.glob("*"):
        if not psutil.pid_exists(int(left.name)):
            log(f"removing files of an interrupted command: {left}")
            _remove(_scratch(settings, left))
    scratch = _scratch(settings, folder / str(os.getpid()))
    scratch.settings.home.mkdir(parents=True)
    try:
        yield scratch
    finally:
        _remove(scratch)


def _scratch(settings: Settings, home: Path) -> Scratch:
    """Return default settings, independent of this CHURN_HOME's, with local services only."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(FOREIGN)}
    # An empty variable selects the default, even if .env sets another value.
    names = (*os.environ, *dotenv_values(settings.project / ".env"))
    empty = {name: "" for name in names if name.startswith("CHURN_")}
    environ = {
        **inherited,
        **empty,
        "CHURN_HOME": str(home),
        "CHURN_THRIFT_PORT": str(free_port()),
        "CHURN_CONNECT_PORT": str(free_port()),
        "OPENLINEAGE_DISABLED": "true",
    }
    return Scratch(read_settings(environ, settings.project), environ)


def _remove(scratch: Scratch) -> None:
    scratch.churn(["down"], lambda _: None)
    shutil.rmtree(scratch.settings.home, ignore_errors=True)
