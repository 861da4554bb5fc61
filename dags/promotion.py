"""DAG `04_promotion`: ask a person about a model version that waits for a decision.

It starts when `01_etl` raises an alert, to which a waiting version belongs.
"""

from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Param, chain

from dags.assets import ALERT
from dags.defaults import DAG_OPTIONS, make_task
from dags.docs import set_docs
from dags.tasks import map_exceptions

TASKS = {
    "find_waiting_version": (
        "Finds the version that waits for a decision. Skipped if there is none.",
        "the versions could not be read.",
    ),
    "decide": (
        "Waits for a person, who responds under Required Actions with a reason.",
        "the question could not be asked.",
    ),
    "apply_decision": (
        "Promotes or declines the version, with the name and the reason of the person.",
        "the decision has no effect yet.",
    ),
}
PROMOTE, DECLINE = "Promote", "Keep the champion"


def find_waiting_version() -> dict[str, Any]:
    """Return the version that waits for a decision; skip the run if there is none."""
    from churn.pipeline import airflow_promotion

    return map_exceptions(airflow_promotion.find_waiting_version)


def apply_decision(ti: Any, **_: Any) -> dict[str, Any]:
    """Promote or decline the version, with the name and the reason of the person."""
    from churn.pipeline import airflow_promotion

    version = ti.xcom_pull(task_ids="find_waiting_version")["version"]
    response = ti.xcom_pull(task_ids="decide")
    return map_exceptions(
        lambda settings: airflow_promotion.apply_decision(
            settings,
            version,
            response["chosen_options"] == [PROMOTE],
            response["params_input"]["reason"],
            response["responded_by_user"]["name"],
        )
    )


with DAG(
    "04_promotion",
    dag_display_name="04_promotion · Decide on a new model version",
    description="Ask a person whether a model version that waits becomes the champion",
    schedule=[ALERT],
    # The next run begins when a decision is made, and finds out whether a version still waits.
    max_active_runs=1,
    **DAG_OPTIONS,
) as dag:
    decide = HITLOperator(
        task_id="decide",
        subject="Promote {{ ti.xcom_pull(task_ids='find_waiting_version')['version'] }}?",
        body="{{ ti.xcom_pull(task_ids='find_waiting_version')['question'] }}",
        options=[PROMOTE, DECLINE],
        params={
            "reason": Param("", type="string", description="The reason, recorded with your name")
        },
    )
    chain(make_task(find_waiting_version), decide, make_task(apply_decision))
    set_docs(dag.task_dict, TASKS)
