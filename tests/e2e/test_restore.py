"""What was backed up comes back, on another home with another lake; and what is old goes."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from environments import ChurnHome, CompletedRun, Environments
from faults import Job
from feast.protos.feast.core.Registry_pb2 import Registry
from google.protobuf.timestamp_pb2 import Timestamp
from object_store import ObjectStore, object_store

from churn.operations.backup_format import Signature
from churn.operations.backup_reader import read_backup
from lakehouse import spark_session
from lakehouse.metastore_snapshot import list_tables
from lakehouse.sql import query
from lakehouse.storage import path_from_uri

CUSTOMER = "0639-TSIQW"  # one of its two rows was rejected
ARRIVAL, DRAFT = "landed/0123456789abcdef/arrived.csv", "landed/.draft/arriving.csv"
LONG_AGO = time.time() - 400 * 24 * 3600


@dataclass(frozen=True)
class Restored:
    """A home after a restore in two tries, and what was said in each."""

    home: ChurnHome
    lake: Path
    of_damaged: str
    of_other_writer: str
    at_last: "subprocess.CompletedProcess[str]"


@pytest.fixture(scope="module")
def backed_up(completed_run: CompletedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the shared home, with a workbook that has arrived and one that arrives."""
    arrived = [completed_run.home.path / each for each in (ARRIVAL, DRAFT)]
    for each in arrived:
        aged(each, "customerID\n")
    said = completed_run.home.churn("backup", tmp_path_factory.mktemp("backups")).stdout
    shutil.rmtree(completed_run.home.path / "landed")
    return Path(said.partition(":")[0])


@pytest.fixture(scope="module")
def restored(
    environments: Environments, backed_up: Path, tmp_path_factory: pytest.TempPathFactory
) -> Restored:
    """First with a damaged file; then, with the file mended, killed; then to the end."""
    lake = tmp_path_factory.mktemp("disk") / "another's lake"
    plain = environments.new("restored", is_brief=True)
    home = ChurnHome(plain.path, {**plain.environ, "CHURN_LAKE_URI": str(lake)})
    file = next((backed_up / "lake" / "gold" / "churn_labels").rglob("*.parquet"))
    whole = file.read_bytes()
    file.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    of_damaged = home.churn("restore", backed_up, code=2).stderr
    assert not lake.exists() and not (home.path / "lake").exists()
    file.write_bytes(whole)
    kill_restore(home, backed_up, lambda _: any((lake / "bronze").rglob("*.parquet")))
    of_other_writer = home.churn("features", "materialize", code=2).stderr
    return Restored(
        home, lake, of_damaged, of_other_writer, home.churn("restore", backed_up, code=0)
    )


def aged(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (LONG_AGO, LONG_AGO))


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(each.relative_to(folder)): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file() and each.name != "_run.lock"
    }


# Views of what was pending in the last build. Nothing is pending after it, and dbt makes the views
# of a restored lake of that.
OF_CAMPAIGNS = {"gold.campaigns", "gold.campaign_members", "gold.campaign_results"}
OF_THE_LAST_BUILD = {"silver.pending_loads", "silver.pending_dates"}


def all_rows(home: ChurnHome) -> dict[str, Any]:
    """Of every table and view: its columns, and its rows in an order of their own."""
    with spark_session.session(home.settings) as spark:
        return {
            table: (
                spark.table(table).schema.json(),
                sorted(map(repr, query(spark, f"select * from {table}"))),
            )
            for table in list_tables(spark)
        }


def test_a_backup_says_what_is_in_it(backed_up: Path, completed_run: CompletedRun) -> None:
    seal = json.loads((backed_up / "backup.json").read_text())
    assert seal["lake"] == str(completed_run.home.path / "lake")
    assert seal["rows"]["bronze.telco_customers"] == 7049
    assert seal["rows"]["gold.churn_scores"] == 7043
    files = [*files_below(backed_up / "lake"), *files_below(backed_up / "home")]
    assert seal["files"] == len(files)
    assert seal["bytes"] == sum(
        len(content)
        for part in ("lake", "home")
        for content in files_below(backed_up / part).values()
    )


def test_a_backup_holds_no_secret_and_nothing_unfinished(
    backed_up: Path, completed_run: CompletedRun
) -> None:
    password = (completed_run.home.path / "secrets" / "redis_password").read_bytes()
    content = files_below(backed_up)
    assert not [name for name, text in content.items() if password in text]
    assert {name.split("/")[1] for name in content if name.startswith("home/")} == {
        *("landed", "lineage", "models", "runs")
    }
    assert f"home/{ARRIVAL}" in content
    assert f"home/{DRAFT}" not in content


def test_mlflow_is_made_again_from_the_models(
    restored: Restored, completed_run: CompletedRun
) -> None:
    from trainer import mlflow_sync  # MLflow takes seconds to import

    client = mlflow_sync.open_store(restored.home.settings).client
    champion = client.get_model_version_by_alias("churn", "champion")
    assert champion.tags[mlflow_sync.VERSION] == completed_run.summary["model"]["version"]
    assert len(client.search_model_versions()) == 1


def test_a_damaged_file_is_refused_and_a_restore_that_was_killed_goes_on(
    restored: Restored, backed_up: Path
) -> None:
    assert "is not what was backed up" in restored.of_damaged
    assert "gold/churn_labels" in restored.of_damaged
    assert f"repeat `churn restore {backed_up}`" in restored.of_other_writer
    assert "continuing it" in restored.at_last.stderr
    copied = re.search(r"copy .* ([\d,]+) files", restored.at_last.stderr)
    assert copied is not None
    everything = json.loads((backed_up / "backup.json").read_text())["files"]
    assert 0 < int(copied.group(1).replace(",", "")) < everything
    assert not (restored.home.path / "restoring.json").exists()


def test_a_restore_says_what_was_restored(
    restored: Restored, backed_up: Path, completed_run: CompletedRun
) -> None:
    said = restored.at_last.stdout
    assert json.loads((backed_up / "backup.json").read_text())["time"] in said
    assert f"{restored.lake}, which was {completed_run.home.path / 'lake'}" in said
    assert "7,043 customers online" in said
    assert f"champion: {completed_run.summary['model']['version']}" in said
    assert "signed by another home" in said and "signed by another home" in restored.at_last.stderr


def test_a_backup_is_signed_by_its_home(completed_run: CompletedRun, backed_up: Path) -> None:
    backup = read_backup(completed_run.home.settings, str(backed_up))
    assert backup.signature is Signature.OWN
    key = (completed_run.home.path / "secrets" / "backup_key").read_bytes()
    assert not [name for name, text in files_below(backed_up).items() if key in text]
    assert all(each.definition == "" for each in backup.metastore.tables if each.place is not None)


def test_every_table_is_equal_value_by_value(
    restored: Restored, completed_run: CompletedRun
) -> None:
    before, after = all_rows(completed_run.home), all_rows(restored.home)
    assert {"bronze.telco_customers", "audit.load_verdicts", "gold.churn_scores"} <= set(before)
    # The restored home has built all models; a run leaves out the campaigns.
    assert set(after) - set(before) <= OF_CAMPAIGNS and set(before) <= set(after)
    for table, known in before.items():
        if table not in OF_THE_LAST_BUILD:
            assert known == after[table], table
    assert after["gold.customer_features"][1]


def test_every_table_lies_in_the_new_lake(restored: Restored) -> None:
    with spark_session.session(restored.home.settings) as spark:
        for table in ("gold.customer_features", "gold.churn_labels", "silver.customers"):
            files = spark.table(table).inputFiles()
            assert files
            assert all(path_from_uri(each).startswith(f"{restored.lake}/") for each in files)


def test_the_history_of_a_table_keeps_its_times(
    restored: Restored, completed_run: CompletedRun
) -> None:
    for table in ("bronze.telco_customers", "silver.customers", "gold.churn_scores"):
        history = f"describe history {table}"
        assert restored.home.sql(history) == completed_run.home.sql(history)


# Numbers and copies that Feast makes of what is registered, and whether it was brought online since
# the last `apply`.
VERSIONED = (
    *("version_id", "project_uuid", "feature_view_version_history"),
    *("materialization_intervals", "state"),
)


def without_times(message: Any) -> Any:
    """Of Feast's message what was declared, not when."""
    for field, value in message.ListFields():
        if field.name in VERSIONED or isinstance(value, Timestamp):
            message.ClearField(field.name)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for each in [value] if hasattr(value, "ListFields") else value:
                without_times(each)
    return message


def test_the_registry_is_equal(
    restored: Restored, backed_up: Path, completed_run: CompletedRun
) -> None:
    contents = [
        (completed_run.home.path / "registry" / "registry.db").read_bytes(),
        (backed_up / "registry.pb").read_bytes(),
        (restored.home.path / "registry" / "registry.db").read_bytes(),
    ]
    assert contents[0] == contents[1]
    before, _, after = (without_times(Registry.FromString(each)) for each in contents)
    assert [each.spec.name for each in after.feature_views] == ["customer_features"]
    assert before == after


def test_models_runs_and_arrivals_are_equal(
    restored: Restored, completed_run: CompletedRun
) -> None:
    for part in ("models", "runs"):
        kept = files_below(completed_run.home.path / part)
        assert kept
        assert files_below(restored.home.path / part) == kept
    assert list(files_below(restored.home.path / "landed").values()) == [b"customerID\n"]
    assert (restored.home.path / ARRIVAL).stat().st_mtime == pytest.approx(LONG_AGO, abs=1)


def test_the_model_and_its_predictions_are_those_of_before(
    restored: Restored, completed_run: CompletedRun
) -> None:
    for command in ("show", "trace"):
        assert restored.home.churn_json(command, CUSTOMER) == completed_run.home.churn_json(
            command, CUSTOMER
        )


def test_the_online_store_equals_gold(restored: Restored) -> None:
    verified = restored.home.churn_json("features", "verify")
    assert verified["customers"] == 7043
    assert verified["differences"] == []


def test_what_is_there_already_is_not_restored_over(
    completed_run: CompletedRun, backed_up: Path
) -> None:
    before = files_below(completed_run.home.path / "lake")
    said = completed_run.home.churn("restore", backed_up, code=2).stderr
    assert "something is there already" in said
    assert str(completed_run.home.path / "models") in said
    assert files_below(completed_run.home.path / "lake") == before
    assert not (completed_run.home.path / "restoring.json").exists()


@pytest.mark.long
def test_the_restored_home_knows_the_workbook(restored: Restored, shared_data: Path) -> None:
    again = restored.home.churn_json("run", shared_data / "Telco-Customer-Churn.xlsx")
    assert again["unchanged"] is True


@pytest.mark.long
def test_tidy_removes_what_is_old_and_leaves_what_is_needed(
    restored: Restored, completed_run: CompletedRun, tmp_path: Path
) -> None:
    home, lake = restored.home, restored.lake
    tables = ("silver/customers", "gold/churn_scores", "bronze/telco_customers")
    orphans = {table: lake / table / "part-of nothing.parquet" for table in tables}
    for path in orphans.values():
        aged(path, "12345678")
    superseded = {
        "log": home.path / "logs" / "airflow" / "old" / "attempt=1.log",
        "run": home.path / "runs" / "20200101T000000Z-aaaaaa" / "summary.json",
        "model": home.path / "models" / "20200101-00000000" / "record.json",
    }
    for path in superseded.values():
        aged(path, '{"batch_id": "unrelated"}')
    for part in (f"runs/{completed_run.summary['run_id']}", "models"):
        for path in (home.path / part).rglob("*"):
            os.utime(path, (LONG_AGO, LONG_AGO))
    bronze = files_below(lake / "bronze")
    landed = files_below(home.path / "landed")

    planned = home.churn("tidy", "--dry-run").stdout
    assert all(path.exists() for path in [*orphans.values(), *superseded.values()])
    removed = home.churn("tidy").stdout
    assert planned.replace("would remove", "removed") == removed
    assert "removed 2 superseded files of tables, 16 bytes: gold.churn_scores, silver" in removed
    assert "removed 1 log files, 25 bytes" in removed
    assert "removed 1 runs, 25 bytes: 20200101T000000Z-aaaaaa" in removed
    assert "removed 1 model versions, 25 bytes: 20200101-00000000" in removed

    assert [table for table, path in orphans.items() if path.exists()] == ["bronze/telco_customers"]
    assert not [path for path in superseded.values() if path.parent.exists()]
    assert files_below(lake / "bronze") == bronze
    assert files_below(home.path / "landed") == landed
    assert home.value("select count(*) from silver.customers") == 7043
    out = tmp_path / "rejects.xlsx"
    home.churn("rejects", "--run", completed_run.summary["run_id"], "--out", out)
    assert out.exists()
    assert home.churn_json("evaluate")["version"] == completed_run.summary["model"]["version"]


@pytest.mark.long
def test_dbt_goes_on_in_the_tables_that_it_took_over(restored: Restored) -> None:
    """It replaces, merges and publishes."""
    before = restored.home.gold()
    restored.home.churn("build", "--rebuild")
    assert restored.home.gold() == before
    assert restored.home.value("select count(*) from gold.publications") == 1


def kill_restore(home: ChurnHome, backup: Path, when: Callable[[str], bool]) -> None:
    """Kill it at that moment; it must have begun, and not be done."""
    restore = Job(home, "restore", backup)
    while not when(restore.said):
        assert restore.process.poll() is None, restore.said
        time.sleep(0.002)
    restore.process.kill()
    assert restore.end(10) != 0
    assert (home.path / "restoring.json").exists()


@pytest.mark.long
def test_a_restore_that_is_killed_goes_on(
    environments: Environments, backed_up: Path, completed_run: CompletedRun
) -> None:
    """Killed while it copies, then while it makes tables."""
    home = environments.new("killed")
    bronze = home.path / "lake" / "bronze"
    kill_restore(home, backed_up, lambda said: any(bronze.rglob("*.parquet")))
    kill_restore(home, backed_up, lambda said: "✓ 3/9 copy" in said)
    assert "continuing it" in home.churn("restore", backed_up).stderr
    assert all_rows(home) == all_rows(completed_run.home)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("store")) as running:
        for bucket in ("backups", "lake"):
            running.files().create_dir(bucket)
        yield running


@pytest.mark.long
def test_a_backup_goes_by_an_object_store_and_through_a_lake_there(
    environments: Environments, completed_run: CompletedRun, store: ObjectStore, tmp_path: Path
) -> None:
    """A lake in a folder, its backup in a store, a lake in a store, its backup in a folder, a lake
    in a folder again."""
    first = completed_run.home.churn("backup", "s3a://backups/churn", **store.environ).stdout
    plain = environments.new("stored")
    stored = ChurnHome(
        plain.path, {**plain.environ, **store.environ, "CHURN_LAKE_URI": "s3a://lake/churn"}
    )
    stored.churn("restore", first.split(": ")[0])
    assert all_rows(stored) == all_rows(completed_run.home)
    # beside such a lake, executors find the model in it
    version = completed_run.summary["model"]["version"]
    assert not (stored.path / "models" / version / "model").exists()
    assert stored.churn_json("evaluate") == completed_run.home.churn_json("evaluate")

    second = Path(stored.churn("backup", tmp_path).stdout.split(": ")[0])
    last = environments.new("returned")
    last.churn("restore", second)
    assert all_rows(last) == all_rows(completed_run.home)
    models, returned = (
        # Hadoop's checksums, which it writes beside files in folders only
        {
            name: text
            for name, text in files_below(home.path / "models").items()
            if name[-4:] != ".crc"
        }
        for home in (completed_run.home, last)
    )
    assert models == returned
    assert last.churn_json("show", CUSTOMER) == completed_run.home.churn_json("show", CUSTOMER)
