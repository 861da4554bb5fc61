"""Write Markdown tables."""

import html
from collections.abc import Iterable, Sequence


def format_cell(text: str) -> str:
    """Return a text as a cell of a table: one line, without what ends a cell or begins HTML."""
    parts = " ".join(text.split()).split("`")
    return "".join(
        _format_code(part) if number % 2 else part.replace("<", "&lt;").replace("|", "\\|")
        for number, part in enumerate(parts)
    )


def _format_code(text: str) -> str:
    """Return code: with a bar as HTML, because the generator would show its escape as well."""
    return (
        f"<code>{html.escape(text).replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"
    )


def format_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with a header line."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(format_cell, line))} |" for line in lines)
