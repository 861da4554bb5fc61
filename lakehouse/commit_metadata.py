"""Who and what run wrote a version of a Delta table: told in its commit, read from its history."""

import getpass
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

# Where dbt works for a run, these variables tell macros/commits.sql the same.
RUN, USER = "CHURN_RUN_ID", "CHURN_USER"
METADATA = "spark.databricks.delta.commitInfo.userMetadata"


def user() -> str:
    """Whose process this is, by the name that the machine has for the user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return ""


def set_commit_metadata(spark: "SparkSession", run_id: str) -> None:
    """Let all commits of the session name the run and the user."""
    spark.conf.set(METADATA, json.dumps({"run_id": run_id, "user": user()}))


def parse_commit_metadata(metadata: str | None) -> tuple[str | None, str | None]:
    """Run and user that a commit names; None each where it names none."""
    try:
        told = json.loads(metadata or "{}")
        return told.get("run_id") or None, told.get("user") or None
    except (ValueError, AttributeError):
        return None, None
