"""Explain a customer's risk in SQL: what each reason adds to the model's log-odds.

Logistic regression: coefficient * (value - mean of the training rows). Trees: along the path
through each tree, the change that a split makes to the mean of the rows on its branch. Both are
additive: baseline + all contributions = log-odds.
"""

from collections.abc import Mapping, Sequence

from lakehouse.sql import literal
from trainer.portable_model import Column, PortableModel, number
from trainer.reason_texts import Reason

TOP = 3
# In log-odds; a contribution that changes the probability by little more than one percentage point
# is no reason to act.
SMALLEST = 0.05


def reasons_column(
    form: PortableModel, reasons: Sequence[Reason], derived: Mapping[str, str]
) -> str:
    """Return a SQL expression for the top three reasons that raise the risk, the strongest first.

    Its type is array<struct<feature: string, text: string, contribution: double>>. There are fewer
    than three if fewer raise the risk by SMALLEST or more.
    """
    # Equal contributions are ordered by name, so that scoring again gives the same result.
    order = (
        "(a, b) -> case when a.contribution > b.contribution then -1 "
        "when a.contribution < b.contribution then 1 "
        "when a.feature < b.feature then -1 else 1 end"
    )
    contributions = contributions_column(form, reasons, derived)
    raising = f"filter({contributions}, reason -> reason.contribution >= {SMALLEST}D)"
    return f"slice(array_sort({raising}, {order}), 1, {TOP})"


def contributions_column(
    form: PortableModel, reasons: Sequence[Reason], derived: Mapping[str, str]
) -> str:
    """Return a SQL expression for what every reason adds to the log-odds, as an array of structs.

    Its type is that of `reasons_column`.
    """
    structs = ", ".join(
        f"named_struct('feature', {literal(reason.feature)}, 'text', {reason.text.sql()}, "
        f"'contribution', {contribution(form, reason, derived)})"
        for reason in reasons
    )
    return f"array({structs})"


def contribution(form: PortableModel, reason: Reason, derived: Mapping[str, str]) -> str:
    """Return a SQL expression for what the reason's inputs add to the log-odds."""
    return form.write_contribution_sql(reason.inputs, _column(derived))


def log_odds_column(form: PortableModel, derived: Mapping[str, str]) -> str:
    """Return the model's log-odds, as a SQL expression over the features."""
    moved = form.write_contribution_sql(form.inputs, _column(derived))
    return f"({number(form.baseline)} + {moved})"


def _column(derived: Mapping[str, str]) -> Column:
    """Return how an input is written: as a column, or as the expression that derives it."""
    return lambda name: derived.get(name, f"`{name}`")
