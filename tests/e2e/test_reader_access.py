"""A reader selects what is published, sees no personal value, and can do nothing else."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from environments import ChurnHome, CompletedRun, Environments, called
from pyhive import hive
from pyspark.errors.exceptions.base import PySparkException
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.functions import udf

from lakehouse.domain import read_domain
from lakehouse.jars import SPARK_HOME
from lakehouse.java import find_java
from lakehouse.process import port_is_open
from lakehouse.readers import published_copy, server, users
from lakehouse.readers.masks import read_masks
from lakehouse.settings import PROJECT
from lakehouse.spark_credentials import read_password

NAME = "analyst"
SECONDS = 120
REFUSED = "Readers cannot use"
LOGIN = r"validating the login|no reader"


@dataclass(frozen=True)
class Reader:
    """A reader of a home whose servers run."""

    home: ChurnHome
    key: str

    @property
    def thrift_port(self) -> int:
        return self.home.settings.reader_thrift_port

    def query(self, sql: str, name: str = NAME, key: str | None = None) -> list[tuple[Any, ...]]:
        """Rows of a statement over Thrift."""
        connection = hive.connect(
            "127.0.0.1", self.thrift_port, username=name, password=key or self.key, auth="CUSTOM"
        )
        try:
            cursor = connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()


@pytest.fixture(scope="module")
def reader(completed_run: CompletedRun) -> Iterator[Reader]:
    """A reader of the home in which a whole job was run."""
    home = completed_run.home
    key = home.churn("user", "add", NAME, "--role", "reader").stdout.strip()
    home.churn("up", "--readers")
    yield Reader(home, key)
    server.service(home.settings).stop()
    if NAME in home.churn("user", "list").stdout:
        home.churn("user", "remove", NAME)


@pytest.fixture(scope="module")
def session(reader: Reader) -> Iterator[SparkSession]:
    """The reader's session over Connect, as PySpark's documentation says."""
    os.environ["SPARK_CONNECT_AUTHENTICATE_TOKEN"] = reader.key
    address = f"sc://localhost:{reader.home.settings.reader_connect_port}"
    spark = SparkSession.builder.remote(address).create()
    del os.environ["SPARK_CONNECT_AUTHENTICATE_TOKEN"]
    yield spark
    spark.stop()


def test_published_tables_and_views_are_read(reader: Reader, session: SparkSession) -> None:
    customers = reader.home.value("select count(distinct customer_id) from gold.customer_features")
    for table in ("customer_features", "customers_current", "scores_current"):
        assert reader.query(f"select count(*) from gold.{table}") == [(customers,)]
        assert session.table(f"gold.{table}").count() == customers
    assert reader.query("select count(*) > 10 from audit.gate_results") == [(True,)]
    shown = {row[1] for row in reader.query("show tables in gold")}
    assert {"customers_current", "scores_current", "churn_scores"} <= shown
    joined = """
        with risky as (select customer_id, probability from gold.scores_current where decile = 10)
        select contract, count(*), avg(probability) from risky
        join gold.customers_current using (customer_id) group by contract order by 2 desc
    """
    assert reader.query(joined) == [tuple(row) for row in session.sql(joined).collect()]
    assert reader.query(joined)[0][0] == "Month-to-month"


def test_beeline_reads_and_is_refused(reader: Reader, tmp_path: Path) -> None:
    password = tmp_path / "key"
    password.write_text(reader.key)
    url = f"jdbc:hive2://127.0.0.1:{reader.thrift_port}/"
    line = [find_java(), "-cp", f"{SPARK_HOME}/jars/*", "org.apache.hive.beeline.BeeLine"]
    login = ["-u", url, "-n", NAME, "-w", password]
    statements = [
        "select count(*) as found from gold.customers_current",
        "drop table gold.churn_scores",
    ]
    answer = called(
        [*line, *login, *(part for sql in statements for part in ("-e", sql))],
        {**reader.home.environ, "LC_ALL": "C.UTF-8"},
        SECONDS,
    )
    assert "7043" in answer.stdout, answer.stderr
    assert REFUSED in answer.stdout + answer.stderr


HIDDEN = [
    "select * from bronze.telco_customers",
    "select * from silver.customers",
    "select * from silver.rejected_rows",
    "select * from spark_catalog.silver.customers",
    "select (select max(customer_id) from silver.customers)",
    "with x as (select * from bronze.loads) select * from x",
    "describe silver.customers",
    "select * from parquet.`{lake}/gold/customer_features`",
    "select * from delta.`{lake}/silver/customers`",
    "select * from text.`{home}/secrets/spark_password`",
    "select * from text.`/etc/hostname`",
    "describe delta.`{lake}/silver/customers`",
    "select reflect('java.lang.System', 'getenv', 'PATH')",
    "select java_method('java.lang.System', 'getenv', 'PATH')",
    "select transform(customer_id) using 'cat' as (x) from gold.customers_current",
]


def find_accepted(reader: Reader, session: SparkSession, statements: list[str]) -> list[str]:
    """Those of the statements that either endpoint does not refuse with its own message."""
    settings = reader.home.settings
    places = {"lake": settings.lake.root, "home": str(settings.home)}
    quoted = {name: place.replace("`", "``").replace("'", "\\'") for name, place in places.items()}
    connection = hive.connect(
        "127.0.0.1", reader.thrift_port, username=NAME, password=reader.key, auth="CUSTOM"
    )
    accepted = []
    for statement in statements:
        sql = statement.format(**quoted)
        try:
            connection.cursor().execute(sql)
            accepted.append(f"Thrift: {sql}")
        except hive.OperationalError as error:
            if REFUSED not in str(error):
                accepted.append(f"Thrift: {sql}: {error}")
        try:
            session.sql(sql).collect()
            accepted.append(f"Connect: {sql}")
        except PySparkException as error:
            if REFUSED not in str(error):
                accepted.append(f"Connect: {sql}: {error}")
    connection.close()
    return accepted


def test_nothing_else_is_read(reader: Reader, session: SparkSession) -> None:
    assert find_accepted(reader, session, HIDDEN) == []


WRITES = [
    "insert into gold.churn_scores select * from gold.churn_scores",
    "insert overwrite gold.churn_labels select * from gold.churn_labels",
    "insert overwrite directory '{home}/out' using parquet select 1",
    "update gold.customers_current set tenure = 0",
    "delete from gold.customers_current",
    "merge into gold.customers_current a using gold.customers_current b "
    "on a.customer_id = b.customer_id when matched then delete",
    "truncate table gold.churn_labels",
    "drop table gold.customers_current",
    "drop schema gold cascade",
    "alter table gold.customers_current rename to gold.others",
    "alter table gold.customers_current add columns (x int)",
    "create table gold.x (x int) using parquet",
    "create table gold.x using delta as select 1 as x",
    "create view gold.x as select 1 as x",
    "create temporary view x as select * from parquet.`{lake}/gold`",
    "create temporary view x using csv options (path '/etc/passwd')",
    "create function x as 'java.lang.String'",
    "create temporary function x as 'java.lang.String' using jar '/tmp/x.jar'",
    "create temporary function x() returns int return 1",
    "create schema x",
    "declare variable x int",
    "cache table gold.customers_current",
    "uncache table gold.customers_current",
    "refresh table gold.customers_current",
    "analyze table gold.customers_current compute statistics",
    "vacuum gold.customers_current",
    "optimize gold.customers_current",
    "restore table gold.customers_current to version as of 0",
    "create table gold.x shallow clone gold.customers_current",
    "generate symlink_format_manifest for table gold.customers_current",
    "reorg table gold.customers_current apply (purge)",
    "convert to delta parquet.`{lake}/gold/churn_labels`",
    "alter table gold.customers_current add constraint x check (tenure > 0)",
    "msck repair table gold.customers_current",
    "comment on table gold.customers_current is 'x'",
    "load data inpath '/etc/passwd' into table gold.churn_labels",
    "add jar '/tmp/x.jar'",
    "add file '/etc/passwd'",
    "list jars",
    "set spark.sql.runSQLOnFiles=true",
    "reset",
]


def test_nothing_is_written(reader: Reader, session: SparkSession) -> None:
    tables = published_copy.list_copies(reader.home.settings)
    before = [reader.query(f"select count(*) from {table}") for table in tables]
    assert find_accepted(reader, session, WRITES) == []
    assert [reader.query(f"select count(*) from {table}") for table in tables] == before


def test_a_session_is_read_only_whatever_its_settings(reader: Reader) -> None:
    """The parameters of a JDBC address become settings of the session."""
    connection = hive.connect(
        "127.0.0.1",
        reader.thrift_port,
        username=NAME,
        password=reader.key,
        auth="CUSTOM",
        configuration={"set:hiveconf:spark.sql.runSQLOnFiles": "true"},
    )
    with pytest.raises(hive.OperationalError, match=REFUSED):
        connection.cursor().execute("select * from text.`/etc/hostname`")
    connection.close()


def test_the_connect_endpoint_takes_no_program_and_no_path(
    session: SparkSession, tmp_path: Path
) -> None:
    refused = "Readers read tables and do nothing else|Readers cannot use"
    program = tmp_path / "program.py"
    program.write_text("x = 1\n")

    def attempts() -> Iterator[Any]:
        customers = session.table("gold.customers_current")
        yield lambda: session.read.parquet("/etc").collect()
        yield lambda: session.read.format("jdbc").option("url", "jdbc:derby:x").load().collect()
        yield lambda: customers.select(udf(lambda text: text)("customer_id")).collect()
        yield lambda: customers.mapInPandas(lambda frames: frames, customers.schema).collect()
        yield lambda: customers.write.mode("overwrite").saveAsTable("gold.customers_current")
        yield lambda: customers.write.parquet(str(tmp_path / "out"))
        yield lambda: customers.createOrReplaceTempView("x")
        yield lambda: session.createDataFrame([(1,)], "x int").collect()
        yield lambda: session.udf.register("x", lambda text: text)
        yield lambda: session.udf.registerJavaFunction("x", "java.lang.String")
        yield lambda: session.addArtifacts(str(program), pyfile=True)
        yield lambda: session.conf.set("spark.sql.runSQLOnFiles", "true")
        yield lambda: session.catalog.dropTempView("x")
        yield lambda: session.catalog.cacheTable("gold.customers_current")
        yield lambda: session.readStream.table("gold.churn_labels").writeStream.start("/tmp/x")

    for index, attempt in enumerate(attempts()):
        with pytest.raises(Exception, match=refused) as raised:
            attempt()
        assert not isinstance(raised.value, AssertionError), index
    assert not (tmp_path / "out").exists()


def test_personal_values_are_masked_everywhere(reader: Reader) -> None:
    masks = read_masks(read_domain())
    assert "gender_female" in masks.columns and "senior_citizen" in masks.columns
    masked = 0
    for table in published_copy.list_copies(reader.home.settings):
        columns = {row[0] for row in reader.query(f"describe {table}")} & masks.columns
        for column in sorted(columns):
            assert reader.query(f"select count({column}) from {table}") == [(0,)], (table, column)
            masked += 1
    assert masked > 12
    hidden = reader.home.value(
        "select count_if(exists(reasons, reason -> reason.feature = 'senior_citizen')) "
        "from gold.churn_scores"
    )
    found = reader.query(
        "select count_if(exists(reasons, reason -> reason.feature = 'senior_citizen')) "
        "from gold.churn_scores"
    )
    assert hidden > 0 and found == [(0,)]
    for number in (1, 2, 3):
        assert reader.query(
            f"select count(*) from gold.scores_current where reason_{number} like '%enior%'"
        ) == [(0,)]


def test_words_are_those_of_the_workbook(reader: Reader) -> None:
    differing = """
        select count(*) from gold.customers_current current
        join silver.customers cleaned
        on current.customer_id = cleaned.customer_id
        and current.extract_date = cleaned.extract_date
        where current.contract != cleaned.contract
        or current.internet_service != cleaned.internet_service
        or current.gender != cleaned.gender
        or (current.partner = 'Yes') != (cleaned.partner = 1)
        or (current.churned = 'Yes') != (cleaned.churned = 1)
        or current.tenure != cleaned.tenure
        or current.contract is null or current.gender is null or current.partner is null
    """
    assert reader.home.value(differing) == 0


def test_columns_are_described_over_jdbc(reader: Reader) -> None:
    described = {row[0]: row[2] for row in reader.query("describe gold.customers_current")}
    assert described["tenure"] == "Months the customer has been with the operator."
    assert all(described.values()), described
    owners = reader.home.sql("describe gold.customers_current")
    assert {row["col_name"]: row["comment"] for row in owners} == described


@pytest.mark.parametrize("login", ["owner", "guess", "name"])
def test_only_readers_are_let_in(reader: Reader, login: str) -> None:
    key = {"owner": read_password(reader.home.settings), "guess": "churn_guess"}.get(login)
    name = "other" if login == "name" else NAME
    with pytest.raises(Exception, match=LOGIN):
        reader.query("select 1", name=name, key=key)


@pytest.mark.long
def test_a_server_of_its_own_serves_the_copies_that_there_are(
    reader: Reader, environments: Environments
) -> None:
    """As the stack's container: it starts when there are copies, and is stopped without them."""
    home = environments.new("readers_alone")
    settings, count = home.settings, "select count(*) from gold.customers_current"
    shutil.copytree(users.folder(reader.home.settings), users.folder(settings))
    check = [sys.executable, "-m", "lakehouse.readers.healthcheck"]
    with (home.path / "server.out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "lakehouse.readers.server"],
            **{"cwd": PROJECT, "env": home.environ, "stdout": out, "stderr": out},
        )
    try:
        home.call(check, 0)
        shutil.copytree(
            published_copy.location(reader.home.settings).root,
            published_copy.location(settings).root,
        )
        wait_for(lambda: port_is_open(settings.reader_thrift_port), process)
        assert Reader(home, reader.key).query(count) == reader.query(count)
        home.call(check, 0)
        published_copy.remove(settings)
        wait_for(lambda: server.service(settings).find() is None, process)
        assert not server.service(settings).scratch.exists()
    finally:
        process.terminate()
        process.wait(30)
        server.service(settings).stop()


def wait_for(is_met: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    """Wait while a process runs."""
    deadline = time.monotonic() + SECONDS
    while not is_met():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.5)


def test_a_removed_reader_is_not_let_in(reader: Reader) -> None:
    reader.home.churn("user", "remove", NAME)
    with pytest.raises(Exception, match=LOGIN):
        reader.query("select 1")
