"""How fast an extract goes online, beside Feast's default engine and beside the server's own limit.

    python -m benchmarks.materialize WORKBOOK [CUSTOMERS]

In a home of its own: the workbook's customers are published again and again under other ids until
there are as many as asked for (a million), then a second extract in which every hundredth customer
differs. Each way is a process of its own, whose memory counts whole. Prints a table for
docs/feature-store.md.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql.connect.session import SparkSession

from benchmarks.common import churn
from lakehouse import online_store, spark_server
from lakehouse.process import free_port
from lakehouse.settings import Settings, read_settings

DATES = ["2030-01-01", "2030-02-01"]
MANY = 1_000_000


@dataclass(frozen=True)
class Took:
    """Seconds of a way, and the most memory that its process had, in MiB."""

    seconds: float
    mebibytes: float
    told: dict[str, Any]


def main(workbook: str, customers: int) -> None:
    with tempfile.TemporaryDirectory(prefix="materialize") as folder:
        ports = [str(free_port()) for _ in range(2)]
        os.environ |= {"CHURN_HOME": folder, "CHURN_THRIFT_PORT": ports[0]}
        os.environ["CHURN_CONNECT_PORT"] = ports[1]
        settings = read_settings()
        try:
            churn("ingest", workbook, "--extract-date", "2025-12-03")
            churn("build")
            churn("features", "apply")
            with spark_server.session(settings) as spark:
                publish(spark, DATES[0], customers, "tenure")
                print(f"{customers:,} customers published", flush=True)
                measure(settings, spark, customers)
        finally:
            churn("down")


def publish(spark: SparkSession, day: str, customers: int, tenure: str) -> None:
    """An extract of so many customers, whose tenure is the expression."""
    columns = spark.table("gold.customer_features").columns
    values = {
        "customer_id": "concat(customer_id, '-', copy)",
        "event_timestamp": f"timestamp'{day}'",
        "created_timestamp": f"timestamp'{day} 06:00:00'",
        "tenure": f"cast({tenure} as int)",
    }
    selected = ", ".join(
        f"{values.get(each, each)} as {each}" for each in columns if each != "extract_date"
    )
    spark.sql(
        f"""
        insert into gold.customer_features partition (extract_date = '{day}')
        select {selected}
        from gold.customer_features
        cross join (select id as copy from range({customers // 5000 + 1}))
        where extract_date = '2025-12-03'
        order by copy, customer_id
        limit {customers}
        """
    )
    spark.sql(
        f"""
        insert into gold.publications
        select 'benchmark-{day}', date'{day}', timestamp'{day} 06:00:00', {customers},
            'benchmark', current_timestamp()
        """
    )


def measure(settings: Settings, spark: SparkSession, customers: int) -> None:
    rows: dict[str, Took] = {}
    rows["the project's engine"] = way("materialize")
    rows["read back by `verify`"] = way("verify")
    publish(spark, DATES[1], customers, "tenure + int(pmod(hash(customer_id, copy), 100) = 0)")
    rows["the next extract, 1 % changed"] = way("materialize")
    rows["read back again"] = way("verify")
    flush(settings)
    rows["mass insertion of the same bytes"] = way("insert")
    flush(settings)
    rows["Feast's default engine, 10,000 rows at a time"] = way("feast")
    print("| | s | customers a second | MiB | |\n|---|---|---|---|---|")
    for name, took in rows.items():
        told = ", ".join(f"{value:,} {key}" for key, value in took.told.items())
        rate = f"{customers / took.seconds:,.0f}"
        print(f"| {name} | {took.seconds:.1f} | {rate} | {took.mebibytes:,.0f} | {told} |")


def flush(settings: Settings) -> None:
    with online_store.ensure(settings, print).client() as client:
        client.flushall()


def way(name: str, *arguments: str) -> Took:
    """Run one way in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.materialize.ways", name, *arguments]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    took = Took(**json.loads(printed.splitlines()[-1]))
    print(name, took, flush=True)
    return took


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()), int(sys.argv[2]) if len(sys.argv) > 2 else MANY)
