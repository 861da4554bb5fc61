"""The Thrift sessions of a dbt process: shared by its nodes, with settings for the size of loads.

dbt-spark opens a session for every node. A session costs the server its own catalog, functions and
settings, and dbt several statements. A dbt thread uses one session at a time, so a process needs as
many as it has threads.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

from dbt.adapters.contracts.connection import Connection, ConnectionState
from dbt.adapters.exceptions import FailedToConnectError
from dbt.adapters.spark.connections import SparkConnectionManager, SparkCredentials
from dbt.adapters.spark.impl import SparkAdapter
from dbt.adapters.sql import SQLAdapter
from dbt.flags import get_flags
from dbt_common.exceptions import DbtDatabaseError, DbtRuntimeError
from thrift.Thrift import TException

from lakehouse.errors import UnavailableError
from lakehouse.process import port_is_open
from lakehouse.settings import LOOPBACK
from lakehouse.sql_errors import find_source, format_sql_error

# A lake of which no load has more rows gets the settings for small loads.
SMALL_LOAD_ROWS = 100_000
LARGEST_LOAD = "select coalesce(max(row_count), 0) from bronze.loads"
# For small loads, generating and compiling code takes longer than interpreting the plan; adaptive
# execution makes each stage a job of its own, and a broadcast join each broadcast table; and one
# task needs no shuffle.
SMALL_LOAD_SETTINGS = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.leafNodeDefaultParallelism": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
}


def add_session_setting(credentials: SparkCredentials, name: str, value: str) -> None:
    """Set a Spark setting in all sessions that are opened from now on, without a statement."""
    credentials.server_side_parameters[f"set:hiveconf:{name}"] = value


def remove_session_setting(credentials: SparkCredentials, name: str) -> None:
    """Let all sessions that are opened from now on have the server's value of a setting."""
    credentials.server_side_parameters.pop(f"set:hiveconf:{name}", None)


def project_dir() -> Path:
    """Return the folder of the project that this dbt call builds."""
    return Path(str(getattr(get_flags(), "PROJECT_DIR", None) or Path.cwd()))


def _require_server(credentials: Any) -> None:
    host, port = getattr(credentials, "host", ""), getattr(credentials, "port", 0)
    if host == LOOPBACK and not port_is_open(port, host):
        error = UnavailableError(
            "The Spark server does not answer",
            where=f"{host}:{port}",
            hint="`churn up` starts it; `churn status` shows what runs",
        )
        raise FailedToConnectError(str(error))


class SharedSessions(SparkConnectionManager):
    """The connection manager of dbt-spark, except that it keeps released sessions for reuse."""

    # Fills in what a profile leaves empty. `dbt retry` reads the profile a second time.
    complete: ClassVar[Callable[[SparkCredentials], None] | None] = None
    _lock = Lock()
    _idle: ClassVar[list[Any]] = []
    _knows_size: ClassVar[bool] = False
    _schemas_lock = Lock()
    _schemas: ClassVar[list[str]] = []

    @classmethod
    def list_schemas(cls, adapter: SparkAdapter, database: str | None) -> list[str]:
        """List the schemas once: dbt asks again for each schema that a build writes to."""
        with cls._schemas_lock:
            if not cls._schemas:
                cls._schemas = SQLAdapter.list_schemas(adapter, database)
            return cls._schemas

    @contextmanager
    def exception_handler(self, sql: str) -> Iterator[None]:
        """Raise an error in the SQL as message, line and suggestion; dbt's log has all of it."""
        try:
            with super().exception_handler(sql):
                yield
        except DbtRuntimeError as error:
            node = self.get_thread_connection().name or ""
            text = format_sql_error(
                str(error), sql, find_source(project_dir(), node), self._list_tables
            )
            if text is None:
                raise
            raise DbtDatabaseError(text) from error

    def _list_tables(self, schema: str) -> list[str]:
        """Return the tables of a schema, for suggestions; none if they can't be listed."""
        try:
            cursor = self.get_thread_connection().handle.cursor()
            cursor.execute(f"show tables in `{schema}`")
            return [str(row[1]) for row in cursor.fetchall()]
        except Exception:  # the error of the statement matters, not that of the suggestion
            return []

    @classmethod
    def open(cls, connection: Connection) -> Connection:
        """Give the connection an idle session of this process, otherwise a new one.

        Raises:
            FailedToConnectError: If no server listens on this machine: to repeat would not help.
        """
        if cls.complete is not None:
            cls.complete(connection.credentials)
        with cls._lock:
            if cls._idle:
                connection.handle, connection.state = cls._idle.pop(), ConnectionState.OPEN
                return connection
            _require_server(connection.credentials)
            if not cls._knows_size:
                cls._knows_size = True
                return cls._open_for_size(connection)
        return super().open(connection)

    @classmethod
    def _open_for_size(cls, connection: Connection) -> Connection:
        """Open the first session and choose the settings of all by the largest load of the lake."""
        credentials: Any = connection.credentials
        for name, value in SMALL_LOAD_SETTINGS.items():
            add_session_setting(credentials, name, value)
        super().open(connection)
        rows = 0
        with suppress(DbtRuntimeError):  # nothing was loaded yet
            cursor = connection.handle.cursor()
            cursor.execute(LARGEST_LOAD)
            ((rows,),) = cursor.fetchall()
        if rows <= SMALL_LOAD_ROWS:
            return connection
        for name in SMALL_LOAD_SETTINGS:
            remove_session_setting(credentials, name)
        connection.handle.close()
        connection.state = ConnectionState.INIT
        return super().open(connection)

    @classmethod
    def _close_handle(cls, connection: Connection) -> None:
        """Keep the session; dbt calls this when a node has ended."""
        with cls._lock:
            cls._idle.append(connection.handle)

    def cleanup_all(self) -> None:
        """Close all sessions; dbt calls this at the end of a command."""
        super().cleanup_all()
        with self._lock:
            SharedSessions._knows_size = False
            SharedSessions._schemas = []
            while self._idle:
                # The server may have ended, and its sessions with it.
                with suppress(TException, OSError):
                    self._idle.pop().close()
