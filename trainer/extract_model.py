"""Extract the portable model from a model that Spark fitted."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.ml.classification import GBTClassificationModel
from pyspark.sql.connect.session import SparkSession

from lakehouse.errors import ChurnError
from lakehouse.storage import escape_glob
from trainer.model_types import KINDS
from trainer.portable_model import LinearModel, Node, PortableModel, TreeEnsemble


def extract_model(
    spark: SparkSession,
    kind: str,
    fitted: Any,
    saved: str,
    inputs: Sequence[str],
    means: Mapping[str, float],
) -> PortableModel:
    """Return the portable model of a fitted model whose pipeline was saved to `saved`.

    Args:
        spark: Session on the Spark server.
        kind: Model type.
        fitted: The fitted model.
        saved: Path of the saved pipeline.
        inputs: Names of the inputs, in the model's order.
        means: Mean of each input over the training rows.

    Raises:
        ChurnError: A tree splits a feature by categories.
    """
    if KINDS[kind].form == "linear":
        coefficients = [float(value) for value in fitted.coefficients.toArray()]
        return LinearModel(
            intercept=float(fitted.intercept),
            coefficients=dict(zip(inputs, coefficients, strict=True)),
            means={name: means[name] for name in inputs},
        )
    return _read_trees(spark, fitted, saved, inputs)


def _read_trees(
    spark: SparkSession, fitted: GBTClassificationModel, saved: str, inputs: Sequence[str]
) -> TreeEnsemble:
    """Return the trees with the values of their inner nodes, which only the saved data contains."""
    nodes = spark.read.parquet(f"{escape_glob(saved)}/stages/*_GBTClassifi*/data").selectExpr(
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
    return TreeEnsemble(trees)


def _node(row: Mapping[str, Any], scale: float, inputs: Sequence[str]) -> Node:
    value = scale * row["prediction"]
    if row["feature"] < 0:
        return Node(value)
    if row["categories"] >= 0:
        raise ChurnError(
            f"A tree splits {inputs[row['feature']]} by categories, which reasons do not support",
            where="the saved model",
            hint="give the trainer numeric features without category metadata",
        )
    return Node(value, inputs[row["feature"]], row["cut"][0], row["left"], row["right"])
