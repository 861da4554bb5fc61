"""Represent a fitted model as numbers: sufficient for its log-odds, and independent of Spark.

The log-odds are split additively: a baseline, and a contribution of each input. Inputs can be
grouped; the contribution of a group is the sum of those of its inputs. Each form computes it in
Python, for one row, and writes it in SQL, for the batch.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

# Inputs to the numbers of their groups, which begin at 0.
Groups = Mapping[str, int]
# Returns the SQL of an input.
Column = Callable[[str], str]


def number(value: float) -> str:
    """Return the number as a SQL literal that is parsed to the same double."""
    return f"({value!r}D)"


@dataclass(frozen=True)
class LinearModel:
    """Linear model: log-odds = intercept + sum of coefficient * input.

    `means` are the means of the inputs over the training rows.
    """

    intercept: float
    coefficients: dict[str, float]
    means: dict[str, float]

    @property
    def inputs(self) -> list[str]:
        """Return the names of the model's inputs."""
        return list(self.coefficients)

    @property
    def baseline(self) -> float:
        """Return the log-odds of the average training row."""
        return self.intercept + math.fsum(
            coefficient * self.means[name] for name, coefficient in self.coefficients.items()
        )

    def contributions(self, inputs: Mapping[str, float], groups: Groups) -> list[float]:
        """Return how far each group moves the log-odds away from the baseline."""
        moved = [0.0] * _count(groups)
        for name, group in groups.items():
            moved[group] += self.coefficients[name] * (inputs[name] - self.means[name])
        return moved

    def write_contribution_sql(self, group: Collection[str], column: Column) -> str:
        """Return the contribution of a group of inputs as a SQL expression."""
        terms = [
            f"{number(self.coefficients[name])} * ({column(name)} - {number(self.means[name])})"
            for name in group
        ]
        return f"({' + '.join(terms) or number(0.0)})"


@dataclass(frozen=True)
class Node:
    """A node of a tree; `value` is the mean log-odds of the training rows that reached it.

    A leaf has no input; otherwise rows with input <= threshold go to node `left`.
    """

    value: float
    input: str | None = None
    threshold: float = 0.0
    left: int = -1
    right: int = -1


@dataclass(frozen=True)
class TreeEnsemble:
    """Trees: log-odds = sum of the leaves reached, one for each tree.

    Node 0 is the root of a tree.
    """

    trees: list[list[Node]]

    @property
    def inputs(self) -> list[str]:
        """Return the names of the model's inputs."""
        return sorted({node.input for tree in self.trees for node in tree if node.input})

    @property
    def baseline(self) -> float:
        """Return the log-odds before any split: the sum of the roots."""
        return math.fsum(tree[0].value for tree in self.trees)

    def contributions(self, inputs: Mapping[str, float], groups: Groups) -> list[float]:
        """Return how far each group moves the log-odds: the steps at the splits on its inputs."""
        moved = [0.0] * _count(groups)
        for tree in self.trees:
            node = tree[0]
            steps: dict[int, float] = {}
            while node.input is not None:
                child = tree[node.left if inputs[node.input] <= node.threshold else node.right]
                group = groups[node.input]
                steps[group] = steps.get(group, 0.0) + (child.value - node.value)
                node = child
            # Tree by tree, as in SQL, so that what is equal there is equal here.
            for group, step in steps.items():
                moved[group] += step
        return moved

    def write_contribution_sql(self, group: Collection[str], column: Column) -> str:
        """Return the contribution of a group of inputs as a SQL expression."""
        terms = [
            _write_steps_sql(tree, tree[0], 0.0, group, column)
            for tree in self.trees
            if any(node.input in group for node in tree)
        ]
        return f"({' + '.join(terms) or number(0.0)})"


def _count(groups: Groups) -> int:
    return max(groups.values(), default=-1) + 1


def _write_steps_sql(
    tree: Sequence[Node], node: Node, above: float, group: Collection[str], column: Column
) -> str:
    """Return the steps at the group's splits: `above` the node, and on the path below it."""
    if node.input is None:
        return number(above)
    branches = []
    for child in (tree[node.left], tree[node.right]):
        step = child.value - node.value if node.input in group else 0.0
        branches.append(_write_steps_sql(tree, child, above + step, group, column))
    if branches[0] == branches[1]:
        return branches[0]
    condition = f"{column(node.input)} <= {number(node.threshold)}"
    return f"case when {condition} then {branches[0]} else {branches[1]} end"


PortableModel = LinearModel | TreeEnsemble


def log_odds(form: PortableModel, inputs: Mapping[str, float]) -> float:
    """Return the model's log-odds.

    `inputs` are the features and what the pipeline derives from them.
    """
    groups = {name: place for place, name in enumerate(form.inputs)}
    return form.baseline + math.fsum(form.contributions(inputs, groups))


def add_derived_inputs(features: Mapping[str, float], log1p: Sequence[str]) -> dict[str, float]:
    """Return the features of one customer with the inputs that the pipeline derives."""
    return {**features, **{f"log1p_{name}": math.log1p(features[name]) for name in log1p}}


def to_json(form: PortableModel) -> dict[str, Any]:
    """Return the model as JSON types."""
    return {"type": "linear" if isinstance(form, LinearModel) else "trees", **asdict(form)}


def from_json(stored: Mapping[str, Any]) -> PortableModel:
    """Return the model that `to_json` wrote."""
    if stored["type"] == "linear":
        return LinearModel(stored["intercept"], stored["coefficients"], stored["means"])
    return TreeEnsemble([[Node(**node) for node in tree] for tree in stored["trees"]])
