"""Serves the site on loopback, and beside its files a page that traces customers.

A trace is customers' data: it is worked out when it is asked for and stands in no file. Whatever
name a page elsewhere makes point at this machine (DNS rebinding), only requests that call it by a
name of loopback are answered.
"""

import functools
import http.server
import re
import threading
import traceback
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cli.faults import explanation
from cli.pages.trace_page import Asked, form_page, trace_page
from cli.runs import run_ids
from cli.trace.trace import traced
from lakehouse.errors import ChurnError, Unavailable, Unusable
from lakehouse.service import Say
from lakehouse.settings import LOOPBACK, Settings

LOOPBACK_NAME = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?", re.IGNORECASE)
TRACE = "/trace"
LONGEST = 200
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
UNEXPECTED = ("An unexpected fault", "where: the lines that `churn docs` printed; CHURN_HOME/logs")
Answer = tuple[HTTPStatus, str]


def serve_site(settings: Settings, folder: Path, say: Say) -> None:
    """Serve the site's folder, and traces, on loopback until interrupted.

    Raises:
        Unavailable: the port is taken.
    """
    port = settings.docs_port
    traces = Traces(settings, say)
    handler = functools.partial(Handler, directory=str(folder), trace=traces.answer)
    try:
        server = http.server.ThreadingHTTPServer((LOOPBACK, port), handler)
    except OSError as fault:
        raise Unavailable(
            f"Port {port} for the docs site is taken: {fault}",
            where=f"{LOOPBACK}:{port}",
            remedy="set CHURN_DOCS_PORT to a free port",
        ) from fault
    with server:
        say(f"the docs are at http://{LOOPBACK}:{port} (Ctrl-C ends)")
        say(f"customers are traced at http://{LOOPBACK}:{port}{TRACE}")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("stopped")


class Traces:
    """Answers what the form asks, one at a time: each keeps the Spark server at work."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self._settings, self._say = settings, say
        self._one_at_a_time = threading.Lock()

    def answer(self, query: str) -> Answer:
        """The page for a query string."""
        given = {name: values[0] for name, values in parse_qs(query[: 10 * LONGEST]).items()}
        asked = Asked(
            given.get("id", "").strip()[:LONGEST],
            given.get("run", "")[:LONGEST],
            run_ids(self._settings),
        )
        if not asked.customer_id:
            return HTTPStatus.OK, form_page(asked)
        try:
            with self._one_at_a_time:
                (lineage,) = traced(
                    self._settings, [asked.customer_id], self._say, asked.run_id or None
                )
        except Exception as fault:
            known = fault if isinstance(fault, ChurnError) else explanation(self._settings, fault)
            if known is None:
                traceback.print_exc()
                return HTTPStatus.INTERNAL_SERVER_ERROR, form_page(asked, UNEXPECTED)
            return _status(known), form_page(asked, _in_words(known))
        return HTTPStatus.OK, trace_page(asked, lineage)


def _status(fault: ChurnError) -> HTTPStatus:
    if isinstance(fault, Unusable):
        return HTTPStatus.NOT_FOUND
    if isinstance(fault, Unavailable):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _in_words(fault: ChurnError) -> list[str]:
    return [fault.what, f"where: {fault.where}", f"what to do: {fault.remedy}"]


class Handler(http.server.SimpleHTTPRequestHandler):
    """The folder's files, and the trace."""

    def __init__(self, *arguments: Any, trace: Callable[[str], Answer], **options: Any) -> None:
        self._trace = trace
        super().__init__(*arguments, **options)

    def send_head(self) -> Any:
        """Answers GET and HEAD with a file's head; what is no file is answered in full here."""
        place = urlsplit(self.path)
        if not is_loopback(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "This site is for this machine alone")
            return None
        if place.path.rstrip("/") != TRACE:
            return super().send_head()
        self._send_page(*self._trace(place.query))
        return None

    def _send_page(self, status: HTTPStatus, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def end_headers(self) -> None:
        """Every answer is taken for what it says it is."""
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """A line without the query: a customer's id is nobody's business in a log."""
        shown = code.value if isinstance(code, HTTPStatus) else code
        self.log_message("%s %s %s", self.command, urlsplit(self.path).path, shown)


def is_loopback(host: str) -> bool:
    """Whether a Host header calls this machine by a name of loopback."""
    return LOOPBACK_NAME.fullmatch(host) is not None
