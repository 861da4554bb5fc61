"""The commands in the pages that tell users what to do."""

import re
from pathlib import Path

from lakehouse.settings import PROJECT

DOCS = PROJECT / "docs"
README = PROJECT / "README.md"
# test_other_companies.py follows the first page, test_demo.py the second one.
OWN_WORKBOOK, TUTORIAL = DOCS / "own-workbook.md", DOCS / "tutorial.md"
FOLLOWED = (OWN_WORKBOOK, TUTORIAL)
# All others: their blocks of the language `sh` are executed, those without a language are not.
PAGES = (
    README,
    PROJECT / "CONTRIBUTING.md",
    *sorted(path for path in DOCS.rglob("*.md") if path not in FOLLOWED),
)
# The command that runs these tests, which .ci/run calls, and its parts.
ITSELF = "make test"
PARTS_OF_IT = {"make setup", "make lint", ".venv/bin/pytest tests/unit"}
# test_demo.py runs the demo, which this command does without a workbook.
DEMO = {"make run"}
# test_airflow.py runs them.
AIRFLOW = {"make airflow", "churn airflow password"}


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of a language; those of a list are indented."""
    found = re.findall(
        rf"^( *)```{language}\n(.*?)^\1```", page.read_text(), re.DOTALL | re.MULTILINE
    )
    return [block for _, block in found]


def shell_lines(*pages: Path) -> list[str]:
    """The commands, each once, in the order in which they are read."""
    lines = [
        line.strip()
        for page in pages
        for block in blocks(page, "sh")
        for line in block.splitlines()
    ]
    return [line for line in dict.fromkeys(lines) if line]


def shown_commands(*pages: Path) -> list[str]:
    """The command lines in blocks without a language: shown, not executed.

    A synopsis has brackets; what two blanks separate from a command is a remark.
    """
    text = "\n".join(block for page in pages for block in blocks(page, ""))
    found = re.findall(r"^(?:docker compose exec .* )?(churn [^─\[\n]+)$", text, re.MULTILINE)
    return [line.partition("  ")[0] for line in dict.fromkeys(found)]


# tests/stack runs them if there is a container engine.
STACK = {line for line in shell_lines(DOCS / "stack.md") if line.startswith("docker ")}
ELSEWHERE = {ITSELF, *PARTS_OF_IT, *DEMO, *AIRFLOW, *STACK}
