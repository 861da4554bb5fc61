"""DAG `00_landing`: a run of `01_etl` for each workbook that arrived.

The run's id is made of the workbook, so that the same one is never asked for twice, however often
this looks; what it misses this time it finds the next.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG

from lakehouse.settings import read_settings

LOOK_EVERY = timedelta(minutes=5)


def look() -> list[dict[str, Any]]:
    """A run to ask for, for each workbook that nobody has taken, oldest first."""
    from churn.pipeline.airflow_steps import waiting

    return [
        {"trigger_run_id": f"landing__{each.key}", "conf": {"arrival": each.key}}
        for each in waiting(read_settings())
    ]


with DAG(
    "00_landing",
    description="Looks for new workbooks in the landing place",
    schedule=LOOK_EVERY,
    catchup=False,
    is_paused_upon_creation=True,
    max_active_runs=1,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=20),
        "execution_timeout": timedelta(minutes=30),
    },
    tags=["churn"],
) as dag:
    found = PythonOperator(task_id="look", python_callable=look)
    TriggerDagRunOperator.partial(
        task_id="run",
        trigger_dag_id="01_etl",
        skip_when_already_exists=True,
        # Looking is no part of the run's lineage: the run is its root.
        openlineage_inject_parent_info=False,
        # One after the other: runs wait in the order in which they were asked for.
        max_active_tis_per_dagrun=1,
    ).expand_kwargs(found.output)
