"""Describe what a probability is that of, by the label that its model learned."""

from collections.abc import Mapping
from typing import Any

OBSERVED, WORKBOOK = "observed", "workbook"
# Days between two extracts that are a month apart.
MONTH = (28, 31)
# Such a model knows who has left already, not when; only the next extract shows who leaves.
ONE_EXTRACT = (
    "The model learned from one extract. We tested whether it finds the customers who are marked "
    "as left in the workbook, on customers that it had not seen: their order by risk and their "
    "probabilities. We could not test yet who leaves later and what the offers achieve, and so not "
    "the order by gain."
)


def describe_limit(label: Mapping[str, Any]) -> str:
    """Return what a model with this label can't say yet, as a sentence; empty if there is no limit.

    Args:
        label: The label of a model's record, the fields of `Label`.
    """
    return ONE_EXTRACT if label["kind"] == WORKBOOK else ""


def describe_period(label: Mapping[str, Any]) -> str:
    """Return when a customer may leave, for a probability; empty if the model can't know that.

    It is the time between the extracts that the model learned from.

    Args:
        label: The label of a model's record, the fields of `Label`.
    """
    if describe_limit(label) or not label["days_between"]:
        return ""
    shortest, longest = min(label["days_between"]), max(label["days_between"])
    if shortest >= MONTH[0] and longest <= MONTH[1]:
        return "within the next month"
    days = f"{longest}" if shortest == longest else f"{shortest} to {longest}"
    return f"within the next {days} {'day' if days == '1' else 'days'}"


def describe_event(label: Mapping[str, Any]) -> str:
    """Return what a probability is that of, with its period if the model knows one.

    Args:
        label: The label of a model's record, the fields of `Label`.
    """
    return format_event(describe_limit(label), describe_period(label))


def format_event(limit: str, period: str) -> str:
    """Return the event of a probability by the limit and the period of its model's label."""
    if limit:
        return "of being marked as left in the workbook (which does not say when)"
    return f"of leaving {period}".rstrip()
