"""The commands in the pages that tell users what to do."""

import re
from pathlib import Path

from lakehouse.settings import PROJECT

README = PROJECT / "README.md"
PAGES = (README, PROJECT / "CONTRIBUTING.md", PROJECT / "docs" / "runbook.md")
# test_other_companies.py follows it.
TUTORIAL = PROJECT / "docs" / "own-workbook.md"
# The command that runs these tests, which .ci/run calls, and its parts.
ITSELF = "make test"
PARTS_OF_IT = {"make setup", "make lint", ".venv/bin/pytest tests/unit"}
# test_airflow.py runs them.
AIRFLOW = {"make airflow", "churn airflow password"}
# tests/stack runs them if there is a container engine.
STACK = set(re.findall(r"^docker .*", README.read_text(), flags=re.MULTILINE))
ELSEWHERE = {ITSELF, *PARTS_OF_IT, *AIRFLOW, *STACK}


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
