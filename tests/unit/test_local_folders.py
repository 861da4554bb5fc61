"""Folders and locks that the system refuses: exit 2 or 4 with the cause, and nothing is written."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from workbooks import sheet_rows, write_xlsx

from lakehouse.errors import InvalidInputError, UnavailableError
from lakehouse.file_locks import lock_within, try_lock
from lakehouse.process import Service
from lakehouse.settings import read_settings

CHURN = Path(sys.executable).with_name("churn")
DBT = Path(sys.executable).with_name("dbt")
# Another user than the tests', who may read the interpreter wherever it is installed.
OTHER_USER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
OTHER_USER += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
file.write(sys.argv[2]); file.flush()
print("locked", flush=True)
time.sleep(60)
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(scope="module")
def workbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_xlsx(tmp_path_factory.mktemp("book") / "book.xlsx", {"Data": sheet_rows()})


def call(
    *command: object, home: Path | bytes, before: list[str] | None = None
) -> "subprocess.CompletedProcess[str]":
    kept = {key: text for key, text in os.environ.items() if not key.startswith("CHURN_")}
    return subprocess.run(
        [*(before or []), *map(str, command)],
        env={**kept, "CHURN_HOME": os.fsdecode(home), "CHURN_LOCK_WAIT": "1"},
        cwd=CHURN.parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )


@contextmanager
def locked(path: Path, text: str = "") -> Iterator[int]:
    """Another process that has locked the file; its number."""
    command = [sys.executable, "-c", HOLD, str(path), text]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        try:
            yield process.pid
        finally:
            process.kill()


def refuses(answer: "subprocess.CompletedProcess[str]", *words: str, code: int = 2) -> None:
    said = f"{answer.stdout}\n{answer.stderr}"
    assert answer.returncode == code, said
    assert "Traceback" not in said
    missing = [word for word in words if word not in said]
    assert not missing, f"{missing} not in {said}"


def test_a_lock_of_another_process_is_waited_for_and_then_left(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    waits: list[str] = []
    with locked(path) as _, path.open("a+") as file:
        assert not try_lock(file, path)
        assert not lock_within(file, path, 0.5, lambda: waits.append("waiting"))
    assert waits == ["waiting"]
    with path.open("a+") as file:
        assert lock_within(file, path, 5)


def test_a_lock_that_is_released_in_time_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with path.open("a+") as file:
        with locked(path):
            assert not try_lock(file, path)
        assert lock_within(file, path, 30)


def test_a_start_that_hangs_is_named_with_its_process(tmp_path: Path) -> None:
    service = Service("spark", tmp_path / "spark", start_wait=0.5)
    with service.start_lock():
        pass
    begun = time.monotonic()
    with (
        locked(tmp_path / "spark" / "start.lock"),
        pytest.raises(UnavailableError, match=f"spark server .* by process {os.getpid()}"),
        service.start_lock(),
    ):
        pytest.fail("two processes start one server")
    assert time.monotonic() - begun < 30


def test_a_held_lake_is_waited_for_and_its_holder_named(tmp_path: Path, workbook: Path) -> None:
    lock = tmp_path / "lake" / "_run.lock"
    lock.parent.mkdir()
    held = '{"pid": 4711, "purpose": "churn run of March", "since": "2026-03-01 06:00:00 UTC"}'
    with locked(lock, held):
        answer = call(CHURN, "ingest", workbook, home=tmp_path)
    refuses(answer, "waiting for churn run of March", "process 4711", "where:", code=4)
    assert not (tmp_path / "spark").exists()


@pytest.mark.parametrize("command", ["ingest", "up", "dbt"])
def test_a_home_that_is_a_file_is_refused(tmp_path: Path, workbook: Path, command: str) -> None:
    home = tmp_path / "home"
    home.write_text("not a folder")
    calls = {
        "ingest": [CHURN, "ingest", workbook],
        "up": [CHURN, "up"],
        "dbt": [DBT, "build", "--target-path", tmp_path / "t", "--log-path", tmp_path / "l"],
    }
    refuses(call(*calls[command], home=home), "CHURN_HOME can't be used", "file, not a folder")
    assert home.read_text() == "not a folder"


def test_a_home_below_a_file_is_refused(tmp_path: Path, workbook: Path) -> None:
    (tmp_path / "file").touch()
    answer = call(CHURN, "ingest", workbook, home=tmp_path / "file" / "home")
    refuses(answer, "CHURN_HOME can't be used", "file, not a folder")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach; pytest's own they can't."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@needs_root
def test_a_home_that_its_owner_may_not_write_is_refused(open_folder: Path, workbook: Path) -> None:
    # Whatever the umask: the file belongs to another user, who may read all files.
    book = Path(shutil.copy(workbook, open_folder))
    book.chmod(0o600)
    home = open_folder / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    home.chmod(0o500)
    for part in (("ingest", book), ("up",)):
        answer = call(CHURN, *part, home=home, before=OTHER_USER)
        refuses(answer, "CHURN_HOME can't be used", "may not write")
    assert not list(home.iterdir())


@needs_root
def test_a_home_on_a_read_only_file_system_is_refused(tmp_path: Path, workbook: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    if subprocess.run(["mount", "--bind", home, home], capture_output=True).returncode:
        pytest.skip("mounting is not permitted on this machine")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", home], check=True)
        answer = call(CHURN, "ingest", workbook, home=home)
        refuses(answer, "CHURN_HOME can't be used", "file system is read-only")
    finally:
        subprocess.run(["umount", home], check=True)


def test_a_home_that_is_not_utf8_is_refused(tmp_path: Path, workbook: Path) -> None:
    home = os.fsencode(tmp_path) + b"/h\xff"
    refuses(call(CHURN, "ingest", workbook, home=home), "CHURN_HOME", "not UTF-8", r"h\xff")
    assert not list(tmp_path.iterdir())


def test_an_env_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"CHURN_HOME=/tmp/\xe4\n")
    with pytest.raises(InvalidInputError, match=r"\.env can't be read"):
        read_settings({}, tmp_path)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_file_system_without_locks_is_refused(tmp_path: Path, workbook: Path) -> None:
    """The kernel answers every lock as a file system without locks does."""
    trace = ["strace", "-f", "-q", "-o", str(tmp_path / "trace")]
    trace += ["-e", "trace=flock", "-e", "inject=flock:error=ENOLCK"]
    answer = call(CHURN, "ingest", workbook, home=tmp_path / "home", before=trace)
    refuses(answer, "has no file locks", "No locks available")
    assert not (tmp_path / "home" / "spark").exists()


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize(
    "command",
    [
        ["run", "{file}"],
        ["ingest", "{file}"],
        ["init", "{file}"],
        ["score", "{file}"],
        ["campaign", "record", "spring", "{file}"],
        ["contract", "import", "{file}", "--out", "{folder}/new.yml"],
    ],
    ids=" ".join,
)
def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, workbook: Path, command: list[str]
) -> None:
    """The kernel refuses the file as it does when another user owns it."""
    file = tmp_path / ("contract.yml" if "import" in command else "book.xlsx")
    shutil.copy(workbook, file)
    trace = ["strace", "-f", "-q", "-o", str(tmp_path / "trace"), "-P", str(file)]
    trace += ["-e", "inject=access,faccessat,faccessat2,open,openat:error=EACCES"]
    parts = [part.format(file=file, folder=tmp_path) for part in command]
    answer = call(CHURN, *parts, home=tmp_path / "home", before=trace)
    refuses(
        answer, f"{file.name} can't be read: Permission denied", "check the path and the rights"
    )
    assert not (tmp_path / "home").exists()
