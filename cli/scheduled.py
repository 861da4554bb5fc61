"""The job as a scheduler runs it: every step a process of its own, what it found handed on as data.

A step is given what the earlier ones found, the run's summary so far, and returns its own part of
it. Each takes the lake for itself and does what `churn run` does at that place.
"""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cli import job
from cli.failed_tests import failing_rows
from cli.job import Request, Run, lake
from cli.progress import Steps
from lakehouse import spark_server
from lakehouse.errors import GateRefused
from lakehouse.service import Say
from lakehouse.settings import Settings
from seeds_loader.landing import Arrival, fetch, take, untaken

# A workbook that was written to this long ago is there whole.
SETTLES = timedelta(seconds=30)
Summary = dict[str, Any]


def run_folder(settings: Settings, run_id: str) -> Path:
    """Where the run's report and summary lie at its end."""
    return settings.home / "runs" / run_id


def ready(settings: Settings, say: Say) -> None:
    """The Spark server up, for a dbt call that does not start it."""
    spark_server.ensure(settings, say)


def workbook_for(
    settings: Settings, run_id: str, given: str | None, arrival: str | None, by_hand: bool
) -> Path | None:
    """What the run is about: the file given, the arrival of that key, the oldest that waits.

    Where nothing waits: the sample for a run by hand, else None. None too for an arrival that
    another run has taken. What still arrives is waited for.
    """
    if given:
        return Path(given)
    while any(map(_is_arriving, untaken(settings))):
        time.sleep(1)
    taken = take(settings, run_id, arrival)
    if taken is not None:
        return fetch(settings, taken)
    return job.sample_workbook(settings) if by_hand and arrival is None else None


def waiting(settings: Settings) -> list[Arrival]:
    """The arrivals that nobody has taken, oldest first, without those that still grow."""
    return [each for each in untaken(settings) if not _is_arriving(each)]


def ingest(settings: Settings, run_id: str, request: Request) -> Summary:
    """Workbook to bronze.

    Raises:
        lakehouse.errors.Unusable: the workbook can't be used; nothing was written.
    """
    steps = Steps(3)
    found = job.ingest(settings, request, steps, run_id)
    is_new = found.pop("is_new")
    return {"run_id": run_id, "unchanged": not is_new, **found, "seconds": steps.seconds}


def feast_apply(settings: Settings, summary: Summary) -> Summary:
    """Register entity, view and service."""
    steps = Steps(2)
    with job.writing(settings, _purpose(summary, "apply"), "apply", steps) as (_, step):
        from feature_repo.materialize import apply

        apply(settings, step.say)
    return {"seconds": steps.seconds}


def feast_materialize(settings: Settings, summary: Summary) -> Summary:
    """The latest published extract online."""
    steps = Steps(2)
    with job.writing(settings, _purpose(summary, "materialize"), "materialize", steps) as each:
        from feature_repo.materialize import materialize

        spark, step = each
        online = materialize(settings, spark, step.say)
        step.outcome = f"{online.customers:,} customers online"
    return {"unchanged": not online.written, "seconds": steps.seconds}


def feast_verify(settings: Settings, summary: Summary) -> Summary:
    """Every customer read back and held against gold; a store that lost some is written again."""
    steps = Steps(2)
    with job.writing(settings, _purpose(summary, "verify"), "verify", steps) as (spark, step):
        verified, rewritten = job.prove_online(settings, spark, step, repair=True)
    return {
        "unchanged": not rewritten,
        "counts": {"online_verified": verified},
        "seconds": steps.seconds,
    }


def train_model(settings: Settings, summary: Summary) -> Summary:
    """The champion, trained where it was not yet; its figures are printed."""
    from trainer.train import train

    steps = Steps(2)
    with job.writing(settings, _purpose(summary, "train"), "train", steps) as (spark, step):
        training = train(settings, spark, step.say)
        record = training.record
        step.outcome = f"{record.kind}, ROC-AUC {record.metrics['roc_auc']:.3f} out of fold"
    print(json.dumps({"model": record.summary()}, indent=2))
    return {
        "unchanged": not training.is_new,
        "model": record.summary(),
        "seconds": steps.seconds,
    }


def score(settings: Settings, summary: Summary) -> Summary:
    """Batch scores; then the run's report and summary, which are what this returns."""
    from trainer.registry import champion
    from trainer.score import score as score_all

    steps = Steps(3)
    with lake(settings, _purpose(summary, "score"), steps) as spark:
        with steps.step("score") as step:
            scores = score_all(settings, spark, step.say)
            step.outcome = f"{scores.customers:,} customers"
        run = Run(settings, steps, dict(summary), champion(settings))
        later = summary["counts"]
        job.judged(run, spark)
        run.summary["counts"] |= {**later, "scored": scores.customers}
        run.summary["unchanged"] = summary["unchanged"] and not scores.written
        with steps.step("report") as step:
            step.outcome = str(job.write_report(run, spark))
    return job.write_summary(run)


def refusal(settings: Settings, summary: Summary, tests: Sequence[str]) -> str:
    """Why dbt tests were red, for people: the gate's findings, the rows, where the rejects lie.

    Writes the report of a refused run. `tests` are names of dbt's tests.
    """
    spark_server.ensure(settings, lambda _: None)
    with spark_server.session(settings) as spark:
        run = Run(settings, Steps(1), dict(summary))
        state = job.judged(run, spark)
        words = ""
        if state.verdict == "refused":
            refused: GateRefused = job.refusal(run, spark, [])
            words = f"{refused}\n"
        return words + "\n".join(
            f"{name} found\n{rows}" for name, rows in failing_rows(settings, spark, tests).items()
        )


def merged(parts: Sequence[Summary | None]) -> Summary:
    """The run's summary so far, of the parts that its steps returned."""
    summary: Summary = {"unchanged": True, "counts": {}, "seconds": {}}
    for part in filter(None, parts):
        unchanged = summary["unchanged"] and part.get("unchanged", True)
        counts = {**summary["counts"], **part.get("counts", {})}
        seconds = {**summary["seconds"], **part["seconds"]}
        summary |= {**part, "unchanged": unchanged, "counts": counts, "seconds": seconds}
    return summary


def _is_arriving(arrival: Arrival) -> bool:
    """Whether it was written to just now; a time to come is some other machine's fault."""
    return timedelta() <= datetime.now(UTC) - arrival.modified < SETTLES


def _purpose(summary: Summary, what: str) -> str:
    return f"churn {what} of run {summary['run_id']}"
