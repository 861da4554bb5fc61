"""Archive of the classes that the Spark server loads; it halves the processor time of a start.

Java reads the archive (class data sharing) only if the same Java wrote it from the same JARs; a
server may have others after them, as for an object store. It contains no data. This command writes
it from a running server, which has loaded the classes that later servers need if a workbook was
run:

    python -m lakehouse.class_archive
"""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from lakehouse import spark_process
from lakehouse.errors import ChurnError, UnavailableError
from lakehouse.jars import make_public
from lakehouse.settings import Settings, read_settings

WRITE_SECONDS = 300
# With this option, Java can write the archive while it runs; the property tells where.
RECORD, PLACE = "-XX:+RecordDynamicDumpInfo", "-Dchurn.class.archive="


def options(project: Path, java: Path, jars: Sequence[Path], is_complete: bool = True) -> list[str]:
    """Return the options of a server that reads the archive, or from which it can be written.

    Args:
        project: The checkout.
        java: The Java runtime.
        jars: The JARs that all servers have, with which each class path begins.
        is_complete: Whether the server has no other JARs. An archive from a server with others
            could be read by such servers only.
    """
    archive = locate(project, java, jars)
    if not archive.exists():
        return [RECORD, f"{PLACE}{archive}"] if is_complete else []
    # A server without the archive only starts slower: no message is needed if Java ignores it.
    return [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds*=off"]


def locate(project: Path, java: Path, jars: Sequence[Path]) -> Path:
    """Return the path of the archive of this Java and these JARs, whether or not it exists."""
    digest = hashlib.sha256()
    for path in (java.resolve(), *jars):
        state = path.stat()
        digest.update(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return project / ".tools" / "archives" / f"{digest.hexdigest()[:16]}.jsa"


def write(settings: Settings) -> bool:
    """Write the archive from the running server, and remove those of other JARs.

    Returns:
        Whether it was written: not if the server reads one or has further JARs, or the Java
        runtime has no `jcmd`.

    Raises:
        UnavailableError: If no server runs on this machine, or Java reports an error.
    """
    running = spark_process.service(settings).find()
    if running is None:
        raise UnavailableError(
            "No Spark server runs", where=f"CHURN_HOME={settings.home}", hint="`churn up`"
        )
    command = psutil.Process(running.pid).cmdline()
    tool = Path(command[0]).resolve().with_name("jcmd")
    if RECORD not in command or not tool.exists():
        return False
    (place,) = (part.removeprefix(PLACE) for part in command if part.startswith(PLACE))
    archive = Path(place)
    make_public(archive.parent)
    draft = archive.with_suffix(f".{running.pid}")
    line: list[str | Path] = [tool, str(running.pid), "VM.cds", "dynamic_dump", draft]
    answer = subprocess.run(line, capture_output=True, text=True, timeout=WRITE_SECONDS)
    if not draft.exists():
        raise UnavailableError(
            f"Java did not write the archive of its classes: {answer.stdout}{answer.stderr}",
            where=str(draft),
            hint="make room if the disk is full; the server works without it",
        )
    draft.chmod(0o644)
    for other in archive.parent.glob("*.jsa"):
        other.unlink(missing_ok=True)
    draft.replace(archive)
    return True


def main() -> None:
    """Write the archive from this CHURN_HOME's server."""
    try:
        print("written" if write(read_settings()) else "nothing to write")
    except ChurnError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
