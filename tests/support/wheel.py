"""Build the wheel and install it where there is no checkout."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from lakehouse.settings import PROJECT

# The machine's uv if it exists, otherwise the one that `make setup` installed.
UV = shutil.which("uv") or str(PROJECT / ".tools" / "uv" / "bin" / "uv")


def build_wheel(folder: Path, project: Path = PROJECT) -> Path:
    """Build the sdist and, from it, the wheel; return the wheel."""
    subprocess.run([UV, "build", "--quiet", "--out-dir", folder, project], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def create_environment(folder: Path) -> Path:
    """Create an empty virtual environment and return its Python."""
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    return folder / "bin" / "python"


def install_beside_dependencies(wheel: Path, folder: Path) -> Path:
    """Install the wheel in an environment that borrows this one's packages, without the checkout.

    Python reads no `.pth` files in a folder that a `.pth` file adds, so that this environment's
    link to the checkout has no effect.

    Returns:
        The folder of the environment's commands.
    """
    python = create_environment(folder)
    install = [UV, "pip", "install", "--quiet", "--python", python]
    subprocess.run([*install, "--no-deps", wheel], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def surroundings(folder: Path, tools: bool = True) -> dict[str, str]:
    """Variables of a user whose data folder is empty, or has the checkout's downloaded tools."""
    workspace = folder / "telco-churn"
    workspace.mkdir(parents=True)
    if tools:
        (workspace / ".tools").symlink_to(PROJECT / ".tools")
    return {"XDG_DATA_HOME": str(folder)}
