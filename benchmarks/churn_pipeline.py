"""This project as a side of a comparison: its commands, in a home with its own servers."""

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
        """Run a command and wait for it."""
        call([CHURN, *arguments], self.environ)

    def processes(self) -> list[int]:
        """Return the process ids of the running servers."""
        states = (service(self.settings).find() for service in SERVICES)
        return [state.pid for state in states if state is not None]

    def load(self, files: Sequence[Path]) -> None:
        """Append files of a data set to bronze as the loader would; the server must be running."""
        with spark_session.session(self.settings) as spark:
            rows = spark.read.parquet(*map(str, files))
            rows.createOrReplaceTempView("new_rows")
            for table, query, layout in (
                ("bronze.telco_customers", ROWS, "partitioned by (_extract_date)"),
                ("bronze.loads", LOADS, ""),
            ):
                exists = spark.catalog.tableExists(table)
                create = f"create table {table} using delta {layout} as"
                spark.sql(f"{f'insert into {table} by name' if exists else create} {query}")

    @property
    def lake(self) -> Path:
        """Return the folder of the tables."""
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
from new_rows
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
from new_rows
group by _batch_id, _extract_date, _loaded_at
"""


@contextmanager
def home(folder: Path, **settings: str) -> Iterator[ChurnHome]:
    """Create an empty home in the folder; stop its servers and remove it at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("CHURN_")}
    environ |= {"CHURN_HOME": str(folder)}
    environ |= {"DBT_LOG_PATH": str(folder), "DBT_TARGET_PATH": str(folder / "target")}
    environ |= {f"CHURN_{name}_PORT": str(quiet_port()) for name in PORTS}
    environ |= settings
    created = ChurnHome(read_settings(environ), environ)
    try:
        yield created
    finally:
        created.churn("down")
        shutil.rmtree(folder, ignore_errors=True)
