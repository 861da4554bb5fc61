"""The same job where a laptop ends: a Spark cluster, tables in an object store, one's own Redis."""

import json
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from cluster import Cluster, spark_cluster
from environments import ChurnHome, CompletedRun, Environments, quiet_port
from faults import Job, OwnRedis
from object_store import ObjectStore, object_store
from pyarrow import fs
from tls import new_identity, tls_endpoint

from lakehouse import spark_process
from lakehouse.settings import LOOPBACK
from trainer import registry

BUCKET = "lake"
KINDS = ["seaweedfs", "minio", "by TLS"]
INTO_THE_BUILD = 5  # seconds
# What Java's second compiler makes would come too late for executors that live for two minutes.
SHORT_LIVED = "-XX:TieredStopAtLevel=1"
FAULTS = ["a worker is killed", "the store is paused", "redis is restarted"]
FOLDERS = ["_models", "audit", "bronze", "gold", "silver"]


@dataclass(frozen=True)
class Grown:
    """A home whose master, lake and online store are others' servers."""

    home: ChurnHome
    cluster: Cluster
    store: ObjectStore
    redis: OwnRedis
    folder: Path


@pytest.fixture(
    scope="module",
    params=[KINDS[0], *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS[1:])],
)
def grown(
    request: pytest.FixtureRequest,
    environments: Environments,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Grown]:
    if request.param == "minio" and shutil.which("minio") is None:
        pytest.skip("no MinIO server on PATH")
    folder = tmp_path_factory.mktemp("servers")
    identity = new_identity(folder) if request.param == "by TLS" else None
    with ExitStack() as running:
        kind = "minio" if request.param == "minio" else "seaweedfs"
        store = running.enter_context(object_store(folder, kind, identity))
        store.files().create_dir(BUCKET)
        redis = OwnRedis(quiet_port(), folder)
        redis.start()
        running.callback(redis.kill)
        trust: dict[str, str] = {}
        if identity:
            tls_port = running.enter_context(tls_endpoint(identity, redis.port))
            trust = {
                "CHURN_REDIS_URL": f"rediss://{LOOPBACK}:{tls_port}/0",
                "CHURN_REDIS_CA_BUNDLE": str(identity.authority),
            }
        bundle = {k: v for k, v in store.environ.items() if k == "AWS_CA_BUNDLE"}
        cluster = running.enter_context(
            spark_cluster(folder, **bundle, JAVA_TOOL_OPTIONS=SHORT_LIVED)
        )
        plain = environments.new("grown")
        environ = {**plain.environ, **store.environ, **redis.environ, **trust} | {
            "CHURN_SPARK_MASTER": cluster.master,
            "CHURN_LAKE_URI": f"s3a://{BUCKET}/churn",
        }
        home = ChurnHome(plain.path, environ)
        running.callback(home.end)
        yield Grown(home, cluster, store, redis, folder)


@pytest.fixture(scope="module")
def summary(grown: Grown, shared_data: Path) -> dict[str, Any]:
    """Of the run on the workbook, in whose build a worker is killed."""
    return run_with(grown, "a worker is killed", shared_data / "Telco-Customer-Churn.xlsx")


def run_with(grown: Grown, fault: str, *arguments: str | Path) -> dict[str, Any]:
    """What a run says that meets the fault in mid-build and must end right."""
    job = Job(grown.home, "run", *arguments)
    assert job.reach("build"), job.said
    job.wait(INTO_THE_BUILD)
    if fault == "a worker is killed":
        grown.cluster.kill_worker()
    elif fault == "the store is paused":
        grown.store.process.send_signal(signal.SIGSTOP)
        time.sleep(20)
        grown.store.process.send_signal(signal.SIGCONT)
    elif fault == "redis is restarted":
        grown.redis.kill()
        grown.redis.start()
    assert "build" not in job.done, job.said
    assert job.end(240) == 0, job.said
    last = max((grown.home.path / "runs").iterdir())
    said: dict[str, Any] = json.loads((last / "summary.json").read_text())
    return said


def test_gold_is_that_of_a_laptop(
    grown: Grown, summary: dict[str, Any], completed_run: CompletedRun
) -> None:
    assert summary["counts"] == completed_run.summary["counts"]
    assert summary["gate"] == completed_run.summary["gate"]
    for name in ("roc_auc", "pr_auc", "brier"):
        expected = pytest.approx(completed_run.summary["model"][name], abs=1e-9)
        assert summary["model"][name] == expected
    assert grown.home.gold() == completed_run.home.gold()


def test_all_tables_lie_in_the_object_store(grown: Grown, summary: dict[str, Any]) -> None:
    found = grown.store.files().get_file_info(fs.FileSelector(f"{BUCKET}/churn"))
    assert sorted(each.base_name for each in found) == FOLDERS
    assert not (grown.home.path / "lake").exists()
    locations = {
        grown.home.sql(f"describe detail {table}")[0]["location"]
        for table in ("bronze.telco_customers", "silver.customers", "gold.churn_scores")
    }
    assert all(each.startswith(f"s3a://{BUCKET}/churn/") for each in locations)


def test_gold_holds_just_the_published_files(grown: Grown, summary: dict[str, Any]) -> None:
    for table in ("customer_features", "churn_labels"):
        place = fs.FileSelector(f"{BUCKET}/churn/gold/{table}", recursive=True)
        found = grown.store.files().get_file_info(place)
        there = {each.path for each in found if each.is_file}
        files = grown.home.sql(f"select distinct _metadata.file_path as path from gold.{table}")
        assert there == {each["path"].removeprefix("s3a://") for each in files}


@pytest.mark.long
def test_the_same_workbook_again_changes_nothing(
    grown: Grown, summary: dict[str, Any], shared_data: Path
) -> None:
    again = grown.home.churn_json("run", shared_data / "Telco-Customer-Churn.xlsx")
    assert again["unchanged"]
    assert again["counts"] == summary["counts"]


def test_no_key_is_on_a_command_line_or_in_a_log(grown: Grown, summary: dict[str, Any]) -> None:
    keys = [grown.store.environ["AWS_SECRET_ACCESS_KEY"], grown.redis.password]
    lines = [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]
    ours = [line for line in lines if "java" in line or str(grown.home.path) in line]
    assert len(ours) >= 2 + len(grown.cluster.workers)
    logs = [
        *grown.home.path.rglob("*.log"),
        *grown.folder.rglob("std*"),
        *grown.folder.glob("*.log"),
    ]
    said = [log.read_text(errors="replace") for log in logs if log.name != "server.log"]
    said.append(grown.home.churn("config", "--json").stdout)
    for key in keys:
        assert not [text for text in [*ours, *said] if key in text]


def test_the_cluster_listens_on_loopback_only(grown: Grown, summary: dict[str, Any]) -> None:
    processes = [
        psutil.Process(each.pid) for each in [grown.cluster.master_process, *grown.cluster.workers]
    ]
    running = spark_process.find(grown.home.settings)
    assert running is not None
    processes += [
        psutil.Process(running.pid),
        *psutil.Process(grown.cluster.workers[0].pid).children(),
    ]
    for process in processes:
        listening = [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        assert listening, process
        assert {c.laddr.ip for c in listening} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_mid_build(
    grown: Grown, summary: dict[str, Any], shared_data: Path, fault: str
) -> None:
    day = f"2026-03-{FAULTS.index(fault) + 1:02}"
    workbook = shared_data / "Telco-Customer-Churn.xlsx"
    said = run_with(grown, fault, workbook, "--extract-date", day)
    assert (said["extract_date"], said["counts"]) == (day, summary["counts"])
    published_rows = "select count(distinct customer_id) from gold.{} where extract_date = '{}'"
    for table in ("customer_features", "churn_labels", "churn_scores"):
        assert grown.home.value(published_rows.format(table, day)) == summary["counts"]["gold"]
    assert grown.home.churn_json("features", "verify")["differences"] == []


@pytest.mark.long  # CI searches a home on disk: test_forget.py
def test_no_object_names_an_erased_customer(grown: Grown, summary: dict[str, Any]) -> None:
    """The last one here: gold has a customer less."""
    home, store = grown.home, grown.store
    model = registry.pipeline(home.settings, summary["model"]["version"])
    rows = f"parquet.`{model}/{registry.OUT_OF_FOLD}`"
    customer = home.value(f"select max(customer_id) from {rows}")
    count = "select count(distinct customer_id) from gold.customer_features"
    before = home.value(count)
    places = {path.split("/")[2] for path in store.find_text(BUCKET, customer)}
    assert places >= set(FOLDERS) - {"audit"}
    said = home.churn("forget", customer).stdout
    assert "1 customer erased" in said
    assert store.find_text(BUCKET, customer) == {}
    assert home.value(count) == before - 1
    assert home.churn_json("features", "verify")["differences"] == []
