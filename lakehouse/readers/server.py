"""The readers' server: SQL over Thrift and DataFrames over Connect, on the copies alone.

It is a process of its own. It has no password of the pipeline, no metastore of the pipeline and no
table of it, and refuses every statement that does not read its tables (ReaderRules.java). What a
reader does can neither change a table nor slow down the pipeline's server.

    python -m lakehouse.readers.server

runs it as a container of its own, on the copies that the pipeline writes elsewhere.
"""

import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from lakehouse import spark_server
from lakehouse.atomic_write import atomic_write
from lakehouse.errors import ChurnError
from lakehouse.jars import spark_jars
from lakehouse.process import Log, ProcessInfo, Service, port_is_open
from lakehouse.readers import users
from lakehouse.readers.published_copy import FOLDER, list_copies, locate_copy
from lakehouse.settings import Settings, read_settings
from lakehouse.sql import literal

NAME = "readers"
START_SECONDS = 180
POLL_SECONDS = 10
# Half of the most that the pipeline's server has, which takes precedence.
MOST_MEGABYTES = 2048
KEYS = "CHURN_READER_KEYS"


def service(settings: Settings) -> Service:
    """Return the readers' server of this CHURN_HOME; it runs until `churn down`."""
    return Service(NAME, settings.home / NAME, None)


def ensure_running(settings: Settings, log: Log) -> ProcessInfo:
    """Return the readers' server; start it if it does not run or lacks a table.

    Raises:
        lakehouse.errors.UnavailableError: The server can't be started.
    """
    spark = service(settings)
    identity = _identity(settings)
    running = spark.find()
    if running is not None and running.identity != identity:
        spark.stop(patience=0)
    with spark.start_lock() as lock:
        running = spark.find()
        if running is None:
            log("starting the readers' server (`churn down` ends it)")
            program = _prepare(settings, spark, log)
            own = _settings(settings)
            jars = spark_jars(settings.project, log, own.lake.jar_purposes)
            running = spark.start(
                command=spark_server.command(own, spark.folder, jars, program),
                ports=[own.thrift_port, own.connect_port],
                identity=identity,
                environ=_environment(settings, spark),
                lock=lock,
            )
        ports = running.ports
        spark.wait_until(lambda: all(map(port_is_open, ports)), START_SECONDS)
    return running


def run_forever(settings: Settings, log: Log) -> NoReturn:
    """Keep the server running on the copies, and start it again if there are other ones.

    Without copies, as after an erasure, it is stopped: it may have rows of them.

    Raises:
        lakehouse.errors.UnavailableError: The server can't be started.
    """
    before: list[str] = []
    while True:
        tables = list_copies(settings)
        if not tables:
            service(settings).stop()
        elif tables == before:  # the first refresh writes one table after the other
            ensure_running(settings, log)
        before = tables
        time.sleep(POLL_SECONDS)


def _settings(settings: Settings) -> Settings:
    """Return the settings that the readers' server has in place of the pipeline's."""
    return replace(
        settings.with_lake(settings.lake.join(FOLDER)),
        thrift_port=settings.reader_thrift_port,
        connect_port=settings.reader_connect_port,
        spark_master="local[*]",
        metastore_url=None,
        metastore_password=None,
        spark_password=None,
    )


def _identity(settings: Settings) -> str:
    tables = ", ".join(list_copies(settings))
    return f"{settings.lake.join(FOLDER).address}: {tables}"


def _prepare(settings: Settings, spark: Service, log: Log) -> spark_server.Program:
    """Write what the server starts from: its tables, in a metastore that is made again."""
    shutil.rmtree(spark.folder / "metastore", ignore_errors=True)
    spark.folder.mkdir(parents=True, exist_ok=True)
    statements = spark.folder / "tables.sql"
    with atomic_write(statements) as draft:
        draft.write_text("\n".join(_create_statements(settings)) + "\n")
    return spark_server.Program(
        login_check="ReaderPassword",
        main="ReaderServer",
        arguments=(str(statements),),
        most_megabytes=MOST_MEGABYTES,
        configuration={
            "spark.app.name": "churn readers",
            "spark.sql.extensions": "ReaderRules,io.delta.sql.DeltaSparkSessionExtension",
            "spark.connect.grpc.interceptor.classes": "ReaderInterceptor",
            # ReaderRules refuses such names too.
            "spark.sql.runSQLOnFiles": "false",
        },
    )


def _create_statements(settings: Settings) -> list[str]:
    tables = list_copies(settings)
    schemas = sorted({table.partition(".")[0] for table in tables})
    folders = {schema: settings.lake.join(FOLDER, schema).address for schema in schemas}
    copies = {table: locate_copy(settings, table).address for table in tables}
    return [
        *(
            f"create schema if not exists {schema} location {literal(address)}"
            for schema, address in folders.items()
        ),
        *(
            f"create table if not exists {table} using delta location {literal(address)}"
            for table, address in copies.items()
        ),
    ]


def _environment(settings: Settings, spark: Service) -> dict[str, str]:
    environ = spark_server.environment(settings, spark)
    return {
        **{name: text for name, text in environ.items() if name != spark_server.TOKEN},
        KEYS: str(users.folder(settings)),
        # No reader's Python code is executed, even if a message with some were accepted.
        "PYSPARK_PYTHON": str(Path("/bin/false")),
        "PYSPARK_DRIVER_PYTHON": str(Path("/bin/false")),
    }


def main() -> None:
    """Run the server as a standalone command."""
    try:
        run_forever(read_settings(), print)
    except ChurnError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
