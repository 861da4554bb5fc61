"""Define task callbacks: start the server before a dbt call, explain a task's failure."""

import logging
from typing import Any

from dags.tasks import (
    FailedTestError,
    GateRefusedTaskError,
    explain_failed_tests,
    run_id_of,
)
from lakehouse.settings import read_settings

log = logging.getLogger(__name__)
PRODUCER = "dbt_producer_watcher"


def ensure_spark_server(context: Any) -> None:
    """Start the Spark server if it has stopped since the last task; dbt does not start it.

    A task that watches calls dbt itself only if the producer no longer can.
    """
    if context["task"].task_id != PRODUCER and context["ti"].try_number == 1:
        return
    from churn.pipeline.airflow_steps import start_server

    start_server(read_settings(), log.info)


def log_failure_reason(context: Any) -> None:
    """Log why a task failed: what, where, what to do; for a dbt test also the rows that it found.

    For a refused workbook, also write the run's report. Notify of any other failure.
    """
    task, exception = context["task"], context.get("exception")
    tests = _tests_of(context)
    if tests and not isinstance(exception, GateRefusedTaskError | FailedTestError):
        exception = explain_failed_tests(context, tests)
    elif not tests:
        log.error("%s failed: %s", task.task_id, exception)
    # If a test fails, the producer does too.
    if isinstance(exception, GateRefusedTaskError) or task.task_id == PRODUCER:
        return
    from churn.pipeline.airflow_steps import report_failure

    report_failure(read_settings(), run_id_of(context["dag_run"]), task.task_id)


def _tests_of(context: Any) -> list[str]:
    """Return the names of the dbt tests that a task watches; empty for other tasks."""
    task = context["task"]
    if not getattr(task, "is_test_sensor", False):
        return []
    watched = task.dag.get_task(PRODUCER).tests_per_model.get(task.model_unique_id, [])
    return [each.split(".")[2] for each in watched]
