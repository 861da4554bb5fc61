"""Synchronize MLflow with the model versions in the registry.

Versions are published and champions named in the registry under `$CHURN_HOME/models`. MLflow
mirrors it: each version is a finished run of the experiment `churn` and a version of the registered
model `churn`, identified by the tag `churn.version`; the alias `champion` points to the registry's
champion. Anything that MLflow lacks or has lost is therefore created again by the same call. Only
the alias is also read: `trainer.manual_promotion` promotes the version that a person moved it to.

Importing this module imports MLflow, which needs seconds.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from json import JSONDecodeError
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# MLflow reads these variables when it is imported. It sends no telemetry, and logs only errors. A
# request fails within seconds if the server is unreachable, and after two minutes if it hangs.
os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.types import ColSpec, Schema
from pyarrow import fs
from sqlalchemy.exc import SQLAlchemyError

from feature_repo.feature_definitions import read_feature_columns
from lakehouse.errors import ChurnError, UnavailableError
from lakehouse.process import Log
from lakehouse.settings import Settings
from trainer import decisions, full_evaluation, manual_promotion, mlflow_alias, registry
from trainer.metrics import HOLDOUT, OUT_OF_FOLD
from trainer.mlflow_alias import CHAMPION, NAME, USER, VERSION, Synced, folder
from trainer.record import ModelRecord

# Tags: the kind of experiment that MLflow's pages are to show; for a registered version, the
# evaluation that it shows.
KIND = {"mlflow.experimentKind": "custom_model_development"}
EVALUATION = "churn.evaluation"
EVALUATED_DATA = "churn.evaluated_data"
# Metrics to show first and as tags of a registered version, whose page shows no metrics of its run.
FIRST_METRICS = ("roc_auc", "pr_auc", "brier")
MODEL_TYPE = "model_type"
# Tag of the champion's run, for the list of runs, and its value.
CHAMPION_RUN, YES = "champion", "yes"
# Tag with which MLflow's pages relate a run to the versions that are registered from it.
MODELS_OF_RUN = "mlflow.log-model.history"
# The table that models are trained on; MLflow's longest digest of a data set.
TRAINING_TABLE, DIGEST_LENGTH = "gold.customer_features", 36
# Paths in a run: the model, and its page.
MODEL, PAGE = "model", "model.html"
# Folder in the data that `trainer.mlflow_model` receives.
PIPELINE = "pipeline"
# The parts of a pipeline's folder that are the pipeline; the others are stored for its evaluation.
OF_PIPELINE = ("metadata", "stages")
WHOLE_NUMBERS = ("int", "bigint", "smallint", "tinyint")

# Callback that renders a version's page with its plots.
Draw = Callable[[ModelRecord], str]


@dataclass(frozen=True)
class Store:
    """An MLflow that responds, and the id of the experiment in it."""

    client: MlflowClient
    experiment: str


@dataclass(frozen=True)
class SyncResult:
    """The versions that were logged and removed, and the registry's champion, if MLflow has it."""

    logged: list[str]
    removed: list[str]
    champion: str | None

    def format_outcome(self) -> str:
        """Return the outcome as one line."""
        done = [
            *([f"{', '.join(self.logged)} logged"] if self.logged else []),
            *([f"{', '.join(self.removed)} removed"] if self.removed else []),
        ]
        return f"{'; '.join(done) or 'all logged'}; champion {self.champion or 'none'}"


def address(settings: Settings) -> str:
    """Return MLflow's address: a server, or a file."""
    return settings.mlflow_url or f"sqlite:///{mlflow_alias.file(settings)}"


def artifacts(settings: Settings) -> str:
    """Return the address of the artifacts, for use without a server."""
    return (folder(settings) / "artifacts").as_uri()


def open_store(settings: Settings) -> Store:
    """Open MLflow, and create its file if there is none.

    Raises:
        UnavailableError: The server does not respond, or refuses the login.
        ChurnError: The file can't be used.
    """
    with _translate_errors(settings):
        if settings.mlflow_url is None:
            folder(settings).mkdir(parents=True, exist_ok=True)
        client = MlflowClient(address(settings), address(settings))
        found = client.get_experiment_by_name(NAME)
        if found is None:
            place = None if settings.mlflow_url else artifacts(settings)
            return Store(client, client.create_experiment(NAME, place, KIND))
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return Store(client, found.experiment_id)


def sync(settings: Settings, store: Store, draw: Draw, log: Log) -> SyncResult:
    """Update MLflow from the registry; versions that it already has are not logged again.

    An alias that a person moved, to a version that can be promoted, stays where it is. Call it
    under the run lock.

    Raises:
        UnavailableError: The server does not respond, or refuses the login.
        ChurnError: The file can't be used.
    """
    with _translate_errors(settings):
        held = _registered_versions(store)
        known = registry.versions(settings)
        gone = sorted(set(held) - set(known))
        for version in gone:
            _remove(store, version, held.pop(version))
        records = [registry.read_record(settings, each) for each in known if each not in held]
        lacking = sorted((each for each in records if each), key=lambda each: each.created)
        for record in lacking:
            log(f"logging {record.version} in MLflow")
            held[record.version] = _log(settings, store, record, draw)
        for version, registered in held.items():
            _update_version(settings, store, version, registered)
        champion = _sync_alias(settings, store, held, log)
        _mark_champion(store, held.get(champion or ""))
    return SyncResult([each.version for each in lacking], gone, champion)


# --- contents of MLflow --------------------------------------------------------------------------


def _registered_versions(store: Store) -> dict[str, ModelVersion]:
    """Return the complete versions, and remove the incomplete ones.

    A version is complete if it is registered, which happens last, and its run is not deleted.
    """
    client = store.client
    if not client.search_registered_models(f"name = '{NAME}'"):
        client.create_registered_model(
            NAME, description="Who is about to leave. Made from the models that `churn` keeps."
        )
    runs = {each.info.run_id for each in _all(client.search_runs, [store.experiment])}
    held: dict[str, ModelVersion] = {}
    for each in _all(client.search_model_versions, f"name = '{NAME}'"):
        version = each.tags.get(VERSION)
        if version is None:
            continue  # not created by this module
        if version in held or each.run_id not in runs:
            client.delete_model_version(NAME, each.version)
        else:
            held[version] = each
    return held


def _all(search: Callable[..., Any], what: Any) -> Iterator[Any]:
    """Yield what a search finds, page after page."""
    token = None
    while True:
        page = search(what, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _remove(store: Store, version: str, registered: ModelVersion) -> None:
    store.client.delete_model_version(NAME, registered.version)
    _remove_runs(store, version)


def _remove_runs(store: Store, version: str) -> None:
    """Remove a version's runs with their files.

    MLflow marks a run as deleted and keeps its row; the files are deleted.
    """
    tagged = f"tags.`{VERSION}` = '{version}'"
    for run in store.client.search_runs([store.experiment], tagged):
        files = get_artifact_repository(run.info.artifact_uri, store.client.tracking_uri)
        files.delete_artifacts()
        store.client.delete_run(run.info.run_id)


# --- a version -----------------------------------------------------------------------------------


def _log(settings: Settings, store: Store, record: ModelRecord, draw: Draw) -> ModelVersion:
    """Log a version as a run, then register it: a registered version is complete."""
    client = store.client
    _remove_runs(store, record.version)  # left by a process that was killed
    moment = _milliseconds(record.created)
    run = client.create_run(store.experiment, moment, tags(record), record.version).info
    client.log_batch(
        run.run_id,
        [Metric(name, value, moment, step) for name, step, value in metrics(record)],
        [Param(name, value) for name, value in parameters(record).items()],
    )
    with TemporaryDirectory() as draft:
        place = Path(draft)
        _lay_out_model(settings, record, run.run_id, place / MODEL)
        (place / PAGE).write_text(draw(record))
        (place / "lineage.json").write_text(json.dumps(record.lineage, indent=1))
        client.log_artifacts(run.run_id, draft)
    client.set_terminated(run.run_id, end_time=moment + round(1000 * sum(record.seconds.values())))
    return client.create_model_version(
        NAME, f"{run.artifact_uri}/{MODEL}", run.run_id, tags={VERSION: record.version}
    )


def parameters(record: ModelRecord) -> dict[str, str]:
    """Return the parameters that the version was trained with; nested names have dots."""
    return {
        "kind": record.kind,
        "label": record.label["kind"],
        "features": str(len(record.features)),
        **_flat(record.parameters),
    }


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = str(value)
    return found


def metrics(record: ModelRecord) -> Iterator[tuple[str, int, float]]:
    """Yield the name, step and value of each metric, in the order in which MLflow shows them.

    The out-of-fold metrics of the chosen model type come first and have plain names; the metrics of
    a fold have the fold as their step. The metrics of the other model type come last, and their
    names are prefixed with its name.
    """
    for kind in sorted(record.evaluations, key=lambda kind: kind != record.kind):
        evaluations, above = record.evaluations[kind], "" if kind == record.kind else f"{kind}/"
        for evaluation in sorted(evaluations, key=_evaluation_position):
            part, _, fold = evaluation.partition("_")
            below = {OUT_OF_FOLD: "", HOLDOUT: f"{HOLDOUT}/"}.get(evaluation, f"{part}/")
            step = int(fold) if fold.isdigit() else 0
            figures = asdict(evaluations[evaluation])
            for name in sorted(figures, key=_metric_position):
                if figures[name] is not None:
                    yield f"{above}{below}{name}", step, float(figures[name])
    for name, value in record.seconds.items():
        yield f"seconds/{name}", 0, value


def _evaluation_position(evaluation: str) -> int:
    return {OUT_OF_FOLD: 0, HOLDOUT: 1}.get(evaluation, 2)


def _metric_position(name: str) -> int:
    return FIRST_METRICS.index(name) if name in FIRST_METRICS else len(FIRST_METRICS)


def version_tags(record: ModelRecord) -> dict[str, str]:
    """Return the model type and the first metrics, as tags of the registered version."""
    figures = {name: f"{record.metrics[name]:.4f}" for name in FIRST_METRICS}
    return {MODEL_TYPE: record.kind, **figures}


def training_set(record: ModelRecord) -> DatasetInput:
    """Return the training set as the run's data set."""
    columns = [{"name": name, "type": "double"} for name in record.features]
    dataset = Dataset(
        name=TRAINING_TABLE,
        digest=record.signature[:DIGEST_LENGTH],
        source_type="delta_table",
        source=json.dumps({"delta_table_name": TRAINING_TABLE}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(
            {"num_rows": record.rows, "latest_extract_date": str(record.extract_date)}
        ),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def tags(record: ModelRecord) -> dict[str, str]:
    """Return the tags for the version's identity and its lineage.

    If there are several loads, they are in the order of their dates.
    """
    loads = record.lineage.get("loads", [])
    code = record.lineage.get("code", {})
    columns = {
        "extract_dates": [each["extract_date"] for each in loads],
        "created_timestamps": [each["created_timestamp"] for each in loads],
        "batches": [each["batch_id"] for each in loads],
        "runs": [each["run_id"] for each in loads],
        "dbt_invocations": [each["dbt_invocation"] for each in loads],
        "workbook_sha256": [each["workbook"]["sha256"] for each in loads],
        "silver_versions": [each["table_versions"]["silver.customers"] for each in loads],
        "bronze_versions": [each["table_versions"]["bronze.telco_customers"] for each in loads],
    }
    found = {
        VERSION: record.version,
        "mlflow.note.content": f"{record.champion_reason}\n\nLabel: {record.label['reason']}",
        "lineage.training_set": record.signature,
        "lineage.feature_service": record.lineage.get("feature_service"),
        "lineage.code_version": code.get("version"),
        # MLflow shows these tags as the source.
        "mlflow.source.name": "churn train",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": code.get("commit"),
        **{f"lineage.{name}": ", ".join(map(str, values)) for name, values in columns.items()},
    }
    return {name: value for name, value in found.items() if value}


def signature(record: ModelRecord) -> ModelSignature:
    """Return the signature of the model.

    The inputs are the features, as integers if they are declared so; the output is the probability.
    """
    types = {each.name: each.data_type for each in read_feature_columns()}
    columns = [
        ColSpec("long" if types.get(name) in WHOLE_NUMBERS else "double", name)
        for name in record.features
    ]
    return ModelSignature(Schema(columns), Schema([ColSpec("double", "probability")]))


def _lay_out_model(settings: Settings, record: ModelRecord, run_id: str, place: Path) -> None:
    """Write the model in MLflow's layout.

    It consists of the record, which predictions are computed from, and the pipeline.
    """
    data = place / "data"
    data.mkdir(parents=True)
    stored = registry.folder(settings) / record.version / registry.RECORD
    (data / registry.RECORD).write_bytes(stored.read_bytes())
    saved = settings.storage(registry.pipeline(settings, record.version))
    for part in OF_PIPELINE:
        source, target = saved.join(part), data / PIPELINE / part
        target.mkdir(parents=True)
        local = fs.LocalFileSystem()
        if source.exists():
            fs.copy_files(source.root, str(target), saved.files, local)
    model = Model(MODEL, run_id, signature=signature(record))
    mlflow.pyfunc.add_to_model(model, "trainer.mlflow_model", data=data.name)
    model.save(str(place / "MLmodel"))


# --- mutable parts of a version ------------------------------------------------------------------


def _update_version(
    settings: Settings, store: Store, version: str, registered: ModelVersion
) -> None:
    """Update what can change after a version was logged.

    That is the decision on promotion, as its description, and the full evaluation, if there is one.
    A version of an earlier release lacks its data set and metrics, which are added.
    """
    if MODEL_TYPE not in registered.tags:
        _describe_version(settings, store, version, registered)
    place = registry.folder(settings) / version
    decision = decisions.read(place)
    if decision is not None and decision.reason != registered.description:
        store.client.update_model_version(NAME, registered.version, decision.reason)
    evaluation = full_evaluation.read(settings, version)
    if evaluation is None:
        return
    identity = hashlib.sha256(json.dumps(evaluation, sort_keys=True).encode()).hexdigest()
    if registered.tags.get(EVALUATION) == identity:
        return
    for file in sorted(place.glob("evaluation.*")):
        store.client.log_artifact(registered.run_id, str(file))
    for name, figures in evaluation["cross_validated"].items():
        if isinstance(figures, Mapping):
            for figure, value in figures.items():
                store.client.log_metric(
                    registered.run_id, f"cross_validated/{name}/{figure}", float(value)
                )
    # The label of the version's run is that of its training, which may be another one.
    if data := evaluation.get("training_set"):
        label = evaluation.get("label", {}).get("kind", "not stored")
        described = f"{data['rows']:,} rows, extracts up to {data['extract_date']}, label: {label}"
        store.client.set_model_version_tag(NAME, registered.version, EVALUATED_DATA, described)
    store.client.set_model_version_tag(NAME, registered.version, EVALUATION, identity)


def _describe_version(
    settings: Settings, store: Store, version: str, registered: ModelVersion
) -> None:
    """Add what MLflow's lists show: data set, metrics and model type; the model type last."""
    record = registry.read_record(settings, version)
    if record is None:
        return
    client, run = store.client, registered.run_id
    client.log_inputs(run, [training_set(record)])
    models = [{"run_id": run, "artifact_path": MODEL, "flavors": {"python_function": {}}}]
    client.set_tag(run, MODELS_OF_RUN, json.dumps(models))
    for name, value in reversed(version_tags(record).items()):
        client.set_model_version_tag(NAME, registered.version, name, value)


def _mark_champion(store: Store, registered: ModelVersion | None) -> None:
    """Tag the run of the champion, and no other run."""
    champion = None if registered is None else registered.run_id
    marked = store.client.search_runs([store.experiment], f"tags.{CHAMPION_RUN} = '{YES}'")
    runs = {each.info.run_id for each in marked}
    for run in runs - {champion}:
        store.client.delete_tag(run, CHAMPION_RUN)
    if champion is not None and champion not in runs:
        store.client.set_tag(champion, CHAMPION_RUN, YES)


def _sync_alias(
    settings: Settings, store: Store, held: Mapping[str, ModelVersion], log: Log
) -> str | None:
    """Move the alias to the registry's champion, and return that if MLflow has it.

    An alias that a person moved is left for `manual_promotion.adopt_alias`, which the next score
    and the API call, or moved back if the version can't be promoted.
    """
    history = registry.read_champion_history(settings)
    alias = mlflow_alias.read(settings)
    registered = held.get(history.version) if history else None
    champion = history.version if history and registered else None
    moved = manual_promotion.moved_alias(settings, alias)
    if moved is not None and moved.refusal is None:
        log(f"MLflow's alias champion was moved to {moved.version}: the next score promotes it")
        return champion
    if moved is not None:
        log(f"warning: {moved.warning()}; the alias is moved back")
    elif alias.version is None and alias.synced and alias.synced.champion:
        log("warning: MLflow's alias champion was gone, which changes no champion; it is set again")
    _move_alias(store, registered)
    # Written last: until then, the values that the alias had and has are known from the registry.
    synced = Synced(champion, len(history.changes) if history else 0)
    if synced != alias.synced:
        store.client.set_registered_model_tag(NAME, mlflow_alias.SYNCED, synced.to_tag())
    return champion


def _move_alias(store: Store, registered: ModelVersion | None) -> None:
    """Give the version the alias; remove the tags with which a person asked for it."""
    named = store.client.get_registered_model(NAME).aliases.get(CHAMPION)
    if registered is None:
        if named is not None:
            store.client.delete_registered_model_alias(NAME, CHAMPION)
        return
    if named != str(registered.version):
        store.client.set_registered_model_alias(NAME, CHAMPION, registered.version)
    for tag in (mlflow_alias.PROMOTED_BY, mlflow_alias.REASON):
        if tag in registered.tags:  # recorded in the registry
            store.client.delete_model_version_tag(NAME, registered.version, tag)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


# --- errors --------------------------------------------------------------------------------------


@contextmanager
def _translate_errors(settings: Settings) -> Iterator[None]:
    """Log MLflow's client in, and translate its errors into errors with a hint."""
    try:
        with _log_in(settings):
            yield
    # OSErrors are those of this machine, and those of the library that sends files to a server,
    # which MLflow does not wrap. A server that is not MLflow may not respond with JSON.
    except (MlflowException, SQLAlchemyError, OSError, JSONDecodeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        if settings.mlflow_url is None:
            raise ChurnError(
                f"MLflow's file can't be used: {first}",
                where=str(folder(settings)),
                hint="make room where the disk is full; else remove that folder. Then repeat "
                "the command: it is made again from the models, which are whole",
            ) from error
        raise UnavailableError(
            f"MLflow does not answer as it should: {first}",
            where=settings.mlflow_url,
            hint="see that it is up, and that CHURN_MLFLOW_PASSWORD is its password; then repeat "
            "the command: it logs what is missing. Everything else is done",
        ) from error


@contextmanager
def _log_in(settings: Settings) -> Iterator[None]:
    """Set the login in the environment, where MLflow's client reads it.

    It is removed as soon as it is not needed.
    """
    names = {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": settings.mlflow_password}
    if settings.mlflow_url is None or settings.mlflow_password is None:
        yield
        return
    before = {name: os.environ.get(name) for name in names}
    os.environ |= {name: str(value) for name, value in names.items()}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
