"""Put the project's files that commands read, and dbt's plugins, into the wheel."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProjectFiles(BuildHookInterface):
    """Add the files that pyproject.toml lists, unless the wheel is that of a checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Map each file to its path in the wheel.

        Args:
            version: `editable` for a checkout, whose own files are read; copies would hide them.
            build_data: What hatchling builds the wheel from.
        """
        if version == "editable":
            return
        paths = {name: f"lakehouse/project/{name}" for name in self.config["files"]}
        paths |= {name: name for name in self.config["modules"]}
        build_data["force_include"].update(paths)
