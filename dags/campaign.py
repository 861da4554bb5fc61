"""DAG `03_campaign`: a retention campaign, from the draw of its control group to its result.

One run of the DAG is one campaign. It waits for the team's outcomes, which a person enters as a
response to `enter_outcomes`, and then for the next published extract. A waiting run needs no
worker and holds no lock.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG, BaseOperatorLink, Param, TriggerRule, chain
from airflow.sdk.exceptions import AirflowSkipException

from churn.reports.front_page import campaign_list_of
from dags.defaults import DAG_OPTIONS, make_task
from dags.docs import set_docs
from dags.tasks import PREFIX, map_exceptions
from lakehouse.settings import read_settings

LOOK_EVERY, GIVE_UP_AFTER = timedelta(minutes=10), timedelta(days=400)
TASKS = {
    "start": (
        "Draws the control group and writes the list to call.",
        "the campaign has not started.",
    ),
    "enter_outcomes": (
        "Waits for a person, who responds under Required Actions when the list is worked through.",
        "the question could not be asked.",
    ),
    "record": (
        "Records the outcomes of the file. Skipped if the campaign continues without them.",
        "no outcome was recorded.",
    ),
    "wait_for_extract": (
        "Waits until a later extract is published, which shows who has left.",
        "no later extract was published in time.",
    ),
    "close": (
        "Closes the campaign and measures its effect; the log has the result.",
        "the campaign is still open.",
    ),
}
RECORD, WITHOUT = "Record the outcomes", "Continue without outcomes"
DESCRIPTION = """
Start a campaign with the parameters below. The list to call is behind the link "List of the
campaign" of the task `start`. When the team has worked through it, respond to `enter_outcomes`
(Required Actions) with the path of the file that has the outcomes; to record a later version of
it, clear `enter_outcomes`. The campaign is closed when the next extract is published; the log of
`close` has its result, as have the front page and `gold.campaign_results`.
"""


class CampaignList(BaseOperatorLink):
    """Link to the list of the campaign, which `start` writes."""

    name = "List of the campaign"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the path of the list of the task's campaign."""
        parameters = ti_key.get_template_context()["params"]
        return f"{PREFIX}/{campaign_list_of(parameters['campaign'])}"


def start(params: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Start the campaign and write its list."""
    from churn.pipeline import airflow_campaigns

    return map_exceptions(lambda settings: airflow_campaigns.start_campaign(settings, dict(params)))


def record(params: dict[str, Any], ti: Any, **_: Any) -> dict[str, Any]:
    """Record the file of outcomes that the operator has named.

    Raises:
        AirflowSkipException: The operator continues without outcomes.
    """
    from churn.pipeline import airflow_campaigns

    response = ti.xcom_pull(task_ids="enter_outcomes")
    if response["chosen_options"] == [WITHOUT]:
        raise AirflowSkipException
    file = response["params_input"].get("file")
    return map_exceptions(
        lambda settings: airflow_campaigns.record_outcomes(settings, params["campaign"], file)
    )


def is_later_extract_published(ti: Any, **_: Any) -> bool:
    """Return whether an extract is published that says who has left."""
    from churn.pipeline import airflow_campaigns

    day = ti.xcom_pull(task_ids="start")["extract_date"]
    return airflow_campaigns.is_later_extract_published(read_settings(), day)


def close(params: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Close the campaign and return its results."""
    from churn.pipeline import airflow_campaigns

    return map_exceptions(
        lambda settings: airflow_campaigns.close_campaign(settings, params["campaign"])
    )


with DAG(
    "03_campaign",
    dag_display_name="03_campaign · Run a retention campaign",
    description="Run a retention campaign with a control group, and measure its effect",
    doc_md=DESCRIPTION,
    schedule=None,
    # Campaigns wait for weeks, beside each other.
    max_active_runs=100,
    params={
        "campaign": Param(
            type="string",
            pattern="^[a-z0-9][a-z0-9-]{0,39}$",
            description="Name of the campaign: lower-case letters, digits and hyphens",
        ),
        "top": Param(100, type="integer", minimum=1, description="Number of calls"),
        "budget": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            description="Cost of all calls, instead of their number",
        ),
        "control": Param(
            10,
            type="number",
            minimum=1,
            maximum=90,
            description="Percentage of the customers who are not called, to compare with",
        ),
    },
    **DAG_OPTIONS,
) as dag:
    started = make_task(start)
    started.operator_extra_links = (*started.operator_extra_links, CampaignList())
    enter_outcomes = HITLOperator(
        task_id="enter_outcomes",
        subject="Campaign {{ params.campaign }}: enter the outcomes",
        body="{{ ti.xcom_pull(task_ids='start')['message'] }}. Respond when the team has worked "
        "through the list; the campaign waits meanwhile.",
        options=[RECORD, WITHOUT],
        params={
            "file": Param(
                None,
                type=["null", "string"],
                description="Path of the list with the outcomes; default: the list itself",
            )
        },
    )
    wait_for_extract = PythonSensor(
        task_id="wait_for_extract",
        python_callable=is_later_extract_published,
        # Also if the campaign continues without outcomes.
        trigger_rule=TriggerRule.NONE_FAILED,
        mode="reschedule",
        poke_interval=LOOK_EVERY,
        timeout=GIVE_UP_AFTER,
    )
    chain(started, enter_outcomes, make_task(record), wait_for_extract, make_task(close))
    set_docs(dag.task_dict, TASKS)
