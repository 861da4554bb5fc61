"""End a command whose Spark server has exited or hangs.

A client waits forever for a hanging server, dbt's client as well as Spark's own, in threads that
cannot be interrupted. The process can be ended safely at any moment, because no command depends on
completing: the run lock shows the next command that the work was interrupted.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from lakehouse import spark_process
from lakehouse.errors import ServerLostError
from lakehouse.log_format import ERROR, format_message
from lakehouse.process import ProcessInfo
from lakehouse.run_log import write_log
from lakehouse.settings import Settings

POLL_SECONDS = 5.0
# A command whose server has exited usually notices this itself and ends in an orderly way.
GRACE_SECONDS = 15.0


@contextmanager
def watch_server(settings: Settings, running: ProcessInfo) -> Iterator[None]:
    """End the process with the exit code of `ServerLostError` if the server is lost.

    The check runs in a background thread while the `with` body runs.

    Args:
        settings: The settings of this CHURN_HOME.
        running: The server process that the command uses.
    """
    done = threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(settings, running, done), daemon=True, name="server watch"
    )
    watcher.start()
    try:
        yield
    finally:
        done.set()


def _watch(settings: Settings, running: ProcessInfo, done: threading.Event) -> None:
    while not done.wait(POLL_SECONDS):
        try:
            spark_process.check_running(settings, running)
        except ServerLostError as error:
            hangs = spark_process.find(settings) == running
            if done.wait(0 if hangs else GRACE_SECONDS):
                return
            write_log(f"{error}", ERROR)
            click.echo(format_message(f"{error}", ERROR), err=True)
            os._exit(error.exit_code)
