"""Whatever breaks at whichever step: the next run ends right, nothing doubled, nothing lost.

An object store that is unreachable is not among the faults: a lake can't lie on one yet.
"""

import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from faults import FAULTS, STEPS, Extract, Found, Job, OwnRedis, extract_of, found, history
from homes import BIN, Home, Homes, quiet_port

from feature_repo.layout import redis_key
from feature_repo.verify import verify
from lakehouse import online_store, spark_server
from lakehouse.run_lock import lock_file
from lakehouse.settings import PROJECT
from seeds_loader.sample import SampleParameters, simulate, write_samples

# No fault may hold a run for longer; a server that hangs while it starts is waited for.
BOUND = 120.0
START_BOUND = 240.0
SEED = 7
# How long a step takes, about: a fault comes at a moment within.
SECONDS = {
    **{"read": 2.5, "server": 12.0, "ingest": 1.5, "build": 12.0, "apply": 0.5},
    **{"materialize": 1.5, "verify": 1.0, "train": 10.0, "score": 1.5, "watch": 1.5, "report": 1.0},
}


@dataclass
class Cell:
    """What came of a fault at a step."""

    tried: int = 0
    recovered: int = 0
    lost: int = 0
    doubled: int = 0


@dataclass
class Trial:
    """A home, its extracts in order, and what came of the faults."""

    home: Home
    extracts: list[Extract]
    taken: int = 0
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    dice: random.Random = field(default_factory=lambda: random.Random(SEED))

    @property
    def latest(self) -> Extract:
        """The extract that was taken last."""
        return self.extracts[self.taken - 1]

    def take(self) -> Extract:
        """The next month's."""
        self.taken += 1
        return self.latest

    def hit(self, extract: Extract, fault: str, step: str) -> Job:
        """A run that meets the fault at a moment within the step, and ends however it ends."""
        delay = self.dice.uniform(0.0, 0.8 * SECONDS[step])
        job = Job(self.home, "run", extract.path)
        assert job.reach(step), job.said
        job.wait(delay)
        self.cells.setdefault((fault, step), Cell()).tried += 1
        with FAULTS[fault](self.home, job):
            job.end(START_BOUND if step == "server" else BOUND)
        assert "Traceback" not in job.said, job.said
        return job

    def recover(self, extract: Extract, before: dict[str, Any]) -> Found:
        """Run again with nothing in the way: it must end right, and every table must be right."""
        summary = self.home.churn_json("run", extract.path)
        there = len(extract.customers)
        assert {summary["counts"][each] for each in ("gold", "online_verified", "scored")} == {
            there
        }
        assert lock_file(self.home.settings).read_text() == ""
        assert not list((self.home.path / "models").glob(".*.new"))
        with spark_server.session(self.home.settings) as spark:
            assert verify(self.home.settings, spark, lambda _: None).differences == []
        return found(self.home, extract, before)

    def settle(self, extract: Extract, before: dict[str, Any], hit: list[Cell]) -> None:
        """Recover from the faults that hit the extract, and write down what came of them."""
        state = self.recover(extract, before)
        for cell in hit:
            cell.lost += state.lost
            cell.doubled += state.doubled
        assert_right(state)
        for cell in hit:
            cell.recovered += 1

    def history(self) -> dict[str, Any]:
        """What gold holds before a fault, for the dates that it must leave alone."""
        spark_server.ensure(self.home.settings, lambda _: None)
        return history(self.home)


def assert_right(state: Found) -> None:
    assert (state.lost, state.doubled, state.wrong) == (0, 0, [])


@pytest.fixture(scope="module")
def trial(
    homes: Homes, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Trial]:
    folder = tmp_path_factory.mktemp("months")
    is_long = any(item.get_closest_marker("long") for item in request.session.items)
    months = 1 + len(FAULTS) * (len(STEPS) + 1) if is_long else 1
    parameters = SampleParameters(rows=1050, months=months, seed=SEED, dirt=True)
    paths = write_samples(parameters, folder)
    pairs = zip(simulate(parameters), paths, strict=True)
    made = Trial(homes.new("faults"), [extract_of(month, path) for month, path in pairs])
    yield made
    made.home.churn("down")
    if is_long:
        lines = table(made.cells)
        (folder / "faults.txt").write_text("\n".join(lines) + "\n")
        reporter = request.config.pluginmanager.getplugin("terminalreporter")
        for line in ["", *lines, f"written to {folder / 'faults.txt'}"]:
            reporter.write_line(line)


def table(cells: dict[tuple[str, str], Cell]) -> list[str]:
    """Faults by steps: tried/recovered/rows lost/rows doubled."""
    lines = ["fault × step: tried/recovered/rows lost/rows doubled"]
    lines.append(f"{'':<16}" + "".join(f"{step:>13}" for step in STEPS))
    for fault in dict.fromkeys(fault for fault, _ in cells):
        shown = [cells.get((fault, step)) for step in STEPS]
        words = [f"{c.tried}/{c.recovered}/{c.lost}/{c.doubled}" if c else "" for c in shown]
        lines.append(f"{fault:<16}" + "".join(f"{word:>13}" for word in words))
    return lines


def test_one_fault_after_another(trial: Trial) -> None:
    """A fault at its worst step; the run that ends well goes on from there, and has rivals."""
    extract = trial.take()
    job = trial.hit(extract, "server_killed", "build")
    assert "The Spark server ended while it was at work" in job.said
    assert job.process.returncode == 4, job.said
    first = Job(trial.home, "run", extract.path)
    assert first.reach("server")
    assert_they_give_way(trial.home, extract, first)
    assert first.end(BOUND) == 0, first.said
    assert_right(found(trial.home, extract, {}))


@pytest.mark.long
def test_further_faults_one_after_another(trial: Trial) -> None:
    """The other kinds, in the same way."""
    extract = trial.take()
    job = trial.hit(extract, "client_killed", "ingest")
    assert job.process.returncode == -9
    job = trial.hit(extract, "disk_full", "build")
    assert "an earlier run broke off" in job.said
    assert "what to do: make room" in job.said
    assert job.process.returncode == 1, job.said
    trial.hit(extract, "redis_killed", "materialize")
    job = trial.hit(extract, "server_hangs", "score")
    assert "has not answered" in job.said
    assert "`churn down`" in job.said
    assert job.process.returncode == 4, job.said
    last = Job(trial.home, "run", extract.path)
    assert last.end(BOUND) == 0, last.said
    assert_right(found(trial.home, extract, {}))


def assert_they_give_way(home: Home, extract: Extract, first: Job) -> None:
    """A second run and a `dbt build` wait for the first one, then end and name it."""
    second = Job(home, "run", extract.path)
    places = {
        "DBT_TARGET_PATH": str(home.path / "rival"),
        "DBT_LOG_PATH": str(home.path / "rival"),
    }
    dbt = subprocess.run(
        [BIN / "dbt", "build"],
        cwd=PROJECT,
        env={**home.environ, **places},
        capture_output=True,
        text=True,
        timeout=BOUND,
    )
    assert dbt.returncode == 4, dbt.stdout
    assert "held by churn run" in dbt.stdout
    assert second.end(BOUND) == 4
    assert f"process {first.process.pid}" in second.said


@pytest.mark.long
def test_a_redis_of_ones_own(trial: Trial, tmp_path: Path) -> None:
    """Down, with another password, restarted empty: 4 and a clear word, then all is there."""
    extract = trial.latest
    before = trial.history()
    redis = OwnRedis(quiet_port(), tmp_path)
    home = Home(trial.home.path, {**trial.home.environ, **redis.environ})
    said = home.churn("run", extract.path, code=4).stderr
    assert f"127.0.0.1:{redis.port}" in said
    assert "does not answer" in said
    redis.start()
    try:
        said = home.churn("run", extract.path, code=4, CHURN_REDIS_PASSWORD="wrong").stderr
        assert "CHURN_REDIS_PASSWORD" in said
        assert redis.password not in said
        own = Trial(home, trial.extracts)
        assert_right(own.recover(extract, before))
        redis.kill()
        redis.start()
        lose_a_customer(home, min(extract.customers), lost=0)
        assert_right(own.recover(extract, before))
        lose_a_customer(home, min(extract.customers), lost=1)
        assert_right(own.recover(extract, before))
    finally:
        redis.kill()


def lose_a_customer(home: Home, customer_id: str, lost: int) -> None:
    """The store forgets a key, as it does under pressure; what it says of itself stays."""
    with online_store.ensure(home.settings, lambda _: None).client() as client:
        assert client.delete(redis_key(customer_id)) == lost


@pytest.mark.long
def test_tables_that_never_reached_the_metastore_are_gone_on_with(
    homes: Homes, tmp_path: Path
) -> None:
    """Bronze's tables have their commits, and the metastore was not told or is a new one."""
    home = homes.new("it's untold")  # a folder may have such a name
    (workbook,) = write_samples(SampleParameters(rows=50, seed=SEED), tmp_path / "sample")
    home.churn("ingest", workbook)
    for table in ("telco_customers", "loads"):
        home.sql(f"drop table bronze.{table}")  # of an external table the files stay
    home.end()  # a server that met a fault is not gone on with, nor is what it keeps in memory
    assert "was loaded before" in home.churn("ingest", workbook).stdout
    assert home.value("select count(*) from bronze.telco_customers") == 50
    assert home.value("select count(*) from bronze.loads") == 1


def test_a_server_ends_with_its_keeper(homes: Homes) -> None:
    """Else a keeper that is killed leaves a server that no command finds, on the port."""
    home = homes.new("keeper")
    port = online_store.ensure(home.settings, lambda _: None).port
    running = online_store.service(home.settings).find()
    assert running is not None
    server = psutil.Process(running.pid)
    psutil.Process(running.keeper).kill()
    server.wait(10)
    assert online_store.ensure(home.settings, lambda _: None).port != port


def test_down_ends_a_server_that_hangs(homes: Homes) -> None:
    home = homes.new("hanging")
    online_store.ensure(home.settings, lambda _: None)
    running = online_store.service(home.settings).find()
    assert running is not None
    server = psutil.Process(running.pid)
    server.suspend()
    begun = time.monotonic()
    assert "redis: stopped" in home.churn("down").stdout
    assert time.monotonic() - begun < 20
    assert not server.is_running()


def processes(word: str, cwd: Path) -> list[int]:
    """Processes with the word on their command line that work in the folder."""
    known = ["cmdline", "cwd"]
    return [
        each.pid
        for each in psutil.process_iter(known)
        if word in (each.info["cmdline"] or []) and each.info["cwd"] == str(cwd)
    ]


@pytest.mark.long
def test_a_starter_that_dies_leaves_one_server(homes: Homes) -> None:
    """The keeper goes on alone, and who comes next waits for its server; or there is none yet."""
    home = homes.new("starter")
    starter = subprocess.Popen([BIN / "churn", "up"], env=home.environ, stderr=subprocess.PIPE)
    while not processes("lakehouse.keeper", cwd=home.path / "spark"):
        time.sleep(0.005)
    starter.kill()
    starter.wait()
    home.churn("up")
    spark = home.churn_json("status")["spark"]
    assert spark["state"] == "running"
    port = f"hive.server2.thrift.port={spark['thrift_port']}"
    assert processes(port, cwd=home.path / "spark") == [spark["pid"]]
    home.churn("down")


@pytest.mark.long
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_every_step(trial: Trial, fault: str) -> None:
    """A run meets the fault in its first step, the next one in its second, and so on.

    Each run has to get past the step in which the one before it broke off. Where a run ends well
    in spite of the fault, the tables are compared and the next one takes a new extract.
    """
    hit: list[Cell] = []
    extract, before = trial.take(), trial.history()
    for step in STEPS:
        if step == "server":
            trial.home.churn("down")
        job = trial.hit(extract, fault, step)
        hit.append(trial.cells[fault, step])
        if job.process.returncode == 0:
            trial.settle(extract, before, hit)
            extract, before, hit = trial.take(), trial.history(), []
    trial.settle(extract, before, hit)
