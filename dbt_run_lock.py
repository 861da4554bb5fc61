"""Plugin of dbt: a call that builds, or tests for a run, takes the run lock, and clears up after.

dbt imports top-level modules whose names begin with `dbt_` and starts the plugins that they list,
before it reads the project. Jinja, where `on-run-start` lives, can't hold a lock that the kernel
gives back when the process dies (docs/decisions/0002-run-lock.md), nor touch files.
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
from lakehouse.errors import ChurnError
from lakehouse.published_files import has_superseded_files
from lakehouse.run_lock import acquire_for_dbt, release
from lakehouse.settings import Settings, read_settings

BUILDING = {"build", "run", "seed", "snapshot", "clone", "run-operation"}


class RunLock(dbtPlugin):
    """Holds the lock as long as the process lives."""

    held: IO[str] | None = None

    def initialize(self) -> None:
        command = str(getattr(get_flags(), "WHICH", ""))
        # The tests of a run wait for their turn as well: after one that broke off, the next writer
        # ends the server, with all that others have it do.
        is_turn_needed = command in BUILDING or (command == "test" and RUN in os.environ)
        if not is_turn_needed or RunLock.held is not None:
            return
        try:
            settings = read_settings()
            RunLock.held = acquire_for_dbt(settings, f"dbt {command}")
        except ChurnError as fault:
            if Path(sys.argv[0]).name == "dbt":
                # dbt ends with 2 on every fault of its own; as a command of its own it is to say
                # "another run holds the lake" in the way that all commands do.
                atexit.register(os._exit, fault.exit_code)
            raise DbtRuntimeError(str(fault)) from fault
        if RunLock.held is not None:
            # Its own clearing up is registered at its import: before ours, so that it comes after.
            import pyarrow.fs  # noqa: F401

            atexit.register(_end, settings, RunLock.held)


def _end(settings: Settings, lock: IO[str]) -> None:
    """Remove what this dbt call superseded, then give the lock back."""
    if has_superseded_files(settings):
        # A process that ends can't talk to the server any more.
        subprocess.run([sys.executable, "-m", "lakehouse.published_files"], check=False)
    release(lock)


plugins = [RunLock]
