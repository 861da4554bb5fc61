"""What the dbt project declares of the data: `vars` of `dbt_project.yml`."""

from pathlib import Path
from typing import Any

import yaml

from lakehouse.settings import PROJECT

DECLARED = PROJECT / "dbt_project.yml"


def read_variables(path: Path = DECLARED) -> dict[str, Any]:
    """Reads `vars` of a dbt project file, by default of this checkout's.

    Raises what the file system, YAML or a missing `vars` do.
    """
    variables: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["vars"]
    return variables
