"""Every command of the pages that tell people what to do works as it stands there.

Named so that it comes last of those that share the home: some of the commands change what is in it.
"""

import re
import sys
from pathlib import Path

import pytest
from homes import BIN, Walked

from churn.cli.main import main
from lakehouse.settings import PROJECT

README = PROJECT / "README.md"
PAGES = (README, PROJECT / "CONTRIBUTING.md", PROJECT / "docs" / "runbook.md")
# Runs these very tests; .ci/run is what holds it. And what it is made of.
ITSELF = "make test"
PARTS_OF_IT = {"make setup", "make lint", ".venv/bin/pytest tests/unit"}
# test_airflow.py begins with them.
AIRFLOW = {"make airflow", "churn airflow password"}
# tests/stack does what they say, where there is an engine.
STACK = set(re.findall(r"^docker .*", README.read_text(), flags=re.MULTILINE))
ELSEWHERE = {ITSELF, *PARTS_OF_IT, *AIRFLOW, *STACK}
RUN = re.compile(r"\b20\d{6}T\d{6}Z-\w{6}\b")


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


@pytest.mark.parametrize("line", [each for each in shell_lines(*PAGES) if each not in ELSEWHERE])
def test_a_command_that_is_written_down(
    line: str, walked: Walked, shared_data: Path, tmp_path: Path
) -> None:
    runs = iter(sorted(each.name for each in (walked.home.path / "runs").iterdir()))
    line = RUN.sub(lambda _: next(runs), line)
    line = line.replace("path/to/customers.xlsx", str(shared_data / "Telco-Customer-Churn.xlsx"))
    line = line.replace("--out ", f"--out {tmp_path}/")
    walked.home.call(
        ["bash", "-c", line],
        code=0,
        PATH=f"{BIN}:{walked.home.environ['PATH']}",
        DBT_TARGET_PATH=str(walked.home.path / "target"),
        DBT_LOG_PATH=str(walked.home.path),
    )


def test_the_commands_run_elsewhere_are_written_down() -> None:
    assert set(shell_lines(*PAGES)) >= ELSEWHERE
    assert len(STACK) == 3


def test_the_test_command_sets_up_and_lints_first() -> None:
    rules = re.findall(
        r"^(\w+): \.venv/\.ready .*\n((?:\t.*\n)+)", (PROJECT / "Makefile").read_text(), re.M
    )
    body = dict(rules)["test"]
    assert body.index("lint") < body.index("pytest")


def test_ci_calls_the_test_command_of_the_readme() -> None:
    assert (PROJECT / ".ci" / "run").read_text().rstrip().endswith(ITSELF)


def test_the_python_of_the_readme(walked: Walked) -> None:
    (snippet,) = blocks(README, "python")
    walked.home.call([sys.executable, "-c", snippet], code=0)


def test_the_table_names_every_command() -> None:
    for name in main.commands:
        assert f"`churn {name}" in README.read_text(), name
