"""Variables of the dbt project: `vars` in `dbt_project.yml`."""

from pathlib import Path
from typing import Any

import yaml

from lakehouse.settings import PROJECT

DECLARED = PROJECT / "dbt_project.yml"


def read_variables(path: Path = DECLARED) -> dict[str, Any]:
    """Read `vars` of a dbt project file, by default of this checkout's file.

    Raises:
        OSError: If the file cannot be read.
        yaml.YAMLError: If the file is not valid YAML.
        KeyError: If the file has no `vars`.
    """
    variables: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["vars"]
    return variables
