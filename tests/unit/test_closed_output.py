"""Commands whose output is closed by its reader, as `head` does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.run_log import RunLog, read_records
from lakehouse.settings import read_settings

RUN = "20250101T000000Z-aaaaaa"
WORK = """\
import click
from churn.cli.main import command
from churn.cli.output import print_result
from lakehouse.progress import Steps
from lakehouse.run_log import begin_run

@click.command()
@command
def work(settings):
    begin_run("20250101T000000Z-aaaaaa")
    with Steps(1).step("read") as step:
        step.outcome = "done"
    print_result("a result")

work()
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "CHURN_HOME": str(tmp_path / "home")}


def call(command: list[str], environ: dict[str, str], closed: str) -> tuple[int, bytes]:
    """Call a program one of whose streams has no reader; return exit code and the other stream."""
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, closed: writer}
    try:
        called = subprocess.run(command, env=environ, check=False, **streams)  # type: ignore[call-overload]
    finally:
        os.close(writer)
    return called.returncode, called.stdout or called.stderr or b""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--demo", "status"],
        ["status", "--json"],
        ["config"],
        ["runs"],
        ["logs"],
    ],
    ids=" ".join,
)
def test_a_command_without_a_reader_ends_silently(
    arguments: list[str], environ: dict[str, str]
) -> None:
    log = RunLog(read_settings(environ), "churn run")
    log.begin(RUN)
    log.end("done", 0)
    code, said = call([sys.executable, "-m", "churn.cli.main", *arguments], environ, "stdout")
    assert b"Traceback" not in said and b"rror" not in said and b"BrokenPipe" not in said
    assert code == 141


@pytest.mark.parametrize(("closed", "result"), [("stdout", "done"), ("stderr", "interrupted")])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_run_without_a_reader_is_recorded(
    closed: str, result: str, log_format: str, environ: dict[str, str]
) -> None:
    environ["CHURN_LOG_FORMAT"] = log_format
    code, said = call([sys.executable, "-c", WORK], environ, closed)
    assert (code, b"rror" in said) == (141, False)
    (record,) = read_records(read_settings(environ))
    assert (record.result, record.exit_code) == (result, 141)


def test_the_connection_of_a_client_is_no_output(environ: dict[str, str]) -> None:
    source = WORK.replace('print_result("a result")', "raise BrokenPipeError(32, 'a server')")
    called = subprocess.run(
        [sys.executable, "-c", source], env=environ, capture_output=True, check=False
    )
    assert called.returncode == 1
    assert b"Unexpected error" in called.stderr
    assert json.loads(next(Path(environ["CHURN_HOME"]).rglob(f"{RUN}.json")).read_text())
