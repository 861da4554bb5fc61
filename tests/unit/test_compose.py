"""The stack as docker-compose.yml declares it: who reads which secret and reaches what."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.readers import server
from lakehouse.settings import PROJECT, read_settings
from lakehouse.stack_secrets import NAMES, OWNER_UIDS, PASSFILES

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())[
    "services"
]
# What a reader's services are called; the others by the reader's own name.
AIRFLOW = [name for name in SERVICES if name.startswith("airflow-")]
SERVICES_OF = {"driver": ["spark-driver"], "airflow": AIRFLOW}


def secrets_of(service: str) -> list[str]:
    volumes = [each.split(":") for each in SERVICES[service].get("volumes", [])]
    return [name for name, *_ in volumes if name.startswith("secrets")]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_no_right_that_it_does_not_need(service: str) -> None:
    declared = SERVICES[service]
    assert declared["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in declared["security_opt"]
    assert not {"privileged", "pid", "ipc", "devices", "userns_mode"} & set(declared)
    assert "/var/run/docker.sock" not in str(declared.get("volumes"))
    # Those that begin as root, each with its reason in the file.
    assert ("cap_add" in declared) == (service in ("secrets", "postgres", "s3"))


@pytest.mark.parametrize("reader", OWNER_UIDS)
def test_a_volume_of_secrets_has_one_reader(reader: str) -> None:
    readers = {name for name in SERVICES if f"secrets-{reader}" in secrets_of(name)}
    assert readers == {"secrets", *SERVICES_OF.get(reader, [reader])}
    for service in readers - {"secrets"}:
        assert secrets_of(service) == [f"secrets-{reader}"]


def test_files_of_secrets_are_those_that_their_reader_has() -> None:
    for reader in OWNER_UIDS:
        for service in SERVICES_OF.get(reader, [reader]):
            environment = SERVICES[service].get("environment", {})
            told = {Path(text).name for text in environment.values() if "/secrets-of-" in str(text)}
            made = {name for name, readers in NAMES.items() if reader in readers}
            made |= {"pgpass"} if reader in PASSFILES else set()
            assert told <= made, (service, told - made)


def test_the_api_reaches_redis_and_nothing_else() -> None:
    networks = set(SERVICES["api"]["networks"])
    others = {name for name in SERVICES if networks & set(SERVICES[name].get("networks", []))}
    assert others == {"api", "redis"}


@pytest.mark.parametrize("service", ["api", "readers"])
def test_a_service_of_clients_finds_no_secret_of_others_in_the_home(service: str) -> None:
    """What Airflow and the Spark server write there contains theirs."""
    hidden = {each.split(":")[0] for each in SERVICES[service]["tmpfs"]}
    assert {"/var/lib/churn/airflow", "/var/lib/churn/spark"} <= hidden
    assert "home:/var/lib/churn:ro" in SERVICES[service]["volumes"]


def test_the_readers_reach_the_object_store_and_no_database() -> None:
    networks = set(SERVICES["readers"]["networks"])
    reached = {name for name in SERVICES if networks & set(SERVICES[name].get("networks", []))}
    assert "s3" in reached and not {"postgres", "redis", "spark-worker"} & reached
    assert SERVICES["readers"]["profiles"] == ["readers"]


def test_ports_are_published_on_loopback_unless_configured() -> None:
    published = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}
    assert set(published) == {"airflow-api-server", "api", "mlflow", "readers"}
    loopback = re.compile(r"(127\.0\.0\.1|\$\{CHURN_READERS_ADDRESS:-127\.0\.0\.1\}):\$\{\w+_PORT:")
    assert all(loopback.match(port) for ports in published.values() for port in ports)


def test_temporary_files_of_the_readers_are_in_memory_and_their_libraries_are_loaded() -> None:
    """Engines forbid execution in memory unless told otherwise."""
    folder, _, options = next(
        each.partition(":") for each in SERVICES["readers"]["tmpfs"] if "/readers:" in each
    )
    settings = read_settings({"CHURN_HOME": "/var/lib/churn"})
    assert Path(folder) in server.service(settings).scratch.parents
    assert "exec" in options.split(",")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if os.getuid() or shutil.which("setpriv") is None:
        pytest.skip("files are given to other users by root alone")
    for reader in OWNER_UIDS:
        (tmp_path / "new" / reader).mkdir(parents=True)
    return tmp_path / "new"


def fill(folder: Path, *arguments: Path) -> None:
    """As the service `secrets` does, with the capabilities that it has."""
    kept = [f"+{each.lower()}" for each in SERVICES["secrets"]["cap_add"]]
    rights = ["setpriv", "--no-new-privs", f"--bounding-set={','.join(['-all', *kept])}"]
    command = [sys.executable, "-m", "lakehouse.stack_secrets", folder, *arguments]
    subprocess.run([*rights, *command], cwd=PROJECT, check=True)


def contents(folder: Path) -> dict[str, str]:
    return {str(each.relative_to(folder)): each.read_text() for each in folder.glob("*/*")}


def test_each_secret_lies_with_its_readers(folder: Path) -> None:
    fill(folder)
    made = contents(folder)
    expected = {f"{reader}/{name}" for name, readers in NAMES.items() for reader in readers}
    assert set(made) == expected | {f"{reader}/pgpass" for reader in PASSFILES}
    for name, readers in NAMES.items():
        assert len({made[f"{reader}/{name}"] for reader in readers}) == 1
    assert len({made[f"{readers[0]}/{name}"] for name, readers in NAMES.items()}) == len(NAMES)
    for path in folder.glob("*/*"):
        found, above = path.stat(), path.parent.stat()
        assert (stat.S_IMODE(found.st_mode), stat.S_IMODE(above.st_mode)) == (0o600, 0o700)
        assert found.st_uid == above.st_uid == OWNER_UIDS[path.parent.name]
    assert "registry" in made["driver/pgpass"] and "airflow" not in made["driver/pgpass"]
    fill(folder)
    assert contents(folder) == made


def test_secrets_of_one_volume_for_all_are_moved(folder: Path, tmp_path: Path) -> None:
    """As the version before laid them out; a rotation afterwards brings none of them back."""
    former = tmp_path / "former"
    old = {
        *("postgres/postgres_password", "postgres/airflow_db_password", "redis/redis_password"),
        *("churn/redis_password", "churn/pgpass", "churn/mlflow_password", "s3/s3_access_key"),
    }
    for each in old:
        (former / each).parent.mkdir(parents=True, exist_ok=True)
        (former / each).write_text(f"old {Path(each).name}")
    fill(folder, tmp_path / "no.env", former)
    made = contents(folder)
    for name in ("postgres_password", "airflow_db_password", "redis_password", "s3_access_key"):
        assert {made[f"{reader}/{name}"] for reader in NAMES[name]} == {f"old {name}"}
    assert "old airflow_db_password" in made["airflow/pgpass"]
    assert not contents(former)
    for path in folder.glob("*/redis_password"):
        path.unlink()
    fill(folder, tmp_path / "no.env", former)
    rotated = {contents(folder)[f"{reader}/redis_password"] for reader in NAMES["redis_password"]}
    assert len(rotated) == 1 and rotated != {"old redis_password"}
