"""Options of the DAGs, and tasks of those with requests to a person."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import CronTriggerTimetable

from dags.callbacks import log_failure_reason

OWNER = "churn"
# Of the DAGs that look for something to do. Airflow shows cron expressions in words.
SCAN_SCHEDULE = CronTriggerTimetable("*/5 * * * *", timezone="UTC", run_immediately=True)
SCAN_OPTIONS: dict[str, Any] = {
    "catchup": False,
    "is_paused_upon_creation": True,
    "max_active_runs": 1,
    "tags": ["churn"],
}
DAG_OPTIONS: dict[str, Any] = {
    "catchup": False,
    "is_paused_upon_creation": True,
    "tags": ["churn"],
    "default_args": {
        "owner": OWNER,
        "retries": 2,
        "retry_delay": timedelta(seconds=20),
        "on_failure_callback": log_failure_reason,
    },
}
# Of a task's own work; a wait for a person has no limit.
WORK_LIMIT = timedelta(hours=2)


def make_task(function: Callable[..., dict[str, Any]], **options: Any) -> PythonOperator:
    """Return the task that calls a function, with the function's name."""
    return PythonOperator(
        task_id=function.__name__,
        python_callable=function,
        execution_timeout=WORK_LIMIT,
        **options,
    )
