"""Ask a person about a refused load in Airflow, and apply the decision."""

from collections.abc import Mapping
from typing import Any

from churn.pipeline import approvals
from churn.pipeline.airflow_steps import NothingToDoError
from churn.pipeline.rule_texts import format_rule
from churn.provenance import load_state
from lakehouse import spark_server, spark_session
from lakehouse.errors import InvalidInputError
from lakehouse.progress import Steps
from lakehouse.settings import Settings

Question = dict[str, Any]


def find_refused_load(settings: Settings, batch_id: str | None, is_chosen: bool) -> Question:
    """Return the refused load that a person may approve, and what the person needs to know.

    Args:
        settings: The settings of this CHURN_HOME.
        batch_id: The load; None for the one that was refused last.
        is_chosen: Whether a person has named the load.

    Returns:
        The load, the title and the text of the question, and the values that are to be approved.

    Raises:
        NothingToDoError: No load is refused, or it can't be approved.
        InvalidInputError: The load that a person has named can't be approved.
    """
    spark_server.ensure_running(settings, lambda _: None)
    with spark_session.session(settings) as spark:
        batch_id = batch_id or load_state.find_refused_load(spark)
        if batch_id is None:
            raise NothingToDoError("no load is refused")
        try:
            return make_question(approvals.read_refusal(spark, batch_id))
        except InvalidInputError as error:
            if is_chosen:
                raise
            raise NothingToDoError(f"nothing to decide. {error}") from None


def make_question(refusal: approvals.Refusal) -> Question:
    """Return the question about a refusal; its text is Markdown."""
    load = refusal.load
    rules = "\n".join(f"- {format_rule(result)}" for result in refusal.failed)
    text = (
        f"The gate refused {load.source_file}, extract of {load.extract_date} "
        f"({load.batch_id}); gold, online store, model and scores are as before.\n\n{rules}\n\n"
        "If the change is real, approve it with the reason: the load is then evaluated again with "
        "these values taken for expected, published, and your name and reason are recorded. "
        "If it is not, leave the load refused, correct the workbook and run it again with the "
        f"extract date {load.extract_date}."
    )
    return {
        "batch_id": load.batch_id,
        "subject": f"Approve {load.source_file}, extract of {load.extract_date}?",
        "question": text,
        "refused_by": refusal.failed[0]["run_id"],
        "values": refusal.values,
    }


def apply_decision(
    settings: Settings,
    run_id: str,
    question: Mapping[str, Any],
    is_approved: bool,
    reason: str | None,
    user: str,
) -> dict[str, Any]:
    """Approve the load and do the rest of its run; repeated, complete what is missing.

    Args:
        settings: The settings of this CHURN_HOME.
        run_id: The run, the same for each try.
        question: The result of `find_refused_load`.
        is_approved: Whether the person approves.
        reason: The person's reason.
        user: The person's name.

    Returns:
        The run's summary.

    Raises:
        NothingToDoError: The person leaves the load refused.
        InvalidInputError: The reason is missing, or the load can no longer be approved.
        lakehouse.errors.GateRefusedError: The gate refused the load again.
    """
    batch_id = question["batch_id"]
    if not is_approved:
        raise NothingToDoError(f"{user} leaves {batch_id} refused: {reason or 'no reason given'}")
    approval = approvals.make_approval(reason, user, question["values"])
    return approvals.approve(settings, batch_id, approval, Steps(approvals.STEPS), run_id)
