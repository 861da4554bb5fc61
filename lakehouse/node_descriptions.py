"""Describe dbt's nodes in words: a model by its description, a test by the comment of its file."""

from collections.abc import Mapping
from typing import Any

# The first paragraph is what a test checks, the second one what a failure means and what to do.
PARAGRAPHS = 2


def describe_node(node: Mapping[str, Any]) -> str:
    """Return the description of a node of dbt's manifest; empty if there is none.

    Args:
        node: The node. A test without a description has the comment that begins its file.
    """
    return str(node.get("description") or "").strip() or _read_comment(node.get("raw_code") or "")


def _read_comment(code: str) -> str:
    lines = []
    for line in code.strip().splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    paragraphs = "\n".join(lines).split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs[:PARAGRAPHS]).strip()
