"""JARs of the Spark server, downloaded once to `.tools/`, and the classes of this project."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import tomllib
import zipfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pyspark

from lakehouse.errors import UnavailableError
from lakehouse.file_locks import lock_within
from lakehouse.java import find_java
from lakehouse.progress import format_bytes
from lakehouse.project_files import WORKSPACE

SPARK_HOME = Path(pyspark.__file__).parent
LIST = Path(__file__).with_name("jars.toml")
PASSWORD_CHECK = Path(__file__).with_name("ServerPassword.java")
READER_CLASSES = Path(__file__).parent / "readers"
# Longer than the download takes on a slow connection.
FETCH_WAIT_SECONDS = 900
# Time between two messages on the progress of a download.
PROGRESS_SECONDS = 5
# An entry of jars.toml.
Jar: TypeAlias = dict[str, Any]


def spark_jars(
    project: Path, log: Callable[[str], None], purposes: Collection[str] | None = None
) -> list[Path]:
    """Return the listed JARs in `.tools/jars` of the project; download missing ones.

    `purposes` selects among the JARs that are needed only for some purpose; None selects all.

    Raises:
        UnavailableError: If Maven Central does not respond, a file does not have the listed
            SHA-256, or another process does not finish its download in time.
    """
    folder = project / ".tools" / "jars"
    listed = tomllib.loads(LIST.read_text())["jar"]
    needed = [
        jar
        for jar in listed
        if "only_for" not in jar or purposes is None or jar["only_for"] in purposes
    ]
    paths = [folder / _file_name(jar) for jar in needed]
    if all(path.exists() for path in paths):
        return paths
    make_public(folder)
    path = folder / ".lock"
    with path.open("w") as lock:
        if not lock_within(lock, path, FETCH_WAIT_SECONDS, lambda: log("waiting for the JARs")):
            raise UnavailableError(
                f"Another process has been fetching JARs for over {FETCH_WAIT_SECONDS} s",
                where=str(path),
                hint="wait for that process, or end it, then repeat the command",
            )
        wanted = [jar for jar in needed if not (folder / _file_name(jar)).exists()]
        if wanted:
            size = format_bytes(sum(jar["size"] for jar in wanted))
            log(f"fetching {len(wanted)} JARs for Spark ({size}) into {folder}")
            _fetch(wanted, folder, log)
    return paths


def select_common(jars: Sequence[Path]) -> list[Path]:
    """Return those of the JARs that every server has, in their order."""
    listed = tomllib.loads(LIST.read_text())["jar"]
    special = {_file_name(jar) for jar in listed if "only_for" in jar}
    return [jar for jar in jars if jar.name not in special]


def make_public(folder: Path) -> None:
    """Create a folder of the tools that all users of the checkout can read, whatever the umask.

    A folder that another user's command created is left unchanged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for directory in (folder, folder.parent):
        with contextlib.suppress(PermissionError):
            directory.chmod(0o755)


def server_classes(project: Path) -> Path:
    """Return the JAR with the compiled classes of this project: of the server and of the readers'.

    A Java runtime has no compiler. Janino, with which Spark compiles generated code, is among
    Spark's JARs and has a command line.

    Raises:
        UnavailableError: If they do not compile.
    """
    sources = [PASSWORD_CHECK, *sorted(READER_CLASSES.glob("*.java"))]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
    jar = project / ".tools" / "classes" / f"{digest.hexdigest()[:16]}.jar"
    if jar.exists():
        return jar
    make_public(jar.parent)
    with tempfile.TemporaryDirectory(dir=jar.parent) as scratch:
        compiled = Path(scratch) / "classes"
        answer = _run_java(
            *("org.codehaus.commons.compiler.samples.CompilerDemo", "-d", str(compiled)),
            *("-classpath", ":".join(map(str, (SPARK_HOME / "jars").glob("*.jar")))),
            *map(str, sources),
        )
        missing = [each for each in sources if not (compiled / f"{each.stem}.class").exists()]
        if missing:
            raise UnavailableError(
                f"{missing[0].name} could not be compiled:\n    "
                f"{_end(answer.stdout + answer.stderr)}",
                where=str(missing[0]),
                hint="restore the released file, and make room if the disk is full",
            )
        packed = Path(scratch) / jar.name
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(compiled.iterdir()):
                archive.write(path, path.name)
        packed.chmod(0o644)
        packed.replace(jar)
    return jar


def _run_java(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a program from Spark's JARs.

    Java encodes file names by the locale, which may support only ASCII, so it is set to UTF-8.
    """
    return subprocess.run(
        [str(find_java()), "-cp", f"{SPARK_HOME}/jars/*", *arguments],
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def _file_name(jar: Jar) -> str:
    return f"{jar['artifact']}-{jar['version']}.jar"


def _fetch(wanted: list[Jar], folder: Path, log: Callable[[str], None]) -> None:
    """Download the artifacts, verify them and move them in place."""
    for leftover in folder.glob("fetch-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as scratch:
        answer = _download(wanted, scratch, log)
        for jar in wanted:
            fetched = Path(scratch) / _file_name(jar)
            if not fetched.exists():
                raise UnavailableError(
                    f"Could not fetch {fetched.name}:\n    {_end(answer.stdout + answer.stderr)}",
                    where="Maven Central",
                    hint="check the network, then repeat the command",
                )
            with fetched.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != jar["sha256"]:
                raise UnavailableError(
                    f"{fetched.name} is not the file that was listed (SHA-256 {digest})",
                    where=f"{LIST.name}, {jar['artifact']}",
                    hint="do not use it; find out who changed the file",
                )
            if "services" in jar:
                fetched = _with_services(fetched, jar["services"])
            fetched.chmod(0o644)
            fetched.replace(folder / _file_name(jar))


def _download(
    wanted: list[Jar], scratch: str, log: Callable[[str], None]
) -> "subprocess.CompletedProcess[str]":
    """Download the artifacts to a folder with Ivy, which Spark includes, and log the progress."""
    order = Path(scratch) / "ivy.xml"
    order.write_text(_ivy_order(wanted))
    ended = threading.Event()
    total = sum(jar["size"] for jar in wanted)
    reporter = threading.Thread(target=log_progress, args=(Path(scratch), total, ended, log))
    reporter.start()
    try:
        return _run_java(
            *("org.apache.ivy.Main", "-ivy", str(order), "-cache", f"{scratch}/cache"),
            *("-confs", "default", "-types", "jar"),
            *("-retrieve", f"{scratch}/[artifact]-[revision].[ext]"),
        )
    finally:
        ended.set()
        reporter.join()


def log_progress(
    folder: Path,
    total: int,
    ended: threading.Event,
    log: Callable[[str], None],
    every: float = PROGRESS_SECONDS,
) -> None:
    """Log every few seconds how much of `total` bytes the folder has, until `ended` is set."""
    while not ended.wait(every):
        # A file can disappear between its listing and its inspection.
        with contextlib.suppress(OSError):
            sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
            # Files are copied once they are complete.
            log(f"downloaded {format_bytes(min(sum(sizes), total))} of {format_bytes(total)}")


def _with_services(bundle: Path, services: Collection[str]) -> Path:
    """Write a copy of the AWS SDK bundle that contains only the given services."""
    slim = bundle.with_suffix(".slim")
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(slim, "w") as target:
        for entry in source.infolist():
            _, is_service, rest = entry.filename.partition("software/amazon/awssdk/services/")
            if not is_service or rest.partition("/")[0] in services:
                target.writestr(entry, source.read(entry), zipfile.ZIP_DEFLATED)
    return slim


def _ivy_order(wanted: list[Jar]) -> str:
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


def main() -> None:
    """Download and compile everything, for an image that must not do so at run time."""
    spark_jars(WORKSPACE, print)
    server_classes(WORKSPACE)


if __name__ == "__main__":
    main()
