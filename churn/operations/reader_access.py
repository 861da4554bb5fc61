"""Give readers what is published: the copies of the tables, and the server on them."""

from lakehouse import spark_session
from lakehouse.errors import InvalidInputError
from lakehouse.process import Log
from lakehouse.readers import published_copy, server, users
from lakehouse.run_lock import run_lock
from lakehouse.settings import Settings


def start_readers_server(settings: Settings, log: Log) -> None:
    """Refresh the copies and start the readers' server; the pipeline's server must run.

    Raises:
        InvalidInputError: There is no reader.
        lakehouse.errors.UnavailableError: A server can't be started, or another run has the lock.
    """
    if not users.names(settings):
        raise InvalidInputError(
            "There is no reader yet",
            where=str(users.folder(settings)),
            hint="`churn user add NAME --role reader` adds one",
        )
    with run_lock(settings, "churn up --readers", log):
        refresh_and_start(settings, log)
    log(
        f"readers connect to 127.0.0.1:{settings.reader_thrift_port} (Thrift) and "
        f"sc://localhost:{settings.reader_connect_port} (Connect)"
    )


def refresh_and_start(settings: Settings, log: Log) -> None:
    """Refresh the copies and start the readers' server; call it under the run lock."""
    with spark_session.session(settings) as spark:
        published_copy.refresh(settings, spark, log)
    server.ensure_running(settings, log)
