"""Notify an operator of what a run found: the declared events, their texts, and when they occur.

Texts are those of the gate, the monitoring and the promotion. They contain numbers and names of
columns, rules and versions, but no customer, no id and no value of a row. `churn.pipeline.outbox`
sends them. A notification that can't be recorded or sent is a warning; no command fails of it.
"""

import functools
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psutil

from churn.pipeline import outbox
from churn.pipeline.outbox import Message
from churn.provenance.run_history import list_runs, parse_start_time, read_json_or_empty
from churn.reports.front_page import report_of
from lakehouse.atomic_write import write_secret
from lakehouse.command_name import format_commands, format_rerun
from lakehouse.errors import ChurnError, DiskFullError, GateRefusedError, UnavailableError
from lakehouse.process import Log
from lakehouse.settings import LOOPBACK, Settings

Summary = Mapping[str, Any]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """A kind of event: its name, which begins the keys of its messages, Apprise's type, a title."""

    name: str
    kind: str
    title: str


REFUSED = Event("refused", "failure", "The gate refused {}")
WARNED = Event("warned", "warning", "{} was published with warnings")
DRIFT = Event("drift", "warning", "Drift in the extract of {}")
QUALITY = Event("quality", "failure", "The model got worse: {}")
REQUESTED = Event("promotion-requested", "warning", "Model {} waits for a decision")
PROMOTED = Event("promoted", "success", "Model {} is the champion")
INTERRUPTED = Event("interrupted", "failure", "The run of {} was interrupted")
OVERDUE = Event("overdue", "warning", "No workbook has arrived in {}")
EVENTS = (REFUSED, WARNED, DRIFT, QUALITY, REQUESTED, PROMOTED, INTERRUPTED, OVERDUE)
# What interrupted a run, in words that contain nothing of an error's own message.
CAUSES: dict[type[BaseException], str] = {
    DiskFullError: "the disk is full",
    UnavailableError: "a service does not answer, or another run holds the run lock",
    KeyboardInterrupt: "a user or the system interrupted it",
    ChurnError: "a step failed; the log of the run names it",
}
# Metrics of the monitoring by their first word: which event their alert is.
DRIFTING = ("feature", "scores")
WORSE = ("realised churn",)
EXCLUDED = ("training",)


def tolerate_failure(function: Callable[..., None]) -> Callable[..., None]:
    """Make a failure of the function a warning, and skip it if there is no target."""

    @functools.wraps(function)
    def call(settings: Settings, *arguments: Any) -> None:
        if not settings.notify:
            return
        try:
            function(settings, *arguments)
        except Exception as error:
            log.warning("a notification was not recorded: %s", type(error).__name__)

    return call


def make_message(event: Event, subject: str, name: str, lines: Sequence[str]) -> Message:
    """Return the message of an event.

    Args:
        event: The event.
        subject: What it happened to: a load, a run or a version, which makes its key unique.
        name: What the title names.
        lines: The explanation.
    """
    key = f"{event.name}-{subject}"
    body = format_commands("\n".join([*lines, f"Event: {key}"]))
    return Message(key, event.kind, f"Churn: {event.title.format(name)}", body)


def link_report(settings: Settings, run_id: str) -> str:
    """Return the line that links to the report of a run."""
    site = settings.site_url or f"http://{LOOPBACK}:{settings.docs_port}"
    return f"Report: {site.rstrip('/')}/{report_of(run_id)}"


@contextmanager
def send_notifications(settings: Settings, log: Log) -> Iterator[None]:
    """Send what the body records, and what earlier commands left, whether or not it succeeds."""
    record_dead_runs(settings)
    try:
        yield
    finally:
        outbox.deliver(settings, log)


@tolerate_failure
def record_summary(settings: Settings, summary: Summary) -> None:
    """Record the events of a run that has completed or was refused."""
    gate, run_id = summary.get("gate", {}), summary["run_id"]
    workbook = Path(summary["workbook"]["path"]).name
    texts = {
        verdict: [each["text"] for each in gate.get("attention", []) if each["verdict"] == verdict]
        for verdict in ("failed", "warned", "expected")
    }
    if gate.get("verdict") == "refused":
        day, failed = summary["extract_date"], texts["failed"]
        record_refused(settings, run_id, summary["batch_id"], workbook, day, failed)
        return
    warnings = [*texts["warned"], *(f"{text} (expected)" for text in texts["expected"])]
    if warnings:
        lines = [*warnings, link_report(settings, run_id)]
        outbox.record(settings, make_message(WARNED, summary["batch_id"], workbook, lines))
    _record_monitoring(settings, summary)
    _record_poor_model(settings, summary)
    record_champion(settings)


@tolerate_failure
def record_refused(
    settings: Settings,
    run_id: str,
    batch_id: str,
    workbook: str,
    extract_date: date | str,
    rules: Sequence[str],
) -> None:
    """Record that the gate refused a load, with the rules that failed."""
    lines = [
        "Gold, online store, model and scores are unchanged.",
        *rules,
        f"What to do: `churn rejects --run {run_id} --out rejects.xlsx`, correct the workbook, "
        f"then {format_rerun(workbook, extract_date)}. A change that is real can be approved, or "
        "declared as expected: docs/runbook.md",
        link_report(settings, run_id),
    ]
    outbox.record(settings, make_message(REFUSED, batch_id, workbook, lines))


def _record_monitoring(settings: Settings, summary: Summary) -> None:
    watch = summary.get("watch")
    if not watch:
        return
    for event, kinds, name in (
        (DRIFT, DRIFTING, watch["extract_date"]),
        (QUALITY, WORSE, watch["champion"]),
        (WARNED, EXCLUDED, f"The extract of {watch['extract_date']}"),
    ):
        words = [
            alert["words"]
            for alert in watch["alerts"]
            if alert["watched"].partition(":")[0] in kinds
        ]
        if words:
            lines = [*words, link_report(settings, summary["run_id"])]
            subject = f"{kinds[0].split()[0]}-{watch['extract_date']}-{watch['champion']}"
            outbox.record(settings, make_message(event, subject, name, lines))


def _record_poor_model(settings: Settings, summary: Summary) -> None:
    """Record that the run's model is too poor, or far below the champion, for the same question."""
    from trainer import registry
    from trainer.parameters import read_parameters

    model = summary.get("model")
    if not model or model["champion"]:
        return
    rule, version = read_parameters().promotion, model["promotion"]["champion"]
    champion = registry.read_record(settings, version) if version else None
    least = rule.minimum_roc_auc
    if champion is not None:
        least = max(least, champion.metrics["roc_auc"] - rule.worst_drop)
    if model["roc_auc"] < least:
        lines = [
            f"The ROC-AUC of {model['version']} is {model['roc_auc']:.3f}, below {least:.3f}.",
            model["promotion"]["reason"],
            link_report(settings, summary["run_id"]),
        ]
        subject = f"model-{model['version']}"
        outbox.record(settings, make_message(QUALITY, subject, model["version"], lines))


@tolerate_failure
def record_champion(settings: Settings) -> None:
    """Record that the champion changed, and that a version waits for a decision."""
    from trainer import decisions, registry

    since = outbox.open_outbox(settings).replace(microsecond=0)
    history = registry.read_champion_history(settings)
    for change in history.changes if history else ():
        # The time of a change has no fraction of a second.
        if datetime.fromisoformat(change.time) >= since:
            lines = [f"{change.reason} ({change.how}, {change.time}, by {change.user})"]
            subject = f"{change.version}-{change.time}"
            outbox.record(settings, make_message(PROMOTED, subject, change.version, lines))
    waiting = decisions.find_waiting(settings)
    if waiting is not None:
        lines = [waiting.reason, f"To promote it: `churn promote {waiting.version} --reason TEXT`"]
        message = make_message(REQUESTED, waiting.version, waiting.version, lines)
        outbox.record(settings, message)


@contextmanager
def record_interruption(
    settings: Settings, run_id: str, subject: str, workbook: str
) -> Iterator[None]:
    """Record an interruption of the body, also one that ends this process.

    Args:
        settings: The settings of this CHURN_HOME.
        run_id: The run.
        subject: What is run: one message is sent for it, however often it is interrupted.
        workbook: The name of the workbook.
    """
    mark = _running_folder(settings) / f"{run_id}.json"
    _write_mark(settings, mark, subject, workbook)
    try:
        yield
    except GateRefusedError:
        raise
    except BaseException as error:
        _record_interrupted(settings, run_id, subject, workbook, _name_cause(error))
        raise
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)


@tolerate_failure
def _write_mark(settings: Settings, mark: Path, subject: str, workbook: str) -> None:
    process = psutil.Process()
    started = {"pid": process.pid, "created": process.create_time()}
    write_secret(mark, json.dumps({**started, "subject": subject, "workbook": workbook}))


@tolerate_failure
def record_dead_runs(settings: Settings) -> None:
    """Open the outbox, and record the runs whose process ended without a result."""
    outbox.open_outbox(settings)
    for mark in _running_folder(settings).glob("[!.]*.json"):
        run = read_json_or_empty(mark)
        if run and not _is_alive(run["pid"], run["created"]):
            cause = "its process ended without a result"
            _record_interrupted(settings, mark.stem, run["subject"], run["workbook"], cause)
            mark.unlink(missing_ok=True)


@tolerate_failure
def record_failed_task(settings: Settings, run_id: str, task: str) -> None:
    """Record that a task of Airflow failed for another reason than a refusal, after its retries."""
    _record_interrupted(settings, run_id, run_id, run_id, f"the task {task} failed; see its log")


def record_overdue(settings: Settings, today: date, is_waiting: bool) -> bool:
    """Record that no workbook has arrived by the expected day of this month.

    Args:
        settings: The settings of this CHURN_HOME.
        today: The current date, in UTC.
        is_waiting: Whether a workbook has arrived and waits for its run.

    Returns:
        Whether no workbook has arrived.
    """
    month = f"{today:%Y-%m}"
    is_due = 0 < settings.expected_day < today.day
    has_run = any(_is_of_month(run_id, month) for run_id in list_runs(settings))
    if not is_due or is_waiting or has_run:
        return False
    lines = [
        f"One was expected by {month}-{settings.expected_day:02}, in {settings.landing}.",
        "The published extract, and the scores, are those of before.",
    ]
    outbox.record(settings, make_message(OVERDUE, month, month, lines))
    return True


def _is_of_month(run_id: str, month: str) -> bool:
    """Return whether a run started in the month; one that repeats a workbook counts too."""
    try:
        return f"{parse_start_time(run_id):%Y-%m}" == month
    except ValueError:
        return False


@tolerate_failure
def _record_interrupted(
    settings: Settings, run_id: str, subject: str, workbook: str, cause: str
) -> None:
    lines = [
        f"Run {run_id}: {cause}.",
        "Nothing is lost. Repeat the command, or clear the task: it continues where it stopped.",
    ]
    outbox.record(settings, make_message(INTERRUPTED, subject, workbook, lines))


def _name_cause(error: BaseException) -> str:
    for kind, cause in CAUSES.items():
        if isinstance(error, kind):
            return cause
    return f"an unexpected error ({type(error).__name__}); the log of the run has it"


def _is_alive(pid: int, created: float) -> bool:
    try:
        return bool(psutil.Process(pid).create_time() == created)
    except psutil.Error:
        return False


def _running_folder(settings: Settings) -> Path:
    return outbox.folder(settings) / "running"
