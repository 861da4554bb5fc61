"""A command that is killed while it works."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from environments import BIN, ChurnHome

from lakehouse.settings import PROJECT


def kill_at(home: ChurnHome, arguments: Sequence[str | Path], step: str) -> None:
    """Start a command, and kill its process once a step is done."""
    process = subprocess.Popen(
        [BIN / "churn", *arguments],
        cwd=PROJECT,
        env=home.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any(step in line for line in process.stderr)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
