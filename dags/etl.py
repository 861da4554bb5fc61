"""DAG `01_etl`: one workbook, from bronze to scores.

This module defines the order, retries and timeouts of the tasks. Their work is implemented in
`churn.pipeline.airflow_steps`, with the same steps as `churn run`; Cosmos renders the dbt tasks.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronTriggerTimetable, Param, TriggerRule, chain

from dags.assets import ALERT, GOLD, SCORES
from dags.callbacks import ensure_spark_server, log_failure_reason
from dags.defaults import OWNER
from dags.docs import set_docs
from dags.rendering import render
from dags.tasks import RunReport, ingest, raise_alert, step
from lakehouse.settings import read_settings
from seeds_loader.source_format import DECIMAL_SIGNS

DESCRIPTION = """
Process one workbook, from bronze to scores. A run without parameters uses the oldest workbook that
waits in the landing zone (`CHURN_LANDING`); without one, the run is skipped, and a manual run of an
empty lake uses the sample.
A refused workbook turns `validate` red and leaves gold, Redis, model and scores unchanged: the log
of the red test names the rule, its rows and the location of the rejected rows.
"""

STAGES = {
    "clean": "Read the workbook's rows: typed customers, and rejects with their reasons",
    "engineer": "Compute features and labels of the workbook, not published yet",
    "validate": "The gate: red in assert_pending_loads_passed means that the workbook was refused",
    "publish": "Make features and labels of a workbook that passed visible in gold",
}
# What each task does, and what red means.
TASKS = {
    "ingest": (
        "Loads the workbook into bronze, cell by cell, and records where it came from.",
        "the workbook could not be read, or does not meet the contract.",
    ),
    "feast_apply": (
        "Registers the declared features in Feast.",
        "the registry was not updated.",
    ),
    "feast_materialize": (
        "Writes the features of the published customers to the online store.",
        "the online store has the previous features, or part of the new ones.",
    ),
    "feast_verify": (
        "Compares the online store with the published tables, customer by customer.",
        "they differ.",
    ),
    "train_model": (
        "Trains both model types, and replaces the champion if the new version is better by the "
        "declared rule.",
        "no version was trained; the previous champion stays.",
    ),
    "score": (
        "Scores every customer with the champion, and writes the list, the report and the front "
        "page.",
        "the scores are those of the previous run.",
    ),
    "alert": (
        "Raises an alert about a refused load, or about a champion that needs attention. Skipped "
        "if there is none.",
        "the alert could not be raised; the results of the run are unchanged.",
    ),
    "log_to_mlflow": (
        "Logs the model's version in MLflow. Skipped if MLflow does not respond: the next run logs "
        "what is missing.",
        "the version is not in MLflow; all else is done.",
    ),
}
RETRY: dict[str, Any] = {
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
}
# A test that failed would fail again.
NO_RETRY: dict[str, Any] = {"retries": 0}


with DAG(
    "01_etl",
    dag_display_name="01_etl · From the workbook to the list of customers",
    description="Check a workbook, publish its customers, train, and score them; stops at the gate",
    doc_md=DESCRIPTION,
    # No start date and no catch-up: the first run is on the first day of the next month.
    schedule=CronTriggerTimetable("0 6 1 * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    is_paused_upon_creation=True,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    default_args={
        "owner": OWNER,
        **RETRY,
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": log_failure_reason,
    },
    params={
        "workbook": Param(None, type=["null", "string"], description="The file to load"),
        "sheet": Param(
            None,
            type=["null", "string"],
            description="Required if several sheets meet the contract",
        ),
        "decimal": Param(
            None, enum=[None, *DECIMAL_SIGNS], description="The decimal sign of text cells"
        ),
        "encoding": Param(None, type=["null", "string"], description="The encoding of a CSV file"),
        "extract_date": Param(
            None,
            type=["null", "string"],
            format="date",
            description="Date that the workbook describes; default: its saved date",
        ),
        "arrival": Param(
            None, type=["null", "string"], description="Set by 00_landing: identifies the workbook"
        ),
    },
    tags=["churn"],
) as dag:
    load = PythonOperator(task_id="ingest", python_callable=ingest)
    dbt = render(
        dag,
        read_settings(),
        STAGES,
        models={**RETRY, "pre_execute": ensure_spark_server},
        tests={**NO_RETRY, "pre_execute": ensure_spark_server},
    )
    apply = PythonOperator(
        task_id="feast_apply",
        python_callable=step("feast_apply"),
        # This starts when gold is built, its tests have passed and the run's load is in it.
        outlets=[GOLD],
        # The producer is skipped if the tasks that watch it did its work themselves.
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
    )
    materialize = PythonOperator(
        task_id="feast_materialize", python_callable=step("feast_materialize")
    )
    verify = PythonOperator(task_id="feast_verify", python_callable=step("feast_verify"))
    train = PythonOperator(task_id="train_model", python_callable=step("train_model"))
    score = PythonOperator(task_id="score", python_callable=step("score"), outlets=[SCORES])

    # Skipped if the gate did not refuse the load and the latest extract raises no alert about the
    # champion. A DAG can be scheduled on the asset; CHURN_NOTIFY needs none.
    alert = PythonOperator(
        task_id="alert",
        python_callable=raise_alert,
        outlets=[ALERT],
        trigger_rule=TriggerRule.ALL_DONE,
    )

    # A leaf, because everything in use is in place by then. If MLflow does not respond, the task is
    # skipped, its log names the reason, and the next run's task logs what is missing.
    log_to_mlflow = PythonOperator(
        task_id="log_to_mlflow", python_callable=step("log_to_mlflow", optional=True)
    )

    load >> dbt.producer >> apply
    chain(
        load, *dbt.groups.values(), apply, materialize, verify, train, score, [alert, log_to_mlflow]
    )

    set_docs(dag.task_dict, TASKS)
    for task in dag.tasks:
        task.operator_extra_links = (*task.operator_extra_links, RunReport())
