"""The settings of editor and devcontainer name what the project has."""

import json
import re
import tomllib
from typing import Any

from packaging.specifiers import SpecifierSet

from lakehouse.settings import PROJECT, Settings

HERE = "${workspaceFolder}/"


def read(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PROJECT / path).read_text())
    return loaded


def paths_of(value: object) -> list[str]:
    if isinstance(value, str):
        return [value.removeprefix(HERE)] if value.startswith(HERE) else []
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [path for part in parts for path in paths_of(part)]


def test_the_editor_is_pointed_at_what_exists() -> None:
    found = paths_of(read(".vscode/settings.json"))
    assert ".venv/bin/sqlfluff" in found
    assert [path for path in found if not (PROJECT / path).exists()] == []
    settings = read(".vscode/settings.json")
    assert [path for path in settings["python.testing.pytestArgs"] if (PROJECT / path).is_dir()]
    dialect = re.search(r"^dialect = (\w+)$", (PROJECT / ".sqlfluff").read_text(), re.MULTILINE)
    assert dialect and settings["sqlfluff.dialect"] == dialect[1]


def test_editor_and_container_have_the_same_extensions() -> None:
    recommended = read(".vscode/extensions.json")["recommendations"]
    container = read(".devcontainer/devcontainer.json")["customizations"]["vscode"]["extensions"]
    assert recommended == container


def test_the_container_has_a_python_that_the_project_accepts() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    dockerfile = (PROJECT / ".devcontainer" / "Dockerfile").read_text()
    version = re.search(r"^FROM python:([\d.]+)-", dockerfile, re.MULTILINE)
    assert version and SpecifierSet(project["requires-python"]).contains(version[1])


def test_forwarded_ports_are_the_defaults() -> None:
    names = ("docs_port", "airflow_port", "api_port", "mlflow_port", "feast_ui_port")
    ports = [Settings.__dataclass_fields__[name].default for name in names]
    defaults = [getattr(port, "default", port) for port in ports]
    assert read(".devcontainer/devcontainer.json")["forwardPorts"] == defaults
