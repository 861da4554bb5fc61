"""The archive of the server's classes: of which JARs it is, who reads it, and how it is written."""

import os
import subprocess
import tomllib
from pathlib import Path

import psutil
import pytest

from lakehouse import class_archive, spark_process, spark_server
from lakehouse.errors import UnavailableError
from lakehouse.jars import LIST
from lakehouse.java import find_java
from lakehouse.process import ProcessInfo, write_state
from lakehouse.settings import Settings, read_settings

WAITING = """
public final class Waiting {
    public static void main(String[] none) throws Exception {
        System.out.println("started");
        Thread.sleep(120_000);
    }
}
"""
JCMD = find_java().resolve().with_name("jcmd")


def settings_of(folder: Path) -> Settings:
    return read_settings({"CHURN_HOME": str(folder)}, project=folder)


def test_a_server_reads_the_archive_of_its_own_jars(tmp_path: Path) -> None:
    java, jar = tmp_path / "java", tmp_path / "one.jar"
    java.touch()
    jar.write_text("classes")
    archive = class_archive.locate(tmp_path, java, [jar])
    assert class_archive.RECORD in class_archive.options(tmp_path, java, [jar])
    archive.parent.mkdir(parents=True)
    archive.touch()
    assert f"-XX:SharedArchiveFile={archive}" in class_archive.options(tmp_path, java, [jar])
    os.utime(jar, (1, 1))  # installed again: Java would not read the archive
    assert class_archive.locate(tmp_path, java, [jar]) != archive
    assert class_archive.RECORD in class_archive.options(tmp_path, java, [jar])


def test_a_server_with_other_jars_reads_the_same_archive_and_writes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its class path begins with that of the others, or Java would not read the archive."""
    listed = tomllib.loads(LIST.read_text())["jar"]
    is_special = {f"{jar['artifact']}-{jar['version']}.jar": "only_for" in jar for jar in listed}
    # The special ones first: the order of the list does not matter.
    jars = [tmp_path / name for name in sorted(is_special, key=lambda name: not is_special[name])]
    classes = tmp_path / "classes.jar"
    for jar in (*jars, classes):
        jar.write_text("classes")
    common = [jar for jar in jars if not is_special[jar.name]]
    monkeypatch.setattr(spark_server, "server_classes", lambda _: classes)

    def command(used: list[Path]) -> list[str]:
        program = spark_server.Program("Check")
        return spark_server.command(settings_of(tmp_path), tmp_path / "spark", used, program)

    plain, special = command(common), command(jars)
    paths, others = (line[line.index("-cp") + 1].split(":") for line in (plain, special))
    assert len(paths) == 1 + len(common) + 2 and len(others) >= len(paths) + 4
    assert others[: len(paths) - 1] == paths[:-1] and others[-1] == paths[-1]
    assert class_archive.RECORD in plain and class_archive.RECORD not in special
    (place,) = (part for part in plain if part.startswith(class_archive.PLACE))
    archive = Path(place.removeprefix(class_archive.PLACE))
    archive.parent.mkdir(parents=True)
    archive.touch()
    for used in (common, jars):
        assert f"-XX:SharedArchiveFile={archive}" in command(used)


def test_without_a_server_there_is_nothing_to_write_it_from(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="No Spark server"):
        class_archive.write(settings_of(tmp_path))


def write_from(settings: Settings, options: list[str], source: Path) -> bool:
    """Whether the archive is written from a process that runs with the options."""
    command = [str(find_java()), *options, str(source)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None and server.stdout.readline() == "started\n"
            created = psutil.Process(server.pid).create_time()
            place = spark_process.service(settings).state_file
            place.parent.mkdir(exist_ok=True)
            write_state(place, ProcessInfo(server.pid, created, 0, [], "", ""))
            return class_archive.write(settings)
        finally:
            server.kill()


@pytest.mark.skipif(not JCMD.exists(), reason="this Java has no jcmd")
def test_it_is_written_once_from_a_running_server_and_java_reads_it(tmp_path: Path) -> None:
    java, source, settings = find_java(), tmp_path / "Waiting.java", settings_of(tmp_path)
    source.write_text(WAITING)
    archive = class_archive.locate(tmp_path, java, [source])
    archive.parent.mkdir(parents=True)
    archive.with_name("0123456789abcdef.jsa").touch()  # of other JARs
    assert write_from(settings, class_archive.options(tmp_path, java, [source]), source)
    assert list(archive.parent.iterdir()) == [archive] and archive.stat().st_mode & 0o777 == 0o644
    # Java ends with an error if it can't read it.
    line = [str(java), "-Xshare:on", f"-XX:SharedArchiveFile={archive}", "-version"]
    assert subprocess.run(line, capture_output=True).returncode == 0
    assert not write_from(settings, class_archive.options(tmp_path, java, [source]), source)
