"""List the runs of a home, interrupted ones included."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from churn.provenance.run_history import (
    find_result,
    list_runs,
    parse_start_time,
    read_end_time,
    read_summary_or_empty,
)
from lakehouse import run_log
from lakehouse.run_log import (
    RUNNING,
    RunRecord,
    format_duration,
    read_records,
    sum_seconds,
)
from lakehouse.sample_home import demo_environment
from lakehouse.settings import Settings

# The commands whose runs have a summary.
WITH_SUMMARY = run_log.SAME_JOB
# Columns of the list; the rest of the line is what was called. A narrower terminal gets fewer.
RUN, WHEN, RESULT, DURATION = 23, 16, 11, 12
NARROW, WIDE = 80, 100
STYLES = {
    run_log.DONE: "green",
    run_log.UNCHANGED: "dim",
    run_log.RUNNING: "cyan",
    run_log.REFUSED: "yellow",
    run_log.INTERRUPTED: "yellow",
    run_log.FAILED: "red",
}


@dataclass(frozen=True)
class Run:
    """A run, as `churn runs` lists it; `step` is the step in which it was interrupted or failed."""

    run_id: str
    started: str
    command: str | None
    workbook: str | None
    result: str
    step: str | None
    seconds: float
    exit_code: int | None
    log: str | None


def list_all_runs(settings: Settings) -> list[Run]:
    """Return the runs, newest first: those with a log, and those with a summary alone.

    Runs in Airflow, and runs of before logs were introduced, have a summary alone.
    """
    logged = [_from_record(record) for record in read_records(settings)]
    known = {run.run_id for run in logged}
    others = [
        _from_summary(settings, run_id) for run_id in list_runs(settings) if run_id not in known
    ]
    return sorted([*logged, *others], key=lambda run: (run.started, run.run_id), reverse=True)


def _from_record(record: RunRecord) -> Run:
    is_incomplete = record.result not in (run_log.DONE, run_log.UNCHANGED, run_log.REFUSED)
    seconds = sum_seconds(record.seconds)
    if record.result == RUNNING:  # the current step counts too
        seconds = (datetime.now(UTC) - datetime.fromisoformat(record.started)).total_seconds()
    return Run(
        run_id=record.run_id,
        started=record.started,
        command=record.command,
        workbook=record.workbook,
        result=record.result,
        step=record.step if is_incomplete else None,
        seconds=round(seconds, 1),
        exit_code=record.exit_code,
        log=record.log,
    )


def _from_summary(settings: Settings, run_id: str) -> Run:
    summary = read_summary_or_empty(settings, run_id)
    seconds = sum_seconds(summary.get("seconds", {}))
    workbook = summary.get("workbook", {}).get("path")
    try:
        started = parse_start_time(run_id)
    except ValueError:  # the name is Airflow's
        started = read_end_time(settings, run_id)
    return Run(
        run_id=run_id,
        started=started.isoformat(timespec="seconds"),
        command=None,
        workbook=Path(workbook).name if workbook else None,
        result=find_result(summary),
        step=None,
        seconds=round(seconds, 1),
        exit_code=None,
        log=None,
    )


def format_runs(runs: list[Run], width: int | None) -> list[Text]:
    """Format runs as a table, cut to the width of a terminal.

    Args:
        runs: The runs.
        width: Columns of the terminal; None if the output is none.
    """
    lines = [_format_row("RUN", "WHEN (UTC)", "RESULT", "DURATION", "WORKBOOK OR COMMAND", width)]
    for run in runs:
        when = f"{datetime.fromisoformat(run.started):%Y-%m-%d %H:%M}"
        # The last column stays free: some terminals begin a line of their own after it.
        room = None if width is None else width - 1 - lines[0].plain.index("WORKBOOK")
        called = _shorten(run.workbook or run.command or "-", run.step, room)
        took = format_duration(run.seconds)
        line = _format_row(run.run_id, when, run.result, took, called, width)
        begin = line.plain.index(run.result, RUN)
        line.stylize(STYLES.get(run.result, ""), begin, begin + len(run.result))
        lines.append(line)
    return lines


def _format_row(
    run: str, when: str, result: str, duration: str, called: str, width: int | None
) -> Text:
    cells = [f"{run:<{RUN}}", f"{result:<{RESULT}}", called]
    if width is None or width >= NARROW:
        cells.insert(2, f"{duration:>{DURATION}}")
    # The name of a run has its time: a terminal that is not wide needs no second one.
    if width is None or width >= WIDE:
        cells.insert(1, f"{when:<{WHEN}}")
    return Text("  ".join(cells))


def _shorten(name: str, step: str | None, room: int | None) -> str:
    """Return a name and a step, in so many columns; the end of the name is left out first."""
    text = f"{name} (in {step})" if step else name
    if room is None or len(text) <= room:
        return text
    end = text[len(name) :]
    kept = room - len(end) - 1
    return f"{name[:kept]}…{end}" if kept > 0 else f"{text[: room - 1]}…"


def format_note(settings: Settings, shown: int, total: int) -> str:
    """Format what the table does not say: how many runs there are, and how to see their logs."""
    if not total:
        demo = Path(demo_environment(settings)["CHURN_HOME"])
        hint = "; `churn --demo runs` lists those of the demo" if demo.exists() else ""
        return f"no run in {settings.home} yet: `churn run WORKBOOK` starts one{hint}"
    count = f"{shown} of {total:,} runs (`--limit N` lists more); " if shown < total else ""
    return f"{count}`churn logs --run RUN` prints the log of a run"


def to_json(runs: list[Run]) -> list[dict[str, Any]]:
    """Return runs as JSON objects."""
    return [asdict(run) for run in runs]
