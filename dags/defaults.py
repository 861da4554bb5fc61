"""Options that the DAGs with requests to a person share."""

from datetime import timedelta
from typing import Any

from dags.callbacks import log_failure_reason

DAG_OPTIONS: dict[str, Any] = {
    "catchup": False,
    "is_paused_upon_creation": True,
    "tags": ["churn"],
    "default_args": {
        "retries": 2,
        "retry_delay": timedelta(seconds=20),
        "on_failure_callback": log_failure_reason,
    },
}
# Of a task's own work; a wait for a person has no limit.
WORK_LIMIT = timedelta(hours=2)
