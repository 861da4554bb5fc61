"""DAG `05_approval`: ask a person about a refused load whose change may be expected.

It starts when `01_etl` raises an alert about a refusal. An approval is recorded, and the load is
then evaluated again and published in this DAG, whatever `01_etl` is at.
"""

from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Param, chain
from airflow.sdk.exceptions import AirflowSkipException

from dags.assets import ALERT, GOLD, SCORES
from dags.defaults import DAG_OPTIONS, make_task
from dags.docs import set_docs
from dags.tasks import PREFIX, REFUSED_LOAD, RunReport, map_exceptions, run_id_of

TASKS = {
    "find_refused_load": (
        "Finds the refused load. Skipped if the alert is about something else.",
        "the loads could not be read.",
    ),
    "decide": (
        "Waits for a person, who responds under Required Actions with a reason.",
        "the question could not be asked.",
    ),
    "apply_decision": (
        "Has the gate evaluate an approved load again, publishes it and scores its customers. "
        "Skipped if the load stays refused.",
        "the load is not published, or not scored.",
    ),
}
APPROVE, LEAVE = "Approve", "Leave it refused"
DESCRIPTION = """
A workbook that the gate refused because it differs from the extract before it, in size, customers
or distributions, can be approved if the change is real: respond to `decide` (Required Actions) with
the reason. Your name and the reason are recorded in `audit.gate_results`; `apply_decision` has the
gate evaluate the load again, and does the rest of its run. A run that is started manually without
`load` is about the load that was refused last.
"""


def find_refused_load(
    params: dict[str, Any], triggering_asset_events: Any, **_: Any
) -> dict[str, Any]:
    """Return the question about the refused load; skip the run if there is nothing to decide.

    Raises:
        AirflowSkipException: The alert is about something else.
    """
    from churn.pipeline import airflow_approvals

    events = triggering_asset_events.get(ALERT, ())
    refused = [each.extra[REFUSED_LOAD] for each in events if REFUSED_LOAD in each.extra]
    if events and not refused:
        print("the alert is not about a refused load")
        raise AirflowSkipException
    chosen = params["load"]
    return map_exceptions(
        lambda settings: airflow_approvals.find_refused_load(
            settings, chosen or (refused[-1] if refused else None), is_chosen=bool(chosen)
        )
    )


def apply_decision(ti: Any, dag_run: Any, **_: Any) -> dict[str, Any]:
    """Publish the load, or leave it refused, with the name and the reason of the person."""
    from churn.pipeline import airflow_approvals

    question, response = ti.xcom_pull(task_ids="find_refused_load"), ti.xcom_pull(task_ids="decide")
    return map_exceptions(
        lambda settings: airflow_approvals.apply_decision(
            settings,
            run_id_of(dag_run),
            question,
            response["chosen_options"] == [APPROVE],
            response["params_input"].get("reason"),
            response["responded_by_user"]["name"],
        )
    )


QUESTION = "ti.xcom_pull(task_ids='find_refused_load')"

with DAG(
    "05_approval",
    dag_display_name="05_approval · Decide on a refused workbook",
    description="Ask a person whether a refused workbook is approved, and publish it",
    doc_md=DESCRIPTION,
    schedule=[ALERT],
    # Questions about different loads wait beside each other.
    max_active_runs=100,
    params={
        "load": Param(
            None,
            type=["null", "string"],
            description="Batch id of a refused load; default: the one that was refused last",
        )
    },
    **DAG_OPTIONS,
) as dag:
    decide = HITLOperator(
        task_id="decide",
        subject=f"{{{{ {QUESTION}['subject'] }}}}",
        body=f"{{{{ {QUESTION}['question'] }}}}\n\n[Report of the refused run]({PREFIX}/runs/"
        f"{{{{ {QUESTION}['refused_by'] }}}}/report.html)",
        options=[APPROVE, LEAVE],
        params={
            "reason": Param("", type="string", description="The reason, recorded with your name")
        },
    )
    # Skipped if the load stays refused.
    apply = make_task(apply_decision, outlets=[GOLD, SCORES])
    apply.operator_extra_links = (*apply.operator_extra_links, RunReport())
    chain(make_task(find_refused_load), decide, apply)
    set_docs(dag.task_dict, TASKS)
