"""Read the rows that failed dbt tests found."""

import json
from collections.abc import Sequence

from pyspark.sql.connect.session import SparkSession

from lakehouse.dbt_runner import run_dbt_command
from lakehouse.settings import Settings
from lakehouse.sql import query

# Enough to see the problem; the test itself stops counting at 100.
SHOWN = 10


def failing_rows(settings: Settings, spark: SparkSession, tests: Sequence[str]) -> dict[str, str]:
    """Return, by dbt test, the first rows that it finds now, one line of JSON per row.

    Args:
        settings: The settings of this CHURN_HOME.
        spark: A Spark Connect session.
        tests: Names of dbt tests.
    """
    if not tests:
        return {}
    run_dbt_command(settings, ["compile", "--select", *tests])
    manifest = json.loads((settings.home / "dbt" / "manifest.json").read_text())
    compiled = {
        node["name"]: node["compiled_code"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and node["name"] in tests
    }
    return {name: _rows(spark, sql) for name, sql in sorted(compiled.items())}


def _rows(spark: SparkSession, sql: str) -> str:
    rows = query(spark, f"select * from ({sql}) limit {SHOWN + 1}")
    lines = [json.dumps(row, default=str) for row in rows[:SHOWN]]
    return "\n".join([*lines, "…"] if len(rows) > SHOWN else lines)
