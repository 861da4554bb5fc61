"""The job as a scheduler runs it: every step a process of its own, what it found handed on as data.

A step is given what the earlier ones found, the run's summary so far, and returns its own part of
it. Each takes the lake for itself and does what `churn run` does at that place.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyspark.sql.connect.session import SparkSession

from churn.pipeline import whole_run
from churn.pipeline.failed_tests import failing_rows
from churn.pipeline.mlflow_sync import follow
from churn.pipeline.whole_run import Request, Run, lake
from churn.provenance import load_state
from lakehouse import spark_server
from lakehouse.errors import GateRefused, Unusable
from lakehouse.process import Say
from lakehouse.progress import Steps
from lakehouse.run_lock import run_lock
from lakehouse.settings import Settings
from seeds_loader import landing_zone
from seeds_loader.landing_zone import Arrival

Summary = dict[str, Any]


class NothingToDo(Exception):
    """A step that is not needed this time."""


def ready(settings: Settings, say: Say) -> None:
    """The Spark server up, for a dbt call that does not start it."""
    spark_server.ensure(settings, say)


def waiting(settings: Settings) -> list[Arrival]:
    """The arrivals that nobody has taken, oldest first."""
    landing_zone.receive(settings)
    return landing_zone.untaken(settings)


def workbook_for(
    settings: Settings, run_id: str, given: str | None, arrival: str | None, by_hand: bool
) -> Path | None:
    """What the run is about: the file given, the arrival of that key, the oldest that waits.

    Where nothing waits: the sample for a run by hand, else None. None too for an arrival that
    another run has taken. What is still being written is waited for. Asked again, a run is about
    the same.
    """
    if given:
        landing_zone.take_file(settings, Path(given), run_id)
        return Path(given)
    is_of_sample = settings.home / "runs" / run_id / "of_sample"
    if not is_of_sample.exists():
        while arrival is None and landing_zone.receive(settings):
            time.sleep(1)
        taken = landing_zone.take(settings, run_id, arrival)
        if taken is not None:
            return taken.path
        if arrival is not None or not by_hand:
            return None
        is_of_sample.parent.mkdir(parents=True, exist_ok=True)
        is_of_sample.touch()
    return whole_run.sample_workbook(settings)


def ingest(settings: Settings, run_id: str, request: Request) -> Summary:
    """Workbook to bronze. What a run that broke off has left is judged and published before.

    Raises:
        lakehouse.errors.Unusable: the workbook can't be used; nothing was written.
    """
    steps = Steps(4)
    extract, extract_date = whole_run.read(request, steps)
    with lake(settings, "churn ingest", steps, run_id) as spark:
        if load_state.left_unjudged(spark, but=extract.sha256):
            with steps.step("build") as step:
                left = whole_run.build_open_loads(settings, spark, run_id, step)
                whole_run.say_refused(spark, run_id, step)
                step.outcome = f"what was left: {left.passed} of {left.tests} tests green"
        loaded = whole_run.offer(settings, spark, extract, extract_date, run_id, steps)
        is_settled = load_state.load_state(spark, loaded.batch_id).is_settled
    return {
        "run_id": run_id,
        "unchanged": is_settled,
        **whole_run.offered(extract, loaded),
        "seconds": steps.seconds,
    }


def feast_apply(settings: Settings, summary: Summary) -> Summary:
    """Register entity, view and service, if the run's load was published.

    Raises:
        GateRefused, Unusable: it was not, whatever dbt's tests found.
    """
    steps = Steps(2)
    with whole_run.writing(settings, "churn features apply", "apply", steps, summary["run_id"]) as (
        spark,
        step,
    ):
        from feature_repo.online.materialize import apply

        _published(Run(settings, steps, dict(summary)), spark)
        apply(settings, step.say)
    return {"seconds": steps.seconds}


def feast_materialize(settings: Settings, summary: Summary) -> Summary:
    """The latest published extract online."""
    steps = Steps(2)
    with whole_run.writing(
        settings, "churn features materialize", "materialize", steps, summary["run_id"]
    ) as each:
        from feature_repo.lineage import materializing
        from feature_repo.online.materialize import materialize

        spark, step = each
        online = materialize(settings, spark, step.say, advance=step.advance)
        step.works.append(materializing(settings, online.written))
        step.outcome = f"{online.customers:,} customers online"
    return {"unchanged": not online.written, "seconds": steps.seconds}


def feast_verify(settings: Settings, summary: Summary) -> Summary:
    """Every customer read back and held against gold; a store that lost some is written again."""
    steps = Steps(2)
    with whole_run.writing(
        settings, "churn features verify", "verify", steps, summary["run_id"]
    ) as (
        spark,
        step,
    ):
        verified, rewritten = whole_run.prove_online(settings, spark, step, repair=True)
    return {
        "unchanged": not rewritten,
        "counts": {"online_verified": verified},
        "seconds": steps.seconds,
    }


def train_model(settings: Settings, summary: Summary) -> Summary:
    """A model of what is published, trained where it was not yet; its figures are printed."""
    from trainer.lineage import training as reads_and_writes
    from trainer.train import train

    steps = Steps(2)
    with whole_run.writing(settings, "churn train", "train", steps, summary["run_id"]) as (
        spark,
        step,
    ):
        training = train(settings, spark, step.say)
        step.works.append(reads_and_writes(settings, training.record, training.is_new))
        step.outcome = training.in_words()
    print(json.dumps({"model": training.summary()}, indent=2))
    return {
        "unchanged": not training.is_new,
        "model": training.summary(),
        "seconds": steps.seconds,
    }


def score(settings: Settings, summary: Summary) -> Summary:
    """Batch scores; then the run's report and summary, which are what this returns."""
    from trainer.registry import find

    steps = Steps(4)
    with lake(settings, "churn score", steps, summary["run_id"]) as spark:
        run = Run(settings, steps, dict(summary))
        later = summary["counts"]
        _published(run, spark)
        run.summary["counts"] |= later
        with steps.step("score") as step:
            scores = whole_run.score_published(run, spark, step)
        run.record = find(settings, summary["model"]["version"])
        run.summary["unchanged"] = summary["unchanged"] and not (scores and scores.written)
        whole_run.look_after(run, spark)
        with steps.step("report") as step:
            step.outcome = str(whole_run.write_report(run, spark))
        return whole_run.close(run, spark)


def log_to_mlflow(settings: Settings, summary: Summary) -> Summary:
    """MLflow brought to what the registry says: whatever it lacks, of earlier runs too.

    Raises:
        lakehouse.errors.Unavailable: it does not answer; nothing else waits for it.
    """
    steps = Steps(1)
    with run_lock(settings, "churn train", steps.say):
        follow(settings, steps)
    return {"seconds": steps.seconds}


def alert(settings: Settings, summary: Summary) -> Summary:
    """Say what the latest extract has against the champion.

    Raises:
        NothingToDo: it has nothing against it.
    """
    proposal = (summary.get("watch") or {}).get("proposal")
    if not proposal:
        raise NothingToDo("the champion is as it was: no alert")
    print(json.dumps(summary["watch"]["alerts"], indent=2))
    return {"alert": proposal, "seconds": {}}


def refusal(settings: Settings, summary: Summary, tests: Sequence[str]) -> str:
    """Why dbt tests were red, for people: the gate's findings, the rows, where the rejects lie.

    Writes the report of a refused run. `tests` are names of dbt's tests.
    """
    spark_server.ensure(settings, lambda _: None)
    with spark_server.session(settings) as spark:
        run = Run(settings, Steps(1), dict(summary))
        state = whole_run.judged(run, spark)
        words = ""
        if state.verdict == "refused":
            refused: GateRefused = whole_run.refusal(run, spark, [])
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


def _published(run: Run, spark: SparkSession) -> None:
    """Note what became of the run's load, which has to be in gold.

    A red test holds a refused load back; this holds it back too where the test saw it no more.
    """
    state = whole_run.judged(run, spark)
    if state.verdict == "refused":
        raise whole_run.refusal(run, spark, [])
    if state.published is None:
        raise Unusable(
            f"The run's load is not in gold; its verdict: {state.verdict}",
            where=f"load {run.summary['batch_id']}, extract of {run.summary['extract_date']}",
            remedy="nothing where a later workbook of that date has replaced it; else clear the "
            "tasks of `publish`",
        )
