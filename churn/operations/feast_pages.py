"""Adapt the files of Feast's site: the bar of all sites, no demonstration, no useless buttons.

Feast's build of its pages has tabs that show example data, and buttons for a registry that can be
changed. The server permits reading alone (`churn.operations.feast_ui`): each would end in an error.
"""

import re
from pathlib import Path

from fastapi import FastAPI
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from churn.reports.front_page import missing_page_of
from lakehouse import sites
from lakehouse.navigation import ROW_STYLE, format_site_navigation, insert_navigation
from lakehouse.sample_home import is_sample
from lakehouse.settings import Settings

DEMO_TABS = re.compile(r'(\w+CustomTabs):\[(?:\{label:"\w+ Tab Demo",[^{}]*\},?)+\]')
# What Feast's pages lack: code to find, and its replacement. Each occurs once.
CHANGES = (
    # A tab with a request to a feature server, which this project does not run.
    (re.compile(r'\{label:"CURL Generator",path:"[^"]*",Component:\w+\},'), ""),
    # Descriptions instead of models and permissions, of which Feast knows none here.
    (
        re.compile(r'(\{name:"Type",field:"type",sortable:!0\},)(\{name:"Models",field:"models")'),
        r'\1{name:"Description",field:"description"},\2',
    ),
    (
        re.compile(
            r'\](;"all"===\w+&&\w+\.splice[^;]*;const [^;]*;return[^;]{0,200}"Feature List")'
        ),
        r"].slice(0,4)\1",
    ),
    # The features of a view.
    (
        re.compile(r"\}(\];\w+\|\|\(\w+\[0\]\.render=void 0\))"),
        r'},{name:"Description",field:"description"}\1',
    ),
    # The table and the time of a data source of Spark.
    (
        re.compile(
            r"(\w+)\.fileOptions&&\(0,(\w+)\(\)\.jsxs\)\((\w+)\(\)\.Fragment,\{children:\["
            r'\(0,\w+\(\)\.jsx\)\((\w+),\{children:"File URL"\}\),\(0,\w+\(\)\.jsx\)\((\w+),'
        ),
        r"\1.sparkOptions&&(0,\2().jsxs)(\3().Fragment,{children:["
        r'(0,\2().jsx)(\4,{children:"Table"}),(0,\2().jsx)(\5,{children:\1.sparkOptions.table}),'
        r'(0,\2().jsx)(\4,{children:"Timestamp"}),(0,\2().jsx)(\5,{children:\1.timestampField})'
        r"]}),\g<0>",
    ),
    (
        re.compile(
            r"(\w+)\.fileOptions(\|\|null!==\w+&&void 0!==\w+&&\w+\.bigqueryOptions\?\(0,"
            r"\w+\(\)\.jsx\)\(\w+,\{batchSource:)"
        ),
        r"\1.fileOptions||\1&&\1.sparkOptions\2",
    ),
    # The engine's name, not the path of its class.
    (re.compile(r'\.engineType(\)\|\|"local",description:"Engine Type")'), r".engineClass\1"),
    (
        re.compile(
            r'\.engineType(\)\|\|"local"\}\)\}\),\(0,\w+\(\)\.jsx\)\(\w+,\{children:"Class"\})'
        ),
        r".engineClass\1",
    ),
)
# Pages of the menu that would be empty, or say that a server is missing.
UNUSED_PAGES = ("label-view", "data-set", "permissions", "monitoring")
SCRIPT = "read_only.js"
TITLE = "<title>Feast Feature Store</title>"
HIDDEN = ", ".join(f'nav a[href$="/{page}"]' for page in UNUSED_PAGES)
# Feast's pages are as high as the window, in styles of elements; the bar takes its own row of it.
STYLE = (
    f"<style>{ROW_STYLE}\n"
    '.site-nav ~ #root [style*="100vh"]:not(:fullscreen) '
    "{ max-height: calc(100vh - 44px) !important; }\n"
    f"{HIDDEN} {{ display: none; }}</style>"
)


def adapted_routes(build: Path, settings: Settings) -> list[Route]:
    """Return the routes of the adapted files, to precede Feast's own.

    Args:
        build: The folder of Feast's built pages.
        settings: The settings of this CHURN_HOME, whose other sites the bar links to.
    """
    main = next((build / "static" / "js").glob("main.*.js"))
    index, code = adapt_index((build / "index.html").read_text()), adapt_code(main.read_text())
    script = Path(__file__).with_name("feast_read_only.js")

    def page(request: Request) -> Response:
        return HTMLResponse(insert_navigation(index, _format_bar(settings, request)))

    def main_script(_: object) -> Response:
        return Response(code, media_type="text/javascript")

    def read_only(_: object) -> Response:
        return FileResponse(script, media_type="text/javascript")

    return [
        *(Route(path, page) for path in ("/", "/index.html", "/p/{path:path}")),
        Route(f"/static/js/{main.name}", main_script),
        Route(f"/{SCRIPT}", read_only),
    ]


def serve_missing(app: FastAPI, settings: Settings) -> None:
    """Answer a browser's request for an address without a page with a page that has the bar."""

    @app.exception_handler(404)
    def missing(request: Request, error: HTTPException) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"detail": error.detail}, error.status_code)
        bar = _format_bar(settings, request)
        page = missing_page_of(sites.FEAST.name, bar, is_sample(settings))
        return HTMLResponse(page, error.status_code)


def _format_bar(settings: Settings, request: Request) -> Markup:
    return format_site_navigation(settings, sites.FEAST, request.headers.get("host", ""))


def adapt_index(html: str) -> str:
    """Return the page with this project's title, the bar's style and the script for buttons."""
    added = f'{STYLE}<script defer="defer" src="/{SCRIPT}"></script></head>'
    return html.replace(TITLE, "<title>Feature store – Telco churn</title>").replace(
        "</head>", added, 1
    )


def adapt_code(code: str) -> str:
    """Return the pages' code without tabs of no use, and with what the pages lack."""
    for pattern, replacement in CHANGES:
        code = pattern.sub(replacement, code)
    return remove_demo(code)


def remove_demo(code: str) -> str:
    """Return the pages' code without the tabs of the demonstration."""
    return DEMO_TABS.sub(r"\1:[]", code)
