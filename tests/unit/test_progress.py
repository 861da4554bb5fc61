"""The progress of a command on terminals of several widths, in a pipe, quiet and verbose."""

import ast
import inspect
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from openpyxl import Workbook
from terminals import Terminal, open_terminal, run_in_terminal

from churn.cli.output import print_sentences
from lakehouse import progress, terminal
from lakehouse.progress import Step, Steps, format_clock, format_count, format_remaining
from lakehouse.run_log import RunLog
from lakehouse.settings import PROJECT
from lakehouse.terminal import Detail, set_color, set_detail, wrap_for_terminal

WIDTHS = [60, 80, 120, 200]
BAR = re.compile("[━╸╺]+")
COLOR = re.compile(r"\x1b\[[0-9;]*[1-9][0-9;]*m")
WARNING = "warning: the extract of 2025-03-01 has far more rejected rows than the months before it"
PATH = "/home/someone/telco/.churn/runs/20261130T041317Z-3f9c1a/report-of-a-long-name-and-more.html"


@pytest.fixture(autouse=True)
def _default_options(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    yield
    terminal.reset_options()


def refresh(step: Step) -> None:
    """Show what is true now, as the display does by itself eight times a second."""
    if step.live is not None:
        step.live.refresh()


def work() -> Steps:
    """Three steps with counts, details, a repeated warning and long texts."""
    steps = Steps(12)
    steps._estimates = {"read": 1.0, "build": 20.0, "report": 30.0}
    with steps.step("read") as step:
        step.outcome = "7,049 rows, sheet 'Customers'"
    with steps.step("build") as step:
        step.unit = "models and tests"
        for done in range(4):
            step.advance(done, 30, f"node_{done}_" + "x" * 250)
            refresh(step)
        step.log("a load was refused; publishing the others")
        refresh(step)
        for _ in range(3):
            step.log(WARNING)
        step.outcome = "passed; 25 of 25 rules passed, 33 of 33 dbt tests passed"
    with steps.step("report") as step:
        step.advance(1_000_000, 7_000_000, "rows")
        refresh(step)
        step.outcome = PATH
    return steps


def show_work(width: int, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", str(width))
    with open_terminal(width) as (shown, stream):
        monkeypatch.setattr(sys, "stderr", stream)
        work()
        monkeypatch.undo()
    return shown


@pytest.mark.parametrize("width", WIDTHS)
def test_the_bar_is_steady_and_nothing_of_it_is_left(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = show_work(width, monkeypatch)
    bars = [line for frame in shown.frames for line in frame if BAR.search(line)]
    assert any("3/30" in line for line in bars)
    places = {bar.span() for line in bars if (bar := BAR.search(line))}
    assert len(places) == 1, "the bar has one place and one width"
    assert all(re.search(r"\d:\d\d", line) for line in bars)
    estimate = r"about 0:(50|49) left" if width >= 80 else r"~0:(50|49)"
    assert any(re.search(estimate, line) for line in bars)
    assert any("14%" in line for line in bars), "a long count is a share"
    # Nothing wraps: a bar is followed by its detail, which is cut.
    frames = [frame for frame in shown.frames if any("3/30" in line for line in frame)]
    detail = next(frame[-1] for frame in frames if "node_3" in frame[-1])
    assert detail.startswith("  models and tests: node_3_x")
    assert len(detail) < width and detail.endswith("…")
    assert not any("━" in line or "node_" in line for line in shown.lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_fit_the_terminal_and_no_word_is_broken(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = show_work(width, monkeypatch)
    text = "\n".join(shown.lines)
    assert [line[:9] for line in shown.lines if line.startswith("✓")] == [
        *("✓ 1/12 re", "✓ 2/12 bu", "✓ 3/12 re")
    ]
    assert " ".join(text.split()).count(WARNING) == 1, "no warning is repeated, and none is cut"
    assert "33 of 33 dbt tests passed" in " ".join(text.split())
    # A path that is longer than the terminal is one piece for the clipboard.
    assert PATH in "".join(shown.lines)
    assert "publishing the others" not in text, "details are replaced"
    assert any("publishing the others" in line for frame in shown.frames for line in frame)


def test_a_step_without_a_count_shows_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with open_terminal(80) as (shown, stream):
        monkeypatch.setattr(sys, "stderr", stream)
        with Steps(1).step("build") as step:
            step.describe("dbt is reading the project")
            refresh(step)
            step.advance(1, 3, "customers")
        monkeypatch.undo()
    assert any("  dbt is reading the project" in line for frame in shown.frames for line in frame)
    assert not any("dbt is reading" in line for line in shown.lines)


@pytest.mark.parametrize("name", ["read", "run_dbt", "monitor"])
def test_steps_that_begin_without_a_count_describe_it(name: str) -> None:
    from churn.pipeline import steps

    assert "step.describe(" in inspect.getsource(getattr(steps, name))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_result_is_wrapped_between_words(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No path and no command in backticks is broken, nor moved to the right if it is long."""
    monkeypatch.setenv("COLUMNS", str(width))
    text = (
        "7,043 in gold, 7,043 online and equal, 7,043 scored, ROC-AUC 0.846 out of fold; a person "
        "decides: `churn promote 20250203-1a2b3c4d --reason TEXT`.\n"
        f"report: {PATH}"
    )
    with open_terminal(width) as (shown, stream):
        monkeypatch.setattr(sys, "stdout", stream)
        print_sentences(text)
        monkeypatch.undo()
    lines = shown.lines
    assert any("`churn promote 20250203-1a2b3c4d --reason TEXT`." in line for line in lines)
    assert PATH in "".join(lines)
    assert any(line.startswith(PATH[:50]) for line in lines) == (width < len(PATH))
    if width > len(PATH):
        assert " ".join(" ".join(lines).split()) == " ".join(text.split())


def test_a_path_that_fits_the_terminal_is_on_one_line() -> None:
    path = "/" + "x" * 57
    assert wrap_for_terminal(f"log: {path}", 60).splitlines() == ["log:", path]
    assert wrap_for_terminal(f"  say `a b` {path}, and so on", 60).splitlines() == [
        *("  say `a b`", f"{path},", "    and so on")
    ]
    assert wrap_for_terminal("one  two ` three", 12).splitlines() == ["one  two `", "  three"]


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    work()
    said = capsys.readouterr().err
    assert "\x1b" not in said and "\r" not in said
    assert re.sub(r" +\d\.\d s", " 0 s", said).splitlines() == [
        "✓ 1/12 read 0 s  7,049 rows, sheet 'Customers'",
        "  a load was refused; publishing the others",
        f"  {WARNING}",
        "✓ 2/12 build 0 s  passed; 25 of 25 rules passed, 33 of 33 dbt tests passed",
        f"✓ 3/12 report 0 s  {PATH}",
    ]


@pytest.mark.parametrize("option", ["NO_COLOR", "never"])
def test_colours_are_left_out(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if option == "never":
        set_color("never")
    else:
        monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    with open_terminal(80) as (shown, stream):
        monkeypatch.setattr(sys, "stderr", stream)
        work()
    colors = re.compile(rb"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|38|9[0-7])[0-9;]*m")
    assert not colors.search(shown.written)
    assert any("3/30" in line for frame in shown.frames for line in frame)


def test_colours_go_into_a_pipe_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    set_color("always")
    work()
    said = capsys.readouterr().err
    assert COLOR.search(said)
    assert "\x1b[2K" not in said and "\x1b[?25l" not in said, "and no animation"


def test_quiet_shows_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    set_detail(Detail.QUIET)
    work()
    assert capsys.readouterr().err == f"  {WARNING}\n"


def test_verbose_shows_every_detail(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_detail(Detail.VERBOSE)
    work()
    said = capsys.readouterr().err
    assert "  build: 2 of 30 models and tests (node_2_x" in said
    assert "  report: 1,000,000 of 7,000,000 (rows)\n" in said
    with open_terminal(120) as (shown, stream):
        monkeypatch.setattr(sys, "stderr", stream)
        work()
    assert "publishing the others" in "\n".join(shown.lines)


def test_lines_about_a_step_end_with_its_total(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", -1)
    with Steps(1).step("build") as step:
        step.advance(1, 3, "a")
        monkeypatch.setattr(progress, "LINE_SECONDS", 60)
        step.advance(2, 3, "b")
        step.advance(3, 3, "c")
        step.advance(3, 3, "c")
    with Steps(1).step("short") as step:
        step.advance(3, 3, "c")
    lines = capsys.readouterr().err.splitlines()
    assert [line.strip() for line in lines if " of " in line] == [
        *("build: 1 of 3 (a)", "build: 3 of 3 (c)"),
    ]


@pytest.mark.parametrize(
    ("seconds", "line"),
    [
        (0.5, "✓ 1/12 read                  0.5 s  done"),
        (59.97, "✓ 1/12 read             1 min 00 s  done"),
        (753, "✓ 1/12 read            12 min 33 s  done"),
    ],
)
def test_durations_have_one_format_and_end_in_one_column(
    seconds: float, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = Steps(12)
    step = Step(steps, "read", "1/12 read")
    step.outcome = "done"
    steps.seconds["read"] = seconds
    steps._report(step, is_failed=False)
    assert capsys.readouterr().err == f"{line}\n"


def list_steps_without_outcome(source: str) -> list[int]:
    """The lines of steps whose block sets no outcome, neither itself nor by passing the step on."""
    found = []
    for each in ast.walk(ast.parse(source)):
        if not isinstance(each, ast.With):
            continue
        for item in each.items:
            if ast.unparse(item.context_expr).partition("(")[0].endswith((".step", "writer_step")):
                body = "\n".join(map(ast.unparse, each.body))
                if not re.search(r"\bstep\.outcome\b|\([^()]*\bstep(,[^()]*)?\)", body):
                    found.append(each.lineno)
    return found


def test_every_step_ends_with_a_result() -> None:
    files = list((PROJECT / "churn").rglob("*.py"))
    assert len([path for path in files if ".step(" in path.read_text()]) > 10
    assert {
        path.name: lines
        for path in files
        if (lines := list_steps_without_outcome(path.read_text()))
    } == {}
    assert list_steps_without_outcome("with a.step('b') as step:\n    work(step.log)") == [1]


def test_a_failed_step_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps(3)
    with pytest.raises(ValueError), steps.step("read"):
        raise ValueError
    with pytest.raises(KeyboardInterrupt), steps.step("build"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "✗ 1/3 read                   0.0 s  failed\n"
    assert [step.failed for step in steps.done] == [True, True]


def test_a_terminal_without_utf8_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", stream)
    with Steps(1).step("read"):
        pass
    stream.seek(0)
    assert stream.read().startswith("* 1/1 read")


def test_times_and_counts_are_short() -> None:
    assert [format_clock(seconds) for seconds in (0.9, 61, 3723)] == ["0:00", "1:01", "1:02:03"]
    assert format_count(None) == format_count((0, 0)) == ""
    assert format_count((7_043, 7_043)) == "7,043/7,043"
    assert format_remaining(None, is_wide=True) == ""
    assert format_remaining(69.6, is_wide=True) == "about 1:10 left"
    assert len(format_count((999_999, 1_000_000))) <= progress.COUNT


def test_the_command_line_on_a_narrow_terminal(tmp_path: Path) -> None:
    environ = {**os.environ, "CHURN_HOME": str(tmp_path / "home"), "TERM": "xterm"}
    Workbook().save(broken := tmp_path / "broken.xlsx")
    churn = [sys.executable, "-m", "churn.cli.main", "run", str(broken)]
    shown, code = run_in_terminal(churn, environ, 60)
    assert code == 2
    assert shown.lines[0].startswith("✗ 1/12 read")
    assert "broken.xlsx" in "".join(shown.lines)
    assert not (tmp_path / "home").exists()


def test_the_estimate_ends_with_the_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakehouse.settings import read_settings

    log = RunLog(read_settings({"CHURN_HOME": str(tmp_path)}), "churn run")
    monkeypatch.setattr(progress, "current_log", lambda: log)
    monkeypatch.setattr(progress, "read_estimates", lambda *_: {"read": 2.0, "build": 30.0})
    steps = Steps(2)
    with steps.step("read") as step:
        assert steps.estimate_remaining(step) == pytest.approx(32, abs=0.5)
    with steps.step("other") as step:
        assert steps.estimate_remaining(step) is None
    with steps.step("build") as step:
        step._start -= 100
        assert steps.estimate_remaining(step) == 0
