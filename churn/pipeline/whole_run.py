"""The whole job: workbook, tables, gate, online store, model, scores, report."""

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql.connect.session import SparkSession

from churn.pipeline.libraries import preload
from churn.pipeline.lineage import told
from churn.pipeline.mlflow_sync import follow_registry, opening
from churn.pipeline.server_watchdog import watched
from churn.provenance import load_state
from lakehouse import commit_metadata, spark_server
from lakehouse.atomic_write import written_whole
from lakehouse.dbt_runner import Outcome, dbt_build
from lakehouse.error_translation import explained
from lakehouse.errors import ChurnError, GateRefused, Unusable
from lakehouse.progress import Step, Steps
from lakehouse.published_files import has_superseded_files, remove_superseded_files
from lakehouse.run_lock import run_lock
from lakehouse.sequences import last_numbers
from lakehouse.settings import Settings
from lakehouse.sql import Rows
from lakehouse.variables import read_variables
from seeds_loader import lineage as loader_datasets
from seeds_loader.extract_date import ExtractDate, choose_extract_date
from seeds_loader.load import Load, load
from seeds_loader.reader.sandbox import Extract, read_workbook
from seeds_loader.sample import SampleParameters, write_samples
from seeds_loader.source_format import UNSTATED, SourceFormat

if TYPE_CHECKING:  # Feast and the trainer take seconds to import: only where they are used
    from trainer.record import ModelRecord
    from trainer.score import Scores

STEPS = 12
# Unit tests check the project's code, not the data: `dbt build` and CI run them, a monthly run
# has no need to.
DATA_ONLY = ["--exclude-resource-type", "unit_test"]


@dataclass(frozen=True)
class Request:
    """What the caller asked for."""

    workbook: Path
    sheet: str | None = None
    extract_date: date | None = None
    source_format: SourceFormat = UNSTATED


@dataclass
class Run:
    """A run as it goes: what it knows so far is what summary.json will say."""

    settings: Settings
    steps: Steps
    summary: dict[str, Any]
    record: "ModelRecord | None" = None

    @property
    def run_id(self) -> str:
        return str(self.summary["run_id"])

    @property
    def folder(self) -> Path:
        return self.settings.home / "runs" / self.run_id


def run(settings: Settings, request: Request, steps: Steps) -> dict[str, Any]:
    """Run the whole job and return the summary, which is also written to the run's folder.

    Raises:
        lakehouse.errors.Unusable: the workbook can't be used; nothing was written.
        lakehouse.errors.GateRefused: the gate refused the load; the summary is written.
        lakehouse.errors.Unavailable: a service does not answer, or another run holds the lake.
    """
    run_id = new_run_id()
    preload()
    job = Run(settings, steps, {"run_id": run_id, "unchanged": False})
    extract, extract_date = read(request, steps)
    with lake(settings, "churn run", steps, run_id) as spark:
        return _run(job, spark, extract, extract_date)


def sample_workbook(settings: Settings) -> Path:
    """The workbook of a run that was given none."""
    return write_samples(SampleParameters(), settings.home / "sample")[0]


def new_run_id() -> str:
    """Sorts by time; the tail keeps two runs of one second apart."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def read(request: Request, steps: Steps, tolerant: bool = False) -> tuple[Extract, ExtractDate]:
    """The workbook's rows and the date they speak of.

    Comes first: a workbook that can't be used leaves nothing behind, not even a server.
    """
    with steps.step("read") as step:
        extract = read_workbook(
            request.workbook,
            request.sheet,
            step.say,
            source_format=request.source_format,
            tolerant=tolerant,
        )
        extract_date = choose_extract_date(request.extract_date, extract)
        if extract_date.warning:
            step.say(f"warning: {extract_date.warning}")
        sheet = f", sheet {extract.sheet!r}" if extract.sheet else ""
        step.outcome = f"{extract.table.num_rows:,} rows{sheet}"
    return extract, extract_date


@contextmanager
def lake(
    settings: Settings, command: str, steps: Steps, run_id: str | None = None
) -> Iterator[SparkSession]:
    """The lake for writing: the lock, then the server, then a session on it.

    In this order: whoever takes the lock from a holder that died ends that one's server first.
    What is written is signed with the run's name, and told as its lineage after the lock is given
    back. Without a name it is a run of its own.
    """
    purpose = f"{command} {run_id}" if run_id else command
    run_id = run_id or new_run_id()
    with (
        told(settings, command, run_id, steps),
        run_lock(settings, purpose, steps.say),
        explained(settings),
    ):
        with steps.step("server") as step:
            running = spark_server.ensure(settings, step.say)
        with watched(settings, running), spark_server.session(settings) as spark:
            commit_metadata.sign(spark, run_id)
            try:
                yield spark
            except GateRefused:
                _clear_up(settings, spark)
                raise
            # As late as possible: readers of what was superseded have had time to finish.
            _clear_up(settings, spark)


def _clear_up(settings: Settings, spark: SparkSession) -> None:
    """Leave just the published files in gold's folders, whichever load they are of."""
    if has_superseded_files(settings):
        remove_superseded_files(settings, spark)


@contextmanager
def writing(
    settings: Settings, command: str, name: str, steps: Steps, run_id: str | None = None
) -> Iterator[tuple[SparkSession, Step]]:
    """The lake and one shown step, for a command that does one thing."""
    with lake(settings, command, steps, run_id) as spark, steps.step(name) as step:
        yield spark, step


def _run(
    job: Run, spark: SparkSession, extract: Extract, extract_date: ExtractDate
) -> dict[str, Any]:
    summary = job.summary
    loaded = offer(job.settings, spark, extract, extract_date, job.run_id, job.steps)
    summary |= offered(extract, loaded)
    changes = [loaded.is_new, _build(job, spark, loaded), _online(job, spark)]
    # Beside the training, in which this process waits for Spark.
    opened = opening(job.settings)
    changes.append(_model(job, spark))
    summary["unchanged"] = not any(changes)
    look_after(job, spark)
    if summary["unchanged"]:
        job.steps.say("nothing has changed since this workbook was run before")
    with job.steps.step("report") as step:
        step.outcome = str(write_report(job, spark))
    write_summary(job)
    follow_registry(job.settings, job.steps, opened)
    return close(job, spark)


def offer(
    settings: Settings,
    spark: SparkSession,
    extract: Extract,
    extract_date: ExtractDate,
    run_id: str,
    steps: Steps,
) -> Load:
    """Workbook to bronze; a load that was refused before is to be judged again."""
    with steps.step("ingest") as step:
        loaded = load(settings, spark, extract, extract_date, step.say)
        step.works.append(loader_datasets.loading(settings, extract, loaded))
        if not loaded.is_new and load_state.load_state(spark, loaded.batch_id).verdict == "refused":
            step.say("this load was refused before; it is judged again")
            load_state.requeue(spark, "batch_id = :batch", run_id, batch=loaded.batch_id)
        step.outcome = (
            f"extract of {loaded.extract_date} (date from: {loaded.extract_date_source})"
            + ("" if loaded.is_new else ", loaded before")
        )
    return loaded


def offered(extract: Extract, loaded: Load) -> dict[str, Any]:
    """What a summary says of the workbook and its load."""
    return {
        "workbook": {
            "path": str(extract.path),
            "sha256": loaded.source_sha256,
            "sheet": loaded.sheet,
            "rows": loaded.row_count,
        },
        "extract_date": loaded.extract_date.isoformat(),
        "extract_date_source": loaded.extract_date_source,
        "batch_id": loaded.batch_id,
    }


def _build(job: Run, spark: SparkSession, loaded: Load) -> bool:
    """The dbt part; False where the load was published before and nothing is left to do.

    Raises:
        GateRefused: the load did not pass; summary and report are written.
    """
    state = load_state.load_state(spark, loaded.batch_id)
    built = not state.is_settled
    with job.steps.step("build") as step:
        outcome = build_open_loads(job.settings, spark, job.run_id, step) if built else None
        say_refused(spark, job.run_id, step, but=loaded.batch_id)
        state = judged(job, spark)
        step.outcome = _build_outcome(state, outcome)
    if state.published is None or state.verdict == "refused":
        raise refusal(job, spark, outcome.failures if outcome else [])
    return built


def judged(job: Run, spark: SparkSession) -> load_state.LoadState:
    """Where the load stands after the dbt part; its counts and verdicts go into the summary."""
    state = load_state.load_state(spark, job.summary["batch_id"])
    job.summary["counts"] = {**(state.counts or {})}
    job.summary["gate"] = _gate(spark, job.summary["batch_id"], state)
    if state.published is not None and state.verdict != "refused":
        job.summary["counts"]["gold"] = state.published
    # What was there when this run wrote: who looks back at it does not ask the clock.
    job.summary["last_numbers"] = last_numbers(spark)
    return state


def build_open_loads(settings: Settings, spark: SparkSession, run_id: str, step: Step) -> Outcome:
    """`dbt build` of whatever is open, the project's unit tests left out.

    A refused load holds back the publishing of the same dbt call; what passed beside it is
    published by a second one.
    """
    outcome = dbt_built(settings, DATA_ONLY, run_id, step)
    if outcome.failures and load_state.passed_but_unpublished(spark):
        step.say("a load was refused; publishing the others")
        outcome = dbt_built(settings, DATA_ONLY, run_id, step).after(outcome)
    return outcome


def say_refused(spark: SparkSession, run_id: str, step: Step, but: str | None = None) -> None:
    """Name the loads that were refused beside the one that a run is about, `but`."""
    for batch_id, broken in load_state.refused_in(spark, run_id).items():
        if batch_id != but:
            step.say(f"warning: the gate also refused {refused_in_words(broken)}")


def dbt_built(settings: Settings, arguments: Sequence[str], run_id: str, step: Step) -> Outcome:
    """What dbt made of it, told to the step as work done."""
    outcome = dbt_build(settings, arguments, run_id, step.advance)
    if outcome.work is not None:
        step.works.append(outcome.work)
    return outcome


def _gate(spark: SparkSession, batch_id: str, state: load_state.LoadState) -> dict[str, Any]:
    verdicts = [each["verdict"] for each in load_state.gate_results(spark, batch_id)]
    passed, failed = verdicts.count("passed"), verdicts.count("failed")
    # A change that was expected is no reason to refuse, but one to look.
    warned = verdicts.count("warned") + verdicts.count("expected")
    return {
        # A rule that has nothing to compare the load with was not tested.
        "tests": passed + warned + failed,
        "passed": passed,
        "warned": warned,
        "failed": failed,
        "verdict": state.verdict,
    }


def _build_outcome(state: load_state.LoadState, outcome: Outcome | None) -> str:
    if outcome is None:
        return "published before"
    return f"{state.verdict}; {outcome.passed} of {outcome.tests} tests green"


def refusal(job: Run, spark: SparkSession, failures: Sequence[str]) -> GateRefused:
    """The message for a refused load; writes summary and report first.

    `failures` has a line for every test that was red; the gate's own findings come before them.
    """
    job.summary["gate"]["verdict"] = "refused"
    write_report(job, spark)
    close(job, spark)
    failed = [
        each
        for each in load_state.gate_results(spark, job.summary["batch_id"])
        if each["verdict"] == "failed"
    ]
    rules = [broken_rule(each) for each in failed]
    lines = "".join(f"\n    {line}" for line in rules or failures)
    refused = GateRefused(
        f"The gate refused {Path(job.summary['workbook']['path']).name}; gold, online store, model "
        f"and scores are as before{lines}",
        where=f"extract of {job.summary['extract_date']}, {job.folder}/report.html",
        remedy="look at audit.gate_results and silver.rejected_rows "
        f"(`churn rejects --run {job.run_id} --out rejects.xlsx` gives them back as a workbook), "
        "correct the workbook, then run it again" + expected_change(failed),
    )
    refused.summary = job.summary
    return refused


def refused_in_words(broken: Rows) -> str:
    """A refused load: its workbook, its extract date, and a line for each rule that it broke."""
    lines = "".join(f"\n        {broken_rule(each)}" for each in broken)
    return f"{broken[0]['source_file']}, extract of {broken[0]['extract_date']}:{lines}"


def broken_rule(result: dict[str, Any]) -> str:
    """A rule that failed, in words: figure, threshold, what it was compared with, what it means."""
    figure = "no figure" if result["figure"] is None else f"{result['figure']:.4g}"
    compared = result["compared_with"]
    declared = read_variables()["gate_rules"].get(result["rule"], {})
    return (
        f"{result['rule']}: {figure} against {result['threshold']:g}"
        + (f", compared with the extract of {compared}" if compared else "")
        + (f". {declared['description']}" if declared else "")
        + (f" {details}" if (details := result.get("details")) else "")
    )


def expected_change(broken: Rows) -> str:
    """The end of a remedy: the declaration with which the load passes the rules that compare."""
    compared = [each for each in broken if each["compared_with"]]
    if not compared:
        return ""
    return (
        "; where the change is real, declare it in expected_changes of dbt_project.yml: "
        f'{{extract_date: "{compared[0]["extract_date"]}", '
        f"rules: [{', '.join(each['rule'] for each in compared)}], reason: why it is expected}}"
    )


def _online(job: Run, spark: SparkSession) -> bool:
    """Feature store: declarations, online values, proof. True where values were written."""
    with job.steps.step("apply") as step:
        from feature_repo.lineage import materializing
        from feature_repo.online.materialize import apply, materialize

        apply(job.settings, step.say)
    with job.steps.step("materialize") as step:
        online = materialize(job.settings, spark, step.say, advance=step.advance)
        step.works.append(materializing(job.settings, online.written))
        step.outcome = f"{online.customers:,} customers online"
    with job.steps.step("verify") as step:
        verified, rewritten = prove_online(job.settings, spark, step, repair=not online.written)
        job.summary["counts"]["online_verified"] = verified
    return online.written or rewritten


def prove_online(
    settings: Settings, spark: SparkSession, step: Step, repair: bool
) -> tuple[int, bool]:
    """Read every customer back; how many they are, and whether they had to be written again.

    `repair`: a store that was not written just now may have lost what it was given (keys evicted,
    or changed by somebody else); it is written anew once.

    Raises:
        ChurnError: the online store differs from gold.
    """
    from feature_repo.online.materialize import materialize
    from feature_repo.online.verify import verify

    verification = verify(settings, spark, step.say, step.advance)
    rewritten = bool(verification.differences) and repair
    if rewritten:
        step.say("the online store differs from gold; writing it again")
        materialize(settings, spark, step.say, "all", step.advance)
        verification = verify(settings, spark, step.say, step.advance)
    if verification.differences:
        raise ChurnError(
            f"The online store differs from gold: {verification.differences[0]}",
            where="`churn features verify`",
            remedy="`churn features materialize`, then verify again",
        )
    step.outcome = f"{verification.customers:,} customers equal gold in every feature"
    return verification.customers, rewritten


def _model(job: Run, spark: SparkSession) -> bool:
    """Champion model and batch scores; True where one of them is new."""
    from trainer import lineage
    from trainer.train import train

    with job.steps.step("train") as step:
        training = train(job.settings, spark, step.say)
        step.works.append(lineage.training(job.settings, training.record, training.is_new))
        job.record = training.record
        job.summary["model"] = training.summary()
        step.outcome = training.in_words()
    with job.steps.step("score") as step:
        scores = score_published(job, spark, step)
    return bool(training.is_new or (scores and scores.written))


def score_published(job: Run, spark: SparkSession, step: Step) -> "Scores | None":
    """The champion's scores of the latest extract; None where it can't score, or there is none,
    and the new version waits for a person: the alert says so, and all else is done.

    Raises:
        lakehouse.errors.Unusable: it can't score, and nobody is asked to decide.
    """
    from trainer import lineage
    from trainer.score import score

    job.summary["counts"]["scored"] = 0
    try:
        scores = score(job.settings, spark, step.say)
    except Unusable as fault:
        if not job.summary["model"]["promotion"].get("waits"):
            raise
        step.say(f"warning: nobody was scored. {fault}")
        step.outcome = "nobody"
        return None
    step.works.append(lineage.scoring(job.settings, scores.record, scores.written))
    job.summary["counts"]["scored"] = scores.customers
    job.summary["scored_extract_date"] = scores.extract_date.isoformat()
    step.outcome = f"{scores.customers:,} customers"
    return scores


def look_after(job: Run, spark: SparkSession) -> None:
    """What the latest extract says of the champion, into the summary; alerts are said."""
    from trainer.monitoring import read_rules, watch

    with job.steps.step("watch") as step:
        seen = watch(job.settings, spark, read_rules())
        if seen is None:
            return
        job.summary["watch"] = seen.shown()
        step.outcome = f"{len(seen.alerts) or 'no'} alerts of {len(seen.figures)} figures"
        if seen.proposal:
            step.say(f"alert: {seen.proposal}")


def write_report(job: Run, spark: SparkSession) -> Path:
    """The run's page, from its summary and the tables."""
    from churn.reports.report_data import write_run_report

    job.summary["seconds"] = {**job.summary.get("seconds", {}), **job.steps.seconds}
    return write_run_report(spark, job.summary, job.record, job.folder)


def close(job: Run, spark: SparkSession) -> dict[str, Any]:
    """Keep the summary with the run, and return it; the site's front page tells of the run too."""
    from churn.reports.site import write_front_page

    summary = write_summary(job)
    write_front_page(job.settings, spark)
    return summary


def write_summary(job: Run) -> dict[str, Any]:
    """The run so far as summary.json, which is also returned."""
    job.summary["seconds"] = {**job.summary.get("seconds", {}), **job.steps.seconds}
    job.folder.mkdir(parents=True, exist_ok=True)
    with written_whole(job.folder / "summary.json") as draft:
        draft.write_text(json.dumps(job.summary, indent=2) + "\n")
    return job.summary


def closing_words(settings: Settings, summary: dict[str, Any]) -> str:
    """What a person wants to know at the end."""
    counts, model = summary["counts"], summary["model"]
    lines = [
        f"{counts['bronze']:,} rows read, {counts['silver']:,} customers, "
        f"{counts['rejected']:,} rejected, {counts['exact_duplicates']:,} exact duplicates",
        f"gate {summary['gate']['verdict']}; {counts['gold']:,} in gold, "
        f"{counts['online_verified']:,} online and equal, {counts['scored']:,} scored",
        f"model {model['version']} ({model['kind']}): ROC-AUC {model['roc_auc']:.3f}, "
        f"PR-AUC {model['pr_auc']:.3f} out of fold; "
        + ("it is the champion" if model["champion"] else _stays(model)),
        f"report: {settings.home / 'runs' / summary['run_id'] / 'report.html'}",
    ]
    if summary["unchanged"]:
        lines.insert(0, "unchanged: this workbook was run before, and nothing is left to do")
    return "\n".join(lines)


def _stays(model: dict[str, Any]) -> str:
    promotion = model["promotion"]
    champion = promotion["champion"]
    outcome = f"{champion} stays the champion" if champion else "there is no champion yet"
    outcome += f": {promotion['reason']}"
    if promotion.get("waits"):
        outcome += f". A person decides: `churn promote {model['version']} --reason TEXT`"
    return outcome
