"""How long a large training set takes, and how little of it the process that asks for it holds.

    python -m benchmarks.training_set WORKBOOK [ROWS]

In a home of its own: the workbook's customers are published again and again under other ids, in
three extracts of which each lacks a twentieth, until their two pairs have as many label rows as
asked for (a million). The process that asks for the training set is one of its own, whose memory
counts whole. Prints a table for docs/training.md.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pyspark.sql.connect.session import SparkSession

from benchmarks.common import churn
from feature_repo.training import FEATURES, LABELS, training_set
from lakehouse import spark_server
from lakehouse.process import free_port
from lakehouse.settings import Settings, read_settings
from lakehouse.sql import query

WORKBOOKS = "2025-12-03"
DATES = ["2030-01-01", "2030-02-01", "2030-03-01"]
MANY = 1_000_000
RETRIEVE = "retrieve"


def main(workbook: str, rows: int) -> None:
    with tempfile.TemporaryDirectory(prefix="training_set") as folder:
        ports = [str(free_port()) for _ in range(2)]
        os.environ |= {"CHURN_HOME": folder, "CHURN_THRIFT_PORT": ports[0]}
        os.environ["CHURN_CONNECT_PORT"] = ports[1]
        settings = read_settings()
        try:
            churn("ingest", workbook, "--extract-date", WORKBOOKS)
            churn("build")
            churn("features", "apply")
            with spark_server.session(settings) as spark:
                publish(spark, rows)
            print("published", flush=True)
            command = [sys.executable, "-m", "benchmarks.training_set", RETRIEVE]
            printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            told = json.loads(printed.splitlines()[-1])
            print("|", " | ".join(told), "|\n" + "|---" * len(told) + "|")
            print("|", " | ".join(f"{value:,}" for value in told.values()), "|")
        finally:
            churn("down")


def publish(spark: SparkSession, rows: int) -> None:
    """The workbook's customers, often enough; each month another twentieth is not there."""
    stay = query(spark, f"select count_if(churned = 0) as stay from {LABELS}")[0]["stay"]
    # a twentieth of each of the two extracts with a next one is missing
    copies = round(rows / (len(DATES) - 1) / 0.95 / stay)
    for month, day in enumerate(DATES):
        for table in (FEATURES, LABELS):
            columns = [each for each in spark.table(table).columns if each != "extract_date"]
            values = {
                "customer_id": "concat(customer_id, '-', copy)",
                "event_timestamp": f"timestamp'{day}'",
                "created_timestamp": f"timestamp'{day} 06:00:00'",
            }
            selected = ", ".join(f"{values.get(each, each)} as {each}" for each in columns)
            spark.sql(
                f"""
                insert into {table} partition (extract_date = '{day}')
                select {selected} from {table}
                cross join (select id as copy from range({copies}))
                where extract_date = '{WORKBOOKS}'
                    and pmod(hash(customer_id, copy), 20) != {month}
                """
            )
        spark.sql(
            f"""
            insert into gold.publications
            select 'benchmark-{day}', date'{day}', timestamp'{day} 06:00:00', count(*),
                'benchmark', current_timestamp()
            from {LABELS} where extract_date = '{day}'
            """
        )


def retrieve(settings: Settings) -> dict[str, float]:
    """Rows, seconds for labels and for features, and this process's most memory, in MiB."""
    with spark_server.session(settings) as spark:
        start = time.monotonic()
        training = training_set(settings, spark, lambda text: print(text, file=sys.stderr))
        labelled = time.monotonic()
        frame = training.retrieve()
        done = time.monotonic()
        found = frame.selectExpr("count(*) as rows", "count(tenure) as known").toArrow()
    (counted,) = found.to_pylist()
    assert counted["rows"] == counted["known"] == training.label.rows
    return {
        "rows": counted["rows"],
        "left": training.label.positives,
        "labels, s": round(labelled - start, 1),
        "features, s": round(done - labelled, 1),
        # kibibytes on Linux
        "MiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


if __name__ == "__main__":
    if sys.argv[1] == RETRIEVE:
        print(json.dumps(retrieve(read_settings())))
    else:
        main(str(Path(sys.argv[1]).resolve()), int(sys.argv[2]) if len(sys.argv) > 2 else MANY)
