"""DAG `00_landing`: start a run of `01_etl` for each new workbook.

The run's id is derived from the workbook, so that no workbook is requested twice, however often the
DAG scans; what one scan misses, the next one finds.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG

from dags.defaults import OWNER, SCAN_OPTIONS, SCAN_SCHEDULE
from dags.docs import format_task
from lakehouse.settings import read_settings


def list_run_requests() -> list[dict[str, Any]]:
    """Return one run request per unclaimed workbook, oldest first.

    Also notify if none has arrived by the expected day.
    """
    from churn.pipeline.airflow_steps import list_unclaimed_files, report_overdue

    settings = read_settings()
    files = list_unclaimed_files(settings)
    report_overdue(settings, is_waiting=bool(files))
    return [
        {"trigger_run_id": f"landing__{each.key}", "conf": {"arrival": each.key}} for each in files
    ]


with DAG(
    "00_landing",
    dag_display_name="00_landing · Watch for new workbooks",
    description="Start a run for each new workbook in the landing zone",
    schedule=SCAN_SCHEDULE,
    **SCAN_OPTIONS,
    default_args={
        "owner": OWNER,
        "retries": 2,
        "retry_delay": timedelta(seconds=20),
        "execution_timeout": timedelta(minutes=30),
    },
) as dag:
    requests = PythonOperator(
        task_id="look",
        python_callable=list_run_requests,
        doc_md=format_task(
            "Lists the new workbooks in the landing zone, and notifies if one is overdue.",
            "the landing zone could not be read.",
        ),
    )
    TriggerDagRunOperator.partial(
        task_id="run",
        trigger_dag_id="01_etl",
        doc_md=format_task(
            "Starts a run of `01_etl` for each new workbook, oldest first.",
            "a run could not be started; the next scan tries again.",
        ),
        skip_when_already_exists=True,
        # The scan is not part of the run's lineage: the run is its root.
        openlineage_inject_parent_info=False,
        # One at a time, so that runs wait in the order of their requests.
        max_active_tis_per_dagrun=1,
    ).expand_kwargs(requests.output)
