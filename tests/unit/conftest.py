"""What files of unit tests share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.settings import PROJECT


@pytest.fixture(scope="session")
def parsed_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `target` has dbt's manifest of this project; parsing it needs no server."""
    folder = tmp_path_factory.mktemp("parsed")
    dbt = Path(sys.executable).with_name("dbt")
    places = ["--target-path", folder / "target", "--log-path", folder / "logs"]
    environ = {**os.environ, "CHURN_HOME": str(folder)}
    subprocess.run([dbt, "parse", *places, "--quiet"], check=True, cwd=PROJECT, env=environ)
    return folder
