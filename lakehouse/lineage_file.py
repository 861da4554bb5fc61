"""Default transport of OpenLineage events: one file, one event per line.

Both this project's events and Airflow's use it. The OpenLineage client's own file transport writes
a long line in several pieces, so concurrent tasks would interleave their lines.
"""

import os
from pathlib import Path
from typing import Any

from openlineage.client.serde import Serde
from openlineage.client.transport.file import FileConfig
from openlineage.client.transport.transport import Transport


class LineageFile(Transport):  # type: ignore[misc]
    """Append each event to the file with a single write."""

    kind = "churn_file"
    config_class = FileConfig

    def __init__(self, config: FileConfig) -> None:
        """Create the transport for the file that `log_file_path` names."""
        self._path = Path(config.log_file_path)

    def emit(self, event: Any) -> None:
        """Append the event as one line of JSON; create the file and its folder if missing.

        Raises:
            OSError: If the file cannot be written.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = Serde.to_json(event).encode() + b"\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
