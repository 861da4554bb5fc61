"""The server: one process, one worker, until it is told to end."""

import asyncio
import logging
import socket

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lakehouse import online_store
from lakehouse.errors import Unavailable
from lakehouse.service import Say
from lakehouse.settings import Settings
from serving.app import Clock, application, now
from serving.gate import Gate

# Bytes of a request's line and headers. The server itself would take in any number of them.
LARGEST_HEAD = 64 * 1024
# Until a request is here, from its first byte to its last; the gate waits less long for a body.
REQUEST_SECONDS = 20.0
# Connections that wait to be accepted, and those that are open at once.
BACKLOG, CONNECTIONS = 512, 1000
KEEP_ALIVE_SECONDS, LAST_SECONDS = 30, 10


class BoundedProtocol(HttpToolsProtocol):
    """HTTP with requests that are neither endless nor without hurry."""

    # Bytes since the last that were a body's or ended a request: a head, what stands around chunks,
    # or trailers, which may come after an answer and without a key.
    _unused = 0
    _begun = False
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._late = self.loop.call_later(REQUEST_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unused += len(data)
        super().data_received(data)
        if self._unused > LARGEST_HEAD:
            self.send_400_response("The head of the request is too large.")
        elif self._begun and self._late is None:
            # Most requests are here at once, and cost no timer.
            self._late = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def on_message_begin(self) -> None:
        self._begun = True
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        self._unused = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unused, self._begun = 0, False
        self._in_time()
        super().on_message_complete()

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def serve(settings: Settings, say: Say, clock: Clock = now) -> None:
    """Serve until SIGTERM or SIGINT; requests that are under way are answered first.

    Starts the embedded online store where none is named. `clock` tells how old features are.

    Raises:
        lakehouse.errors.Unavailable: the port is taken.
    """
    if not settings.redis_url:
        online_store.ensure(settings, say)
    run(application(settings, clock), settings, say)


def run(app: Gate, settings: Settings, say: Say) -> None:
    """Serve an application; see `serve`."""
    log_to_stderr()
    listening = _listening(settings)
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        # Of a proxy's headers nothing is believed, and our own say no more than they must.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=LAST_SECONDS,
    )
    host = f"[{settings.api_bind}]" if ":" in settings.api_bind else settings.api_bind
    say(f"the API answers at http://{host}:{settings.api_port} (Ctrl-C ends)")
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        say("stopped")


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.api_bind else socket.AF_INET
    try:
        return socket.create_server(
            (settings.api_bind, settings.api_port), family=family, backlog=BACKLOG
        )
    except OSError as fault:
        raise Unavailable(
            f"The API can't listen: {fault.strerror}",
            where=f"{settings.api_bind}:{settings.api_port}",
            remedy="set CHURN_API_PORT to a free port, CHURN_API_BIND to an own address",
        ) from fault


def log_to_stderr() -> None:
    """One line a request and an event; nothing of a request's headers or its path."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("serving").setLevel(logging.INFO)
