"""The Spark server's password; at its DataFrame endpoint it is the token."""

from pathlib import Path

from lakehouse.atomic_write import generate_secret
from lakehouse.errors import UnavailableError
from lakehouse.settings import Settings

# The Thrift endpoint takes any name with the password; clients have to say one.
USER = "churn"


def password_file(settings: Settings) -> Path:
    """Return where the generated password stands."""
    return settings.home / "secrets" / "spark_password"


def generate_password(settings: Settings) -> str:
    """Return the password for a server to start with; generated where none is given."""
    return settings.spark_password or generate_secret(password_file(settings))


def find_password(settings: Settings) -> str | None:
    """Return the password, None where none is given and no server has generated one yet."""
    path = password_file(settings)
    return settings.spark_password or (path.read_text().strip() if path.exists() else None)


def read_password(settings: Settings) -> str:
    """Return the password for a client.

    Raises:
        UnavailableError: none is given, and there is no generated one.
    """
    password = find_password(settings)
    if password is None:
        raise UnavailableError(
            "The password of the Spark server is missing",
            where=str(password_file(settings)),
            remedy="`churn down`, then repeat the command: a server that starts generates it. For "
            "a server of another CHURN_HOME set CHURN_SPARK_PASSWORD or CHURN_SPARK_PASSWORD_FILE",
        )
    return password
