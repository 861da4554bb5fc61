"""The wheel has what commands read, and they find it without a checkout."""

import json
import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from wheel import build_wheel, install_beside_dependencies, surroundings

from lakehouse.dbt_project import PARTS
from lakehouse.settings import PROJECT

PACKAGES = ("churn", "dags", "feature_repo", "lakehouse", "seeds_loader", "serving", "trainer")
MODULES = {f"dbt_{name}.py" for name in ("credentials", "lineage", "run_lock")}
INSTALLED = "lakehouse/project"
READ = re.compile(r'\bPROJECT\s*/\s*"([^"]+)"')


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_beside_dependencies(wheel, tmp_path_factory.mktemp("environment") / "venv")


def list_committed(*paths: str) -> set[str]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *paths]
    found = subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True, check=True)
    return {name for name in found.stdout.splitlines() if (PROJECT / name).exists()}


def list_read() -> set[str]:
    """What the code reads below PROJECT: literal names, and the parts of the dbt project."""
    sources = (PROJECT / name for name in list_committed(*PACKAGES) if name.endswith(".py"))
    names = {name for source in sources for name in READ.findall(source.read_text())}
    return {*names, *PARTS, "dbt_project.yml"} - {".env"}


def test_it_has_all_files_of_the_packages_and_all_that_they_read(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    contents = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    project = {f"{INSTALLED}/{name}" for name in list_committed("domains", *list_read())}
    assert contents == list_committed(*PACKAGES) | MODULES | project
    for name in list_read():
        assert any(path.startswith(f"{INSTALLED}/{name}") for path in contents), name


def call(commands: Path, folder: Path, *arguments: str) -> str:
    """What a command of the installed wheel prints in a folder that has nothing."""
    folder.mkdir(exist_ok=True)
    inherited = {name: text for name, text in os.environ.items() if "CHURN" not in name}
    environ = {**inherited, **surroundings(folder.with_name(f"{folder.name}-data"), tools=False)}
    command = [commands / arguments[0], *arguments[1:]]
    answer = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert not list(folder.iterdir())
    return answer.stdout


@pytest.mark.parametrize("command", [("churn",), ("python", "-m", "churn")])
def test_the_command_line_is_called_by_name_or_as_a_module(
    commands: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    help_text = call(commands, tmp_path / "empty", *command, "--help")
    assert help_text.startswith("Usage: churn ") and "demo" in help_text


def test_local_state_is_in_the_data_folder_of_the_user(commands: Path, tmp_path: Path) -> None:
    settings = json.loads(call(commands, tmp_path / "empty", "churn", "config", "--json"))
    workspace = tmp_path / "empty-data" / "telco-churn"
    assert settings["project"] == str(workspace)
    assert settings["CHURN_HOME"] == str(workspace / ".churn")


def test_the_domain_and_the_plugins_of_dbt_are_those_of_the_wheel(
    commands: Path, tmp_path: Path
) -> None:
    code = (
        "import dbt_credentials, dbt_lineage, dbt_run_lock\n"
        "from lakehouse.domain import read_domain\n"
        "print(read_domain().folder, dbt_credentials.__file__, sep='\\n')"
    )
    domain, plugin = call(commands, tmp_path / "empty", "python", "-c", code).splitlines()
    (packages,) = commands.parent.glob("lib/python*/site-packages")
    assert domain == str(packages / INSTALLED / "domains" / "telco")
    assert plugin == str(packages / "dbt_credentials.py")
