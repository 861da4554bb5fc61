"""The Thrift sessions of a dbt process: shared by its nodes, with settings for the size of loads.

dbt-spark opens a session for every node. A session costs the server its own catalog, functions and
settings, and dbt several statements. A dbt thread uses one session at a time, so a process needs as
many as it has threads.
"""

from contextlib import suppress
from threading import Lock
from typing import Any, ClassVar

from dbt.adapters.contracts.connection import Connection, ConnectionState, Identifier
from dbt.adapters.spark.connections import SparkConnectionManager, SparkCredentials
from dbt_common.exceptions import DbtRuntimeError
from thrift.Thrift import TException

# A lake of which no load has more rows gets the settings for small loads.
SMALL_LOAD_ROWS = 100_000
LARGEST_LOAD = "select coalesce(max(row_count), 0) from bronze.loads"
# For small loads, generating and compiling code takes longer than interpreting the plan; adaptive
# execution makes each stage a job of its own; and one task needs no shuffle.
SMALL_LOAD_SETTINGS = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.leafNodeDefaultParallelism": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
}


def add_session_setting(credentials: SparkCredentials, name: str, value: str) -> None:
    """Set a Spark setting in all sessions that are opened from now on, without a statement."""
    credentials.server_side_parameters[f"set:hiveconf:{name}"] = value


class SharedSessions(SparkConnectionManager):
    """The connection manager of dbt-spark, except that it keeps released sessions for reuse."""

    _lock = Lock()
    _idle: ClassVar[list[Any]] = []
    _knows_size: ClassVar[bool] = False

    @classmethod
    def open(cls, connection: Connection) -> Connection:
        """Give the connection an idle session of this process, otherwise a new one."""
        with cls._lock:
            if cls._idle:
                connection.handle, connection.state = cls._idle.pop(), ConnectionState.OPEN
                return connection
            if not cls._knows_size:
                cls._set_for_size(connection.credentials)
                cls._knows_size = True
        return super().open(connection)

    @classmethod
    def _set_for_size(cls, credentials: Any) -> None:
        """Choose the settings of all sessions by the largest load of the lake."""
        question = Connection(Identifier(cls.TYPE), "size of loads", credentials=credentials)
        handle = super().open(question).handle
        rows = 0
        with suppress(DbtRuntimeError):  # nothing was loaded yet
            cursor = handle.cursor()
            cursor.execute(LARGEST_LOAD)
            ((rows,),) = cursor.fetchall()
        handle.close()
        if rows <= SMALL_LOAD_ROWS:
            for name, value in SMALL_LOAD_SETTINGS.items():
                add_session_setting(credentials, name, value)

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
            while self._idle:
                # The server may have ended, and its sessions with it.
                with suppress(TException, OSError):
                    self._idle.pop().close()
