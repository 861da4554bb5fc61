"""Emit lineage as OpenLineage events to the lineage file and to a configured endpoint.

The endpoint is configured by OpenLineage's standard settings (`OPENLINEAGE_URL`,
`openlineage.yml`, …). A command is a run, and each of its steps is a child run. The process that
started the command is its parent: it is named by `OPENLINEAGE_PARENT_ID` and
`OPENLINEAGE_ROOT_PARENT_ID`, the variables that dbt's and Spark's integrations also read.
"""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import (
    InputDataset,
    Job,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    set_producer,
)
from openlineage.client.facet_v2 import (
    dataset_version_dataset,
    job_type_job,
    tags_run,
)
from openlineage.client.transport.file import FileConfig
from openlineage.client.uuid import generate_static_uuid

from lakehouse.lineage import Dataset, DbtArtifacts, StepIO, StepRun, lineage_file
from lakehouse.lineage_facets import (
    NAMESPACE,
    PRODUCER,
    RunReference,
    column_facet,
    dataset_facets,
    parent_facet,
)
from lakehouse.lineage_file import LineageFile
from lakehouse.process import Log
from lakehouse.settings import Settings

# The longest delay that an unreachable endpoint can cause for a command.
ENDPOINT_SECONDS = 5
# The URL of the checkout's remote may contain a password.
WITHOUT_REMOTE = {"facets": {"source_code_location": {"disabled": True}}}


@dataclass(frozen=True)
class Command:
    """A command that has ended; `run_id` is the id of its run in $CHURN_HOME/runs."""

    name: str
    run_id: str
    started_at: datetime
    ended_at: datetime
    failed: bool


def emit(settings: Settings, command: Command, steps: Sequence[StepRun], log: Log) -> None:
    """Write the events to the lineage file and send them to the endpoint, if one is configured.

    Errors are reported through `log`, not raised.
    """
    if os.environ.get("OPENLINEAGE_DISABLED", "").lower() == "true":
        return
    logging.getLogger("openlineage").setLevel(logging.CRITICAL)
    try:
        run_events = list(events(settings, command, steps))
        transport = LineageFile(FileConfig(str(lineage_file(settings))))
        _emit(OpenLineageClient(transport=transport, config=WITHOUT_REMOTE), run_events)
        client = OpenLineageClient(config=WITHOUT_REMOTE)
    except Exception as error:  # lineage only describes the work and must never fail it
        log(f"warning: the lineage of {command.run_id} could not be told: {error}")
        return
    if client.transport.kind not in ("console", "noop"):
        _send(settings, client, run_events, log)


def _send(
    settings: Settings, client: OpenLineageClient, run_events: list[RunEvent], log: Log
) -> None:
    faults: list[Exception] = []

    def work() -> None:
        try:
            _emit(client, run_events)
            client.close(ENDPOINT_SECONDS)
        except Exception as error:
            faults.append(error)

    sender = threading.Thread(target=work, daemon=True, name="lineage")
    try:
        sender.start()
        sender.join(ENDPOINT_SECONDS)
    except RuntimeError:  # dbt emits at process exit, where newer Pythons start no thread
        work()
    if sender.is_alive() or faults:
        why = type(faults[0]).__name__ if faults else f"no answer within {ENDPOINT_SECONDS} s"
        log(
            f"warning: the lineage endpoint did not take all events ({why}); "
            f"they are in {lineage_file(settings)}"
        )


def _emit(client: OpenLineageClient, run_events: Sequence[RunEvent]) -> None:
    for event in run_events:
        client.emit(event)


def events(settings: Settings, command: Command, steps: Sequence[StepRun]) -> Iterator[RunEvent]:
    """Yield the start event of the command, the events of its steps and its end event."""
    set_producer(PRODUCER)
    started_by = _read_run_reference("OPENLINEAGE_PARENT_ID")
    root = _read_run_reference("OPENLINEAGE_ROOT_PARENT_ID") or started_by
    reference = RunReference(
        NAMESPACE, command.name, _uuid(command.started_at, command.run_id, command.name)
    )
    start, end = _start_and_end(
        reference,
        command.started_at,
        command.ended_at,
        command.failed,
        _facets(command, started_by, root),
    )
    yield start
    for step in steps:
        yield from _step_events(settings, command, step, reference, root or reference)
    yield end


def _step_events(
    settings: Settings, command: Command, step: StepRun, parent: RunReference, root: RunReference
) -> Iterator[RunEvent]:
    run = _uuid(step.started_at, command.run_id, f"{command.name}.{step.name}")
    reference = RunReference(NAMESPACE, f"{command.name}.{step.name}", run)
    step_io = [io for io in step.io if isinstance(io, StepIO)]
    inputs = [_input(settings, dataset) for io in step_io for dataset in io.inputs]
    outputs = [_output(settings, dataset) for io in step_io for dataset in io.outputs]
    start, end = _start_and_end(
        reference,
        step.started_at,
        step.ended_at,
        step.failed,
        _facets(command, parent, root),
        inputs,
        outputs,
    )
    yield start
    for io in step.io:
        if isinstance(io, DbtArtifacts):
            yield from _dbt_events(settings, io, reference, root)
    yield end


def _dbt_events(
    settings: Settings, work: DbtArtifacts, parent: RunReference, root: RunReference
) -> Sequence[RunEvent]:
    # Imports Jinja and much else, so it is loaded only for commands that called dbt.
    from lakehouse.lineage_dbt import dbt_events

    return dbt_events(settings, work, parent, root)


def _start_and_end(
    reference: RunReference,
    started_at: datetime,
    ended_at: datetime,
    failed: bool,
    facets: dict[str, Any],
    inputs: list[InputDataset] | None = None,
    outputs: list[OutputDataset] | None = None,
) -> tuple[RunEvent, RunEvent]:
    kind = job_type_job.JobTypeJobFacet("BATCH", "CHURN", "STEP" if inputs else "COMMAND")
    job = Job(reference.namespace, reference.job, {"jobType": kind})

    def event(time: datetime, state: RunState, written: list[OutputDataset]) -> RunEvent:
        run = Run(reference.run, dict(facets))
        return RunEvent(
            eventTime=time.isoformat(),
            producer=PRODUCER,
            run=run,
            job=job,
            eventType=state,
            inputs=list(inputs or []),
            outputs=written,
        )

    end = RunState.FAIL if failed else RunState.COMPLETE
    return event(started_at, RunState.START, []), event(ended_at, end, list(outputs or []))


def _facets(
    command: Command, parent: RunReference | None, root: RunReference | None
) -> dict[str, Any]:
    tag = tags_run.TagsRunFacetFields("churn_run_id", command.run_id, "CHURN")
    facets: dict[str, Any] = {"tags": tags_run.TagsRunFacet([tag])}
    if parent is not None:
        facets["parent"] = parent_facet(parent, root or parent)
    return facets


def _read_run_reference(variable: str) -> RunReference | None:
    """Return the run that a variable names as `namespace/job/run`, or None."""
    parts = os.environ.get(variable, "").rsplit("/", 2)
    return RunReference(*parts) if len(parts) == 3 else None


def _uuid(started_at: datetime, run_id: str, name: str) -> str:
    return str(generate_static_uuid(started_at, f"{run_id}.{name}".encode()))


def _input(settings: Settings, dataset: Dataset) -> InputDataset:
    return InputDataset(dataset.namespace, dataset.name, facets=dataset_facets(settings, dataset))


def _output(settings: Settings, dataset: Dataset) -> OutputDataset:
    facets = dataset_facets(settings, dataset)
    if dataset.sources:
        facets["columnLineage"] = column_facet(dataset)
    if (version := _delta_version(settings, dataset)) is not None:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(version)
    return OutputDataset(dataset.namespace, dataset.name, facets=facets)


def _delta_version(settings: Settings, dataset: Dataset) -> str | None:
    """Return the current version of a Delta table: the number of its last log file."""
    if dataset.table is None:
        return None
    log = settings.lake.join(*dataset.table.split("."), "_delta_log")
    names = [each.base_name.removesuffix(".json") for each in log.list_children() if each.is_file]
    numbers = [int(each) for each in names if each.isdecimal()]
    return str(max(numbers)) if numbers else None
