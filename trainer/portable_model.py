"""Represent a fitted model as numbers: sufficient for its log-odds, and independent of Spark.

The log-odds are split additively: a baseline, and a contribution of each input.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


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

    def contributions(self, inputs: Mapping[str, float]) -> dict[str, float]:
        """Return how far each input moves the log-odds away from the baseline."""
        return {
            name: coefficient * (inputs[name] - self.means[name])
            for name, coefficient in self.coefficients.items()
        }


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

    def contributions(self, inputs: Mapping[str, float]) -> dict[str, float]:
        """Return how far each input moves the log-odds.

        It is the sum of the steps at the splits on this input.
        """
        moved: dict[str, float] = {}
        for tree in self.trees:
            node = tree[0]
            while node.input is not None:
                follow = node.left if inputs[node.input] <= node.threshold else node.right
                step = tree[follow].value - node.value
                moved[node.input] = moved.get(node.input, 0.0) + step
                node = tree[follow]
        return moved


Form = LinearModel | TreeEnsemble


def log_odds(form: Form, inputs: Mapping[str, float]) -> float:
    """Return the model's log-odds.

    `inputs` are the features and what the pipeline derives from them.
    """
    return form.baseline + math.fsum(form.contributions(inputs).values())


def with_derived(features: Mapping[str, float], log1p: Sequence[str]) -> dict[str, float]:
    """Return the features of one customer with the inputs that the pipeline derives."""
    return {**features, **{f"log1p_{name}": math.log1p(features[name]) for name in log1p}}


def to_json(form: Form) -> dict[str, Any]:
    """Return the model as JSON types."""
    return {"type": "linear" if isinstance(form, LinearModel) else "trees", **asdict(form)}


def from_json(stored: Mapping[str, Any]) -> Form:
    """Return the model that `to_json` wrote."""
    if stored["type"] == "linear":
        return LinearModel(stored["intercept"], stored["coefficients"], stored["means"])
    return TreeEnsemble([[Node(**node) for node in tree] for tree in stored["trees"]])
