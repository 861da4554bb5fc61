"""Wrap the steps as task functions: the run's name, its summary so far, and error handling.

Also the link from a task to its run's report, and its parents in OpenLineage.
"""

import logging
import os
from collections.abc import Callable, Sequence
from datetime import date
from hashlib import sha256
from typing import Any

from airflow.sdk import BaseOperatorLink
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from dags.assets import ALERT
from lakehouse.errors import ChurnError, GateRefusedError, InvalidInputError
from lakehouse.log_format import configure_log
from lakehouse.private_home import protect
from lakehouse.settings import Settings, read_settings
from seeds_loader.source_format import SourceFormat

Summary = dict[str, Any]
log = logging.getLogger(__name__)
# Steps whose part of the run's summary is passed on.
STEPS = ["ingest", "feast_apply", "feast_materialize", "feast_verify", "train_model", "score"]
# Path prefix of the plugin's pages (dags/web.py).
PREFIX = "/churn"
# Key of a refused load in the event of the asset `churn_alert`.
REFUSED_LOAD = "refused_load"
# Name of `parents_of` in Airflow's templates, and the variables that it sets.
PARENTS = "openlineage_parents"
NAMES = ("OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID")


class GateRefusedTaskError(AirflowFailException):
    """The gate refused the run's load; the message is its explanation."""


class FailedTestError(AirflowFailException):
    """A dbt test failed for another reason; the message is its explanation."""


def run_id_of(dag_run: Any) -> str:
    """Return the run's name under CHURN_HOME/runs: one per DAG run, for all tasks and tries."""
    tail = sha256(dag_run.run_id.encode()).hexdigest()[:6]
    return f"{dag_run.run_after:%Y%m%dT%H%M%SZ}-{tail}"


class RunReport(BaseOperatorLink):
    """Link to the run's report, which exists when the run has completed or was refused."""

    name = "Report of the run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the path of the report of the task's run."""
        # Called at the end of the task, with the task instance as its key.
        dag_run = ti_key.get_template_context()["dag_run"]
        return f"{PREFIX}/runs/{run_id_of(dag_run)}/report.html"


def parents_of(task_instance: Any) -> dict[str, str]:
    """Return the task's own run and its DAG's run; both empty if Airflow emits no lineage."""
    from airflow.providers.openlineage import conf
    from airflow.providers.openlineage.plugins import macros

    if conf.is_disabled():
        return dict.fromkeys(NAMES, "")
    found = (macros.lineage_parent_id, macros.lineage_root_parent_id)
    return {name: of(task_instance) for name, of in zip(NAMES, found, strict=True)}


def step(name: str, optional: bool = False, after_failure: bool = False) -> Callable[..., Summary]:
    """Return the task function of a step: it calls the function of that name in `airflow_steps`.

    Args:
        name: Name of the step.
        optional: Whether the task is skipped, instead of failed, if its last try does not succeed.
        after_failure: Whether the task also runs if `ingest` has no result.
    """

    def call(**context: Any) -> Summary:
        from churn.pipeline import airflow_steps

        os.environ.update(parents_of(context["ti"]))
        is_last_try = context["ti"].try_number > context["ti"].max_tries
        return map_exceptions(
            lambda settings: getattr(airflow_steps, name)(
                settings, summary_so_far(context, may_be_empty=after_failure)
            ),
            may_fail=optional and is_last_try,
        )

    call.__name__ = name
    return call


def raise_alert(**context: Any) -> Summary:
    """Print the alert of the run; name a refused load in the event of the asset."""
    result = step("print_alerts", after_failure=True)(**context)
    if REFUSED_LOAD in result:
        context["outlet_events"][ALERT].extra = {REFUSED_LOAD: result[REFUSED_LOAD]}
    return result


def ingest(**context: Any) -> Summary:
    """Load the given workbook, else a waiting one, else the sample, in a manual first run.

    Raises:
        AirflowSkipException: There is no workbook to load.
    """
    from churn.pipeline import airflow_steps
    from churn.pipeline.context import Request

    parameters, run = context["params"], context["dag_run"]
    run_id = run_id_of(run)
    os.environ.update(parents_of(context["ti"]))
    day = parameters["extract_date"]

    def load(settings: Settings) -> Summary:
        by_hand = run.run_type == "manual"
        workbook = airflow_steps.workbook_for(
            settings, run_id, parameters["workbook"], parameters["arrival"], by_hand
        )
        if workbook is None:
            # Airflow's own log does not name the reason.
            print(f"no new workbook in {settings.landing}; the sample is for an empty lake")
            raise AirflowSkipException
        return airflow_steps.ingest(
            settings,
            run_id,
            Request(
                workbook,
                parameters["sheet"],
                date.fromisoformat(day) if day else None,
                SourceFormat(parameters["decimal"], parameters["encoding"]),
            ),
        )

    return map_exceptions(load)


def summary_so_far(context: Any, may_be_empty: bool = False) -> Summary:
    """Return the run's summary as of the previous steps.

    Args:
        context: The context of the task.
        may_be_empty: Whether `ingest` may have no result.

    Raises:
        InvalidInputError: `ingest` was cleared and run again without a result.
    """
    from churn.pipeline.airflow_steps import merge_summaries

    summary = merge_summaries(context["ti"].xcom_pull(task_ids=STEPS))
    if "batch_id" not in summary and not may_be_empty:
        raise InvalidInputError(
            "Nothing is known of the run's workbook: `ingest` has no result",
            where=f"run {context['dag_run'].run_id}",
            hint="clear `ingest`; when it is green, clear this task",
        )
    return summary


def map_exceptions(work: Callable[[Settings], Summary], may_fail: bool = False) -> Summary:
    """Run the work, and translate its errors into Airflow's exceptions.

    Errors that would occur again fail the task permanently; others are retried.

    Args:
        work: The function to call with the settings.
        may_fail: Whether to skip the task, and log the reason, instead of failing it.

    Raises:
        AirflowSkipException: There is nothing to do, or the work failed and `may_fail` is set.
        GateRefusedTaskError: The gate refused the load.
        AirflowFailException: The work failed; a retry would fail again.
        AirflowException: The work failed; a retry may succeed.
    """
    from churn.pipeline.airflow_steps import NothingToDoError
    from churn.pipeline.libraries import quiet_libraries
    from lakehouse.error_translation import translate_errors

    quiet_libraries()
    try:
        settings = read_settings()
        configure_log(settings)
        protect(settings, print)
        with translate_errors(settings):
            return work(settings)
    except NothingToDoError as nothing:
        # Airflow's own log does not name the reason.
        print(nothing)
        raise AirflowSkipException from None
    except ChurnError as error:
        if may_fail:
            print(f"warning: skipped, all else is done. {error}")
            raise AirflowSkipException from None
        # First, because Airflow's own line about an exception begins with its stack.
        log.error("%s", error)
        raise _make_exception(error) from None


def _make_exception(error: ChurnError) -> AirflowException:
    if isinstance(error, GateRefusedError):
        return GateRefusedTaskError(str(error))
    if isinstance(error, InvalidInputError):
        return AirflowFailException(str(error))
    return AirflowException(str(error))


def explain_failed_tests(context: Any, tests: Sequence[str]) -> AirflowFailException:
    """Return the exception that explains failed dbt tests; write the report of a refused run."""
    from churn.pipeline.airflow_steps import explain_refusal

    text, is_refused = explain_refusal(read_settings(), summary_so_far(context), tests)
    log.error("%s failed\n%s", context["task"].task_id, text)
    log.error("the report of run %s tells more", run_id_of(context["dag_run"]))
    return GateRefusedTaskError(text) if is_refused else FailedTestError(text)
