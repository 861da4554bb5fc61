"""Write Markdown tables."""

from collections.abc import Iterable, Sequence


def format_cell(text: str) -> str:
    """Return a text as a cell of a table: one line, without what ends a cell or begins HTML."""
    escaped = " ".join(text.split()).replace("|", "\\|")
    # Code is shown as it is; elsewhere an angle bracket would begin a tag.
    parts = escaped.split("`")
    return "`".join(
        part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts)
    )


def format_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with a header line."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(format_cell, line))} |" for line in lines)
