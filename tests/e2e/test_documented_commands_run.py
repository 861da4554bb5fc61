"""Every documented command works as it is written."""

import itertools
import re
import sys
from pathlib import Path

import nbformat
import pytest
from documented_commands import DOCS, ELSEWHERE, PAGES, blocks, shell_lines
from environments import BIN, ChurnHome
from nbclient import NotebookClient

from lakehouse.settings import PROJECT

RUN = re.compile(r"\b20\d{6}T\d{6}Z-\w{6}\b")


@pytest.mark.parametrize("line", [line for line in shell_lines(*PAGES) if line not in ELSEWHERE])
def test_a_command_that_is_written_down(
    line: str, changed_home: ChurnHome, shared_data: Path, tmp_path: Path
) -> None:
    # One run may stand for several: a repeated one leaves nothing to compare with.
    runs = itertools.cycle(sorted(each.name for each in (changed_home.path / "runs").iterdir()))
    line = RUN.sub(lambda _: next(runs), line)
    line = line.replace("path/to/customers.xlsx", str(shared_data / "Telco-Customer-Churn.xlsx"))
    line = line.replace("--out ", f"--out {tmp_path}/")
    changed_home.call(
        ["bash", "-c", line],
        code=0,
        PATH=f"{BIN}:{changed_home.environ['PATH']}",
        DBT_TARGET_PATH=str(changed_home.path / "target"),
        DBT_LOG_PATH=str(changed_home.path),
    )


def test_the_python_of_the_pages(changed_home: ChurnHome) -> None:
    (snippet,) = blocks(DOCS / "how-to" / "query-tables.md", "python")
    changed_home.call([sys.executable, "-c", snippet], code=0)


def test_the_notebook(changed_home: ChurnHome, tmp_path: Path) -> None:
    notebook = nbformat.read(DOCS / "notebooks" / "training_sets.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not outputs, "commit it without outputs"
    changed_home.churn("up")
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(PROJECT)}})
    client.execute(env={**changed_home.environ, "IPYTHONDIR": str(tmp_path)})
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
