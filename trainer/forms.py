"""What a fitted model computes, as numbers: enough for its log-odds without Spark.

The log-odds are split additively: a baseline, and a contribution of each input.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.ml.classification import GBTClassificationModel, LogisticRegressionModel
from pyspark.sql.connect.session import SparkSession

from lakehouse.errors import ChurnError
from trainer.kinds import Fitted


@dataclass(frozen=True)
class LinearForm:
    """log-odds = intercept + sum of coefficient * input; `means` are the training rows'."""

    intercept: float
    coefficients: dict[str, float]
    means: dict[str, float]

    @property
    def baseline(self) -> float:
        """The log-odds of the average training row."""
        return self.intercept + math.fsum(
            coefficient * self.means[name] for name, coefficient in self.coefficients.items()
        )

    def contributions(self, inputs: Mapping[str, float]) -> dict[str, float]:
        """How far each input moves the log-odds away from the baseline."""
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
class TreesForm:
    """log-odds = sum of the leaves reached, one a tree; node 0 is a tree's root."""

    trees: list[list[Node]]

    @property
    def baseline(self) -> float:
        """What the trees say before they ask anything: the sum of their roots."""
        return math.fsum(tree[0].value for tree in self.trees)

    def contributions(self, inputs: Mapping[str, float]) -> dict[str, float]:
        """How far each input moves the log-odds: the sum of the steps that it decided."""
        moved: dict[str, float] = {}
        for tree in self.trees:
            node = tree[0]
            while node.input is not None:
                follow = node.left if inputs[node.input] <= node.threshold else node.right
                step = tree[follow].value - node.value
                moved[node.input] = moved.get(node.input, 0.0) + step
                node = tree[follow]
        return moved


Form = LinearForm | TreesForm


def log_odds(form: Form, inputs: Mapping[str, float]) -> float:
    """The model's log-odds; `inputs` are the features and what the pipeline derives from them."""
    return form.baseline + math.fsum(form.contributions(inputs).values())


def with_derived(features: Mapping[str, float], log1p: Sequence[str]) -> dict[str, float]:
    """The features of one customer with the inputs that the pipeline derives."""
    return {**features, **{f"log1p_{name}": math.log1p(features[name]) for name in log1p}}


def to_json(form: Form) -> dict[str, Any]:
    """The form as JSON types."""
    return {"type": "linear" if isinstance(form, LinearForm) else "trees", **asdict(form)}


def from_json(stored: Mapping[str, Any]) -> Form:
    """The form that `to_json` wrote."""
    if stored["type"] == "linear":
        return LinearForm(stored["intercept"], stored["coefficients"], stored["means"])
    return TreesForm([[Node(**node) for node in tree] for tree in stored["trees"]])


def read_form(
    spark: SparkSession,
    fitted: Fitted,
    saved: str,
    inputs: Sequence[str],
    means: Mapping[str, float],
) -> Form:
    """The form of a fitted model whose pipeline was saved to `saved`."""
    if isinstance(fitted, LogisticRegressionModel):
        coefficients = [float(each) for each in fitted.coefficients.toArray()]
        return LinearForm(
            intercept=float(fitted.intercept),
            coefficients=dict(zip(inputs, coefficients, strict=True)),
            means={name: means[name] for name in inputs},
        )
    return _read_trees(spark, fitted, saved, inputs)


def _read_trees(
    spark: SparkSession, fitted: GBTClassificationModel, saved: str, inputs: Sequence[str]
) -> TreesForm:
    """The trees with the values of their inner nodes, which only the saved data holds."""
    nodes = spark.read.parquet(f"{saved}/stages/*_GBTClassifi*/data").selectExpr(
        "treeID as tree",
        "nodeData.id as id",
        "nodeData.prediction as prediction",
        "nodeData.leftChild as left",
        "nodeData.rightChild as right",
        "nodeData.split.featureIndex as feature",
        "nodeData.split.leftCategoriesOrThreshold as cut",
        "nodeData.split.numCategories as categories",
    )
    rows = nodes.orderBy("tree", "id").toArrow().to_pylist()
    trees: list[list[Node]] = [[] for _ in fitted.treeWeights]
    # Spark's probability is 1 / (1 + exp(-2 * weighted sum)).
    scales = [2 * weight for weight in fitted.treeWeights]
    for row in rows:
        trees[row["tree"]].append(_node(row, scales[row["tree"]], inputs))
    return TreesForm(trees)


def _node(row: Mapping[str, Any], scale: float, inputs: Sequence[str]) -> Node:
    value = scale * row["prediction"]
    if row["feature"] < 0:
        return Node(value)
    if row["categories"] >= 0:
        raise ChurnError(
            f"A tree splits {inputs[row['feature']]} by categories, which reasons can't tell",
            where="the saved model",
            remedy="give the trainer numeric features without category metadata",
        )
    return Node(value, inputs[row["feature"]], row["cut"][0], row["left"], row["right"])
