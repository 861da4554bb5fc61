"""Which lines of Jinja templates are rendered."""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any


@contextmanager
def missed_lines() -> Iterator[dict[str, set[int]]]:
    """At the end of the body, the lines of each rendered template that were never rendered.

    Otherwise only a rare run finds a field that was renamed in Python, but not in a template.
    """
    executed: dict[str, set[int]] = defaultdict(set)
    lines: dict[str, set[int]] = {}

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        name = Path(frame.f_code.co_filename).name
        if not name.endswith(".html.j2") or frame.f_code.co_name == "<module>":
            return None
        # Jinja's table of the template's lines and the lines of the generated code.
        table = frame.f_globals["debug_info"].split("&")
        pairs = [tuple(map(int, pair.split("="))) for pair in table]
        lines[name] = {line for line, _ in pairs}
        if event == "line":
            reached = [line for line, generated in pairs if generated <= frame.f_lineno]
            executed[name].update(reached[-1:])
        return trace

    missed: dict[str, set[int]] = {}
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield missed
    finally:
        sys.settrace(before)
        missed |= {name: lines[name] - executed[name] for name in lines}
