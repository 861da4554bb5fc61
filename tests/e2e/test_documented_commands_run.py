"""Every documented command works as it is written.

Named so that it comes last of those that share the home: some of the commands change what is in it.
"""

import re
import sys
from pathlib import Path

import pytest
from documented_commands import ELSEWHERE, PAGES, README, blocks, shell_lines
from environments import BIN, CompletedRun

RUN = re.compile(r"\b20\d{6}T\d{6}Z-\w{6}\b")


@pytest.mark.parametrize("line", [line for line in shell_lines(*PAGES) if line not in ELSEWHERE])
def test_a_command_that_is_written_down(
    line: str, completed_run: CompletedRun, shared_data: Path, tmp_path: Path
) -> None:
    runs = iter(sorted(each.name for each in (completed_run.home.path / "runs").iterdir()))
    line = RUN.sub(lambda _: next(runs), line)
    line = line.replace("path/to/customers.xlsx", str(shared_data / "Telco-Customer-Churn.xlsx"))
    line = line.replace("--out ", f"--out {tmp_path}/")
    completed_run.home.call(
        ["bash", "-c", line],
        code=0,
        PATH=f"{BIN}:{completed_run.home.environ['PATH']}",
        DBT_TARGET_PATH=str(completed_run.home.path / "target"),
        DBT_LOG_PATH=str(completed_run.home.path),
    )


def test_the_python_of_the_readme(completed_run: CompletedRun) -> None:
    (snippet,) = blocks(README, "python")
    completed_run.home.call([sys.executable, "-c", snippet], code=0)
