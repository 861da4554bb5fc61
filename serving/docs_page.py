"""Render the documentation page: the OpenAPI description as plain HTML.

The usual pages load scripts from other sites; this one needs no script, no network, and no trust.
"""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape


def page(openapi: dict[str, Any], sample_mark: str = "") -> str:
    """Return the HTML page of an OpenAPI description.

    Args:
        openapi: The description.
        sample_mark: Text that marks the page, if the customers are generated.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    return environment.get_template("page.html.j2").render(openapi=openapi, sample_mark=sample_mark)
