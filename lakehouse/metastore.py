"""Hive metastore of the Spark server: a Derby folder or a PostgreSQL database."""

import subprocess
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

from lakehouse.atomic_write import write_secret
from lakehouse.errors import UnavailableError
from lakehouse.jars import SPARK_HOME
from lakehouse.java import find_java
from lakehouse.postgresql import database
from lakehouse.process import Log
from lakehouse.settings import Settings

JAR_PURPOSE = "postgresql"
SCHEMA_SECONDS = 180
# File in Hive's JAR that defines the tables of the metastore.
TABLES = "package.jdo"


def write_configuration(settings: Settings, folder: Path) -> Path:
    """Write hive-site.xml, which contains the password, and return its folder, for the class path.

    Raises:
        lakehouse.errors.InvalidInputError: If CHURN_METASTORE_URL is not the address of a
            PostgreSQL database.
    """
    configuration_folder = folder / "conf"
    properties = "".join(
        f"<property><name>{name}</name><value>{escape(value)}</value></property>"
        for name, value in _properties(settings, folder).items()
    )
    write_secret(
        configuration_folder / "hive-site.xml", f"<configuration>{properties}</configuration>"
    )
    return configuration_folder


def create_tables(settings: Settings, folder: Path, jars: list[Path], log: Log) -> None:
    """Create the metastore's missing tables in PostgreSQL before the server starts.

    The server would create each table on first use in a second connection, which would wait forever
    for the locks of the server's first connection.

    Raises:
        lakehouse.errors.UnavailableError: If the database does not respond or refuses a request.
    """
    if settings.metastore_url is None:
        return
    log("creating missing tables of the metastore")
    properties = folder / "conf" / "datanucleus.properties"
    tool_properties = {
        name.replace("javax.jdo.option", "datanucleus"): value
        for name, value in _properties(settings, folder).items()
    } | {"datanucleus.identifierFactory": "datanucleus1"}  # names as Hive defines them
    write_secret(
        properties,
        "".join(f"{name}={_escape_property(value)}\n" for name, value in tool_properties.items()),
    )
    hive = next((SPARK_HOME / "jars").glob("hive-metastore-*.jar"))
    with zipfile.ZipFile(hive) as archive:
        archive.extract(TABLES, folder)
    class_path = ":".join([f"{SPARK_HOME}/jars/*", *map(str, jars)])
    command = [
        *(str(find_java()), "-cp", class_path, "org.datanucleus.store.schema.SchemaTool"),
        *("-create", "-api", "JDO", "-props", str(properties), str(folder / TABLES)),
    ]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SCHEMA_SECONDS)
        error = "" if answer.returncode == 0 else answer.stderr.strip() or answer.stdout.strip()
    except subprocess.TimeoutExpired:
        error = f"no end after {SCHEMA_SECONDS} s; another server may be at work on it"
    if error:
        raise UnavailableError(
            f"The metastore's tables could not be created: {error.splitlines()[-1]}",
            where=f"CHURN_METASTORE_URL, {settings.metastore_url}",
            hint="check that the database runs, and accepts this user and its password",
        )


def _properties(settings: Settings, folder: Path) -> dict[str, str]:
    return {
        # Delta sends a table's columns to the metastore at every write. If a type has changed,
        # Hive would refuse the update and log a stack trace.
        "hive.metastore.disallow.incompatible.col.type.changes": "false",
        **_database_properties(settings, folder),
    }


def _database_properties(settings: Settings, folder: Path) -> dict[str, str]:
    if settings.metastore_url is None:
        return {
            "javax.jdo.option.ConnectionURL": (
                f"jdbc:derby:;databaseName={folder}/metastore;create=true"
            ),
            # Derby waits 20 s for a lock. A transaction that a full disk interrupted keeps its
            # locks until the server restarts; by default, Hive would wait ten times for each call.
            "hive.hmshandler.retry.attempts": "1",
        }
    metastore_database = database(settings.metastore_url, "CHURN_METASTORE_URL")
    return {
        "javax.jdo.option.ConnectionURL": metastore_database.for_java,
        "javax.jdo.option.ConnectionDriverName": "org.postgresql.Driver",
        "javax.jdo.option.ConnectionUserName": metastore_database.user,
        "javax.jdo.option.ConnectionPassword": settings.metastore_password or "",
        "datanucleus.schema.autoCreateAll": "true",
        "hive.metastore.schema.verification": "false",
    }


def _escape_property(value: str) -> str:
    """Escape a value for a Java properties file."""
    return value.replace("\\", "\\\\")
