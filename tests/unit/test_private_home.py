"""Local state is its owner's alone: modes under any umask, homes of earlier versions, secrets."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse import online_store, spark_server
from lakehouse.atomic_write import atomic_write, generate_secret, write_secret
from lakehouse.errors import InvalidInputError, UnavailableError, classify_error
from lakehouse.jars import PASSWORD_CHECK, SPARK_HOME, server_classes
from lakehouse.java import find_java
from lakehouse.private_home import protect
from lakehouse.process import ProcessInfo, Service, is_alive
from lakehouse.settings import PROJECT, Settings, read_settings
from lakehouse.spark_credentials import find_password, generate_password, read_password

CHURN = Path(sys.executable).with_name("churn")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The process's umask is as before afterwards."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def settings_of(home: Path, **others: str) -> Settings:
    return read_settings({"CHURN_HOME": str(home), **others})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("before", [0o755, 0o777, 0o750, 0o701, 0o1777, 0o711])
def test_an_open_home_is_closed_and_that_is_said(tmp_path: Path, before: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(before)
    said: list[str] = []
    protect(settings_of(home), said.append)
    assert mode(home) & 0o777 == 0o700
    assert len(said) == 1 and str(home) in said[0] and f"{before:04o}" in said[0]
    protect(settings_of(home), said.append)
    assert len(said) == 1


def test_a_lake_beside_the_home_is_closed_too(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lake.mkdir(mode=0o755)
    protect(settings_of(tmp_path / "home", CHURN_LAKE_URI=str(lake)), lambda _: None)
    assert mode(lake) == 0o700


@AS_ROOT
def test_a_lake_of_another_user_is_named_and_used(tmp_path: Path) -> None:
    """It is used unchanged: its permissions are managed by the user who created it."""
    lake = tmp_path / "lake"
    lake.mkdir(mode=0o755)
    os.chown(lake, 65534, 65534)
    said: list[str] = []
    protect(settings_of(tmp_path / "home", CHURN_LAKE_URI=str(lake)), said.append)
    assert mode(lake) == 0o755
    assert len(said) == 1 and "CHURN_LAKE_URI" in said[0] and "user 65534" in said[0]


def test_what_is_made_later_is_closed_from_the_start(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    protect(settings_of(home), lambda _: None)
    assert not home.exists()
    (home / "runs").mkdir(parents=True)
    (home / "runs" / "report.html").touch()
    assert (mode(home), mode(home / "runs" / "report.html")) == (0o700, 0o600)


def test_a_server_that_a_library_starts_closes_the_home(tmp_path: Path) -> None:
    """Without a command before it, under the umask of a notebook."""
    with Service("spark", tmp_path / "home" / "spark").start_lock():
        assert mode(tmp_path / "home") == 0o700


@AS_ROOT
def test_a_home_of_another_user_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    os.chown(home, 65534, 65534)
    with pytest.raises(InvalidInputError, match="belongs to user 65534"):
        protect(settings_of(home), lambda _: None)
    assert mode(home) == 0o755
    told = subprocess.run(
        [CHURN, "status"],
        env={**os.environ, "CHURN_HOME": str(home)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 2
    assert "CHURN_HOME" in told.stderr and not list(home.iterdir())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o177, 0o777])
def test_secrets_keep_their_mode_under_any_umask(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    os.umask(umask)
    write_secret(folder / "given", "text")
    assert mode(folder / "given") == 0o600
    generated = generate_secret(folder / "generated")
    assert mode(folder / "generated") == 0o600
    assert len(generated) >= 32 and generate_secret(folder / "generated") == generated


def test_two_files_of_a_folder_are_written_at_once(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as first, atomic_write(tmp_path / "b") as second:
        first.write_text("a")
        second.write_text("b")
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["a", "b"]


def test_a_servers_files_are_closed_and_its_scratch_goes_with_it(tmp_path: Path) -> None:
    """Redis, whose start takes no time, for all of them; however the server ends."""
    settings = settings_of(tmp_path / "home")
    redis = online_store.service(settings)
    for end in (redis.stop, lambda: os.kill(redis.find().pid, signal.SIGKILL), redis.stop):
        os.umask(0)
        online_store.ensure_running(settings, lambda _: None)
        assert redis.scratch.is_dir() and not list(redis.scratch.iterdir())
        (redis.scratch / "rows").mkdir()
        running = redis.find()
        assert running is not None
        end()
        deadline = time.monotonic() + 30
        while redis.scratch.exists() or is_alive(running.supervisor, running.created):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    # The log and the lock are made by the caller, which has its own umask here.
    files = [each for each in redis.folder.rglob("*") if each != redis.folder / "start.lock"]
    assert {mode(each) & 0o077 for each in files if not each.is_dir()} == {0}
    assert (redis.folder / "appendonlydir").is_dir()


def test_the_password_is_given_or_generated(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert find_password(settings) is None
    with pytest.raises(UnavailableError, match="password"):
        read_password(settings)
    generated = generate_password(settings)
    assert read_password(settings) == generated
    given = "given"
    assert read_password(settings_of(tmp_path, CHURN_SPARK_PASSWORD=given)) == given
    file = tmp_path / "file"
    file.write_text("by file\n")
    by_file = settings_of(tmp_path, CHURN_SPARK_PASSWORD_FILE=str(file))
    assert read_password(by_file) == "by file"
    assert "by file" not in f"{by_file}{by_file.mask_secrets()}"


def test_a_server_of_before_passwords_is_not_used(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    ports = [settings.thrift_port, settings.connect_port]
    identity = f"{settings.lake_uri} on {settings.spark_master}"
    before = ProcessInfo(os.getpid(), 0, os.getpid(), ports, identity, "spark.log")
    with pytest.raises(UnavailableError, match="with a password") as refused:
        spark_server._check_identity(before, settings)
    assert "churn down" in refused.value.hint


@pytest.mark.parametrize(
    "message",
    [
        'status = StatusCode.UNAUTHENTICATED details = "Invalid authentication token"',
        'status = StatusCode.UNAUTHENTICATED details = "No authentication token provided"',
        "Runtime Error\n  Bad status: 3 (b'Error validating the login')",
    ],
)
def test_a_refused_password_is_named(message: str) -> None:
    fault = classify_error(message, "here")
    assert isinstance(fault, UnavailableError) and "refuses the password" in str(fault)


def test_the_command_line_names_no_secret(tmp_path: Path) -> None:
    word = "seldom-seen"
    settings = settings_of(tmp_path, CHURN_SPARK_PASSWORD=word)
    program = spark_server.Program(PASSWORD_CHECK.stem)
    line = " ".join(spark_server.command(settings, tmp_path / "spark", [], program))
    assert word not in line


CHECK = """
public final class Check {
    public static void main(String[] passwords) throws Exception {
        for (int i = 0; i < passwords.length; i++) {
            try {
                String password = "-".equals(passwords[i]) ? null : passwords[i];
                new ServerPassword().Authenticate("any", password);
                System.out.println("in");
            } catch (javax.security.sasl.AuthenticationException refused) {
                System.out.println("refused");
            }
        }
    }
}
"""


def test_the_compiled_check_compares_all_of_the_password(tmp_path: Path) -> None:
    classes = server_classes(PROJECT)
    (tmp_path / "Check.java").write_text(CHECK)
    thrift = next((SPARK_HOME / "jars").glob("spark-hive-thriftserver_*.jar"))
    compiler = "org.codehaus.commons.compiler.samples.CompilerDemo"
    jars = f"{SPARK_HOME}/jars/*"
    places = ["-d", tmp_path, "-classpath", f"{thrift}:{classes}"]
    subprocess.run(
        [find_java(), "-cp", jars, compiler, *places, tmp_path / "Check.java"], check=True
    )

    def said(environ: dict[str, str], *passwords: str) -> list[str]:
        answer = subprocess.run(
            [find_java(), "-cp", f"{tmp_path}:{classes}:{jars}", "Check", *passwords],
            env=environ,
            capture_output=True,
            text=True,
        )
        return answer.stdout.split()

    token = {spark_server.TOKEN: "schlüssel"}
    tried = ["schlüssel", "", "-", "schlüsse", "schlüssel ", "Schlüssel"]
    assert said({**token, "LC_ALL": "C.UTF-8"}, *tried) == ["in", *["refused"] * 5]
    assert said({}, "", "-", "null") == []  # without a secret it is never made
