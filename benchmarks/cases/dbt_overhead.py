"""A warm `dbt build` beside the same SQL as a plain script in one Spark session."""

import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks import ours
from benchmarks.inputs import bronze_rows
from benchmarks.measure import Measured, in_turns, measuring
from churn.provenance import load_state
from lakehouse import spark_server

CUSTOMERS = 7043
ENTRY = re.compile(r"^\d\d:\d\d:\d\d\.\d+ \[\w+", re.MULTILINE)
STATEMENT = re.compile(r"On (?:model|test|unit_test)\.[^:]+: (.*)", re.DOTALL)
# What dbt asks of the metastore and of its contracts is dbt's own cost; a script knows its tables.
WORK = ("create", "insert", "merge", "alter", "select", "with")
COMMENTS = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)
SHAPE = re.compile(r"where false\s+limit 0\s*$")


def run(folder: Path, rounds: int) -> dict[str, Measured]:
    """Sides `dbt build` (all models, all tests, its start) and `script`."""
    rows = bronze_rows(folder, CUSTOMERS)
    with ours.home(folder / "overhead") as home:
        home.churn("up")
        home.give(sorted(rows.glob("*.parquet")))
        home.call("dbt", "build")
        with spark_server.session(home.settings) as spark:

            def by_dbt(into: Measured) -> None:
                load_state.mark_pending(spark, load_state.PASSED_AND_LATEST, "benchmark")
                with measuring(into, home.processes):
                    home.call("dbt", "build")

            def by_script(into: Measured) -> None:
                statements = list(_statements(home.settings.home / "dbt.log"))
                load_state.mark_pending(spark, load_state.PASSED_AND_LATEST, "benchmark")
                with measuring(into, home.processes):
                    for each in statements:
                        spark.sql(each).collect()

            return in_turns({"dbt build": by_dbt, "script": by_script}, rounds)


def _statements(log: Path) -> Iterator[str]:
    """What dbt had Spark do in its last call, in the order of its log."""
    text = log.read_text()
    last = text[text.rindex("Running with dbt=") :]
    for entry in ENTRY.split(last):
        found = STATEMENT.search(entry)
        statement = COMMENTS.sub("", found[1], count=1).strip() if found else ""
        if statement.lower().startswith(WORK) and not SHAPE.search(statement):
            yield statement
