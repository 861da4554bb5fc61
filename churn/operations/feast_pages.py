"""Adapt the files of Feast's site: no tabs of its demonstration, no buttons that change anything.

Feast's build of its pages has tabs that show example data, and buttons for a registry that can be
changed. The server permits reading alone (`churn.operations.feast_ui`): each would end in an error.
"""

import re
from pathlib import Path

from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

DEMO_TABS = re.compile(r'(\w+CustomTabs):\[(?:\{label:"\w+ Tab Demo",[^{}]*\},?)+\]')
SCRIPT = "read_only.js"
TITLE = "<title>Feast Feature Store</title>"


def adapted_routes(build: Path) -> list[Route]:
    """Return the routes of the adapted files, to precede Feast's own.

    Args:
        build: The folder of Feast's built pages.
    """
    main = next((build / "static" / "js").glob("main.*.js"))
    index, code = adapt_index((build / "index.html").read_text()), remove_demo(main.read_text())
    script = Path(__file__).with_name("feast_read_only.js")

    def page(_: object) -> Response:
        return HTMLResponse(index)

    def main_script(_: object) -> Response:
        return Response(code, media_type="text/javascript")

    def read_only(_: object) -> Response:
        return FileResponse(script, media_type="text/javascript")

    return [
        *(Route(path, page) for path in ("/", "/index.html", "/p/{path:path}")),
        Route(f"/static/js/{main.name}", main_script),
        Route(f"/{SCRIPT}", read_only),
    ]


def adapt_index(html: str) -> str:
    """Return the page with this project's title, and with the script that hides the buttons."""
    script = f'<script defer="defer" src="/{SCRIPT}"></script></head>'
    return html.replace(TITLE, "<title>Feature store – Telco churn</title>").replace(
        "</head>", script, 1
    )


def remove_demo(code: str) -> str:
    """Return the pages' code without the tabs of the demonstration."""
    return DEMO_TABS.sub(r"\1:[]", code)
