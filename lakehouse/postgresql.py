"""Addresses of PostgreSQL databases: postgresql://user@host:port/database, without a password."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from lakehouse.errors import InvalidInputError

PORT = 5432


@dataclass(frozen=True)
class Database:
    """A database and the user who owns it."""

    user: str
    host: str
    port: int
    name: str

    @property
    def for_java(self) -> str:
        """The address as JDBC has it; user and password go beside it."""
        return f"jdbc:postgresql://{self.host}:{self.port}/{self.name}"

    @property
    def for_python(self) -> str:
        """As SQLAlchemy has it; the password comes from the file that PGPASSFILE names."""
        return f"postgresql+psycopg://{self.user}@{self.host}:{self.port}/{self.name}"


def database(url: str, variable: str) -> Database:
    """Read an address.

    Raises:
        InvalidInputError: it is none, or holds a password; `variable` is where it was given.
    """
    parts = urlsplit(url)
    name = parts.path.strip("/")
    if parts.scheme != "postgresql" or not (parts.hostname and parts.username and name):
        raise InvalidInputError(
            f"{variable} must look like postgresql://user@host:{PORT}/database",
            where=f"the environment or .env, {variable}",
            remedy="correct it",
        )
    if parts.password:
        raise InvalidInputError(
            f"{variable} holds a password, which others may read there",
            where=f"the environment or .env, {variable}",
            remedy="take it out; it belongs into a file (docs/stack.md, Secrets)",
        )
    return Database(parts.username, parts.hostname, parts.port or PORT, name)
