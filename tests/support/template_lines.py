"""Which lines of Jinja templates are rendered."""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from jinja2 import Template

TEMPLATE = ".html.j2"


@contextmanager
def missed_lines() -> Iterator[dict[str, set[int]]]:
    """At the end of the body, the lines of each rendered template that were never rendered.

    Otherwise only a rare run finds a field that was renamed in Python, but not in a template.
    """
    executed: dict[str, set[int]] = defaultdict(set)
    tables: dict[str, list[tuple[int, int]]] = {}

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.endswith(TEMPLATE) or frame.f_code.co_name == "<module>":
            return None
        name = Path(frame.f_code.co_filename).name
        if name not in tables:
            # Jinja's table of the template's lines and the lines of the generated code.
            entries = (entry.split("=") for entry in frame.f_globals["debug_info"].split("&"))
            tables[name] = [(int(line), int(generated)) for line, generated in entries]
        if event == "line":
            reached = [line for line, generated in tables[name] if generated <= frame.f_lineno]
            executed[name].update(reached[-1:])
        return trace

    missed: dict[str, set[int]] = {}
    render = Template.render

    def render_traced(template: Template, *arguments: Any, **variables: Any) -> str:
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            return render(template, *arguments, **variables)
        finally:
            sys.settrace(before)

    # Only while a template is rendered: tracing what is done before, the plots, takes longer.
    Template.render = render_traced  # type: ignore[method-assign]
    try:
        yield missed
    finally:
        Template.render = render  # type: ignore[method-assign]
        for name, table in tables.items():
            missed[name] = {line for line, _ in table} - executed[name]
