"""DAG `02_alias`: promote the version that a person moved MLflow's alias to, and score with it.

The scoring API of the stack can neither reach MLflow nor write models; with this DAG switched on,
it follows a moved alias within minutes.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

from dags.callbacks import log_failure_reason
from dags.defaults import OWNER, SCAN_OPTIONS, SCAN_SCHEDULE
from dags.docs import set_docs
from dags.tasks import map_exceptions

TASKS = {
    "adopt_moved_alias": (
        "Makes the version that MLflow's alias was moved to the champion, and scores with it. "
        "Skipped if the alias was not moved, or if MLflow does not respond.",
        "the previous champion stays; the next run tries again.",
    )
}


def adopt_moved_alias() -> dict[str, Any]:
    """Adopt a moved alias; skip the task if there is none, or if MLflow does not respond."""
    from churn.pipeline import airflow_steps

    return map_exceptions(airflow_steps.adopt_moved_alias, may_fail=True)


with DAG(
    "02_alias",
    dag_display_name="02_alias · Follow MLflow's alias",
    description="Promote the version that MLflow's alias was moved to, and score with it",
    schedule=SCAN_SCHEDULE,
    **SCAN_OPTIONS,
    # The next run of the DAG tries again.
    default_args={
        "owner": OWNER,
        "retries": 0,
        "execution_timeout": timedelta(minutes=30),
        "on_failure_callback": log_failure_reason,
    },
) as dag:
    PythonOperator(task_id="adopt_moved_alias", python_callable=adopt_moved_alias)
    set_docs(dag.task_dict, TASKS)
