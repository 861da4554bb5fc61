"""The Spark server: one driver process that serves SQL over Thrift and DataFrames over Connect.

No other process starts a JVM for Spark, so Delta tables have one writing driver and the metastore
has one owner.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn

import psutil

from lakehouse import class_archive
from lakehouse.errors import UnavailableError
from lakehouse.jars import (
    PASSWORD_CHECK,
    SPARK_HOME,
    select_common,
    server_classes,
    spark_jars,
)
from lakehouse.java import find_java
from lakehouse.metastore import JAR_PURPOSE, create_tables, write_configuration
from lakehouse.process import IDLE_SECONDS, Log, ProcessInfo, Service, port_is_open
from lakehouse.run_lock_file import erasing_file
from lakehouse.settings import Settings
from lakehouse.spark_credentials import generate_password
from lakehouse.spark_process import (
    check_running,
    find,
    identity,
    server_lost_error,
    service,
)
from lakehouse.truststore import java_options

SCHEMAS = ("bronze", "silver", "audit", "gold")
START_SECONDS = 180
POLL_SECONDS = 1
# Memory limits of a container: cgroup version 2 and, for engines that still use it, version 1.
CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
# Variable from which Spark's check of the Connect endpoint reads the token, and ours of Thrift.
TOKEN = "SPARK_CONNECT_AUTHENTICATE_TOKEN"
# Memory of a command that reads from Feast and Spark.
COMMANDS_MEGABYTES = 256
# Statements that the Thrift endpoint executes concurrently; dbt sends four.
STATEMENT_THREADS = 8
# Format and levels of the server's log.
LOGGING = Path(__file__).with_name("log4j2.properties")
INTERRUPTED = (
    "an earlier run was interrupted: restarting the Spark server, which may still execute it"
)
# Packages that Spark's own launcher script opens to the libraries it uses.
OPENED_PACKAGES = [
    *("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio"),
    *("java.util", "java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref"),
    *("sun.nio.ch", "sun.nio.cs", "sun.security.action", "sun.util.calendar"),
]
# Statements are many, small and all different: on two cores, half of a build's processor time was
# spent in the optimizing compiler. Higher thresholds delay it until code is really hot, and a
# larger code cache keeps the compiled code.
JIT_OPTIONS = [
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-XX:+UseParallelGC",
    "-XX:ReservedCodeCacheSize=512m",
    "-XX:Tier4InvocationThreshold=30000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=60000",
    "-XX:Tier4BackEdgeThreshold=200000",
]


@dataclass(frozen=True)
class Program:
    """What the server's process executes.

    Attributes:
        login_check: The class that checks logins at the Thrift endpoint.
        main: The main class.
        arguments: Its arguments.
        configuration: Spark's settings that differ from those of `configuration`.
        most_megabytes: Largest size of the heap.
    """

    login_check: str
    main: str = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
    arguments: tuple[str, ...] = ()
    configuration: Mapping[str, str | int] = field(default_factory=dict)
    most_megabytes: int = 4096


def ensure_running(settings: Settings, log: Log) -> ProcessInfo:
    """Return the running server, ready to execute statements; start it if there is none.

    Raises:
        UnavailableError: If the server cannot be started, does not appear on its machine in time,
            was started with other settings, or does not respond.
    """
    if settings.spark_is_elsewhere:
        return _wait_for_remote(settings, log)
    spark = service(settings)
    running = spark.find()
    if running is not None and all(map(port_is_open, running.ports)):
        _check_identity(running, settings)
        check_running(settings, running)
        return running
    with spark.start_lock() as lock:
        running = spark.find()
        if running is None:
            running = _start(spark, settings, log, lock)
        _check_identity(running, settings)
        ports = running.ports
        spark.wait_until(lambda: all(map(port_is_open, ports)), START_SECONDS)
        _create_schemas(settings)
    return running


def _wait_for_remote(
    settings: Settings, log: Log, replaced: ProcessInfo | None = None
) -> ProcessInfo:
    """Wait for the server that is operated on another machine and return it.

    `replaced` is a server that is to be replaced and does not count.
    """
    deadline = time.monotonic() + START_SECONDS
    is_reported = False
    while (running := find(settings)) in (None, replaced):
        if time.monotonic() > deadline:
            raise UnavailableError(
                "The Spark server does not answer",
                where=f"CHURN_SPARK_HOST, {settings.connect_url}",
                hint="start it there with `churn up --foreground`, with the same CHURN_HOME",
            )
        if not is_reported:
            log(f"waiting for the Spark server at {settings.spark_host}")
            is_reported = True
        time.sleep(0.5)
    assert running is not None
    _check_identity(running, settings)
    check_running(settings, running)
    return running


def run_forever(settings: Settings, log: Log) -> NoReturn:
    """Keep the server running for other processes, and restart it when one of them requests it.

    An erasure stops the server and starts it again before it is complete.

    Raises:
        ServerLostError: If the server ended; the supervisor of this process must restart both.
    """
    running = ensure_running(settings, log)
    request = _request(settings)
    request.unlink(missing_ok=True)
    while True:
        time.sleep(POLL_SECONDS)
        if request.exists():
            request.unlink()
            restart(settings, log)
            running = ensure_running(settings, log)
        elif service(settings).find() is None and not erasing_file(settings).exists():
            raise server_lost_error(settings, running)


def _request(settings: Settings) -> Path:
    """Return the path of the restart request file.

    Its existence asks the process that operates the server on another machine for a fresh server.
    """
    return service(settings).folder / "restart"


def restart(settings: Settings, log: Log, reason: str = INTERRUPTED) -> None:
    """Terminate the server with all running statements and start it again; do nothing if none runs.

    A client that dies leaves its statements running, which would commit during the next client's
    work. Only ending the process is certain to end them, whichever endpoint received them.
    """
    running = find(settings)
    if running is None or running.identity != identity(settings):
        return
    log(reason)
    if settings.spark_is_elsewhere:
        _request(settings).touch()
        _wait_for_remote(settings, log, replaced=running)
        return
    spark = service(settings)
    spark.stop(patience=0)  # running statements must not complete
    ensure_running(settings, log)


def _start(spark: Service, settings: Settings, log: Log, lock: IO[str]) -> ProcessInfo:
    spark.folder.mkdir(parents=True, exist_ok=True)
    jars = spark_jars(settings.project, log, _purposes(settings))
    settings.lake.prepare()  # raises a clear error before Spark fails
    create_tables(settings, spark.folder, jars, log)
    log("starting the Spark server (it stays warm for 30 idle minutes; `churn down` ends it)")
    program = Program(PASSWORD_CHECK.stem)
    return spark.start(
        command=command(settings, spark.folder, jars, program),
        ports=[settings.thrift_port, settings.connect_port],
        identity=identity(settings),
        # Secrets are passed in the environment: a command line is readable by all users.
        environ=environment(settings, spark) | {TOKEN: generate_password(settings)},
        lock=lock,
    )


def environment(settings: Settings, spark: Service) -> dict[str, str]:
    """Return the environment of a server, without a password."""
    paths = {
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": settings.spark_bind,
        # It takes precedence over Spark's setting; a user may have set it for other servers.
        "SPARK_LOCAL_DIRS": str(spark.scratch),
        # Java encodes file names by the locale, and `LC_ALL=C` would restrict them to ASCII.
        "LC_ALL": "C.UTF-8",
    }
    return {**os.environ, **settings.aws, **paths}


def _purposes(settings: Settings) -> set[str]:
    """Return the purposes whose additional JARs the settings require."""
    return settings.lake.jar_purposes | ({JAR_PURPOSE} if settings.metastore_url else set())


def _check_identity(running: ProcessInfo, settings: Settings) -> None:
    wanted = (identity(settings), [settings.thrift_port, settings.connect_port])
    if (running.identity, running.ports) != wanted:
        raise UnavailableError(
            f"The running Spark server serves {running.identity}, ports {running.ports}; "
            f"the settings ask for {wanted[0]}, ports {wanted[1]}",
            where=f"CHURN_HOME={settings.home}",
            hint="`churn down`, then repeat the command",
        )


def command(settings: Settings, folder: Path, jars: list[Path], program: Program) -> list[str]:
    """Return the command line of the server process."""
    java, spark = find_java(), SPARK_HOME / "jars"
    common = [*select_common(jars), server_classes(settings.project)]
    others = [jar for jar in jars if jar not in common]
    # Java reads an archive of the classes if the class path begins with the archive's. The folder
    # comes last: Java can't archive the classes of JARs after it.
    configured = write_configuration(settings, folder)
    class_path = [f"{spark}/*", *map(str, [*common, *others, configured])]
    archived = [*sorted(spark.glob("*.jar")), *common]
    values = {**configuration(settings, folder, jars), **program.configuration}
    options = [f"--conf={key}={value}" for key, value in values.items()]
    return [
        str(java),
        f"-Xmx{min(heap_megabytes(), program.most_megabytes)}m",
        *JIT_OPTIONS,
        *class_archive.options(settings.project, java, archived, is_complete=not others),
        *module_options(),
        *_trust(settings, folder),
        f"-Dderby.stream.error.file={folder.parent}/logs/{folder.name}-derby.log",
        f"-Dlog4j2.configurationFile={LOGGING.as_uri()}",
        # Temporary files of all libraries, and no performance data file of Java in /tmp.
        *(f"-Djava.io.tmpdir={folder}/scratch", "-XX:-UsePerfData"),
        # Hive reads the class of the check from Java's system properties alone, and the rest too.
        *(f"-D{key}={value}" for key, value in _thrift(settings, program).items()),
        *("-cp", ":".join(class_path), "org.apache.spark.deploy.SparkSubmit"),
        *("--class", program.main),
        *options,
        *("spark-internal", *program.arguments),
    ]


def _thrift(settings: Settings, program: Program) -> dict[str, str | int]:
    """Return the settings of the Thrift endpoint."""
    return {
        "hive.server2.custom.authentication.class": program.login_check,
        "hive.server2.thrift.port": settings.thrift_port,
        "hive.server2.thrift.bind.host": settings.spark_bind,
        "hive.server2.authentication": "CUSTOM",
        # By default every statement runs as its session's user, for which Hive reads Hadoop's
        # configuration and opens the metastore again; there is only one user.
        "hive.server2.enable.doAs": "false",
        # By default each of the first hundred statements gets a thread of its own with its own
        # resources, which are discarded after ten idle seconds.
        "hive.server2.async.exec.threads": STATEMENT_THREADS,
        "hive.server2.async.exec.keepalive.time": f"{IDLE_SECONDS}s",
    }


def _trust(settings: Settings, folder: Path) -> list[str]:
    is_asked = settings.aws.get("AWS_ENDPOINT_URL", "").startswith("https:")
    return java_options(settings.aws.get("AWS_CA_BUNDLE"), folder) if is_asked else []


def module_options() -> list[str]:
    """Return the Java options that Spark's launcher script sets."""
    return [
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED_PACKAGES),
        "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
        "-Djdk.reflect.useDirectMethodHandle=false",
        "-Dio.netty.tryReflectionSetAccessible=true",
    ]


def heap_megabytes() -> int:
    """Return the size of the heap in MiB, from 768 to 4096.

    It is half of the memory that a command leaves of the machine or of the container.
    """
    readings = (path.read_text().strip() for path in CONTAINER_LIMITS if path.exists())
    limits = [int(limit) for limit in readings if limit.isdecimal()]  # excludes "max"
    half = (min([psutil.virtual_memory().total, *limits]) // 2**20 - COMMANDS_MEGABYTES) // 2
    return max(768, min(4096, half))


def configuration(  # long: a list with one line per setting
    settings: Settings, folder: Path, jars: list[Path]
) -> dict[str, str | int]:
    """Return Spark's settings."""
    cores = os.cpu_count() or 2
    return {
        "spark.master": settings.spark_master,
        "spark.app.name": "churn",
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.address": settings.spark_bind,
        "spark.connect.grpc.binding.port": settings.connect_port,
        "spark.driver.host": settings.spark_host,
        "spark.driver.bindAddress": settings.spark_bind,
        "spark.ui.enabled": "false",
        # Spark describes the plan of each statement as text, even without the UI: in few words.
        "spark.sql.ui.explainMode": "simple",
        "spark.sql.maxPlanStringLength": 1000,
        "spark.sql.debug.maxToStringFields": 5,
        "spark.log.level": "WARN",
        # Authentication on the ports that Spark's components use among themselves.
        **_internal_authentication(settings),
        # Hadoop sets file modes itself, with its own umask.
        "spark.hadoop.fs.permissions.umask-mode": "077",
        # `${env:NAME}` in a statement is plain text and does not expose this process's environment.
        "spark.sql.variable.substitute": "false",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.warehouse.dir": settings.lake.address,
        "spark.sql.session.timeZone": "UTC",
        # Feast and pyarrow read this type as UTC instants.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        # A folder of published files must contain nothing else.
        "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
        # A file listing cached by one session is wrong after another session has published.
        "spark.sql.hive.filesourcePartitionFileCacheSize": 0,
        # The data is small: more tasks than cores cost more than they save.
        "spark.sql.shuffle.partitions": cores,
        "spark.databricks.delta.snapshotPartitions": cores,
        # The author of a version is queried years later; Delta's default retention is 30 days.
        "spark.databricks.delta.properties.defaults.logRetentionDuration": "interval 3650 days",
        # A build has several hundred pieces of generated code; the default of 100 evicts them
        # before the next build needs them again.
        "spark.sql.codegen.cache.maxEntries": 5000,
        # Java compiles no method of more than 8000 bytes: a wide projection in one method, which
        # Spark generates by default, is interpreted and takes twice as long as in pieces.
        "spark.sql.codegen.hugeMethodLimit": 8000,
        # A task mostly writes one extract date, so its rows need no sorting by date first. Rows of
        # another date are sorted, because each open file uses the memory of a row group.
        "spark.sql.maxConcurrentOutputFileWriters": 1,
        # Most groups are one customer each: a small first-level map only adds a lookup per row.
        "spark.sql.codegen.aggregate.map.twolevel.enabled": "false",
        # Statistics of columns by which the data is not sorted skip no files.
        "spark.databricks.delta.properties.defaults.dataSkippingNumIndexedCols": 5,
        # Over Thrift, Delta's answer from statistics fails on the maximum of a column of dates.
        "spark.databricks.delta.optimizeMetadataQuery.enabled": "false",
        # Statements of dbt's threads share the cores instead of queueing.
        "spark.scheduler.mode": "FAIR",
        # It makes planning of the wide one-hot projections slower by more than it saves.
        "spark.sql.constraintPropagation.enabled": "false",
        # On all machines of a cluster the JARs have the same paths, and Java has the same workload.
        "spark.executor.extraClassPath": ":".join(map(str, jars)),
        "spark.executor.extraJavaOptions": " ".join(JIT_OPTIONS),
        **settings.lake.spark_configuration,
    }


def _internal_authentication(settings: Settings) -> dict[str, str]:
    """Return the settings of authentication between Spark's components.

    On a single machine Spark generates the secret in memory; a cluster would need a configured
    secret.
    """
    is_here = settings.spark_master.partition("[")[0] == "local"
    return {"spark.authenticate": "true"} if is_here else {}


def _create_schemas(settings: Settings) -> None:
    """Create the missing schemas, each in its folder of the lake."""
    from lakehouse.spark_session import session  # imports PySpark, which other commands need not

    with session(settings) as spark:
        for schema in SCHEMAS:
            spark.sql(
                f"create schema if not exists {schema} "
                f"location '{_schema_literal(settings, schema)}'"
            )


def _schema_literal(settings: Settings, schema: str) -> str:
    # A quote would end the SQL literal; a backslash escapes it.
    return settings.lake.join(schema).address.replace("\\", "\\\\").replace("'", "\\'")
