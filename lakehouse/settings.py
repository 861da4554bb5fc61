"""Settings of this checkout, read once from the environment and `.env` and passed to functions."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from dotenv import dotenv_values

from lakehouse.errors import InvalidInputError

PROJECT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
MASK = "********"
# A variable with this suffix names a file that contains the secret.
FILE = "_FILE"
SECRETS = (
    *("CHURN_SPARK_PASSWORD", "CHURN_REDIS_PASSWORD", "CHURN_METASTORE_PASSWORD"),
    *("CHURN_AIRFLOW_PASSWORD", "CHURN_MLFLOW_PASSWORD"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
)
# Variables AWS_* that are not secrets.
AWS_SHOWN = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_CA_BUNDLE")


@dataclass(frozen=True)
class Settings:
    """Settings of a command.

    Ports are TCP ports, on loopback by default. Database addresses have the form
    postgresql://user@host:port/database; they are None for local files.

    Attributes:
        project: Folder of the checkout.
        home: CHURN_HOME, the folder of local state.
        lake_uri: Absolute folder or `s3a://` prefix of the lake.
        landing: Absolute folder or `s3a://` prefix of the landing zone.
        spark_master: Spark's master URL.
        spark_host: Host on which clients and executors reach the Spark server.
        spark_bind: Address on which the Spark server listens if it is started here.
        thrift_port: Port of the Thrift endpoint (SQL).
        connect_port: Port of the Connect endpoint (DataFrames).
        spark_password: Password of the Spark server; generated if None.
        redis_url: Address of the online store; None for the embedded server.
        redis_password: Password of the online store.
        redis_ca_bundle: File of authorities that may have signed the online store's certificate.
        airflow_host: Host on which clients reach Airflow's API server.
        airflow_bind: Address on which Airflow's API server listens if it is started here.
        airflow_port: Port of Airflow's API server.
        airflow_database_url: Airflow's database; its password is in the file that PGPASSFILE names.
        airflow_password: Password of the Airflow user admin; generated if None.
        api_bind: Address on which the scoring API listens.
        api_port: Port of the scoring API.
        api_rate: Customers per second that each API key may request.
        api_connections: Connections that each client address may have open.
        docs_port: Port of the documentation site.
        feast_ui_port: Port of Feast's UI.
        mlflow_url: Address of the MLflow server; None for local files.
        mlflow_password: Password of the MLflow user admin; None for the password of the local
            sites.
        mlflow_bind: Address on which the MLflow server listens if it is started here.
        mlflow_port: Port of the MLflow server.
        mlflow_database_url: Database of the MLflow server if it is started here.
        lock_wait: Seconds that a writer waits for another writer.
        metastore_url: Database of the Hive metastore.
        metastore_password: Password of the metastore's database.
        registry_url: Database of Feast's registry; its password is in the file that PGPASSFILE
            names.
        aws: The variables AWS_*, including the keys of the object store.
    """

    project: Path
    home: Path
    lake_uri: str
    landing: str
    spark_master: str = "local[*]"
    spark_host: str = LOOPBACK
    spark_bind: str = LOOPBACK
    thrift_port: int = 10000
    connect_port: int = 15002
    spark_password: str | None = field(default=None, repr=False)
    redis_url: str | None = None
    redis_password: str | None = field(default=None, repr=False)
    redis_ca_bundle: str | None = None
    airflow_host: str = LOOPBACK
    airflow_bind: str = LOOPBACK
    airflow_port: int = 8080
    airflow_database_url: str | None = None
    airflow_password: str | None = field(default=None, repr=False)
    api_bind: str = LOOPBACK
    api_port: int = 8000
    api_rate: int = 1000
    api_connections: int = 100
    docs_port: int = 8081
    feast_ui_port: int = 8888
    mlflow_url: str | None = None
    mlflow_password: str | None = field(default=None, repr=False)
    mlflow_bind: str = LOOPBACK
    mlflow_port: int = 5000
    mlflow_database_url: str | None = None
    lock_wait: int = 10
    metastore_url: str | None = None
    metastore_password: str | None = field(default=None, repr=False)
    registry_url: str | None = None
    aws: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    @property
    def connect_url(self) -> str:
        """Return the address of the Connect endpoint."""
        return f"sc://{self.spark_host}:{self.connect_port}"

    @property
    def spark_is_elsewhere(self) -> bool:
        """Return whether the Spark server is operated on another machine."""
        return self.spark_host != LOOPBACK and self.spark_bind == LOOPBACK

    def shown(self) -> dict[str, str | int | None]:
        """Return every setting by the name of its variable, with secrets masked."""
        names = {"project": "project", "home": "CHURN_HOME"}
        shown: dict[str, str | int | None] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "aws":
                shown |= {name: _masked(name, text) for name, text in value.items()}
                continue
            if each.name.endswith("_password"):
                value = MASK if value else None
            name = names.get(each.name, f"CHURN_{each.name.upper()}")
            shown[name] = str(value) if isinstance(value, Path) else value
        return shown

    def for_dbt(self) -> dict[str, str]:
        """Return the variables that `profiles.yml` and the project's macros read."""
        return {
            "CHURN_HOME": str(self.home),
            "CHURN_LAKE_URI": self.lake_uri,
            "CHURN_SPARK_HOST": self.spark_host,
            "CHURN_THRIFT_PORT": str(self.thrift_port),
        }


def read_settings(  # long: a list with one line per setting
    environ: Mapping[str, str] | None = None, project: Path = PROJECT
) -> Settings:
    """Read the settings from the environment, then the project's `.env`, then the defaults.

    Relative paths are relative to the project's folder, so that every command, including dbt,
    resolves them to the same location from any working directory.

    Raises:
        InvalidInputError: If a port is not a number between 1 and 65535, if the lock wait, the API
            rate or the number of API connections is out of range, if a value is not valid UTF-8, or
            if `.env` or a secret's file cannot be read.
    """
    values: dict[str, str | None] = {**_dotenv(project / ".env")}
    values.update(os.environ if environ is None else environ)
    _require_utf8(values)
    values.update(_from_files(values))
    home = _absolute(project, values.get("CHURN_HOME") or ".churn")
    lake_uri = _place(project, values.get("CHURN_LAKE_URI") or str(home / "lake"))
    landing = _place(project, values.get("CHURN_LANDING") or str(home / "landing"))
    ports = {
        name: _number(values, f"CHURN_{name.upper()}", default, "a port", range(1, 65536))
        for name, default in _default_ports().items()
    }
    wait = Settings.lock_wait
    lock_wait = _number(values, "CHURN_LOCK_WAIT", wait, "a number of seconds", range(86_401))
    rate = Settings.api_rate
    api_rate = _number(values, "CHURN_API_RATE", rate, "customers a second", range(1, 1_000_001))
    most = Settings.api_connections
    api_connections = _number(
        values, "CHURN_API_CONNECTIONS", most, "a number of connections", range(1, 1001)
    )
    return Settings(
        project=project,
        home=home,
        lake_uri=lake_uri,
        landing=landing,
        spark_master=values.get("CHURN_SPARK_MASTER") or Settings.spark_master,
        spark_host=values.get("CHURN_SPARK_HOST") or LOOPBACK,
        spark_bind=values.get("CHURN_SPARK_BIND") or LOOPBACK,
        spark_password=values.get("CHURN_SPARK_PASSWORD") or None,
        redis_url=values.get("CHURN_REDIS_URL") or None,
        redis_password=values.get("CHURN_REDIS_PASSWORD") or None,
        redis_ca_bundle=values.get("CHURN_REDIS_CA_BUNDLE") or None,
        lock_wait=lock_wait,
        metastore_url=values.get("CHURN_METASTORE_URL") or None,
        metastore_password=values.get("CHURN_METASTORE_PASSWORD") or None,
        registry_url=values.get("CHURN_REGISTRY_URL") or None,
        airflow_host=values.get("CHURN_AIRFLOW_HOST") or LOOPBACK,
        airflow_bind=values.get("CHURN_AIRFLOW_BIND") or LOOPBACK,
        airflow_database_url=values.get("CHURN_AIRFLOW_DATABASE_URL") or None,
        airflow_password=values.get("CHURN_AIRFLOW_PASSWORD") or None,
        api_bind=values.get("CHURN_API_BIND") or LOOPBACK,
        api_rate=api_rate,
        api_connections=api_connections,
        mlflow_url=values.get("CHURN_MLFLOW_URL") or None,
        mlflow_password=values.get("CHURN_MLFLOW_PASSWORD") or None,
        mlflow_bind=values.get("CHURN_MLFLOW_BIND") or LOOPBACK,
        mlflow_database_url=values.get("CHURN_MLFLOW_DATABASE_URL") or None,
        aws={
            name: text
            for name, text in values.items()
            if name.startswith("AWS_") and not name.endswith(FILE) and text
        },
        **ports,
    )


def _dotenv(path: Path) -> dict[str, str | None]:
    try:
        return dotenv_values(path)
    except (UnicodeDecodeError, OSError) as error:
        raise InvalidInputError(
            f"{path.name} can't be read: {error}",
            where=str(path),
            remedy="save it as UTF-8 text that this user may read",
        ) from error


def _require_utf8(values: Mapping[str, str | None]) -> None:
    """Raise an error for a value that cannot be passed to Java, Spark SQL or JSON."""
    for name, text in values.items():
        if not (name.startswith("CHURN_") and text):
            continue
        try:
            text.encode()
        except UnicodeEncodeError as error:
            readable = os.fsencode(text).decode(errors="backslashreplace")
            raise InvalidInputError(
                f"{name} has bytes that are not UTF-8",
                where=f"{name}={readable}",
                remedy="rename the folder, or choose another one",
            ) from error


def _default_ports() -> dict[str, int]:
    return {
        each.name: each.default
        for each in fields(Settings)
        if each.name.endswith("_port") and isinstance(each.default, int)
    }


def _from_files(values: Mapping[str, str | None]) -> dict[str, str]:
    """Return the secrets whose file is named by a variable with the suffix."""
    found = {}
    for name, path in values.items():
        secret = name.removesuffix(FILE)
        if path and secret != name and secret in SECRETS:
            try:
                found[secret] = Path(path).read_text().strip()
            except OSError as fault:
                raise InvalidInputError(
                    f"{path} can't be read: {fault.strerror}",
                    where=f"the environment or .env, {name}",
                    remedy="name a file that holds the secret and that this user may read",
                ) from fault
    return found


def _masked(name: str, text: str) -> str:
    return text if name in AWS_SHOWN else MASK


def _place(project: Path, text: str) -> str:
    """Return the absolute path of a folder, or the unchanged prefix of an object store."""
    return text if "://" in text else str(_absolute(project, text))


def _absolute(project: Path, path: str) -> Path:
    # normpath, not resolve: dbt's macros produce the same text without accessing the file system.
    return Path(os.path.normpath(project / Path(path).expanduser()))


def _number(
    values: Mapping[str, str | None], name: str, default: int, what: str, allowed: range
) -> int:
    text = values.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and int(text) in allowed):
        raise InvalidInputError(
            f"{name}={text} is not {what}",
            where=f"the environment or .env, {name}",
            remedy=f"give a number from {allowed[0]} to {allowed[-1]}; the default is {default}",
        )
    return int(text)
