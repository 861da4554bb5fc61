"""This project as one of the sides: its commands, over a home and servers of their own."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from environments import quiet_port

from benchmarks.measure import call
from lakehouse import online_store, spark_process, spark_session
from lakehouse.settings import Settings, read_settings

PORTS = ("THRIFT", "CONNECT", "AIRFLOW", "API")
CHURN = Path(sys.executable).with_name("churn")
SERVICES = (spark_process.service, online_store.service)


@dataclass(frozen=True)
class ChurnHome:
    """A CHURN_HOME that no other test or command uses."""

    settings: Settings
    environ: Mapping[str, str]

    def churn(self, *arguments: str | Path) -> None:
        """Call the command line and wait."""
        call([CHURN, *arguments], self.environ)

    def processes(self) -> list[int]:
        """The processes of the servers that run."""
        found = (service(self.settings).find() for service in SERVICES)
        return [running.pid for running in found if running is not None]

    def give(self, files: Sequence[Path]) -> None:
        """Put files of a set into bronze, as the loader would leave them; the server must run."""
        with spark_session.session(self.settings) as spark:
            rows = spark.read.parquet(*map(str, files))
            rows.createOrReplaceTempView("given")
            for table, query, layout in (
                ("bronze.telco_customers", ROWS, "partitioned by (_extract_date)"),
                ("bronze.loads", LOADS, ""),
            ):
                known = spark.catalog.tableExists(table)
                made = f"create table {table} using delta {layout} as"
                spark.sql(f"{f'insert into {table} by name' if known else made} {query}")

    @property
    def lake(self) -> Path:
        """The folder of the tables."""
        return Path(self.settings.lake.address)


ROWS = """
select
    * except (_batch_id, _row_number, _extract_date, _loaded_at),
    cast(map() as map<string, string>) as _extra,
    _row_number,
    _batch_id,
    _batch_id as _source_file,
    _batch_id as _source_sha256,
    'Customers' as _sheet,
    _extract_date,
    _loaded_at
from given
"""
LOADS = """
select
    _batch_id as batch_id,
    _batch_id as source_file,
    _batch_id as source_sha256,
    'Customers' as sheet,
    cast(count(*) as int) as row_count,
    _extract_date as extract_date,
    'given' as extract_date_source,
    _loaded_at
from given
group by _batch_id, _extract_date, _loaded_at
"""


@contextmanager
def home(folder: Path, **settings: str) -> Iterator[ChurnHome]:
    """A fresh home in the folder, which is removed with all in it at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("CHURN_")}
    environ |= {"CHURN_HOME": str(folder)}
    environ |= {"DBT_LOG_PATH": str(folder), "DBT_TARGET_PATH": str(folder / "target")}
    environ |= {f"CHURN_{name}_PORT": str(quiet_port()) for name in PORTS}
    environ |= settings
    made = ChurnHome(read_settings(environ), environ)
    try:
        yield made
    finally:
        made.churn("down")
        shutil.rmtree(folder, ignore_errors=True)
