"""Ends a command whose Spark server is gone or hangs.

A client waits for a hanging server for ever, dbt's as well as Spark's own, in threads that nothing
can call back. Ending the process is safe at any moment, since nothing that a command does needs
its end to be right: the run lock tells the next one that the work broke off.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from lakehouse import spark_server
from lakehouse.errors import ServerLostError
from lakehouse.process import ProcessInfo
from lakehouse.settings import Settings

POLL_SECONDS = 5.0
# What works with a server that is gone mostly notices by itself, and ends in good order.
GRACE_SECONDS = 15.0


@contextmanager
def watch_server(settings: Settings, running: ProcessInfo) -> Iterator[None]:
    """End the process with the exit code of `ServerLostError` if the server is lost."""
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
            spark_server.check(settings, running)
        except ServerLostError as fault:
            hangs = spark_server.find(settings) == running
            if done.wait(0 if hangs else GRACE_SECONDS):
                return
            click.echo(f"{fault}", err=True)
            os._exit(fault.exit_code)
