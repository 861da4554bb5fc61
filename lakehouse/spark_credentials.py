"""The Spark server's password, which is also the token of its Connect endpoint."""

from pathlib import Path

from lakehouse.atomic_write import generate_secret
from lakehouse.errors import UnavailableError
from lakehouse.settings import Settings

# The Thrift endpoint accepts any user name with the password, but clients must send one.
USER = "churn"


def password_file(settings: Settings) -> Path:
    """Return the path of the file that contains the generated password."""
    return settings.home / "secrets" / "spark_password"


def generate_password(settings: Settings) -> str:
    """Return the password with which a server starts; generate it if none is configured."""
    return settings.spark_password or generate_secret(password_file(settings))


def find_password(settings: Settings) -> str | None:
    """Return the password, or None if none is configured or generated yet."""
    path = password_file(settings)
    return settings.spark_password or (path.read_text().strip() if path.exists() else None)


def read_password(settings: Settings) -> str:
    """Return the password for a client.

    Raises:
        UnavailableError: If no password is configured and none has been generated.
    """
    password = find_password(settings)
    if password is None:
        raise UnavailableError(
            "The password of the Spark server is missing",
            where=str(password_file(settings)),
            hint="`churn down`, then repeat the command: a server that starts generates it. For "
            "a server of another CHURN_HOME set CHURN_SPARK_PASSWORD or CHURN_SPARK_PASSWORD_FILE",
        )
    return password
