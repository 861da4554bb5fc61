"""Every command of the README works as it stands there."""

import re
import sys
from pathlib import Path

import pytest
from homes import BIN, Walked

from cli.main import main
from lakehouse.settings import PROJECT

README = (PROJECT / "README.md").read_text()
# Runs this very test; .ci/run is what holds it.
ITSELF = "make test"
# test_airflow.py begins with them.
AIRFLOW = {"make airflow", "churn airflow password"}
# tests/stack does what they say, where there is an engine.
STACK = set(re.findall(r"^docker .*", README, flags=re.MULTILINE))
ELSEWHERE = {ITSELF, *AIRFLOW, *STACK}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def shell_lines() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("line", [each for each in shell_lines() if each not in ELSEWHERE])
def test_a_command_of_the_readme(line: str, walked: Walked, shared_data: Path) -> None:
    workbook = str(shared_data / "Telco-Customer-Churn.xlsx")
    path = f"{BIN}:{walked.home.environ['PATH']}"
    walked.home.call(
        ["bash", "-c", line.replace("path/to/customers.xlsx", workbook)],
        code=0,
        PATH=path,
        DBT_TARGET_PATH=str(walked.home.path / "target"),
        DBT_LOG_PATH=str(walked.home.path),
    )


def test_the_commands_run_elsewhere_stand_in_the_readme() -> None:
    assert set(shell_lines()) >= ELSEWHERE
    assert len(STACK) == 3


def test_ci_calls_the_test_command_of_the_readme() -> None:
    assert (PROJECT / ".ci" / "run").read_text().rstrip().endswith(ITSELF)


def test_the_python_of_the_readme(walked: Walked) -> None:
    (snippet,) = blocks("python")
    walked.home.call([sys.executable, "-c", snippet], code=0)


def test_the_table_names_every_command() -> None:
    for name in main.commands:
        assert f"`churn {name}" in README, name
