"""What MLflow holds is what the registry says: of the shared home's run, and of champions."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from api import start
from environments import BIN, ChurnHome, CompletedRun, quiet_port
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from object_store import object_store
from pyarrow import fs
from test_sql_registry import database  # noqa: F401  a server of PostgreSQL

from churn.pipeline import airflow_steps
from churn.pipeline.mlflow_sync import adopt_alias, open_store_async, sync_registry
from churn.reports.model_page import model_page
from dags.tasks import map_exceptions
from lakehouse import online_store
from lakehouse.atomic_write import atomic_write
from lakehouse.errors import ChurnError, UnavailableError
from lakehouse.page_icon import ICON
from lakehouse.progress import Steps
from lakehouse.run_lock import run_lock
from lakehouse.settings import LOOPBACK, PROJECT, Settings, read_settings
from serving import keys
from serving.champion_alias import POLL_SECONDS
from trainer import deciles, decisions, mlflow_alias, mlflow_sync, registry
from trainer.decisions import Decision
from trainer.portable_model import LinearModel
from trainer.record import ModelRecord


def ignore(_: str) -> None:
    """Discard progress messages."""


# --- the run of the shared home ------------------------------------------------------------------


@pytest.fixture(scope="module")
def record(completed_run: CompletedRun) -> ModelRecord:
    found = registry.read_record(
        completed_run.home.settings, completed_run.summary["model"]["version"]
    )
    assert found is not None
    return found


@pytest.fixture(scope="module")
def client(completed_run: CompletedRun) -> MlflowClient:
    address = mlflow_sync.address(completed_run.home.settings)
    return MlflowClient(address, address)


@pytest.fixture(scope="module")
def registered(client: MlflowClient, record: ModelRecord) -> ModelVersion:
    (found,) = client.search_model_versions(f"tag.`{mlflow_sync.VERSION}` = '{record.version}'")
    return found


@pytest.fixture(scope="module")
def logged(client: MlflowClient, registered: ModelVersion) -> Run:
    return client.get_run(registered.run_id)


def test_the_champion_is_the_registrys(client: MlflowClient, record: ModelRecord) -> None:
    champion = client.get_model_version_by_alias("churn", "champion")
    assert champion.tags[mlflow_sync.VERSION] == record.version


def test_metrics_and_parameters_are_those_of_the_record(
    client: MlflowClient, logged: Run, record: ModelRecord
) -> None:
    assert logged.info.status == "FINISHED"
    assert logged.info.run_name == record.version
    for name, value in record.metrics.items():
        assert logged.data.metrics[name] == pytest.approx(value, abs=1e-12)
    for name, value in record.holdout.items():
        assert logged.data.metrics[f"holdout/{name}"] == pytest.approx(value, abs=1e-12)
    for kind, evaluations in record.evaluations.items():
        above = "" if kind == record.kind else f"{kind}/"
        folds = client.get_metric_history(logged.info.run_id, f"{above}fold/roc_auc")
        assert {each.step: each.value for each in folds} == pytest.approx(
            {k: evaluations[f"fold_{k}"].roc_auc for k in range(5) if f"fold_{k}" in evaluations},
            abs=1e-12,
        )
        # A challenger without a chance was not trained on all folds.
        if "out_of_fold" in evaluations:
            pooled = asdict(evaluations["out_of_fold"])
            assert logged.data.metrics[f"{above}brier"] == pytest.approx(pooled["brier"], abs=1e-12)
    declared = record.parameters["logistic_regression"]["reg_param"]
    assert float(logged.data.params["logistic_regression.reg_param"]) == declared
    assert logged.data.params["kind"] == record.kind
    assert logged.data.params["seed"] == str(record.parameters["seed"])


def test_the_lineage_is_that_of_the_tables(
    completed_run: CompletedRun, logged: Run, record: ModelRecord
) -> None:
    (load,) = record.lineage["loads"]
    (published,) = completed_run.home.sql("select * from gold.publications")
    assert load["batch_id"] == published["batch_id"] == completed_run.summary["batch_id"]
    assert load["run_id"] == published["run_id"] == completed_run.summary["run_id"]
    assert load["created_timestamp"] == published["created_timestamp"].isoformat()
    assert load["workbook"]["sha256"] == completed_run.summary["workbook"]["sha256"]
    assert load["customers"] == 7043
    rows = {
        table: completed_run.home.value(
            f"select count(*) from {table} version as of {version} "
            f"where _batch_id = '{load['batch_id']}'"
        )
        for table, version in load["table_versions"].items()
    }
    assert rows == {"bronze.telco_customers": 7049, "silver.customers": 7043}
    (place,) = (completed_run.home.path / "lake" / "gold" / "customer_features").glob(
        "extract_date=*/*"
    )
    assert place.name == load["dbt_invocation"]

    tags = logged.data.tags
    assert tags["lineage.feature_service"] == "churn"
    assert tags["lineage.extract_dates"] == "2025-12-03"
    assert tags["lineage.workbook_sha256"] == completed_run.summary["workbook"]["sha256"]
    assert tags["lineage.silver_versions"] == str(load["table_versions"]["silver.customers"])
    assert tags["lineage.dbt_invocations"] == place.name
    head = subprocess.run(
        ["git", "-C", PROJECT, "rev-parse", "HEAD"], capture_output=True, text=True
    )
    if head.returncode == 0:
        assert tags["mlflow.source.git.commit"] == head.stdout.strip()
    assert tags["lineage.code_version"]


def test_plots_record_and_pipeline_are_beside_it(
    client: MlflowClient, logged: Run, record: ModelRecord, tmp_path: Path
) -> None:
    place = Path(client.download_artifacts(logged.info.run_id, "", str(tmp_path)))
    page = (place / "model.html").read_text()
    assert record.version in page
    assert page.count("<svg") == 6
    assert "http" not in page.replace("http-equiv", "").replace(ICON, "")
    assert json.loads((place / "lineage.json").read_text()) == record.lineage
    data = place / "model" / "data"
    assert json.loads((data / "record.json").read_text())["version"] == record.version
    assert (data / "pipeline" / "metadata").is_dir()
    assert len(list((data / "pipeline" / "stages").iterdir())) == 3


def test_the_model_of_mlflow_scores_as_the_table_says(
    completed_run: CompletedRun, record: ModelRecord
) -> None:
    """In a process of its own, which knows no server, by the names that a data scientist uses."""
    features = completed_run.home.sql(
        "select * from gold.customer_features order by hash(customer_id) limit 50"
    )
    scores = completed_run.home.sql("select customer_id, probability from gold.churn_scores")
    said = {each["customer_id"]: each["probability"] for each in scores}
    rows = [{name: each[name] for name in record.features} for each in features]
    program = (
        "import json, sys, mlflow, pandas as pd\n"
        "model = mlflow.pyfunc.load_model('models:/churn@champion')\n"
        "rows = pd.DataFrame(json.load(sys.stdin))\n"
        "found = model.predict(rows)['probability'].tolist()\n"
        "print(json.dumps([found, model.metadata.signature.inputs.input_names()]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(rows),
        env={**os.environ, "MLFLOW_TRACKING_URI": mlflow_sync.address(completed_run.home.settings)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    found, names = json.loads(answer.stdout)
    assert names == record.features
    assert found == pytest.approx([said[each["customer_id"]] for each in features], rel=0, abs=1e-9)


# --- following the registry, without Spark -------------------------------------------------------


@pytest.fixture(scope="module")
def versions(
    completed_run: CompletedRun, record: ModelRecord, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """A registry of its own with three versions: what differs is their names."""
    settings = completed_run.home.settings_in(tmp_path_factory.mktemp("followed"))
    for name in ("20250101-first", "20250201-second", "20250301-third"):
        a_version(settings, completed_run.home.settings, replace(record, version=name))
    return settings


def a_version(settings: Settings, origin: Settings, record: ModelRecord) -> None:
    with registry.draft(settings, record.version) as drafted:
        (origin_version,) = registry.versions(origin)
        (drafted / "model").symlink_to(registry.pipeline(origin, origin_version))
        registry.publish(settings, drafted, record)


def followed(settings: Settings) -> mlflow_sync.SyncResult:
    return mlflow_sync.sync(settings, mlflow_sync.open_store(settings), model_page, ignore)


def shown(settings: Settings) -> dict[str, Any]:
    """What MLflow holds: versions with their run's files and description, and the champion's."""
    client = mlflow_sync.open_store(settings).client
    found = client.search_model_versions("name = 'churn'")
    champion = client.get_registered_model("churn").aliases.get("champion")
    return {
        "versions": sorted(each.tags[mlflow_sync.VERSION] for each in found),
        "champion": [each.tags[mlflow_sync.VERSION] for each in found if each.version == champion],
        "described": {each.tags[mlflow_sync.VERSION]: each.description for each in found},
        "runs": len(client.search_runs([mlflow_sync.open_store(settings).experiment])),
    }


def test_the_alias_follows_promotion_and_rollback(versions: Settings) -> None:
    first, second, third = registry.versions(versions)
    assert followed(versions) == mlflow_sync.SyncResult([first, second, third], [], None)
    assert shown(versions)["champion"] == []
    for moved, expected in (
        (lambda: registry.promote(versions, first), first),
        (lambda: registry.promote(versions, second), second),
        (lambda: registry.roll_back(versions), first),
        (lambda: registry.roll_back(versions, third), third),
    ):
        moved()
        assert followed(versions) == mlflow_sync.SyncResult([], [], expected)
        assert shown(versions)["champion"] == [expected]


def test_what_is_half_there_or_lost_is_made_once_again(versions: Settings) -> None:
    first, second, third = registry.versions(versions)
    store = mlflow_sync.open_store(versions)
    held = {each.tags[mlflow_sync.VERSION]: each for each in store.client.search_model_versions()}
    # killed before it was registered; its run thrown away; a stranger's version
    store.client.delete_model_version("churn", held[first].version)
    store.client.delete_run(held[second].run_id)
    stranger = store.client.create_model_version("churn", held[third].source, held[third].run_id)
    assert followed(versions).logged == [first, second]
    store.client.delete_model_version("churn", stranger.version)
    assert shown(versions)["versions"] == [first, second, third]
    assert shown(versions)["runs"] == 3
    assert followed(versions).logged == []


def test_a_decision_and_an_evaluation_come_later(versions: Settings) -> None:
    first = registry.versions(versions)[0]
    place = registry.folder(versions) / first
    decisions.write(place, Decision(first, None, False, "it was not better"))
    evaluation = {"cross_validated": {"roc_auc": {"mean": 0.85, "low": 0.84}, "rounds": 5}}
    with atomic_write(place / "evaluation.json") as draft:
        draft.write_text(json.dumps(evaluation))
    (place / "evaluation.html").write_text("<p>plots</p>")
    followed(versions)
    assert shown(versions)["described"][first] == "it was not better"
    store = mlflow_sync.open_store(versions)
    (run,) = store.client.search_runs(
        [store.experiment], f"tags.`{mlflow_sync.VERSION}` = '{first}'"
    )
    assert run.data.metrics["cross_validated/roc_auc/mean"] == 0.85
    files = {each.path for each in store.client.list_artifacts(run.info.run_id)}
    assert {"evaluation.html", "evaluation.json", "model.html", "lineage.json"} <= files
    # once: what did not change is not logged again
    followed(versions)
    history = store.client.get_metric_history(run.info.run_id, "cross_validated/roc_auc/mean")
    assert len(history) == 1


def test_a_removed_version_leaves_mlflow_with_its_files(versions: Settings) -> None:
    second = registry.versions(versions)[1]
    (registry.folder(versions) / second / "model").unlink()  # the link, not what it leads to
    registry.remove(versions, second)
    before = sum(each.is_file() for each in mlflow_sync.folder(versions).rglob("model.html"))
    assert followed(versions).removed == [second]
    assert second not in shown(versions)["versions"]
    after = sum(each.is_file() for each in mlflow_sync.folder(versions).rglob("model.html"))
    assert after == before - 1


def test_a_file_that_is_damaged_says_how_to_have_it_again(
    versions: Settings, tmp_path: Path
) -> None:
    damaged = replace(versions, home=tmp_path)
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_text("no database, but text long enough" * 50)
    with pytest.raises(ChurnError, match="remove that folder"):
        mlflow_sync.open_store(damaged)


def test_a_server_that_is_away_is_named(versions: Settings) -> None:
    away = replace(versions, mlflow_url=f"http://127.0.0.1:{quiet_port()}")
    with pytest.raises(UnavailableError, match="logs what is missing") as told:
        mlflow_sync.open_store(away)
    assert str(away.mlflow_url) in str(told.value)


# --- a person moves the alias --------------------------------------------------------------------


@pytest.fixture
def answering(completed_run: CompletedRun, record: ModelRecord, tmp_path: Path) -> ChurnHome:
    """A home with the champion and another version, both scored with, and the online store."""
    online = online_store.ensure_running(completed_run.home.settings, ignore)
    environ = {
        **completed_run.home.environ,
        "CHURN_HOME": str(tmp_path),
        "CHURN_LAKE_URI": str(tmp_path / "lake"),
        "CHURN_REDIS_URL": f"redis://{LOOPBACK}:{online.port}/0",
        "CHURN_REDIS_PASSWORD": online.password,
        "CHURN_API_PORT": str(quiet_port()),
    }
    home = ChurnHome(tmp_path, environ)
    settings = read_settings(environ)
    assert isinstance(record.form, LinearModel)
    form = replace(record.form, intercept=record.form.intercept + 1)
    other = replace(record, version="20251203-another0", form=form)
    bounds = deciles.read(registry.folder(completed_run.home.settings) / record.version)
    assert bounds is not None
    for each in (record, other):
        a_version(settings, completed_run.home.settings, each)
        deciles.write(registry.folder(settings) / each.version, bounds)
    registry.promote(settings, record.version, reason="it is the first model")
    with run_lock(settings, "churn run", ignore):
        followed(settings)
    return home


def move(settings: Settings, version: str) -> None:
    """As a person does who knows MLflow, and nothing of this project but names."""
    client = MlflowClient(mlflow_sync.address(settings), mlflow_sync.address(settings))
    (found,) = client.search_model_versions(f"name = 'churn' and tag.`churn.version` = '{version}'")
    client.set_registered_model_alias("churn", "champion", found.version)


def test_the_apis_next_answer_is_of_the_version_that_the_alias_was_moved_to(
    answering: ChurnHome, record: ModelRecord
) -> None:
    settings = read_settings(answering.environ)
    api = start(answering.environ, keys.new(settings, "tests"), answering.path / "api.log")
    try:
        before = api.churn("7590-VHVEG").json
        assert before["model_version"] == record.version
        move(settings, "20251203-another0")
        after = api.churn("7590-VHVEG").json
        assert after["model_version"] == "20251203-another0"
        assert after["probability"] > before["probability"]
        move(settings, record.version)
        assert api.churn("7590-VHVEG").json == before
        # without MLflow the API answers on
        mlflow_sync.folder(settings).rename(answering.path / "away")
        assert api.churn("7590-VHVEG").json == before
    finally:
        api.end()
    history = answering.churn_json("history", "champion")["written"]
    assert [(each["version"], each["how"]) for each in history] == [
        (record.version, "alias"),
        ("20251203-another0", "alias"),
        (record.version, "train"),
    ]
    assert {each["user"] for each in history[:2]} == {"MLflow alias"}
    assert all(each["time"] for each in history)


# --- a server with a login -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(
    database: dict[str, str],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, str]]:
    """As in the stack: rows in PostgreSQL, files in an object store. Its address and password."""
    home, port, password = tmp_path_factory.mktemp("served"), quiet_port(), "a password of a test"
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CHURN_")},
        "CHURN_HOME": str(home),
        "CHURN_LAKE_URI": "s3a://lake/churn",
        "CHURN_MLFLOW_PORT": str(port),
        "CHURN_MLFLOW_PASSWORD": password,
        "CHURN_MLFLOW_DATABASE_URL": database["CHURN_REGISTRY_URL"],
        "PGPASSFILE": database["PGPASSFILE"],
    }
    with object_store(tmp_path_factory.mktemp("store")) as store, (home / "log").open("w") as log:
        store.files().create_dir("lake")
        environ |= {**store.environ, "AWS_CA_BUNDLE": ""}  # as Compose tells what is not set
        server = subprocess.Popen([BIN / "churn", "mlflow"], env=environ, stdout=log, stderr=log)
        check = [sys.executable, "-m", "churn.operations.mlflow_healthcheck"]
        try:
            deadline = time.monotonic() + 120
            while subprocess.run(check, env=environ, cwd=PROJECT, stderr=log).returncode:
                assert server.poll() is None and time.monotonic() < deadline
            yield f"http://127.0.0.1:{port}", password
            below = fs.FileSelector("lake/churn/_mlflow", recursive=True)
            names = {each.base_name for each in store.files().get_file_info(below)}
            assert {"MLmodel", "record.json", "model.html"} <= names
        finally:
            server.terminate()
            server.wait(30)
        assert password not in (home / "log").read_text()


def test_a_server_shows_nothing_without_its_password(served: tuple[str, str]) -> None:
    address, password = served
    asked = f"{address}/api/2.0/mlflow/experiments/search?max_results=1"
    assert httpx.get(asked).status_code == 401
    assert httpx.get(address).status_code == 401
    assert httpx.get(asked, auth=("admin", password[::-1])).status_code == 401
    assert httpx.get(asked, auth=("admin", password)).status_code == 200
    # as its service is called in the stack
    of_stack = httpx.get(asked, auth=("admin", password), headers={"Host": "mlflow:5000"})
    assert of_stack.status_code == 200
    # by a name that is not its own: a browser that another page talked into asking
    foreign = httpx.get(asked, auth=("admin", password), headers={"Host": "elsewhere.example"})
    assert foreign.status_code == 421
    # the assistant, whose tools run commands on the machine, is not served
    assistant = f"{address}/ajax-api/3.0/mlflow/assistant/config"
    assert httpx.get(assistant, auth=("admin", password)).status_code == 404


def test_only_a_page_on_this_machine_links_to_the_other_sites(served: tuple[str, str]) -> None:
    address, password = served
    with httpx.Client(base_url=address, auth=("admin", password)) as client:
        for path, status in (("/", 200), ("/missing", 404)):
            page = client.get(path, headers={"Accept": "text/html"})
            assert page.status_code == status
            assert '<a href="/" aria-current="page">MLflow</a>' in page.text
            # No other site runs in this home.
            assert page.text.count('<a href="') == 1 + (status == 404)
            assert "<code>churn docs</code>" in page.text
        of_stack = client.get("/", headers={"Host": "mlflow:5000"})
        assert '<div id="root"' in of_stack.text and "<nav" not in of_stack.text
        assert "<nav" not in client.get("/missing").text


def test_versions_are_logged_to_a_server(versions: Settings, served: tuple[str, str]) -> None:
    address, password = served
    with pytest.raises(UnavailableError, match="CHURN_MLFLOW_PASSWORD"):
        mlflow_sync.open_store(
            replace(versions, mlflow_url=address, mlflow_password=password[::-1])
        )
    settings = replace(versions, mlflow_url=address, mlflow_password=password)
    assert followed(settings).champion == registry.champion_version(versions)
    assert followed(settings).logged == []
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ


def test_an_alias_that_was_moved_on_a_server_is_followed(
    answering: ChurnHome, record: ModelRecord, served: tuple[str, str]
) -> None:
    address, password = served
    answering.environ.update(CHURN_MLFLOW_URL=address, CHURN_MLFLOW_PASSWORD=password)
    settings = read_settings(answering.environ)
    with run_lock(settings, "churn run", ignore):
        followed(settings)
    api = start(answering.environ, keys.new(settings, "tests"), answering.path / "api.log")
    try:
        assert api.churn("7590-VHVEG").json["model_version"] == record.version
        with mlflow_sync._log_in(settings):
            move(settings, "20251203-another0")
        deadline = time.monotonic() + POLL_SECONDS + mlflow_alias.SERVER_SECONDS
        while api.churn("7590-VHVEG").json["model_version"] == record.version:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with hung(served):  # no request waits for MLflow, and the champion stays
            # The request that hangs may begin a poll later, and ends after its time limit.
            deadline = time.monotonic() + POLL_SECONDS + mlflow_alias.SERVER_SECONDS + 5
            while "the champion stays as last known" not in api.log.read_text():
                begun = time.monotonic()
                assert begun < deadline
                assert api.churn("7590-VHVEG").json["model_version"] == "20251203-another0"
                assert time.monotonic() - begun < 2
                time.sleep(0.4)
        # the batch too
        with mlflow_sync._log_in(settings):
            move(settings, record.version)
        with run_lock(settings, "churn score", ignore):
            adopt_alias(settings, ignore)
            followed(settings)
        assert registry.champion_version(settings) == record.version
        alias = mlflow_alias.read(settings)
        assert (alias.version, alias.synced) == (
            record.version,
            mlflow_alias.Synced(alias.version, 3),
        )
    finally:
        api.end()


# --- outages: the real server, away, hung, broken ------------------------------------------------


@contextmanager
def hung(served: tuple[str, str]) -> Iterator[None]:
    """The server's process is stopped: it takes connections and answers nothing."""
    port = int(served[0].rpartition(":")[2])
    listening = (
        each.pid
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid
    )
    pid = next(listening)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def broken(database: dict[str, str]) -> Iterator[None]:  # noqa: F811
    """A table of the server's is gone: it answers with status 500."""

    def rename(name: str, to: str) -> None:
        place = database["CHURN_REGISTRY_URL"]
        with psycopg.connect(place, passfile=database["PGPASSFILE"]) as connection:
            connection.execute(f"alter table {name} rename to {to}")

    rename("experiments", "experiments_away")
    try:
        yield
    finally:
        rename("experiments_away", "experiments")


@pytest.mark.parametrize("outage", ["away", "hung", "broken"])
def test_an_outage_is_a_warning_and_made_up_for(  # long: one story
    versions: Settings,
    served: tuple[str, str],
    database: dict[str, str],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outage: str,
) -> None:
    address, password = served
    settings = replace(versions, mlflow_url=address, mlflow_password=password)
    # something is missing there
    registry.promote(versions, registry.versions(versions)[-1])
    store = mlflow_sync.open_store(settings)
    missing = followed(settings).champion
    with mlflow_sync._log_in(settings):
        registered = store.client.get_model_version_by_alias("churn", "champion")
        store.client.delete_model_version("churn", registered.version)
    outages: dict[str, AbstractContextManager[None]] = {
        "away": nullcontext(),
        "hung": hung(served),
        "broken": broken(database),
    }
    port = quiet_port()
    asked = (
        replace(settings, mlflow_url=f"http://127.0.0.1:{port}") if outage == "away" else settings
    )
    with outages[outage], monkeypatch.context() as within:
        within.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        within.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        # as commands do: nothing is raised
        sync_registry(asked, Steps(1), open_store_async(asked))
        said = capsys.readouterr().err
        assert "warning: MLflow lacks what is new until the next command logs it" in said
        assert str(asked.mlflow_url) in said
        # as Airflow's task does: tried again, and skipped where that was the last try
        environ = {"CHURN_HOME": str(asked.home), "CHURN_MLFLOW_URL": str(asked.mlflow_url)}
        for name, value in {**environ, "CHURN_MLFLOW_PASSWORD": password}.items():
            within.setenv(name, value)
        with pytest.raises(AirflowException, match="logs what is missing"):
            map_exceptions(lambda found: airflow_steps.log_to_mlflow(found, {}))
        with pytest.raises(AirflowSkipException):
            map_exceptions(lambda found: airflow_steps.log_to_mlflow(found, {}), may_fail=True)
        assert str(asked.mlflow_url) in capsys.readouterr().out
    assert followed(settings).logged == [missing]
