"""Settings of this checkout, read once from the environment and `.env` and passed to functions.

    python -m lakehouse.settings

prints the table of docs/settings.md.
"""

import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from lakehouse.errors import InvalidInputError
from lakehouse.project_files import PROJECT as PROJECT  # tests know it by this name
from lakehouse.project_files import WORKSPACE
from lakehouse.storage import Storage, resolve_address

LOOPBACK = "127.0.0.1"
MASK = "********"
# A variable with this suffix names a file that contains the secret.
FILE = "_FILE"
# Settings that are secrets although their name does not end in _password.
SECRET_NAMES = ("notify",)
# Variables AWS_* that are secrets and may be in a file, and those that are not secrets.
AWS_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
AWS_SHOWN = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_CA_BUNDLE")


Port = Annotated[int, Field(ge=1, le=65535, title="a port")]
Text = str | None


def about(text: str, **constraints: Any) -> Any:
    """Return the description of a setting, for the reference table, and what limits it."""
    return Field(description=text, **constraints)


@dataclass(frozen=True)
class Settings:
    """Settings of a command.

    `project` is the folder of `.env`, local state and downloaded tools: the checkout, or the
    workspace of an installed wheel. Each other setting is read from the variable CHURN_ and its
    name. Ports are TCP ports, on loopback by default. Database addresses have the form
    postgresql://user@host:port/database; without one, local files are used.
    """

    project: Path
    home: Annotated[Path, about("Folder of local state; `.churn` in the checkout by default.")]
    lake_uri: Annotated[
        str,
        about("Folder or `s3a://bucket/prefix` of the tables; `$CHURN_HOME/lake` by default."),
    ]
    landing: Annotated[
        str,
        about(
            "Folder or `s3a://` prefix where workbooks arrive; `$CHURN_HOME/landing` by default."
        ),
    ]
    domain: Annotated[
        str, about("Domain of the workbooks: a folder of `domains/`, or the path of another one.")
    ] = "telco"
    spark_master: Annotated[str, about("Spark's master URL.")] = "local[*]"
    spark_host: Annotated[str, about("Host on which clients reach the Spark server.")] = LOOPBACK
    spark_bind: Annotated[str, about("Address on which the Spark server listens.")] = LOOPBACK
    thrift_port: Annotated[Port, about("Port of the Thrift endpoint (SQL).")] = 10000
    connect_port: Annotated[Port, about("Port of the Connect endpoint (DataFrames).")] = 15002
    reader_thrift_port: Annotated[
        Port, about("Port of the Thrift endpoint of the readers' server.")
    ] = 10010
    reader_connect_port: Annotated[
        Port, about("Port of the Connect endpoint of the readers' server.")
    ] = 15012
    spark_password: Annotated[Text, about("Password of the Spark server; else generated.")] = None
    redis_url: Annotated[Text, about("Address of the online store; else the embedded one.")] = None
    redis_password: Annotated[Text, about("Password of the online store.")] = None
    redis_ca_bundle: Annotated[
        Text, about("File of authorities that may have signed the online store's certificate.")
    ] = None
    airflow_host: Annotated[str, about("Host on which clients reach Airflow's API.")] = LOOPBACK
    airflow_bind: Annotated[str, about("Address on which Airflow's API listens.")] = LOOPBACK
    airflow_port: Annotated[Port, about("Port of Airflow's API server.")] = 8080
    airflow_database_url: Annotated[
        Text, about("Airflow's database; its password is in the file that PGPASSFILE names.")
    ] = None
    airflow_password: Annotated[
        Text, about("Password of the Airflow user `admin`; else generated.")
    ] = None
    api_bind: Annotated[str, about("Address on which the scoring API listens.")] = LOOPBACK
    api_port: Annotated[Port, about("Port of the scoring API.")] = 8000
    api_rate: Annotated[
        int,
        about(
            "Customers a second that an API key may request.",
            ge=1,
            le=10**6,
            title="customers a second",
        ),
    ] = 1000
    api_connections: Annotated[
        int,
        about("Open connections of a client address.", ge=1, le=1000, title="a number of them"),
    ] = 100
    docs_port: Annotated[Port, about("Port of the documentation site.")] = 8081
    feast_ui_port: Annotated[Port, about("Port of Feast's UI.")] = 8888
    mlflow_url: Annotated[Text, about("Address of the MLflow server; else local files.")] = None
    mlflow_password: Annotated[
        Text, about("Password of the MLflow user `admin`; else that of the local sites.")
    ] = None
    mlflow_bind: Annotated[str, about("Address on which the MLflow server listens.")] = LOOPBACK
    mlflow_port: Annotated[Port, about("Port of the MLflow server.")] = 5000
    mlflow_database_url: Annotated[Text, about("Database of an MLflow server started here.")] = None
    lock_wait: Annotated[
        int,
        about("Seconds that a writer waits for another.", ge=0, le=86_400, title="such a time"),
    ] = 10
    promotion: Annotated[
        Literal["auto", "ask"],
        about("`ask`: a model that passed its tests waits until a person promotes it."),
    ] = "auto"
    notify: Annotated[
        Text,
        about("URLs of Apprise that receive notifications, separated by blanks; they are secrets."),
    ] = None
    site_url: Annotated[
        Text, about("Address of the site in the links of notifications; else that of `churn docs`.")
    ] = None
    expected_day: Annotated[
        int,
        about(
            "Day of the month by which a workbook is expected; 0: none.",
            ge=0,
            le=28,
            title="a day that every month has",
        ),
    ] = 0
    log_format: Annotated[
        Literal["text", "json"],
        about("`json`: messages are one JSON object per line, with the run."),
    ] = "text"
    metastore_url: Annotated[Text, about("Database of the Hive metastore.")] = None
    metastore_password: Annotated[Text, about("Password of the metastore's database.")] = None
    registry_url: Annotated[
        Text,
        about("Database of Feast's registry; its password is in the file that PGPASSFILE names."),
    ] = None
    # The variables AWS_*, including the keys of the object store.
    aws: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    def __repr__(self) -> str:
        """Return all settings with the secrets masked."""
        return f"Settings({self.mask_secrets()})"

    @property
    def connect_url(self) -> str:
        """Return the address of the Connect endpoint."""
        return f"sc://{self.spark_host}:{self.connect_port}"

    @property
    def spark_is_elsewhere(self) -> bool:
        """Return whether the Spark server is operated on another machine."""
        return self.spark_host != LOOPBACK and self.spark_bind == LOOPBACK

    @property
    def lake(self) -> Storage:
        """Return the storage of the lake."""
        return self.storage(self.lake_uri)

    @property
    def landing_zone(self) -> Storage:
        """Return the storage of the landing zone."""
        return self.storage(self.landing)

    def with_lake(self, lake: Storage) -> "Settings":
        """Return these settings with another lake."""
        return replace(self, lake_uri=lake.address)

    def storage(self, address: str | Path) -> Storage:
        """Return the storage at an absolute folder or an `s3a://` prefix."""
        return Storage(str(address), self.aws)

    def mask_secrets(self) -> dict[str, str | int | None]:
        """Return every setting by the name of its variable, with secrets masked."""
        masked: dict[str, str | int | None] = {"project": str(self.project)}
        for name in NAMES:
            value = getattr(self, name)
            if is_secret(name):
                value = MASK if value else None
            masked[variable(name)] = str(value) if isinstance(value, Path) else value
        return masked | {
            name: text if name in AWS_SHOWN else MASK for name, text in self.aws.items()
        }

    def for_dbt(self) -> dict[str, str]:
        """Return the variables that `profiles.yml` and the project's macros read."""
        return {
            "CHURN_HOME": str(self.home),
            "CHURN_DOMAIN": self.domain,
            "CHURN_LAKE_URI": self.lake_uri,
            "CHURN_SPARK_HOST": self.spark_host,
            "CHURN_THRIFT_PORT": str(self.thrift_port),
        }


# The settings that have a variable.
NAMES = [each.name for each in fields(Settings) if each.name not in ("project", "aws")]


def is_secret(name: str) -> bool:
    """Return whether a setting is a secret, which may also be read from a file."""
    return name.endswith("_password") or name in SECRET_NAMES


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"CHURN_{name.upper()}"


def read_settings(environ: Mapping[str, str] | None = None, project: Path = WORKSPACE) -> Settings:
    """Read the settings from the environment, then the project's `.env`, then the defaults.

    Relative paths are relative to the project's folder, so that every command, including dbt,
    resolves them to the same location from any working directory.

    Raises:
        InvalidInputError: If a value is not one of those that are possible, if it is not valid
            UTF-8, or if `.env` or a secret's file cannot be read.
    """
    values: dict[str, str | None] = {**read_dotenv(project / ".env")}
    values.update(os.environ if environ is None else environ)
    _require_utf8(values)
    values.update(_from_files(values))
    found: dict[str, Any] = {name: text for name in NAMES if (text := values.get(variable(name)))}
    home = _absolute(project, found.get("home", ".churn"))
    places = {
        "lake_uri": resolve_address(project, found.get("lake_uri", f"{home}/lake")),
        "landing": resolve_address(project, found.get("landing", f"{home}/landing")),
    }
    aws = {
        name: text
        for name, text in values.items()
        if name.startswith("AWS_") and not name.endswith(FILE) and text
    }
    try:
        return Settings(**{**found, **places, "project": project, "home": home, "aws": aws})
    except ValidationError as error:
        raise _invalid(error) from error


def find_origins(
    environ: Mapping[str, str] | None = None,
    project: Path = WORKSPACE,
    demo: Container[str] = (),
) -> dict[str, str]:
    """Return where each setting was read, by its variable: the environment, .env or its default.

    Args:
        environ: The environment; by default that of this process.
        project: The folder of `.env`.
        demo: The variables that the option --demo has set.
    """
    given = os.environ if environ is None else environ
    stored = read_dotenv(project / ".env")
    has_file = {variable(name): is_secret(name) for name in NAMES}
    # `read_settings` reads every variable of AWS that is set.
    for name in sorted(each.removesuffix(FILE) for each in {**stored, **given}):
        if name.startswith("AWS_"):
            has_file[name] = name in AWS_SECRETS
    found = {name: _find_origin(name, given, stored, has) for name, has in has_file.items()}
    return {
        name: "--demo" if origin == "environment" and name in demo else origin
        for name, origin in found.items()
        if origin != "default" or not name.startswith("AWS_")
    }


def _find_origin(
    name: str, given: Mapping[str, str], stored: Mapping[str, str | None], has_file: bool
) -> str:
    # The order of `read_settings`; an empty variable of the environment hides the one of .env.
    for each in (f"{name}{FILE}", name) if has_file else (name,):
        if each in given:
            if given[each]:
                return "environment" if each == name else f"environment, {each}"
        elif stored.get(each):
            return ".env" if each == name else f".env, {each}"
    return "default"


def _invalid(error: ValidationError) -> InvalidInputError:
    """Return the error for a number that is not one or is out of its range, or an unknown word."""
    name, given = str(error.errors()[0]["loc"][0]), error.errors()[0]["input"]
    known = _read_schema()[name]
    if "enum" in known:
        return InvalidInputError(
            f"{variable(name)}={given} is unknown",
            where=f"the environment or .env, {variable(name)}",
            hint=f"set it to {' or '.join(known['enum'])}; the default is {known['default']}",
        )
    return InvalidInputError(
        f"{variable(name)}={given} is not {known['title']}",
        where=f"the environment or .env, {variable(name)}",
        hint=f"give a number from {known['minimum']} to {known['maximum']}; the default is "
        f"{known['default']}",
    )


def _read_schema() -> dict[str, dict[str, Any]]:
    """Return title, description, default and range of every setting, by name."""
    described: dict[str, dict[str, Any]] = TypeAdapter(Settings).json_schema()["properties"]
    return described


def reference() -> Iterator[str]:
    """Yield the lines of the reference table of docs/settings.md."""
    yield "| Variable | Default | Meaning |"
    yield "|---|---|---|"
    for name, known in ((name, _read_schema()[name]) for name in NAMES):
        secret = f", `{variable(name)}{FILE}`" if is_secret(name) else ""
        limits = f" From {known['minimum']} to {known['maximum']}." if "minimum" in known else ""
        default = f"`{known['default']}`" if known.get("default") is not None else ""
        yield f"| `{variable(name)}`{secret} | {default} | {known['description']}{limits} |"


def read_dotenv(path: Path) -> dict[str, str | None]:
    """Return the variables of a file `.env`."""
    try:
        return dotenv_values(path)
    except (UnicodeDecodeError, OSError) as error:
        raise InvalidInputError(
            f"{path.name} can't be read: {error}",
            where=str(path),
            hint="save it as UTF-8 text that this user may read",
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
                hint="rename the folder, or choose another one",
            ) from error


def _from_files(values: Mapping[str, str | None]) -> dict[str, str]:
    """Return the secrets whose file is named by a variable with the suffix."""
    found = {}
    secrets = (*(variable(name) for name in NAMES if is_secret(name)), *AWS_SECRETS)
    for secret in secrets:
        name = f"{secret}{FILE}"
        if path := values.get(name):
            try:
                found[secret] = Path(path).read_text().strip()
            except OSError as read_error:
                raise InvalidInputError(
                    f"{path} can't be read: {read_error.strerror}",
                    where=f"the environment or .env, {name}",
                    hint="name a file that contains the secret and that this user may read",
                ) from read_error
    return found


def _absolute(project: Path, path: str) -> Path:
    # normpath, not resolve: a link to another disk remains as the user named it.
    return Path(os.path.normpath(project / Path(path).expanduser()))


if __name__ == "__main__":
    print("\n".join(reference()))
