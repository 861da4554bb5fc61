"""Real targets of notifications: an SMTP server and an HTTP server that store what they receive."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

Behave = Callable[[int], int]


@dataclass
class Sink:
    """The messages that a target accepted, and the URL at which Apprise reaches it."""

    url: str = ""
    titles: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    calls: int = 0

    @property
    def keys(self) -> list[str]:
        """The events of the messages."""
        return [body.rpartition("Event: ")[2].strip() for body in self.bodies]


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def http_sink(respond: Behave = lambda _: 200) -> Iterator[Sink]:
    """An HTTP server; `respond` returns the status for the number of a call."""
    sink = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            sink.calls += 1
            status = respond(sink.calls)
            if status < 300:
                sink.titles.append(content["title"])
                sink.bodies.append(content["message"])
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink.url = f"json://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def smtp_sink() -> Iterator[Sink]:
    """An SMTP server."""
    port = find_free_port()
    sink = Sink(
        f"mailto://127.0.0.1:{port}/?from=churn@example.com&to=ops@example.com&mode=insecure"
    )

    class Mailbox:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
            mail = message_from_bytes(envelope.content, policy=policy.default)
            part = mail.get_body(("plain",))
            assert part is not None
            sink.calls += 1
            sink.titles.append(str(mail["Subject"]))
            sink.bodies.append(part.get_content())
            return "250 OK"

    controller = Controller(Mailbox(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()
