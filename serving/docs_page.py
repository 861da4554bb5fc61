"""Render the documentation page: Swagger UI on the OpenAPI description, from files on this machine.

The usual pages load their scripts from other hosts. Those of this one are the files of a package,
and the page's policy lets it load and call nothing but this service.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape

from lakehouse.page_icon import ICON
from lakehouse.settings import LOOPBACK

# Styles of elements are Swagger UI's own; its icons are data.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# The page's own script and style are beside this module.
OWN = Path(__file__).parent
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}


def page(openapi: dict[str, Any], sample_mark: str = "", navigation: str = "") -> str:
    """Return the HTML page of an OpenAPI description.

    Args:
        openapi: The description.
        sample_mark: Text that marks the page, if the customers are generated.
        navigation: The bar of links to the other sites, as markup.
    """
    environment = Environment(
        loader=FileSystemLoader(OWN),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html.j2")
    views = {"navigation": navigation, "sample_mark": sample_mark, "icon": ICON}
    return template.render(openapi=openapi, **views)


def asset_files() -> dict[str, Path]:
    """Return the files that the page loads, by name: Swagger UI's and the page's own."""
    # Importing the package would import Flask, which this process does not need.
    package = find_spec("flask_swagger_ui")
    assert package is not None and package.origin is not None
    swagger_ui = Path(package.origin).parent / "dist"
    files = [swagger_ui / "swagger-ui-bundle.js", swagger_ui / "swagger-ui.css"]
    return {path.name: path for path in (*files, OWN / "page.js", OWN / "page.css")}


def format_curl(port: int, method: str, path: str, body: Any = None) -> str:
    """Return how a request is made in a shell, as Markdown for the description of a route.

    Args:
        port: The service's port on this machine.
        method: The HTTP method.
        path: The path with values in place of its parameters.
        body: The body of the request; None if it has none.
    """
    lines = [f"curl -X {method} http://{LOOPBACK}:{port}{path}"]
    if path.startswith("/v1/"):
        lines.append('-H "X-API-Key: $KEY"')
    if body is not None:
        lines += ['-H "Content-Type: application/json"', f"-d '{json.dumps(body)}'"]
    return "```sh\n" + " \\\n  ".join(lines) + "\n```"
