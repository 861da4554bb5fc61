"""User and run that wrote a Delta table version, stored in its commit metadata."""

import getpass
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

# If dbt is called by a run, these variables pass the same values to dbt_credentials.py.
RUN, USER = "CHURN_RUN_ID", "CHURN_USER"
METADATA = "spark.databricks.delta.commitInfo.userMetadata"


def user() -> str:
    """Return the operating system's name of this process's user, or an empty string."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return ""


def format_commit_metadata(run_id: str, user_name: str) -> str:
    """Return the value of the setting `METADATA`, which marks all commits of a session."""
    return json.dumps({"run_id": run_id, "user": user_name})


def set_commit_metadata(spark: "SparkSession", run_id: str) -> None:
    """Add the run id and the user to all commits of the Spark session."""
    spark.conf.set(METADATA, format_commit_metadata(run_id, user()))


def parse_commit_metadata(metadata: str | None) -> tuple[str | None, str | None]:
    """Return the run id and the user of a commit, each None if not recorded."""
    try:
        values = json.loads(metadata or "{}")
        return values.get("run_id") or None, values.get("user") or None
    except (ValueError, AttributeError):
        return None, None
