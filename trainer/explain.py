"""Explain a customer's risk in SQL: what each reason adds to the model's log-odds.

Logistic regression: coefficient * (value - mean of the training rows). Trees: along the path
through each tree, the change that a split makes to the mean of the rows on its branch. Both are
additive: baseline + all contributions = log-odds.
"""

from collections.abc import Mapping, Sequence

from lakehouse.sql import literal
from trainer.portable_model import Form, LinearModel, Node
from trainer.reason_texts import Reason

TOP = 3
# In log-odds; a contribution that changes the probability by little more than one percentage point
# is no reason to act.
SMALLEST = 0.05


def reasons_column(form: Form, reasons: Sequence[Reason], derived: Mapping[str, str]) -> str:
    """Return a SQL expression for the top three reasons that raise the risk, the strongest first.

    Its type is array<struct<feature: string, text: string, contribution: double>>. There are fewer
    than three if fewer raise the risk by SMALLEST or more.
    """
    structs = ", ".join(
        f"named_struct('feature', {literal(reason.feature)}, 'text', {reason.words.sql()}, "
        f"'contribution', {contribution(form, reason, derived)})"
        for reason in reasons
    )
    # Equal contributions are ordered by name, so that scoring again gives the same result.
    order = (
        "(a, b) -> case when a.contribution > b.contribution then -1 "
        "when a.contribution < b.contribution then 1 "
        "when a.feature < b.feature then -1 else 1 end"
    )
    raising = f"filter(array({structs}), reason -> reason.contribution >= {SMALLEST}D)"
    return f"slice(array_sort({raising}, {order}), 1, {TOP})"


def contribution(form: Form, reason: Reason, derived: Mapping[str, str]) -> str:
    """Return a SQL expression for what the reason's inputs add to the log-odds."""
    return _sum(form, reason.inputs, derived)


def _sum(form: Form, inputs: Sequence[str], derived: Mapping[str, str]) -> str:
    if isinstance(form, LinearModel):
        terms = [
            f"{number(form.coefficients[name])} * ({_value(name, derived)} "
            f"- {number(form.means[name])})"
            for name in inputs
        ]
    else:
        terms = [
            _path(tree, tree[0], 0.0, inputs, derived)
            for tree in form.trees
            if any(node.input in inputs for node in tree)
        ]
    return f"({' + '.join(terms) or number(0.0)})"


def log_odds_column(form: Form, derived: Mapping[str, str]) -> str:
    """Return the model's log-odds, as a SQL expression over the features."""
    return f"({number(form.baseline)} + {_sum(form, form.inputs, derived)})"


def number(value: float) -> str:
    """Return the number as a SQL literal that is parsed to the same double."""
    return f"({value!r}D)"


def _value(name: str, derived: Mapping[str, str]) -> str:
    return derived.get(name, f"`{name}`")


def _path(
    tree: Sequence[Node],
    node: Node,
    sum_above: float,
    inputs: Sequence[str],
    derived: Mapping[str, str],
) -> str:
    """Return a SQL expression for what the path below `node` adds for the inputs.

    It includes `sum_above`, the steps above the node.
    """
    if node.input is None:
        return number(sum_above)
    branches = []
    for child in (tree[node.left], tree[node.right]):
        step = child.value - node.value if node.input in inputs else 0.0
        branches.append(_path(tree, child, sum_above + step, inputs, derived))
    if branches[0] == branches[1]:
        return branches[0]
    asked = f"{_value(node.input, derived)} <= {number(node.threshold)}"
    return f"case when {asked} then {branches[0]} else {branches[1]} end"
