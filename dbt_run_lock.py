"""dbt plugin that acquires the run lock for building commands and for a run's tests.

It also removes superseded files at exit. dbt imports top-level modules whose names begin with
`dbt_` and starts the plugins that they list before it reads the project. Jinja, in which
`on-run-start` hooks are written, can neither hold a lock that the kernel releases when the process
dies (docs/decisions/0002-run-lock.md) nor access files.
"""

import atexit
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

from dbt.flags import get_flags
from dbt.plugins.manager import dbtPlugin
from dbt_common.exceptions import DbtRuntimeError

from lakehouse.commit_metadata import RUN
from lakehouse.dbt_project import is_this_project, require_current
from lakehouse.errors import ChurnError, InvalidInputError
from lakehouse.published_files import has_superseded_files
from lakehouse.run_lock import acquire_for_dbt, release
from lakehouse.settings import Settings, read_settings

# `retry` repeats one of the others.
BUILDING = {"build", "run", "seed", "snapshot", "clone", "retry", "run-operation"}


class RunLock(dbtPlugin):
    """Hold the run lock for the lifetime of the process."""

    held: IO[str] | None = None

    def initialize(self) -> None:
        """Acquire the run lock if the command builds, or tests as part of a run.

        dbt loads the plugin for any project that is built with this environment's `dbt` from this
        folder; other projects need no lock.

        Raises:
            DbtRuntimeError: If the lock cannot be acquired or the settings are invalid. A `dbt`
                process then exits with the exit code of the underlying `ChurnError`.
        """
        command = str(getattr(get_flags(), "WHICH", ""))
        # The tests of a run wait for the lock as well: after an interrupted run, the next writer
        # terminates the server, together with the statements of all other clients.
        is_turn_needed = command in BUILDING or (command == "test" and RUN in os.environ)
        project = Path(str(getattr(get_flags(), "PROJECT_DIR", None) or Path.cwd()))
        if not is_turn_needed or RunLock.held is not None or not is_this_project(project):
            return
        try:
            _refuse_clone(command)
            settings = read_settings()
            require_current(project)
            RunLock.held = acquire_for_dbt(settings, f"dbt {command}")
        except ChurnError as error:
            if Path(sys.argv[0]).name == "dbt":
                # dbt exits with 2 on every error of its own. As a standalone command it must use
                # the exit codes of all other commands, for example if another run holds the lock.
                atexit.register(os._exit, error.exit_code)
            raise DbtRuntimeError(str(error)) from error
        if RunLock.held is not None:
            # pyarrow registers its exit handler on import. Exit handlers run in reverse order, so
            # importing it before our handler is registered makes its handler run after ours.
            import pyarrow.fs  # noqa: F401

            atexit.register(_end, settings, RunLock.held)


def _refuse_clone(command: str) -> None:
    """Raise an error for `dbt clone`, which would make clones in place of the tables.

    The project has one target, so that a table and its clone would have the same name; and gold is
    Parquet, which Spark cannot clone.
    """
    if command == "clone":
        raise InvalidInputError(
            "`dbt clone` is not supported: a lake has one copy of each table",
            where="dbt clone",
            hint="to work on a copy, `churn backup FOLDER`, then `churn restore` into another "
            "CHURN_HOME; `dbt build --select state:modified+ --state FOLDER` builds what changed",
        )


def _end(settings: Settings, lock: IO[str]) -> None:
    """Remove the files that this dbt call superseded, then release the lock."""
    if has_superseded_files(settings):
        # A process that is exiting can no longer communicate with the server.
        subprocess.run([sys.executable, "-P", "-m", "lakehouse.published_files"], check=False)
    release(lock)


plugins = [RunLock]
