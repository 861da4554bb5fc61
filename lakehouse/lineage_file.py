"""Where OpenLineage events go by default: one file, a line an event.

A transport of the OpenLineage client, for ours and for Airflow's. The client's own writes a long
line in pieces, and tasks that run beside each other would tear each other's.
"""

import os
from pathlib import Path
from typing import Any

from openlineage.client.serde import Serde
from openlineage.client.transport.file import FileConfig
from openlineage.client.transport.transport import Transport


class LineageFile(Transport):  # type: ignore[misc]
    """Appends each event as one write."""

    kind = "churn_file"
    config_class = FileConfig

    def __init__(self, config: FileConfig) -> None:
        self._path = Path(config.log_file_path)

    def emit(self, event: Any) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = Serde.to_json(event).encode() + b"\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
