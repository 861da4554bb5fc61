"""Addresses of PostgreSQL databases: postgresql://user@host:port/database, without a password."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from lakehouse.errors import InvalidInputError

PORT = 5432


@dataclass(frozen=True)
class Database:
    """A database and the user that owns it."""

    user: str
    host: str
    port: int
    name: str

    @property
    def for_java(self) -> str:
        """Return the JDBC URL; user and password are passed separately."""
        return f"jdbc:postgresql://{self.host}:{self.port}/{self.name}"

    @property
    def for_python(self) -> str:
        """Return the SQLAlchemy URL; the password is in the file that PGPASSFILE names."""
        return f"postgresql+psycopg://{self.user}@{self.host}:{self.port}/{self.name}"


def database(url: str, variable: str) -> Database:
    """Parse an address.

    Args:
        url: The address to parse.
        variable: The environment variable that contains it, for error messages.

    Raises:
        InvalidInputError: If the address is invalid or contains a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or PORT
    except ValueError:  # of the port, or brackets of an IPv6 address
        parts, port = urlsplit(""), PORT
    name = parts.path.strip("/")
    if parts.scheme != "postgresql" or not (parts.hostname and parts.username and name):
        raise InvalidInputError(
            f"{variable} must look like postgresql://user@host:{PORT}/database",
            where=f"the environment or .env, {variable}",
            hint="correct it",
        )
    if parts.password:
        raise InvalidInputError(
            f"{variable} contains a password, which other users may read",
            where=f"the environment or .env, {variable}",
            hint="remove it; put it into a file (docs/stack.md, Secrets)",
        )
    return Database(parts.username, parts.hostname, port, name)
