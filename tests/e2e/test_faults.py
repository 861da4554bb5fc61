"""Whatever breaks at whichever commit: the next run ends right, nothing doubled, nothing lost.

`test_drawn_faults…` draw sequences of up to three faults from a seed. One seed alone is replayed by
FAULT_SEED=123 pytest tests/e2e/test_faults.py -k replayed

An object store that is unreachable is not among the faults: a lake can't lie on one yet.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from environments import BIN, ChurnHome, Environments, quiet_port
from faults import (
    KINDS,
    MOMENTS,
    Fault,
    Found,
    Job,
    OwnRedis,
    Struck,
    extract_of,
    found,
    history,
    server_process,
    struck,
)
from lake_reader import Extract, Lake, Loads
from monthly import WITHOUT_TESTS, cut_off

from feature_repo.online.redis_layout import redis_key
from feature_repo.online.verify import verify
from lakehouse import online_store, spark_server, spark_session
from lakehouse.run_lock_file import lock_file
from lakehouse.settings import PROJECT
from seeds_loader.sample import SampleParameters, simulate, write_samples

# No fault may hold a run for longer; a server that hangs while it starts is waited for.
BOUND = 240.0
SEED = 7
# Workbooks of so many months; a drawn load takes one of the first two.
MONTHS = 4
# The first seeds draw only levels and faults that take seconds; some of them run in CI.
SEEDS_IN_CI, QUICK_SEEDS, SEEDS = 2, 12, 300
# For a command: its arguments, and how many commits it makes on a warm server, about.
OPERATIONS: dict[str, tuple[tuple[str, ...], int]] = {
    "ingest": (("ingest",), 3),
    "build": (("build", *WITHOUT_TESTS), 30),
    "materialize": (("features", "materialize"), 12),
    "materialize all": (("features", "materialize", "--all"), 12),
    "score": (("score",), 4),
    "run": (("run",), 80),
}
# What a restart of the server adds: the configuration, the schemas, the removal of leftovers.
RESTARTED = 6
# What is drawn for a sequence: how often, and the commands that a fault may hit in it.
LEVELS = {
    "ingest": (10, ("ingest",)),
    "online": (5, ("materialize", "materialize all")),
    "build": (3, ("build", "build", "ingest")),
    "whole": (1, ("run", "score", "materialize")),
}
# As a notebook does that takes a training set from Feast.
OPEN_SESSION = """
import sys
from lakehouse.settings import read_settings
from lakehouse.spark_session import connect
spark = connect(read_settings())
spark.sql("select 1").collect()
print("open", flush=True)
sys.stdin.read()
"""
# Those that take seconds.
QUICK_LEVELS = ("ingest", "online")
FREQUENCIES = {
    "client_killed": 8,
    "server_killed": 4,
    "redis_killed": 2,
    "disk_full": 1,
    # Takes half a minute to be noticed.
    "server_hangs": 0.2,
}


@dataclass(frozen=True)
class Step:
    """A command of a sequence, and the fault that it meets."""

    operation: str
    fault: Fault


@dataclass(frozen=True)
class Sequence:
    """What a seed stands for. `place`: a new date, a late one, or that of an earlier load."""

    seed: int
    level: str
    place: str
    workbook: str
    steps: list[Step]

    def __str__(self) -> str:
        faults = "; ".join(
            f"{each.operation}: {each.fault.kind} {each.fault.when} commit {each.fault.at}"
            for each in self.steps
        )
        return f"FAULT_SEED={self.seed} ({self.workbook} workbook, {self.place} date): {faults}"


def drawn(seed: int) -> Sequence:
    """The sequence of a seed; it does not depend on what came before."""
    dice = random.Random(seed)
    names = [name for name in LEVELS if seed >= QUICK_SEEDS or name in QUICK_LEVELS]
    (level,) = dice.choices(names, [LEVELS[name][0] for name in names])
    steps = []
    restarted = 0
    odds_of_number = (5, 3, 2) if seed >= QUICK_SEEDS else (9, 2, 1)
    for _ in range(dice.choices((1, 2, 3), odds_of_number)[0]):
        operation = dice.choice(LEVELS[level][1])
        kinds = [kind for kind in KINDS if seed >= QUICK_SEEDS or kind != "server_hangs"]
        # Ingest and build have nothing to do with the online store.
        kinds = [kind for kind in kinds if level in ("online", "whole") or kind != "redis_killed"]
        odds = [FREQUENCIES[kind] * (4 if kind == "redis_killed" else 1) for kind in kinds]
        (kind,) = dice.choices(kinds, odds)
        at = dice.randint(1, OPERATIONS[operation][1] + restarted)
        steps.append(Step(operation, Fault(kind, at, dice.choice(MOMENTS))))
        restarted = 0 if kind == "redis_killed" else RESTARTED
    place = dice.choice(("new", "late", "restated"))
    workbook = dice.choices(("first", "second", "refused"), (4, 4, 1))[0]
    return Sequence(seed, level, place, workbook, steps)


@dataclass
class Tally:
    """What came of the faults."""

    struck: Counter[tuple[str, str]] = field(default_factory=Counter)
    commits: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    recovered: int = 0
    without: int = 0
    failed: list[int] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The commits of each command, longest seen, and the faults that were met."""
        lines = ["commits of a command, by kind:"]
        for operation, commits in self.commits.items():
            kinds = Counter(kind for kind, _ in commits)
            lines.append(f"  {operation:<16}{len(commits):>4}  {dict(kinds)}")
            lines += [f"    {n:>3} {kind:<8} {name}" for n, (kind, name) in enumerate(commits, 1)]
        lines.append("faults met, by kind and kind of commit:")
        lines += [f"  {kind:<16}{commit:<10}{n:>5}" for (kind, commit), n in self.struck.items()]
        lines.append(
            f"sequences: {self.recovered} recovered, {self.without} of them had ended before the "
            f"commits that were drawn; failed: {self.failed or 'none'}"
        )
        return lines


@dataclass
class Trial:
    """A home, its extracts in order, what was loaded, and what came of the faults."""

    home: ChurnHome
    extracts: list[Extract]
    refused: Extract
    taken: int = 0
    loads: Loads = field(default_factory=dict)
    # Dates whose latest load went through a build.
    built: set[date] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)
    is_broken: bool = False

    @property
    def latest(self) -> Extract:
        """The extract that was taken last."""
        return self.extracts[self.taken - 1]

    def take(self) -> Extract:
        """The next month's."""
        self.taken += 1
        return self.latest

    def hit(self, operation: str, fault: Fault, *arguments: str | Path) -> Struck:
        """A command that meets the fault."""
        end = struck(self.home, fault, *OPERATIONS[operation][0], *arguments, seconds=BOUND)
        assert "Traceback" not in end.said, end.said
        if end.met:
            self.tally.struck[fault.kind, end.commits[fault.at - 1][0]] += 1
        elif len(end.commits) > len(self.tally.commits.get(operation, [])):
            self.tally.commits[operation] = end.commits
        return end

    def settle(self, operation: str, *arguments: str | Path, code: int = 0) -> None:
        """The command with nothing in the way, which must end as it always does."""
        end = self.hit(operation, Fault(), *arguments)
        assert end.code == code, end.said

    def play(self, sequence: Sequence) -> bool:
        """A sequence, and the ordinary commands after it; whether any fault was met."""
        extract, day = self._subject(sequence)
        given = (extract.path, "--extract-date", day.isoformat())
        if sequence.level == "build":
            self.settle("ingest", *given)
        met = False
        for step in sequence.steps:
            arguments = given if step.operation in ("ingest", "run") else ()
            end = self.hit(step.operation, step.fault, *arguments)
            met |= end.met
            is_killed = end.met and step.fault.kind == "client_killed"
            # 2: there is nothing to score yet
            allowed = (
                (-9,) if is_killed else (0, 1, 3, 4, *([2] if step.operation == "score" else []))
            )
            assert end.code in allowed, end.said
        self._recover(sequence, extract, day, given)
        return met

    def _subject(self, sequence: Sequence) -> tuple[Extract, date]:
        """Workbook and date: a refused one does not take the place of a load that is not built."""
        chosen = {"first": self.extracts[0], "second": self.extracts[1], "refused": self.refused}
        extract = chosen[sequence.workbook]
        if sequence.place == "restated":
            known = self.built if extract.is_refused else set(self.loads)
            day = random.Random(sequence.seed).choice(sorted(known))
            if self.loads[day][-1].path == extract.path:
                # The same workbook again would be no load, and commit nothing.
                others = [each for each in self.extracts[:2] if each.path != extract.path]
                extract = others[0]
            return extract, day
        month = timedelta(days=31)
        is_late = sequence.place == "late"
        return extract, min(self.loads) - month if is_late else max(self.loads) + month

    def _recover(
        self, sequence: Sequence, extract: Extract, day: date, given: tuple[Any, ...]
    ) -> None:
        lake = Lake(self.home.path)
        if sequence.level in ("ingest", "build"):
            self.settle("ingest", *given)
        if sequence.level == "whole":
            self.settle("run", *given, code=3 if extract.is_refused else 0)
        if sequence.level != "online":
            of_day = self.loads.setdefault(day, [])
            if not of_day or of_day[-1].path != extract.path:
                of_day.append(extract)
                self.built.discard(day)
        if sequence.level == "build":
            # A refusal that a build has recorded, even an interrupted one, is not repeated. Loads
            # of earlier sequences, which ingested them only, may be pending too.
            refuses = any(
                loads[-1].is_refused and not lake.is_evaluated(date_of_load)
                for date_of_load, loads in self.loads.items()
            )
            self.settle("build", code=3 if refuses else 0)
        wrong = lake.bronze_errors(self.loads)
        if sequence.level in ("build", "whole"):
            self.built |= set(self.loads)
            wrong += lake.silver_errors(self.loads) + lake.gold_errors(self.loads)
        if sequence.level == "online":
            self.settle("materialize")
            wrong += lake.online_errors()
        if sequence.level == "whole" and not extract.is_refused:
            wrong += lake.online_errors() + lake.score_errors()
        assert lock_file(self.home.settings).read_text() == ""
        assert not [*(self.home.path / "lake" / "_staged").glob("*")]
        assert wrong == []

    def recover(self, extract: Extract, before: dict[str, Any]) -> Found:
        """Run again with nothing in the way: it must end right, and every table must be right."""
        summary = self.home.churn_json("run", extract.path)
        there = len(extract.customers)
        assert {summary["counts"][each] for each in ("gold", "online_verified", "scored")} == {
            there
        }
        assert lock_file(self.home.settings).read_text() == ""
        assert not list((self.home.path / "models").glob(".*.new"))
        with spark_session.session(self.home.settings) as spark:
            assert verify(self.home.settings, spark, lambda _: None).differences == []
        return found(self.home, extract, before)

    def history(self) -> dict[str, Any]:
        """What gold holds before a fault, for the dates that it must leave alone."""
        spark_server.ensure_running(self.home.settings, lambda _: None)
        return history(self.home)


def assert_right(state: Found) -> None:
    assert (state.lost, state.doubled, state.wrong) == (0, 0, [])


@pytest.fixture(scope="module")
def trial(
    environments: Environments, tmp_path_factory: pytest.TempPathFactory, tell: list[str]
) -> Iterator[Trial]:
    made = new_trial(environments, tmp_path_factory.mktemp("months"))
    yield made
    made.home.churn("down")
    tell += ["", *made.tally.lines()]


def new_trial(environments: Environments, folder: Path) -> Trial:
    parameters = SampleParameters(rows=1050, months=MONTHS, seed=SEED, dirt=True)
    paths = write_samples(parameters, folder)
    pairs = zip(simulate(parameters), paths, strict=True)
    extracts = [extract_of(month, path) for month, path in pairs]
    first = extracts[0]
    part = cut_off(first.path, folder, 900)
    refused = Extract(part, first.date, first.ids[:900], frozenset(), is_refused=True)
    return Trial(environments.new("faults", is_brief=True), extracts, refused)


@pytest.mark.long  # CI has the drawn faults
def test_one_fault_after_another(trial: Trial) -> None:
    """A fault at its worst commit; the run that ends well goes on from there, and has rivals."""
    extract = trial.take()
    end = trial.hit("run", Fault("server_killed", 20, "before"), extract.path)
    assert "The Spark server ended while the command was using it" in end.said
    assert end.code == 4, end.said
    first = Job(trial.home, "run", extract.path)
    assert first.reach("server")
    assert_they_give_way(trial.home, extract, first)
    assert first.end(BOUND) == 0, first.said
    assert_right(found(trial.home, extract, {}))
    trial.loads[extract.date] = [extract]
    trial.built.add(extract.date)


@pytest.mark.long
def test_further_faults_one_after_another(trial: Trial) -> None:
    """The other kinds, in the same way."""
    extract = trial.take()
    assert trial.hit("run", Fault("client_killed", 2, "before"), extract.path).code == -9
    end = trial.hit("run", Fault("disk_full", 20, "before"), extract.path)
    assert "an earlier run was interrupted" in end.said
    assert "what to do: make room" in end.said
    assert end.code == 1, end.said
    trial.home.churn("build")
    assert trial.hit("materialize", Fault("redis_killed", 2, "before")).met
    end = trial.hit("run", Fault("server_hangs", 1, "before"), extract.path)
    assert "has not answered" in end.said
    assert "`churn down`" in end.said
    assert end.code == 4, end.said
    last = Job(trial.home, "run", extract.path)
    assert last.end(BOUND) == 0, last.said
    assert_right(found(trial.home, extract, {}))
    trial.loads[extract.date] = [extract]
    trial.built.add(extract.date)


def assert_they_give_way(home: ChurnHome, extract: Extract, first: Job) -> None:
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
    home = ChurnHome(trial.home.path, {**trial.home.environ, **redis.environ})
    said = home.churn("run", extract.path, code=4).stderr
    assert f"127.0.0.1:{redis.port}" in said
    assert "does not answer" in said
    redis.start()
    try:
        said = home.churn("run", extract.path, code=4, CHURN_REDIS_PASSWORD="wrong").stderr
        assert "CHURN_REDIS_PASSWORD" in said
        assert redis.password not in said
        own = replace(trial, home=home)
        assert_right(own.recover(extract, before))
        redis.kill()
        redis.start()
        lose_a_customer(home, min(extract.customers), lost=0)
        assert_right(own.recover(extract, before))
        lose_a_customer(home, min(extract.customers), lost=1)
        assert_right(own.recover(extract, before))
    finally:
        redis.kill()


def lose_a_customer(home: ChurnHome, customer_id: str, lost: int) -> None:
    """The store forgets a key, as it does under pressure; what it says of itself stays."""
    with online_store.ensure_running(home.settings, lambda _: None).client() as client:
        assert client.delete(redis_key(customer_id)) == lost


@pytest.mark.long
def test_tables_that_never_reached_the_metastore_are_gone_on_with(
    environments: Environments, tmp_path: Path
) -> None:
    """Bronze's tables have their commits, and the metastore was not told or is a new one."""
    home = environments.new("it's untold")  # a folder may have such a name
    (workbook,) = write_samples(SampleParameters(rows=50, seed=SEED), tmp_path / "sample")
    home.churn("ingest", workbook)
    for table in ("telco_customers", "loads"):
        home.sql(f"drop table bronze.{table}")  # of an external table the files stay
    home.end()  # a server that met a fault is not gone on with, nor is what it keeps in memory
    assert "already loaded" in home.churn("ingest", workbook).stdout
    assert home.value("select count(*) from bronze.telco_customers") == 50
    assert home.value("select count(*) from bronze.loads") == 1


def test_a_server_ends_with_its_supervisor(environments: Environments) -> None:
    """Else a supervisor that is killed leaves a server that no command finds, on the port."""
    home = environments.new("supervisor")
    port = online_store.ensure_running(home.settings, lambda _: None).port
    running = online_store.service(home.settings).find()
    assert running is not None
    server = psutil.Process(running.pid)
    psutil.Process(running.supervisor).kill()
    server.wait(10)
    assert online_store.ensure_running(home.settings, lambda _: None).port != port


def test_down_ends_a_server_that_hangs(environments: Environments) -> None:
    home = environments.new("hanging")
    online_store.ensure_running(home.settings, lambda _: None)
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
def test_a_starter_that_dies_leaves_one_server(environments: Environments) -> None:
    """The supervisor goes on alone, and the next caller waits for its server, if there is one."""
    home = environments.new("starter")
    starter = subprocess.Popen([BIN / "churn", "up"], env=home.environ, stderr=subprocess.PIPE)
    while not processes("lakehouse.supervisor", cwd=home.path / "spark"):
        time.sleep(0.005)
    starter.kill()
    starter.wait()
    home.churn("up")
    spark = home.churn_json("status")["spark"]
    assert spark["state"] == "running"
    port = f"hive.server2.thrift.port={spark['thrift_port']}"
    assert processes(port, cwd=home.path / "spark") == [spark["pid"]]
    home.churn("down")


@pytest.fixture
def begun(trial: Trial, environments: Environments) -> Trial:
    """The trial with a first extract that is published and online."""
    if trial.is_broken:
        # What a sequence left that failed would fail the next ones too.
        trial.home.churn("down")
        trial.home, trial.taken = environments.new("faults", is_brief=True), 0
        trial.is_broken = False
        trial.loads.clear()
        trial.built.clear()
    if not trial.loads:
        extract = trial.take()
        trial.settle("ingest", extract.path)
        trial.settle("build")
        trial.settle("materialize")
        trial.loads[extract.date] = [extract]
        trial.built.add(extract.date)
    return trial


def assert_nothing_lost(trial: Trial, seed: int) -> None:
    """The sequence of the seed ends well; its words are printed where it does not."""
    sequence = drawn(seed)
    print(sequence)
    trial.tally.failed.append(seed)
    trial.is_broken = True
    met = trial.play(sequence)
    trial.tally.without += not met
    trial.tally.failed.remove(seed)
    trial.is_broken = False
    trial.tally.recovered += 1


def test_the_commits_of_an_ingest_are_counted(begun: Trial) -> None:
    """Else the faults below would hit nothing; then a row is lost that other loads don't need."""
    day = max(begun.loads)
    following = (begun.extracts[1].path, "--extract-date", (day + timedelta(1)).isoformat())
    # The server may have made room for those of other tests; its start has commits of its own.
    begun.home.churn("up")
    end = begun.hit("ingest", Fault("client_killed", 2, "before"), *following)
    assert end.commits == [
        ("connect", "append bronze.telco_customers"),
        ("connect", "append bronze.loads"),
    ]
    begun.settle("ingest", *following)
    begun.loads[day + timedelta(1)] = [begun.extracts[1]]
    assert Lake(begun.home.path).bronze_errors(begun.loads) == []


def test_a_missing_row_is_named_and_blocks_no_other_load(begun: Trial) -> None:
    day = max(begun.loads)
    whole = begun.loads[day][-1]
    given = (whole.path, "--extract-date", day.isoformat())
    begun.home.sql(
        "delete from bronze.telco_customers"
        f" where _extract_date = date '{day}' and _row_number = {whole.rows + 1}"
    )
    begun.loads[day][-1] = replace(whole, ids=whole.ids[:-1])
    other = day + timedelta(1)
    end = begun.hit("ingest", Fault(), begun.extracts[0].path, "--extract-date", other.isoformat())
    assert end.code == 0, end.said
    assert f"{whole.rows - 1:,} rows of the load" in end.said
    assert f"extract of {day}" in end.said
    begun.loads[other] = [begun.extracts[0]]
    assert Lake(begun.home.path).bronze_errors(begun.loads) == []
    end = begun.hit("ingest", Fault(), *given)
    assert "the rows of its earlier load are incomplete" in end.said
    begun.loads[day].append(whole)
    begun.built.discard(day)
    assert Lake(begun.home.path).bronze_errors(begun.loads) == []
    assert "warning" not in begun.hit("ingest", Fault(), *given).said


@pytest.mark.long  # CI refuses a load in test_rules.py and a run in test_airflow.py
def test_a_refused_run_leaves_the_published_files_alone(begun: Trial) -> None:
    """Also where its build published another load, which replaced an earlier one of its date."""
    day = min(begun.built)
    replaced = begun.loads[day][-1]
    other = next(each for each in begun.extracts[:2] if each.path != replaced.path)
    begun.settle("ingest", other.path, "--extract-date", day.isoformat())
    begun.loads[day].append(other)
    following = max(begun.loads) + timedelta(1)
    given = (begun.refused.path, "--extract-date", following.isoformat())
    begun.settle("run", *given, code=3)
    begun.loads[following] = [begun.refused]
    begun.built |= set(begun.loads)
    assert Lake(begun.home.path).gold_errors(begun.loads) == []


def test_a_process_ends_though_its_open_session_has_no_server(begun: Trial) -> None:
    begun.home.churn("up")
    opened = subprocess.Popen(
        [sys.executable, "-c", OPEN_SESSION],
        env=begun.home.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert opened.stdout is not None
    assert opened.stdout.readline() == "open\n"
    server = server_process(begun.home)
    assert server is not None
    server.kill()
    server.wait(10)
    opened.communicate("", timeout=30)
    assert opened.returncode == 0


@pytest.mark.parametrize("seed", range(SEEDS_IN_CI))
def test_drawn_faults_lose_nothing(begun: Trial, seed: int) -> None:
    assert_nothing_lost(begun, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(SEEDS_IN_CI, SEEDS))
def test_many_drawn_faults_lose_nothing(begun: Trial, seed: int) -> None:
    assert_nothing_lost(begun, seed)


@pytest.mark.skipif("FAULT_SEED" not in os.environ, reason="FAULT_SEED names a seed to replay")
def test_a_seed_is_replayed(begun: Trial) -> None:
    assert_nothing_lost(begun, int(os.environ["FAULT_SEED"]))
