"""`churn demo`: the whole job on generated customers, beside the home of the settings.

It is called as a user of the wheel calls it: from an unrelated folder, without a checkout.
"""

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from documented_commands import TUTORIAL, shell_lines
from environments import BIN, ChurnHome, Environments, served
from openpyxl import load_workbook
from wheel import (
    UV,
    build_wheel,
    create_environment,
    install_beside_dependencies,
    surroundings,
)

from lakehouse.domain import read_domain
from lakehouse.sample_home import NOTE, TITLE
from lakehouse.settings import PROJECT

ID = re.compile(r"\b\d{4}-[A-Z]{5}\b")


class Installation:
    """The `churn` of an installed wheel, called from an empty folder."""

    def __init__(self, home: ChurnHome, commands: Path, folder: Path, tools: bool = True) -> None:
        self._home, self._commands, self._folder = home, commands, folder / "elsewhere"
        self._folder.mkdir()
        self._environ = surroundings(folder / "data", tools)

    def churn(self, *arguments: str) -> str:
        command = ["env", "--chdir", self._folder, self._commands / "churn", *arguments]
        said = self._home.call(command, 0, **self._environ).stdout
        assert not list(self._folder.iterdir())
        return said


def test_the_demo_is_run_beside_the_home_and_marked(
    environments: Environments, tmp_path: Path
) -> None:
    """As the tutorial says, in its order."""
    commands = install_beside_dependencies(build_wheel(tmp_path / "dist"), tmp_path / "venv")
    home = environments.new("beside", is_brief=True)
    installed = Installation(home, commands, tmp_path)
    demo = home.path.with_name(f"{home.path.name}-demo")
    lines = [line for line in shell_lines(TUTORIAL) if line.startswith("churn ")]
    assert (lines[0], lines[-1]) == ("churn demo", "churn --demo down")
    try:
        said = installed.churn("demo")
        assert NOTE in said and f"report: {demo}" in said
        (line,) = (line for line in said.splitlines() if line.startswith("try: "))
        assert line.startswith("try: churn --demo show ")
        customer = line.split()[-1]
        printed = [
            installed.churn(
                *shlex.split(ID.sub(customer, each).replace("--out ", f"--out {tmp_path}/"))[1:]
            )
            for each in lines[1:-1]
        ]
        assert "probability" in printed[0]
        assert (tmp_path / "calls.xlsx").exists()
        key = installed.churn("--demo", "api-key", "new", "team").strip()
        own = replace(home, path=demo, environ=home.environ | {"CHURN_HOME": str(demo)})
        for each in (customer, read_domain().report.example_id):
            assert ask_api(own, key, each, tmp_path / "api.log")["customer_id"] == each
        # The home of the settings is untouched.
        assert not (home.path / "lake").exists()
        (run,) = (demo / "runs").iterdir()
        assert NOTE in (run / "report.html").read_text()
        assert NOTE in (demo / "site" / "index.html").read_text()
        title = load_workbook(run / "retention_list.xlsx")["Summary"]["A1"].value
        assert str(title).startswith(TITLE)
    finally:
        installed.churn("--demo", "down")


def ask_api(home: ChurnHome, key: str, customer: str, log: Path) -> Any:
    with served(home, [BIN / "churn", "serve"], "CHURN_API_PORT", log) as address:
        path = f"/v1/customers/{customer}/churn"
        answer = httpx.get(f"{address}{path}", headers={"X-API-Key": key}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.long
def test_the_wheel_in_an_empty_environment_runs_the_demo(
    environments: Environments, tmp_path: Path
) -> None:
    """All dependencies are installed, and Spark's JARs are downloaded."""
    wheel = build_wheel(tmp_path / "dist")
    export = ["export", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes"]
    constraints = tmp_path / "constraints.txt"
    subprocess.run([UV, *export, "-q", "-o", constraints], cwd=PROJECT, check=True)
    python = create_environment(tmp_path / "venv")
    install = [UV, "pip", "install", "--quiet", "--python", python, "-c", constraints, wheel]
    subprocess.run(install, check=True)
    installed = Installation(environments.new("wheel"), python.parent, tmp_path, tools=False)
    try:
        assert NOTE in installed.churn("demo")
        assert list((tmp_path / "data" / "telco-churn" / ".tools" / "jars").glob("delta-*.jar"))
    finally:
        installed.churn("--demo", "down")
