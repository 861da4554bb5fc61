"""Run the API server: one process, one worker, until it receives a signal to end."""

import asyncio
import ipaddress
import logging
import socket
from collections import Counter
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lakehouse import online_store, sites
from lakehouse.errors import UnavailableError
from lakehouse.log_format import TEXT_FORMAT, JsonFormatter
from lakehouse.process import Log
from lakehouse.settings import Settings
from serving import errors
from serving.app import Clock, application, current_time
from serving.middleware import RequestGuard

# Bytes of a request's line and headers. The server itself would accept any number of them.
LARGEST_HEAD = 64 * 1024
# Seconds until a request's head has arrived, from the connection or its first byte on; then until
# all of it has. The request guard waits for a shorter time for a body.
HEAD_SECONDS, REQUEST_SECONDS = 10.0, 20.0
# Bits of an IPv6 address that identify a client, which may use any of the addresses below them.
CLIENT_PREFIX = 64
# Connections that wait to be accepted, and those that are open at once.
BACKLOG, CONNECTIONS = 512, 1000
KEEP_ALIVE_SECONDS, LAST_SECONDS = 30, 10


class BoundedProtocol(HttpToolsProtocol):
    """HTTP with limits on the size and the time of requests, and on the connections of a client.

    `per_client` and `open_connections` are those of a server, see `protocol`.
    """

    per_client = CONNECTIONS
    open_connections: Counter[str] = Counter()  # noqa: RUF012 each server has a class of its own

    # Bytes since the last that were part of a body or ended a request: a head, the framing of
    # chunks, or trailers, which may follow a response and carry no key.
    _unused = 0
    _begun = False
    _head_is_here = False
    _late: asyncio.TimerHandle | None = None
    _client = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection and start the timer for the head; refuse one too many."""
        super().connection_made(transport)
        self._client = client_of(transport.get_extra_info("peername"))
        self.open_connections[self._client] += 1
        if self.open_connections[self._client] > self.per_client:
            transport.write(_too_many(self.per_client))
            transport.close()
            return
        self._late = self.loop.call_later(HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer and uncount the connection."""
        self._check_time()
        self.open_connections[self._client] -= 1
        if not self.open_connections[self._client]:
            del self.open_connections[self._client]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process data; refuse too large a head, and start the timer of an incomplete request."""
        if self.transport.is_closing():
            return
        self._unused += len(data)
        super().data_received(data)
        if self._unused > LARGEST_HEAD:
            self.send_400_response("The head of the request is too large.")
        elif self._begun and self._late is None:
            # Most requests arrive at once, and need no timer.
            seconds = REQUEST_SECONDS if self._head_is_here else HEAD_SECONDS
            self._late = self.loop.call_later(seconds, self.transport.close)

    def on_message_begin(self) -> None:
        """Record that a request has begun."""
        self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Record that the head has arrived, and stop its timer."""
        self._head_is_here = True
        self._check_time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Reset the count of bytes: a body's are not limited here."""
        self._unused = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Reset the state for the next request, and stop the timer."""
        self._unused, self._begun, self._head_is_here = 0, False, False
        self._check_time()
        super().on_message_complete()

    def _check_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def client_of(peer: Any) -> str:
    """Return the client of a connection, identified by the address that it comes from.

    An IPv6 address is reduced to its network of CLIENT_PREFIX bits; without an IP address it is ''.
    """
    try:
        address = ipaddress.ip_address(peer[0].partition("%")[0])
    except (TypeError, ValueError, IndexError):
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    if address.version == 4 or mapped:
        return str(mapped or address)
    return str(ipaddress.ip_network((address, CLIENT_PREFIX), strict=False))


def protocol(per_client: int) -> type[BoundedProtocol]:
    """Return a protocol class for one server, which counts its connections."""
    counted = {"per_client": per_client, "open_connections": Counter()}
    return type("CountedProtocol", (BoundedProtocol,), counted)


def _too_many(limit: int) -> bytes:
    """Return the response to a connection beyond the limit, sent before reading from it."""
    response = errors.too_many_connections(limit).response()
    headers = [*response.raw_headers, (b"connection", b"close")]
    lines = [b"HTTP/1.1 429 Too Many Requests", *(b": ".join(pair) for pair in headers)]
    return b"\r\n".join([*lines, b"", bytes(response.body)])


def serve(settings: Settings, log: Log, clock: Clock = current_time) -> None:
    """Serve until SIGTERM or SIGINT; requests in progress are answered first.

    Starts the embedded online store if no other one is configured. `clock` determines the age of
    features.

    Raises:
        lakehouse.errors.UnavailableError: The API can't listen, for example because the port is in
            use.
    """
    if not settings.redis_url:
        online_store.ensure_running(settings, log)
    run(application(settings, clock), settings, log)


def run(app: RequestGuard, settings: Settings, log: Log) -> None:
    """Serve an application; see `serve`."""
    log_to_stderr(settings)
    listening = _listening(settings)
    sites.API.record_start(settings)
    config = uvicorn.Config(
        app,
        http=protocol(settings.api_connections),
        loop="uvloop",
        ws="none",
        lifespan="on",
        # A proxy's headers are not trusted, and our own headers reveal only what they must.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=LAST_SECONDS,
    )
    host = f"[{settings.api_bind}]" if ":" in settings.api_bind else settings.api_bind
    log(f"the API answers at http://{host}:{settings.api_port} (Ctrl-C ends)")
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        log("stopped")


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.api_bind else socket.AF_INET
    try:
        return socket.create_server(
            (settings.api_bind, settings.api_port), family=family, backlog=BACKLOG
        )
    except OSError as error:
        raise UnavailableError(
            f"The API can't listen: {error.strerror}",
            where=f"{settings.api_bind}:{settings.api_port}",
            hint="set CHURN_API_PORT to a free port, CHURN_API_BIND to an own address",
        ) from error


def log_to_stderr(settings: Settings) -> None:
    """Log one line per request and per event to stderr; nothing of a request's headers or path."""
    handler = logging.StreamHandler()
    is_json = settings.log_format == "json"
    handler.setFormatter(JsonFormatter() if is_json else logging.Formatter(TEXT_FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("serving").setLevel(logging.INFO)
