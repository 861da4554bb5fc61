"""Serve the site on loopback, together with a page that traces customers.

A trace has customer data: it is computed per request and written to no file. Reports and the front
page describe the customer base too, so that the whole site requires the password.
"""

import functools
import sys
import threading
import traceback
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from churn.provenance.run_history import list_runs
from churn.provenance.trace import trace_customers
from churn.reports.front_page import DBT_DOCS, TRACE_LINK
from churn.reports.site_guard import Readers, SiteGuard, log_login, serve, site_password
from churn.reports.trace_page import SCRIPT, TraceForm, form_page, trace_page
from lakehouse import sites
from lakehouse.domain import read_domain
from lakehouse.error_translation import translate
from lakehouse.errors import ChurnError, InvalidInputError, UnavailableError
from lakehouse.metrics_file import MEDIA_TYPE, read_metrics
from lakehouse.navigation import (
    INDEX,
    add_links,
    link_running_sites,
    mark_page,
    read_navigation,
)
from lakehouse.process import Log
from lakehouse.readers import users
from lakehouse.sample_home import is_sample
from lakehouse.settings import LOOPBACK, Settings

TRACE, METRICS = "/trace", "/metrics"
MAX_LENGTH = 200
WITHOUT_SCRIPT = ("runs/", "models/")
# Pages that name no customer.
READER_PAGES = ("/", "/index.html", "/dbt/", f"/{DBT_DOCS}")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
UNEXPECTED = ("An unexpected fault", "where: the lines that `churn docs` printed; CHURN_HOME/logs")
# A trace has one script, which marks a form that is sent.
TRACE_HEADERS = {
    **HEADERS,
    "Content-Security-Policy": f"{HEADERS['Content-Security-Policy']}; "
    f"script-src 'sha256-{SCRIPT[1]}'",
}
Answer = tuple[HTTPStatus, str]


def serve_site(settings: Settings, folder: Path, log: Log) -> None:
    """Serve the site's folder, and traces, on loopback until interrupted.

    Raises:
        UnavailableError: The port is in use.
    """
    guarded = SiteGuard(
        application(settings, folder, log),
        site_password(settings),
        read_only=True,
        readers=Readers(functools.partial(users.is_reader, settings), READER_PAGES, ("/models/",)),
    )
    log_login(settings, log)
    log(f"customers are traced at http://{LOOPBACK}:{settings.docs_port}{TRACE}")
    serve(guarded, settings, sites.DOCS, log)


def application(settings: Settings, folder: Path, log: Log) -> Starlette:
    """Return an application that serves the folder's files, the trace page and the metrics."""
    trace = functools.partial(_trace, Traces(settings, folder, log))
    return Starlette(
        routes=[
            Route(TRACE, trace, methods=["GET"]),
            Route(METRICS, functools.partial(_metrics, settings), methods=["GET"]),
            Mount("/", PrivateFiles(settings, folder)),
        ]
    )


class PrivateFiles(StaticFiles):
    """Static files that browsers must not cache, because another user might read the cache.

    Reports may come from a backup of unknown origin, so that scripts in them are disabled. The bar
    of a page gets links to the sites that run.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Serve the files of a folder."""
        super().__init__(directory=folder, html=True)
        self._settings = settings

    async def get_response(self, path: str, scope: Any) -> Response:
        """Return the response for a file: its content, "not modified" or "not found"."""
        response = await super().get_response(path, scope)
        if isinstance(response, FileResponse) and response.media_type == "text/html":
            html = await run_in_threadpool(Path(response.path).read_text, errors="replace")
            page = add_running_sites(html, self._settings, Request(scope))
            response = HTMLResponse(page, response.status_code)
        response.headers["Cache-Control"] = HEADERS["Cache-Control"]
        if path.startswith(WITHOUT_SCRIPT):
            response.headers["Content-Security-Policy"] = HEADERS["Content-Security-Policy"]
        return response


def add_running_sites(html: str, settings: Settings, request: Request) -> str:
    """Return a page with links to the sites that run now in its bar."""
    name = sites.parse_host(request.headers.get("host", ""))
    return add_links(html, link_running_sites(settings, name)) if name else html


async def _trace(traces: "Traces", request: Request) -> Response:
    status, page = await run_in_threadpool(traces.answer, request.url.query)
    page = add_running_sites(page, traces.settings, request)
    # Log the request without its query: customer ids do not belong in a log.
    print(f"{request.method} {TRACE} {status.value}", file=sys.stderr, flush=True)
    return HTMLResponse(page, status.value, TRACE_HEADERS)


def _metrics(settings: Settings, _: Request) -> Response:
    return Response(read_metrics(settings), media_type=MEDIA_TYPE)


class Traces:
    """Answer requests for traces, one at a time, because each occupies the Spark server."""

    def __init__(self, settings: Settings, folder: Path, log: Log) -> None:
        """Create the endpoint.

        Args:
            settings: The settings of this CHURN_HOME.
            folder: The site's folder, whose front page has the bar of links.
            log: Callback for progress messages.
        """
        self.settings, self._folder, self._log = settings, folder, log
        self._one_at_a_time = threading.Lock()

    def answer(self, query: str) -> Answer:
        """Return the status and page for a query string."""
        given = {name: values[0] for name, values in parse_qs(query[: 10 * MAX_LENGTH]).items()}
        form = TraceForm(
            given.get("id", "").strip()[:MAX_LENGTH],
            given.get("run", "")[:MAX_LENGTH],
            list_runs(self.settings),
            is_sample(self.settings),
            self._read_navigation(),
            read_domain().report.example_id,
        )
        if not form.customer_id:
            return HTTPStatus.OK, form_page(form)
        try:
            with self._one_at_a_time:
                (lineage,) = trace_customers(
                    self.settings, [form.customer_id], self._log, form.run_id or None
                )
        except Exception as raised:
            error = raised if isinstance(raised, ChurnError) else translate(self.settings, raised)
            if error is None:
                traceback.print_exc()
                return HTTPStatus.INTERNAL_SERVER_ERROR, form_page(form, UNEXPECTED)
            return _http_status(error), form_page(form, _format_error(error))
        return HTTPStatus.OK, trace_page(form, lineage)

    def _read_navigation(self) -> str:
        index = self._folder / INDEX
        bar = read_navigation(index.read_text()) if index.is_file() else ""
        return mark_page(bar, TRACE_LINK)


def _http_status(error: ChurnError) -> HTTPStatus:
    if isinstance(error, InvalidInputError):
        return HTTPStatus.NOT_FOUND
    if isinstance(error, UnavailableError):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _format_error(error: ChurnError) -> list[str]:
    return [error.message, f"where: {error.where}", f"what to do: {error.hint}"]
