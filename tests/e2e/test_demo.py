"""`churn demo`: the whole job on generated customers, beside the home of the settings."""

import re
import shlex
from pathlib import Path

from documented_commands import TUTORIAL, shell_lines
from environments import Environments
from openpyxl import load_workbook

from lakehouse.sample_home import NOTE, TITLE

ID = re.compile(r"\b\d{4}-[A-Z]{5}\b")


def test_the_demo_is_run_beside_the_home_and_marked(
    environments: Environments, tmp_path: Path
) -> None:
    """As the tutorial says, in its order."""
    home = environments.new("beside")
    demo = home.path.with_name(f"{home.path.name}-demo")
    lines = [line for line in shell_lines(TUTORIAL) if line.startswith("churn ")]
    assert (lines[0], lines[-1]) == ("churn demo", "churn --demo down")
    try:
        said = home.churn("demo").stdout
        assert NOTE in said and f"report: {demo}" in said
        (line,) = (line for line in said.splitlines() if line.startswith("try: "))
        assert line.startswith("try: churn --demo show ")
        customer = line.split()[-1]
        printed = [
            home.churn(
                *shlex.split(ID.sub(customer, each).replace("--out ", f"--out {tmp_path}/"))[1:]
            )
            for each in lines[1:-1]
        ]
        assert "probability" in printed[0].stdout
        assert (tmp_path / "calls.xlsx").exists()
        # The home of the settings is untouched.
        assert not (home.path / "lake").exists()
        (run,) = (demo / "runs").iterdir()
        assert NOTE in (run / "report.html").read_text()
        assert NOTE in (demo / "site" / "index.html").read_text()
        title = load_workbook(run / "retention_list.xlsx")["Summary"]["A1"].value
        assert str(title).startswith(TITLE)
    finally:
        home.churn("--demo", "down")
