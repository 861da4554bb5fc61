"""The stack by Compose in a real engine: what its users do with it."""

import json
import re
import shutil
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from airflow_api import ENDED, Airflow
from engine import IMAGE, Engine, engine
from environments import BIN, quiet_port
from pyhive import hive
from thrift.transport.TTransport import TTransportException

from lakehouse.settings import PROJECT
from lakehouse.stack_secrets import NAMES, PASSFILE, PASSFILES

TOOLS = Path(__file__).resolve().parents[3] / "shared" / "stack"
DAG = "01_etl"
WORKBOOK = "Telco-Customer-Churn.xlsx"
COUNTS = {"bronze": 7049, "exact_duplicates": 4, "rejected": 2, "silver": 7043, "gold": 7043}
ONCE = {"secrets", "buckets", "airflow-prepare"}
OF_A_PROFILE = {"readers"}
SERVERS = 13  # two of them workers
UNITS = {"": 2**-30, "K": 2**-20, "M": 2**-10, "G": 1}
HEALTHY_SECONDS = 300  # after `up` has come back: Airflow's parts report in
HASHES = {"uv.lock", "lakehouse/jars.toml"}  # not secrets, though they look like it
LISTING = """
from lakehouse.settings import read_settings
settings = read_settings()
lake = settings.lake
print(*(f"{schema.base_name}.{table.base_name}" for schema in lake.list_folders()
        for table in lake.list_folders(schema.base_name)))
"""
# A line for each table and view: its name, and a digest of its rows whatever their order.
DIGESTS = """
from hashlib import sha256
from lakehouse import spark_session
from lakehouse.metastore_snapshot import list_tables
from lakehouse.settings import read_settings
from lakehouse.sql import query
with spark_session.session(read_settings()) as spark:
    for table in list_tables(spark):
        rows = sorted(map(repr, query(spark, f"select * from {table}")))
        print(table, len(rows), sha256("".join(rows).encode()).hexdigest())
"""
BACKUPS = "/tmp/backups"
SECRETS = "/run/secrets-of-churn"
# What the API has no business with.
PORTS = {
    "spark-driver": (10000, 15002),
    "spark-master": (7077, 8080),
    "spark-worker": (8081,),
    "postgres": (5432,),
    "s3": (8333,),
    "mlflow": (5000,),
    "airflow-api-server": (8080,),
}
SERVICES = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"]
# Prints those of the addresses that accept a connection. All at once: a refusal takes its time.
CONNECTIONS = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def accepts(address):
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
    except OSError:
        return False
    return True
addresses = sys.argv[1:]
with ThreadPoolExecutor(len(addresses)) as pool:
    for address, answer in zip(addresses, pool.map(accepts, addresses)):
        if answer:
            print(address)
"""
# Prints the digest of each secret that a file contains, and the file's path.
SEARCH = """
import re, sys
from hashlib import sha256
from pathlib import Path
for top in map(Path, ("/run", "/var/lib/churn", "/tmp", "/etc", "/proc/1/environ")):
    for path in [top, *top.rglob("*")]:
        try:
            text = path.read_bytes() if path.is_file() else b""
        except OSError:
            continue
        for word in set(re.findall(rb"[\\w-]{43,}", text)):
            if (digest := sha256(word).hexdigest()) in sys.argv:
                print(digest, path)
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


@dataclass(frozen=True)
class Stack:
    """The running stack; `port` is Airflow's, `api_port` the scoring API's; all are on loopback."""

    engine: Engine
    project: str
    port: int
    api_port: int
    mlflow_port: int
    reader_ports: tuple[int, int]
    landing: Path
    options: tuple[str, ...] = ()

    def compose(self, *arguments: str, minutes: float = 5) -> str:
        return self.engine.call(
            *("docker-compose", "-p", self.project, *self.options, *arguments),
            minutes=minutes,
            CHURN_AIRFLOW_PORT=str(self.port),
            CHURN_API_PORT=str(self.api_port),
            CHURN_MLFLOW_PORT=str(self.mlflow_port),
            CHURN_READER_THRIFT_PORT=str(self.reader_ports[0]),
            CHURN_READER_CONNECT_PORT=str(self.reader_ports[1]),
            CHURN_LANDING_FOLDER=str(self.landing),
        )

    def inside(self, service: str, *command: str) -> str:
        """What a command in a service's container prints."""
        return self.compose("exec", "-T", service, *command)

    @property
    def driver(self) -> str:
        """The name of the driver's container."""
        return f"{self.project}_spark-driver_1"

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine knows of each container, by the container's name."""
        ids = self.engine.call("docker", "ps", "-aq").split()
        found = json.loads(self.engine.call("docker", "inspect", *ids))
        return {each["Name"].strip("/"): each for each in found}

    def health(self) -> dict[str, str]:
        """What the checks of those that run say."""
        return {
            name: each["State"]["Health"]["Status"]
            for name, each in self.containers().items()
            if "Health" in each["State"]
        }

    def memory(self) -> float:
        """What all containers use together, in GiB."""
        told = self.engine.call("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}")
        used = re.findall(r"^([\d.]+)([KMG]?)i?B", told, re.MULTILINE)
        return sum(float(number) * UNITS[unit] for number, unit in used)

    def secrets(self) -> dict[str, str]:
        """Every secret that was generated, by its name."""
        read = f"cd {SECRETS} && grep -r --exclude {PASSFILE} ''"
        told = self.compose("run", "--rm", "-T", "--entrypoint", "sh", "secrets", "-c", read)
        return dict(re.findall(r"^\w+/(\w+):([\w-]{43})$", told, re.MULTILINE))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[Stack]:
    if not TOOLS.is_dir():
        pytest.skip("the scripts that start an engine are not beside this checkout")
    landing = tmp_path_factory.mktemp("landing")
    landing.chmod(0o755)
    shutil.copy(shared_data / WORKBOOK, landing)
    (landing / WORKBOOK).chmod(0o644)
    with engine(tmp_path_factory.mktemp("engine"), TOOLS) as running:
        ports = [quiet_port() for _ in range(5)]
        made = Stack(running, "churn", *ports[:3], (ports[3], ports[4]), landing)
        try:
            made.compose("up", "-d", minutes=15)
            yield made
        finally:
            made.compose("down", "-v", "-t", "5")


@pytest.fixture(scope="module")
def airflow(stack: Stack) -> Airflow:
    return site_of(stack)


def site_of(stack: Stack) -> Airflow:
    password = stack.inside("airflow-api-server", "churn", "airflow", "password").strip()
    return Airflow(f"http://127.0.0.1:{stack.port}", password)


@pytest.fixture(scope="module")
def states(airflow: Airflow) -> dict[str, str | None]:
    """The states of the tasks of a run on the workbook."""
    airflow.switch_on(DAG)
    airflow.trigger(DAG, "first", workbook=f"/landing/{WORKBOOK}")
    airflow.wait(DAG, "first", seconds=1800)
    return airflow.states(DAG, "first")


def test_every_service_is_healthy(stack: Stack) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS
    while "starting" in stack.health().values() and time.monotonic() < deadline:
        time.sleep(2)
    containers = stack.containers()
    once = {f"{stack.project}_{each}_1" for each in ONCE}
    for name in once:
        state = containers[name]["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 0), name
    assert len(containers) == len(once) + SERVERS
    assert stack.health() == dict.fromkeys(set(containers) - once, "healthy")
    assert {each["RestartCount"] for each in containers.values()} == {0}


def test_the_dag_finds_the_known_counts(
    stack: Stack, airflow: Airflow, states: dict[str, str | None]
) -> None:
    assert states.pop("alert") == "skipped"  # nothing is wrong with the model
    assert set(states.values()) == {"success"}, states
    summary = json.loads(
        stack.inside("spark-driver", "sh", "-c", "cat /var/lib/churn/runs/*/summary.json")
    )
    assert summary["counts"] == {**COUNTS, "online_verified": 7043, "scored": 7043}
    assert summary["model"]["roc_auc"] == pytest.approx(0.8496, abs=5e-4)


def test_all_tables_lie_in_the_object_store(stack: Stack, states: dict[str, str | None]) -> None:
    tables = stack.inside("spark-driver", "python", "-c", LISTING).split()
    assert {"bronze.telco_customers", "silver.customers", "gold.customer_features"} <= set(tables)
    local = stack.inside("spark-driver", "sh", "-c", "ls /var/lib/churn")
    assert "lake" not in local.split()


def test_features_are_in_redis(stack: Stack, states: dict[str, str | None]) -> None:
    said = stack.inside("spark-driver", "churn", "features", "verify")
    assert "7,043 customers, 46 features, no differences" in said
    shown = stack.inside("spark-driver", "churn", "show", "7590-VHVEG")
    assert "71.5% probability of " in shown


def test_the_api_answers_who_has_a_key(stack: Stack, states: dict[str, str | None]) -> None:
    key = stack.inside("spark-driver", "churn", "api-key", "new", "tests").strip()
    address = f"http://127.0.0.1:{stack.api_port}/v1/customers/7590-VHVEG/churn"
    assert httpx.get(address).status_code == 401
    answer = httpx.get(address, headers={"X-API-Key": key})
    assert round(answer.json()["probability"], 3) == 0.715


def test_only_the_sites_and_the_api_are_published_and_on_loopback(stack: Stack) -> None:
    published = {
        (name, bound["HostIp"], int(bound["HostPort"]))
        for name, each in stack.containers().items()
        for bindings in each["NetworkSettings"]["Ports"].values()
        for bound in bindings or []
    }
    assert published == {
        ("churn_airflow-api-server_1", "127.0.0.1", stack.port),
        ("churn_api_1", "127.0.0.1", stack.api_port),
        ("churn_mlflow_1", "127.0.0.1", stack.mlflow_port),
    }
    assert httpx.get(f"http://127.0.0.1:{stack.port}/api/v2/dags").status_code == 401


def addresses(stack: Stack) -> list[str]:
    """Return PORTS as `host:port`, of each service by its name and in each of its networks."""
    containers = stack.containers()
    found = []
    for service, ports in PORTS.items():
        networks = containers[f"{stack.project}_{service}_1"]["NetworkSettings"]["Networks"]
        hosts = [service, *(each["IPAddress"] for each in networks.values())]
        found += [f"{host}:{port}" for host in hosts for port in ports]
    return found


def test_the_api_reaches_redis_alone(stack: Stack) -> None:
    asked = addresses(stack)
    answered = stack.inside("airflow-scheduler", "python", "-c", CONNECTIONS, *asked).split()
    assert answered == asked  # from a service of all their networks: the question is a fair one
    answered = stack.inside("api", "python", "-c", CONNECTIONS, *asked, "redis:6379").split()
    assert answered == ["redis:6379"]


@pytest.mark.parametrize("service", [each for each in SERVICES if each not in ONCE | OF_A_PROFILE])
def test_a_service_has_its_own_secrets_alone(
    stack: Stack, states: dict[str, str | None], service: str
) -> None:
    reader = "airflow" if service.startswith("airflow-") else service.removeprefix("spark-")
    own = {name for name, readers in NAMES.items() if reader in readers}
    passwords = {f"{each}_db_password" for each in PASSFILES.get(reader, [])}
    files = stack.inside(service, "sh", "-c", f"find {SECRETS} -type f 2>/dev/null || true")
    passfile = {PASSFILE} if passwords else set()
    assert {Path(each).name for each in files.split()} == own | passfile
    if SERVICES[service].get("image") == IMAGE:
        known = stack.secrets()
        digests = {sha256(value.encode()).hexdigest(): name for name, value in known.items()}
        found = stack.inside(service, "python", "-c", SEARCH, *digests).splitlines()
        assert {digests[line.split()[0]] for line in found} == own | passwords, found


def test_no_secret_is_where_others_look(stack: Stack, states: dict[str, str | None]) -> None:
    secrets = stack.secrets().values()
    assert len(secrets) == len(NAMES)
    lines = [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]
    logs = "find /var/lib/churn/logs -type f -exec cat {} +"
    said = [
        *lines,
        stack.engine.call("docker", "history", "--no-trunc", IMAGE),
        json.dumps(stack.containers()),
        stack.compose("logs", "--no-color"),
        stack.inside("spark-driver", "sh", "-c", logs),
    ]
    for secret in secrets:
        assert not [text[:200] for text in said if secret in text]


def test_the_image_holds_what_is_committed_and_no_secret(stack: Stack, tmp_path: Path) -> None:
    made = stack.engine.call("docker", "create", IMAGE).split()[0]  # warnings follow
    tar = tmp_path / "image.tar"
    stack.engine.call("docker", "export", "-o", tar, made, minutes=5)
    stack.engine.call("docker", "rm", made)
    with tarfile.open(tar) as image:
        files = [each for each in image if each.isfile()]
        ours = [each for each in files if re.match(r"app/(?!\.venv/|\.tools/)", each.name)]
        image.extractall(tmp_path, ours, filter="data")
    tar.unlink()
    committed = set(stack.engine.call("git", "ls-files").split())
    copies = {each.name.removeprefix("app/") for each in ours}
    assert copies <= committed
    assert not [each.name for each in files if Path(each.name).name == ".env"]
    homes = r"root/(?!\.bashrc|\.profile)|home/|var/lib/churn/"
    assert not [each.name for each in files if re.match(homes, each.name)]
    # as `make lint` does with what is committed
    paths = sorted(str(tmp_path / "app" / each) for each in copies - HASHES)
    stack.engine.call(BIN / "detect-secrets-hook", *paths)
    told = stack.engine.call("docker", "image", "inspect", "-f", "{{json .Config.Env}}", IMAGE)
    assert not re.search("PASSWORD|SECRET|TOKEN", told)


def test_a_rotated_password_is_taken(
    stack: Stack, airflow: Airflow, states: dict[str, str | None]
) -> None:
    """As docs/stack.md describes: remove the file, and restart the services that read it."""
    before = stack.secrets()
    files = "rm /run/secrets-of-churn/*/redis_password"
    stack.compose("run", "--rm", "-T", "--entrypoint", "sh", "secrets", "-c", files)
    readers = ("secrets", "redis", "spark-driver", "airflow-scheduler", "api")
    stack.compose("up", "-d", "--force-recreate", *readers, minutes=10)
    after = stack.secrets()
    assert {name for name in NAMES if after[name] != before[name]} == {"redis_password"}
    said = stack.inside("spark-driver", "churn", "features", "verify")
    assert "no differences" in said
    key = stack.inside("spark-driver", "churn", "api-key", "new", "after-rotation").strip()
    deadline = time.monotonic() + HEALTHY_SECONDS
    while stack.health()[f"{stack.project}_api_1"] == "starting" and time.monotonic() < deadline:
        time.sleep(2)
    address = f"http://127.0.0.1:{stack.api_port}/v1/customers/7590-VHVEG/churn"
    assert httpx.get(address, headers={"X-API-Key": key}).status_code == 200


def test_mlflow_names_the_champion_to_who_has_its_password(
    stack: Stack, states: dict[str, str | None]
) -> None:
    asked = f"http://127.0.0.1:{stack.mlflow_port}/api/2.0/mlflow/registered-models/alias"
    names = {"name": "churn", "alias": "champion"}
    assert httpx.get(asked, params=names).status_code == 401
    password = stack.inside("mlflow", "cat", "/run/secrets-of-churn/churn/mlflow_password").strip()
    answer = httpx.get(asked, params=names, auth=("admin", password)).raise_for_status().json()
    champion = json.loads(
        stack.inside("spark-driver", "cat", "/var/lib/churn/models/champion.json")
    )
    assert {"key": "churn.version", "value": champion["version"]} in answer["model_version"]["tags"]


def test_readers_query_a_service_of_their_own(stack: Stack, states: dict[str, str | None]) -> None:
    """It is healthy without copies; a scoring writes them, also after an erasure removed them."""
    said = stack.inside("spark-driver", "churn", "user", "add", "analyst", "--role", "reader")
    (key,) = re.findall(r"churn_[\w-]{43}", said)
    profile = replace(stack, options=("--profile", "readers"))
    try:
        profile.compose("up", "-d", "readers")
        stack.inside("spark-driver", "churn", "score")
        assert count_as(profile, "analyst", key) == 7043
        driver = stack.containers()[stack.driver]["State"]["StartedAt"]
        said = stack.inside("spark-driver", "churn", "forget", "0000-ABSNT")
        assert "nothing is stored of these customers" in said
        assert stack.containers()[stack.driver]["State"]["StartedAt"] == driver
        stack.inside("spark-driver", "churn", "score")
        assert count_as(profile, "analyst", key) == 7043
        container = stack.containers()[f"{stack.project}_readers_1"]
        bindings = container["NetworkSettings"]["Ports"].values()
        published = {
            (each["HostIp"], int(each["HostPort"])) for bound in bindings for each in bound
        }
        assert published == {("127.0.0.1", port) for port in stack.reader_ports}
        files = profile.inside("readers", "ls", f"{SECRETS}/churn").split()
        assert set(files) == {"s3_access_key", "s3_secret_key"}
        assert container["State"]["Health"]["Status"] != "unhealthy"
    finally:
        profile.compose("rm", "-s", "-f", "readers")


def count_as(stack: Stack, name: str, key: str) -> int:
    """The number of customers that a reader finds, as soon as the server has the copies."""
    deadline = time.monotonic() + HEALTHY_SECONDS
    while True:
        try:
            with hive.connect(
                *("127.0.0.1", stack.reader_ports[0]), username=name, password=key, auth="CUSTOM"
            ) as reader:
                cursor = reader.cursor()
                cursor.execute("select count(*) from gold.customers_current")
                return int(cursor.fetchone()[0])
        except (TTransportException, hive.OperationalError):
            assert time.monotonic() < deadline, stack.compose("logs", "--no-color", "readers")
            time.sleep(5)


def what_a_stack_holds(stack: Stack) -> tuple[set[str], dict[str, Any]]:
    """The digests of its tables, and what is shown of a customer."""
    digests = re.findall(
        r"^\w+\.\w+ \d+ \w{64}$",
        stack.inside("spark-driver", "python", "-c", DIGESTS),
        re.MULTILINE,
    )
    assert len(digests) >= 13
    shown = stack.inside("spark-driver", "churn", "show", "--json", "7590-VHVEG")
    return set(digests), json.loads(shown[shown.index("{") :])


def test_a_backup_makes_an_empty_stack_what_it_was(
    stack: Stack, states: dict[str, str | None], tmp_path: Path
) -> None:
    """With other secrets, in another object store, metastore and registry."""
    before = what_a_stack_holds(stack)
    said = stack.inside("spark-driver", "churn", "backup", BACKUPS)
    backup = re.findall(rf"{BACKUPS}/\w+", said)[-1]
    # As docs/backup.md says it: by the driver's own user, who could not read files of another one.
    tar, inside = tmp_path / "backups.tar", f"docker exec -i {stack.driver} tar -C /tmp"
    stack.engine.call("sh", "-c", f"{inside} -c {Path(BACKUPS).name} > {tar}")
    stack.compose("down", "-v", "-t", "5")
    stack.compose("up", "-d", minutes=15)
    stack.engine.call("sh", "-c", f"{inside} -x < {tar}")
    stack.inside("spark-driver", "churn", "restore", backup)
    assert what_a_stack_holds(stack) == before
    said = stack.inside("spark-driver", "churn", "features", "verify")
    assert "7,043 customers, 46 features, no differences" in said


def test_four_gigabytes_suffice_with_one_worker(stack: Stack) -> None:
    """The last one here: it takes the place of the full stack."""
    stack.compose("down", "-v", "-t", "5")
    small = replace(stack, options=("--env-file", "docker/small.env"))
    small.compose("up", "-d", minutes=15)
    airflow = site_of(small)
    airflow.switch_on(DAG)
    airflow.trigger(DAG, "small", workbook=f"/landing/{WORKBOOK}")
    most = 0.0
    while (state := airflow.run(DAG, "small")["state"]) not in ENDED:
        most = max(most, small.memory())
    print(f"{most:.2f} GiB at most")
    assert state == "success", airflow.states(DAG, "small")
    said = small.inside("spark-driver", "churn", "features", "verify")
    assert "7,043 customers, 46 features, no differences" in said
    assert most < 4
