"""Locate the project's files: in a checkout, or in the installed wheel.

In a checkout everything is in one folder. The wheel has the files that commands read (the dbt
project, the domains, the lock file) in `lakehouse/project`, where pyproject.toml puts them, and
local state is in the user's data folder: an installation may be read-only, and commands find the
same state from any working directory (docs/decisions/0061-wheel.md).
"""

import os
from pathlib import Path

# The folder of the packages: the checkout, or `site-packages`.
PACKAGES = Path(__file__).resolve().parent.parent
# Only the wheel has this folder.
INSTALLED = Path(__file__).resolve().with_name("project")
NAME = "telco-churn"


def _find_workspace() -> Path:
    # The specification ignores a relative path.
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (data if data.is_absolute() else Path.home() / ".local" / "share") / NAME


# What commands read, and where `.env`, `.churn` and `.tools` are.
PROJECT = INSTALLED if INSTALLED.is_dir() else PACKAGES
WORKSPACE = _find_workspace() if INSTALLED.is_dir() else PACKAGES
