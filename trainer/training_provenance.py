"""Describe where a version's training rows came from: loads, workbooks, table versions, code."""

import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pyspark.sql.connect.session import SparkSession

from lakehouse.project_files import PROJECT
from lakehouse.sql import query_if_exists
from lakehouse.table_history import TableHistory, table_history

# Delta tables that gold is built from.
TABLES = ("bronze.telco_customers", "silver.customers")
FEATURES = "gold.customer_features"
PUBLICATIONS = """
    select publications.batch_id, publications.extract_date, publications.created_timestamp,
        publications.customers, publications.run_id, publications.published_at,
        loads.source_file, loads.source_sha256, loads.sheet
    from gold.publications
    inner join bronze.loads on publications.batch_id = loads.batch_id
    order by publications.extract_date, publications.created_timestamp
"""


def read_provenance(spark: SparkSession, batches: Sequence[str]) -> dict[str, Any]:
    """Return the provenance that a record stores, as JSON types.

    The keys are `feature_service`; `code` {version, commit, modified}; and `loads`, with an entry
    for each load: its publication (extract_date, created_timestamp, customers, run_id,
    published_at), the call of dbt, the workbook, and the versions of the Delta tables that it was
    published from. None represents an unknown value.
    """
    from feature_repo.feature_services import churn  # Feast, which takes seconds to import

    published = query_if_exists(spark, "gold.publications", PUBLICATIONS)
    loads = [row for row in published if row["batch_id"] in batches]
    invocations = _invocations(spark) if loads else {}
    histories = {table: table_history(spark, table) for table in TABLES} if loads else {}
    return {
        "feature_service": churn.name,
        "code": read_code_version(PROJECT),
        "loads": [_load(load, invocations, histories) for load in loads],
    }


def read_code_version(project: Path) -> dict[str, Any]:
    """Return the project's version, its commit, and whether files differ from the commit.

    The last two are None if git does not know them.
    """
    commit = _git(project, "rev-parse", "HEAD")
    return {
        "version": version("telco-churn"),
        "commit": commit,
        "modified": bool(_git(project, "status", "--porcelain")) if commit else None,
    }


def _load(
    row: Mapping[str, Any],
    invocations: Mapping[str, str],
    histories: Mapping[str, TableHistory],
) -> dict[str, Any]:
    extract_date = row["extract_date"].isoformat()
    return {
        "batch_id": row["batch_id"],
        "extract_date": extract_date,
        "created_timestamp": _format_utc(row["created_timestamp"]),
        "customers": row["customers"],
        "run_id": row["run_id"],
        "published_at": _format_utc(row["published_at"]),
        "dbt_invocation": invocations.get(extract_date),
        "workbook": {
            "file": row["source_file"],
            "sha256": row["source_sha256"],
            "sheet": row["sheet"],
        },
        # Since there is one writer at a time, this is the state that was read.
        "table_versions": {
            table: history.version_at(row["published_at"], row["run_id"])
            for table, history in histories.items()
        },
    }


def _format_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _invocations(spark: SparkSession) -> dict[str, str]:
    """Return the call of dbt that published each extract date.

    It is the name of the partition's folder.
    """
    invocations = {}
    for file in spark.table(FEATURES).inputFiles():
        parts = file.partition("/extract_date=")[2].split("/")
        if len(parts) == 3:  # else written before publishes had separate folders
            invocations[parts[0]] = parts[1]
    return invocations


def _git(project: Path, *arguments: str) -> str | None:
    """Return the output of git, or None if there is no git or no checkout."""
    if not (project / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(project), *arguments], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
