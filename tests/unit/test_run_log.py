"""The log and the record of a run, and what `runs`, `logs` and `status` make of them."""

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import psutil
import pytest
from click.testing import CliRunner, Result

from churn.cli.main import command, main
from churn.operations import log_reader
from churn.operations.log_reader import LogTail, find_log, read_log, wait_for_log
from churn.operations.runs import format_runs, list_all_runs
from churn.provenance.as_of import read_run_end
from churn.provenance.diff import format_diff
from churn.provenance.run_history import read_summary
from churn.reports.front_page import Run
from lakehouse import progress, run_log, spark_process
from lakehouse.errors import ChurnError, GateRefusedError, InvalidInputError
from lakehouse.progress import Steps
from lakehouse.run_lock import run_lock
from lakehouse.run_lock_file import lock_file
from lakehouse.run_log import RunLog, RunRecord, begin_run, read_estimates, read_records
from lakehouse.settings import Settings, read_settings

RUN = "20250101T000000Z-aaaaaa"
LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 (DEBUG|INFO|WARNING|ERROR) +(\S+) (.*)"
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    for name in [name for name in os.environ if name.startswith("CHURN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "home"))
    yield read_settings()
    run_log.stop_log()


def call(work: object, *arguments: str) -> Result:
    """Call a command of the command line that does some work."""

    @click.command("run")
    @command
    def job(settings: Settings) -> None:
        begin_run(RUN)
        work(settings)  # type: ignore[operator]

    group = click.Group("churn", commands={"run": job})
    return CliRunner().invoke(group, ["run", *arguments])


def churn(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def two_steps(settings: Settings) -> None:
    steps = Steps(2)
    run_log.set_workbook("customers.xlsx")
    with steps.step("read") as step:
        step.outcome = "7,049 rows"
    with steps.step("build") as step:
        step.advance(1, 3, "customers")
        for _ in range(3):
            step.log("warning: a\nwarning of two lines")
            logging.getLogger("some.library").warning("is deprecated")


def test_the_log_has_time_level_and_run_and_no_warning_twice(home: Settings) -> None:
    result = call(two_steps)
    path = home.home / "logs" / "runs" / f"{RUN}.log"
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (0, f"log: {path}")
    lines = [line for line in path.read_text().splitlines() if not line.startswith("    ")]
    found = [match.groups() for line in lines if (match := LINE.fullmatch(line))]
    assert len(found) == len(lines)
    assert {run for _, run, _ in found} == {RUN}
    texts = [f"{level} {text}" for level, _, text in found]
    assert texts.count("WARNING a") == 1, "the level is not repeated"
    assert texts.count("WARNING some.library: is deprecated") == 1
    assert "INFO repeated 2 times: some.library: is deprecated" in texts
    assert "DEBUG build: 1 of 3 (customers)" in texts
    assert re.fullmatch(r"INFO done( in 0\.\d s)?, exit code 0", texts[-1])
    assert result.stderr.count("a\n") == 1
    assert path.stat().st_mode & 0o077 == 0


def test_a_silent_step_is_logged_as_running(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the last count, and less often the longer it takes."""
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.05)

    def work(settings: Settings) -> None:
        steps = Steps(2)
        with steps.step("ingest"):
            time.sleep(0.5)
        with steps.step("build") as step:
            step.unit = "models"
            step.advance(1, 3, "customers")
            time.sleep(0.1)
            step.outcome = "3 models"

    result = call(work)
    text = (home.home / "logs" / "runs" / f"{RUN}.log").read_text()
    beats = re.findall(r"INFO +\S+ 1/2 ingest: running for (\d\.\d) s\n", text)
    assert 2 <= len(beats) <= 3
    assert re.search(
        r"INFO +\S+ 2/2 build: running for 0\.\d s, 1 of 3 models \(customers\)\n", text
    )
    assert "running" not in result.stderr, "the terminal has a clock"


def test_a_step_that_logs_is_not_logged_as_running(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.2)

    def work(settings: Settings) -> None:
        with Steps(1).step("train") as step:
            for fold in range(20):
                step.log(f"fold {fold}")
                time.sleep(0.03)

    call(work)
    assert "running" not in (home.home / "logs" / "runs" / f"{RUN}.log").read_text()


def test_a_json_log_has_objects_only(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from lakehouse import log_format

    monkeypatch.setattr(log_format, "_state", log_format.LogState())
    monkeypatch.setenv("CHURN_LOG_FORMAT", "json")
    call(two_steps)
    monkeypatch.undo()
    lines = (home.home / "logs" / "runs" / f"{RUN}.log").read_text().splitlines()
    assert {json.loads(line)["run_id"] for line in lines} == {RUN}


def interrupt(settings: Settings) -> None:
    steps = Steps(12)
    run_log.set_effect(run_log.NOTHING_PUBLISHED)
    for name in ("read", "server", "ingest"):
        with steps.step(name):
            pass
    with steps.step("build"):
        raise KeyboardInterrupt


def test_an_interruption_names_the_step_and_what_was_done(home: Settings) -> None:
    result = call(interrupt)
    assert result.exit_code == 130
    first, last = result.stderr.splitlines()[-2:]
    assert first == (
        "Interrupted in 4/12 build; nothing was published; repeat the command to continue where it "
        "stopped"
    )
    assert last.startswith("log: ")
    (record,) = read_records(home)
    assert (record.result, record.exit_code, record.command) == ("interrupted", 130, "churn run")
    assert "interrupted  " in churn("runs").stdout
    assert "(in 4/12 build)" in churn("runs").stdout
    status = json.loads(churn("status", "--json").stdout)["last_run"]
    assert (status["state"], status["step"]) == ("interrupted", "4/12 build")
    assert status["effect"] == "nothing was published"
    assert "interrupted in 4/12 build" in churn("status").stdout


@pytest.mark.parametrize(
    ("error", "result", "code"),
    [
        (GateRefusedError("refused", where="here", hint="there"), "refused", 3),
        (ChurnError("failed", where="here", hint="there"), "failed", 1),
        (RuntimeError("some cause"), "failed", 1),
        (SystemExit(1), "failed", 1),
        (SystemExit(0), "done", 0),
    ],
)
def test_a_result_is_recorded(error: BaseException, result: str, code: int, home: Settings) -> None:
    def fail(settings: Settings) -> None:
        raise error

    called = call(fail)
    (record,) = read_records(home)
    assert (called.exit_code, record.exit_code, record.result) == (code, code, result)
    text = Path(record.log).read_text()
    assert ("Traceback" in text) == isinstance(error, RuntimeError)
    assert "Traceback" not in called.stderr, "the stack is in the log"
    if isinstance(error, RuntimeError):
        assert f"where: {record.log}" in called.stderr


def test_verbose_shows_the_stack_of_an_unexpected_error(home: Settings) -> None:
    def fail(settings: Settings) -> None:
        raise RuntimeError("some cause")

    assert "Traceback" in call(fail, "--verbose").stderr
    quiet = call(two_steps, "--quiet").stderr
    assert quiet == "  warning: a\nwarning of two lines\n"


def test_a_command_that_begins_no_run_leaves_nothing(home: Settings) -> None:
    assert churn("run", "missing.xlsx").exit_code == 2
    listed = churn("runs")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert "yet: `churn run WORKBOOK` starts one" in listed.stderr
    assert json.loads(churn("runs", "--json").stdout) == []
    assert churn("logs").exit_code == 2
    assert not home.home.exists()


def write_record(settings: Settings, **values: object) -> RunRecord:
    folder = run_log.folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    run_id = str(values.get("run_id", RUN))
    started = f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}T00:00:00+00:00"
    record = RunRecord(run_id, "churn run", started, str(folder / f"{run_id}.log"))
    record = replace(record, **values)  # type: ignore[arg-type]
    (folder / f"{run_id}.json").write_text(json.dumps(asdict(record)))
    (folder / f"{run_id}.log").touch()
    return record


def test_a_run_whose_process_died_was_interrupted(home: Settings) -> None:
    write_record(home, pid=os.getpid(), created=1.0, step="4/12 build")
    assert [record.result for record in read_records(home)] == ["interrupted"]
    write_record(home, pid=os.getpid(), created=psutil.Process().create_time())
    assert [record.result for record in read_records(home)] == ["running"]
    (run_log.folder(home) / "damaged.json").write_text("{")
    assert len(read_records(home)) == 1


def test_a_run_has_one_result_and_one_duration_wherever_it_is_shown(home: Settings) -> None:
    seconds = {"build": 61.5, "train": 91.4}
    write_record(home, result="done", workbook="a.xlsx", seconds=seconds)
    folder = home.home / "runs" / RUN
    folder.mkdir(parents=True)
    summary = {"run_id": RUN, "gate": {"verdict": "passed"}, "seconds": seconds}
    (folder / "summary.json").write_text(json.dumps(summary))
    assert re.search(r"done +2 min 33 s  a\.xlsx", churn("runs").stdout)
    assert "done in 2 min 33 s" in churn("status").stdout
    assert Run(summary).outcome == "done in 2 min 33 s"
    log = run_log.start_log(home, "churn run")
    log.begin("20250102T000000Z-bbbbbb")
    log.update(seconds)
    log.end("done", 0)
    assert "done in 2 min 33 s, exit code 0" in Path(str(log.path)).read_text()
    assert run_log.format_result("refused", 0) == "refused"


def test_estimates_are_medians_of_complete_runs(home: Settings) -> None:
    for day, seconds in enumerate((1000.0, 10, 20, 30, 40, 50), start=1):
        run_id = f"202501{day:02}T000000Z-aaaaaa"
        write_record(home, run_id=run_id, result="done", seconds={"build": seconds})
    write_record(home, run_id="20250201T000000Z-a", result="unchanged", seconds={"build": 1})
    write_record(home, run_id="20250202T000000Z-a", result="failed", seconds={"build": 1})
    assert read_estimates(home, "churn run") == {"build": 30}
    assert read_estimates(home, "churn train") == {}


def test_the_first_run_is_estimated_by_the_demo(home: Settings) -> None:
    """They do the same job; a run of the home itself is nearer."""
    demo = replace(home, home=home.home.with_name(f"{home.home.name}-demo"))
    write_record(demo, result="done", command="churn demo", seconds={"build": 50})
    assert read_estimates(home, "churn run") == read_estimates(demo, "churn run") == {"build": 50}
    assert read_estimates(home, "churn train") == {}
    write_record(home, result="done", command="churn demo", seconds={"build": 40})
    assert read_estimates(home, "churn run") == {"build": 40}
    write_record(home, run_id="20250201T000000Z-a", result="done", seconds={"build": 30})
    assert read_estimates(home, "churn run") == {"build": 30}


def test_runs_are_listed_newest_first_with_those_of_airflow(home: Settings) -> None:
    write_record(home, result="done", workbook="a.xlsx", seconds={"read": 1.5, "build": 2})
    folder = home.home / "runs" / "20250301T060000Z-bbbbbb"
    folder.mkdir(parents=True)
    summary = {"gate": {"verdict": "refused"}, "workbook": {"path": "/x/b.xlsx"}, "seconds": {}}
    (folder / "summary.json").write_text(json.dumps(summary))
    found = json.loads(churn("runs", "--json").stdout)
    assert [(run["workbook"], run["result"], run["seconds"]) for run in found] == [
        ("b.xlsx", "refused", 0),
        ("a.xlsx", "done", 3.5),
    ]
    assert found[1]["log"] == str(run_log.folder(home) / f"{RUN}.log")
    limited = churn("runs", "--limit", "1")
    assert len(limited.stdout.splitlines()) == 2
    assert "1 of 2 runs" in limited.stderr
    assert churn("runs", "--limit", "1", "--quiet").stderr == ""


@pytest.mark.parametrize("width", [60, 80, 120, 200, None])
def test_the_list_fits_the_terminal_and_keeps_the_step(home: Settings, width: int | None) -> None:
    workbook = "customers of the northern region, final version (2).xlsx"
    write_record(home, result="failed", workbook=workbook, step="4/12 build")
    for line in format_runs(list_all_runs(home), width):
        assert len(line.plain) < (width or 1000)
    row = line.plain
    assert row.endswith("(in 4/12 build)")
    assert (workbook in row) == (width in (200, None))
    assert ("2025-01-01 00:00" in row) == (width not in (60, 80))


def test_the_result_has_a_colour_unless_there_shall_be_none(home: Settings) -> None:
    write_record(home, result="failed", workbook="a failed attempt.xlsx")
    coloured = CliRunner().invoke(main, ["runs", "--color", "always"], color=True).stdout
    assert re.search(r"\x1b\[31mfailed *\x1b\[0m.*  a failed attempt", coloured)
    assert "\x1b" not in CliRunner().invoke(main, ["runs"], color=True).stdout


def test_a_running_run_has_the_time_since_its_start(home: Settings) -> None:
    write_record(home, pid=os.getpid(), created=psutil.Process().create_time(), seconds={"read": 1})
    (run,) = list_all_runs(home)
    assert run.seconds > 24 * 3600


def test_a_log_is_followed_until_the_run_ends(home: Settings) -> None:
    log = run_log.start_log(home, "churn run")
    log.begin(RUN)
    parts = read_log(home, find_log(home, None), follow=True)
    assert "churn run" in next(parts)
    log.write("later", "info")
    assert "later" in next(parts)
    log.end("done", 0)
    assert "exit code 0" in "".join(parts)
    with pytest.raises(InvalidInputError, match="There is no run 'x'") as raised:
        find_log(home, "x")
    assert RUN in raised.value.hint
    Path(str(log.path)).unlink()
    with pytest.raises(InvalidInputError, match="was removed"):
        find_log(home, None)


def test_the_run_that_has_the_lock_is_followed(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the run before it, whose log is the latest until the new one begins."""
    write_record(home, result="done")
    write_log(home, RUN, "the run before")
    assert wait_for_log(home, print).run_id == RUN, "the lock is free"
    said: list[str] = []
    new = "20250102T000000Z-bbbbbb"
    log = RunLog(home, "churn run")
    monkeypatch.setattr(time, "sleep", lambda _: log.begin(new))
    with run_lock(home, f"churn run {new}", said.append):
        assert wait_for_log(home, said.append).run_id == new
    assert [text.partition(" (")[0] for text in said] == [f"waiting for the log of churn run {new}"]


def test_a_holder_without_a_log_is_waited_for_until_it_ends(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(home, result="done")
    write_log(home, RUN, "the run before")
    holders = iter([{"purpose": "dbt build", "pid": 1, "since": "now"}, None])
    monkeypatch.setattr(log_reader, "read_holder", lambda _: next(holders))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    assert wait_for_log(home, print).run_id == RUN


@pytest.mark.parametrize("fails", [False, True])
def test_the_work_of_an_interrupted_holder_is_ended_by_the_caller(
    home: Settings, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """`writer_session` does it in its step; the lock tells of it until it is done."""
    from lakehouse import spark_server

    ended: list[str] = []

    def restart(settings: Settings, log: object) -> None:
        ended.append("restarted")
        if fails:
            raise ChurnError("failed", where="here", hint="there")

    monkeypatch.setattr(spark_server, "restart", restart)
    path = lock_file(home)
    path.parent.mkdir(parents=True)
    path.write_text('{"purpose": "churn run"}')
    with suppress(ChurnError), run_lock(home, "a", print, ends_left_work=False) as held:
        assert held.has_left_work and not ended
        held.end_left_work(home, print)
        held.end_left_work(home, print)
    assert ended == ["restarted"]
    assert bool(path.read_text()) == fails
    if not fails:
        with run_lock(home, "b", print, ends_left_work=False) as held:
            assert not held.has_left_work


def write_spark_log(settings: Settings, times: dict[str, str]) -> None:
    lines = [
        f"2025-01-01T{time}+00:00 WARN    Sink: {text}\n\tat a.Frame\n"
        for time, text in times.items()
    ]
    spark_process.service(settings).log.write_text("a line of Java's\n" + "".join(lines))


def write_log(settings: Settings, run_id: str, *lines: str) -> None:
    (run_log.folder(settings) / f"{run_id}.log").write_text("".join(f"{each}\n" for each in lines))


def test_the_log_has_what_the_server_logged_in_its_time(home: Settings) -> None:
    """From the first line, which is written under the run lock, to the second of the end."""
    write_record(home, result="done", ended="2025-01-01T00:00:30+00:00")
    begin, end = (f"2025-01-01T00:00:{time}.500+00:00 INFO    {RUN}" for time in (10, 20))
    write_log(home, RUN, f"{begin} read", f"{end} build")
    times = {"00:00:09.999": "early", "00:00:15.000": "in", "00:00:30.900": "last"}
    write_spark_log(home, {**times, "00:00:31.000": "late"})
    shown = churn("logs", "--spark").stdout.splitlines()
    texts = [
        line.partition("INFO    ")[2] or line.partition("WARNING ")[2] or line for line in shown
    ]
    frame = "    \tat a.Frame"
    assert texts == ["read", "spark: Sink: in", frame, "build", "spark: Sink: last", frame]
    assert RUN not in "".join(shown), "the run is named once, on standard error"
    assert RUN in churn("logs").stderr
    assert "Sink" not in churn("logs").stdout


def test_a_line_has_the_time_at_which_it_was_reported(home: Settings) -> None:
    """Not the one at which the run got the lock and began its log; threads report in order."""
    log = run_log.start_log(home, "churn run")
    log.started -= timedelta(seconds=90)
    before = datetime.now(UTC)
    log.write("checking", "info")
    time.sleep(0.05)
    log.begin(RUN)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: log.write(f"fold {number}", "info"), range(200)))
    lines = [line.split() for line in Path(str(log.path)).read_text().splitlines()]
    times = [datetime.fromisoformat(line[0]) for line in lines]
    assert times == sorted(times)
    assert (before - times[0]).total_seconds() > 80
    (record,) = read_records(home)
    assert (datetime.fromisoformat(str(record.begun)) - times[1]).total_seconds() > 0.04


def test_what_the_server_logged_begins_with_the_run_lock(home: Settings) -> None:
    """Until then another run may have had it."""
    write_record(home, begun="2025-01-01T00:00:15.000+00:00", ended="2025-01-01T00:00:30+00:00")
    write_log(home, RUN, f"2025-01-01T00:00:10.000+00:00 INFO    {RUN} churn run")
    write_spark_log(home, {"00:00:12.000": "of another", "00:00:20.000": "own"})
    shown = churn("logs", "--spark").stdout
    assert "spark: Sink: own" in shown and "of another" not in shown


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_details_are_shown_on_request(log_format: str, home: Settings) -> None:
    write_record(home)
    at = "2025-01-01T00:00:10.000+00:00"
    if log_format == "text":
        lines = [f"{at} {level:<7} {RUN} m-{level}" for level in ("DEBUG", "INFO", "ERROR")]
    else:
        lines = [
            json.dumps({"time": at, "level": level.lower(), "message": f"m-{level}"})
            for level in ("DEBUG", "INFO", "ERROR")
        ]
    write_log(home, RUN, *lines)
    assert re.findall(r"m-(\w+)", churn("logs").stdout) == ["INFO", "ERROR"]
    assert re.findall(r"m-(\w+)", churn("logs", "--debug").stdout) == ["DEBUG", "INFO", "ERROR"]


@pytest.mark.parametrize(
    "noise",
    [
        "SparkConnectService: SessionHolder not found, b1",
        "InstanceBuilder: Failed to load implementation from: dev.ludovic.netlib.blas.JNIBLAS",
        "SparkConnectServer: RECEIVED SIGNAL TERM",
        "DeltaLog: Change in the table id detected while updating snapshot.",
    ],
)
def test_what_the_server_logs_of_a_normal_call_is_a_detail(noise: str, home: Settings) -> None:
    write_record(home, ended="2025-01-01T00:00:30+00:00")
    write_log(home, RUN, f"2025-01-01T00:00:10.000+00:00 INFO    {RUN} churn run")
    write_spark_log(home, {"00:00:12.000": noise, "00:00:20.000": "own"})
    shown = churn("logs", "--spark").stdout
    assert "own" in shown and noise not in shown
    assert f"DEBUG   spark: Sink: {noise}" in churn("logs", "--spark", "--debug").stdout
    assert f"WARN    Sink: {noise}" in spark_process.service(home).log.read_text()


def test_what_the_server_logged_ends_where_the_next_run_begins(home: Settings) -> None:
    """A run that was killed has no end."""
    write_record(home, result="interrupted")
    write_record(home, run_id="20250101T000030Z-b", started="2025-01-01T00:00:30+00:00")
    write_log(home, RUN, json.dumps({"time": "2025-01-01T00:00:10.000+00:00", "run_id": RUN}))
    write_spark_log(home, {"00:00:20.000": "own", "00:00:40.000": "of the next"})
    lines = [
        json.loads(line) for line in churn("logs", "--run", RUN, "--spark").stdout.splitlines()
    ]
    assert [line.get("message") for line in lines] == [None, "Sink: own\n\tat a.Frame"]
    assert {line["run_id"] for line in lines} == {RUN}
    assert (lines[1]["level"], lines[1]["logger"]) == ("warning", "spark")


def test_a_line_is_read_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    tail = LogTail(path)
    assert list(tail.read()) == []
    start = "2025-01-01T00:00:00.000+00:00"
    path.write_text(f"{start} WARN  a\n{start} WA")
    assert [each.text for each in tail.read()] == [f"{start} WARN  a\n"]
    with path.open("a") as file:
        file.write("RN  b\n")
    assert [each.text for each in tail.read()] == [f"{start} WARN  b\n"]


def test_a_log_that_cannot_be_written_stops_nothing(home: Settings) -> None:
    home.home.mkdir()
    (home.home / "logs").write_text("a file")
    assert call(two_steps).exit_code == 0


def test_many_messages_before_the_run_are_bounded(home: Settings) -> None:
    log = RunLog(home, "churn serve")
    for number in range(run_log.BUFFERED_LINES + 10):
        log.write(str(number), "info")
    log.begin(RUN)
    assert len(Path(str(log.path)).read_text().splitlines()) == run_log.BUFFERED_LINES + 1


def test_a_run_that_changed_nothing_is_known_by_its_record(home: Settings) -> None:
    """It has no folder; `diff`, `trace --run` and `reproduce` need its summary and its end."""
    summary = {"run_id": RUN, "report_run": "20241201T000000Z-bbbbbb", "last_numbers": {"a": 1}}
    call(lambda _: run_log.mark_unchanged(summary))
    assert read_summary(home, RUN) == summary
    end = read_run_end(home, RUN)
    (record,) = read_records(home)
    assert (end.at.isoformat(), end.numbers) == (record.ended, {"a": 1})
    assert not (home.home / "runs").exists()


def test_a_failed_run_keeps_no_summary(home: Settings) -> None:
    def fail(settings: Settings) -> None:
        run_log.mark_unchanged({"run_id": RUN})
        raise ChurnError("failed", where="here", hint="there")

    call(fail)
    with pytest.raises(InvalidInputError, match=f"Run {RUN} has no summary: `churn run`, failed"):
        read_summary(home, RUN)


def test_a_run_without_a_summary_is_named_with_its_result(home: Settings) -> None:
    call(interrupt)
    with pytest.raises(InvalidInputError, match="interrupted in 4/12 build") as raised:
        read_summary(home, RUN)
    assert "churn run WORKBOOK" in raised.value.hint
    for unknown in ("x", f"../runs/{RUN}"):
        with pytest.raises(InvalidInputError, match="There is no run"):
            read_summary(home, unknown)


def test_a_comparison_says_which_run_changed_nothing() -> None:
    run = {"run_id": RUN, "extract_date": "2025-01-31", "verdict": "passed", "model": "m"}
    runs = [{**run, "workbook": "a.xlsx", "report_run": each} for each in (None, "earlier")]
    model = {"versions": [None, None]}
    found = {"counts": {}, "rows": None, "unknown": "gone", "features": [], "drift": {}}
    lines = format_diff({"runs": runs, **found, "verdicts": [], "model": model})
    assert lines[0].endswith("a.xlsx")
    assert lines[1].endswith("a.xlsx (changed nothing after run earlier)")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str, tmp_path: Path) -> None:
    environ = {**os.environ, "CHURN_HOME": str(tmp_path), "_CHURN_COMPLETE": f"{shell}_source"}
    script = [Path(sys.executable).with_name("churn")]
    said = subprocess.run(script, env=environ, capture_output=True, text=True, check=True).stdout
    assert "_CHURN_COMPLETE" in said
