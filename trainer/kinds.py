"""The kinds of model: estimators over one vector of inputs, and the pipeline around them."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

from pyspark.ml import PipelineModel
from pyspark.ml.classification import (
    GBTClassificationModel,
    GBTClassifier,
    LogisticRegression,
    LogisticRegressionModel,
)
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.sql.connect.session import SparkSession
from pyspark.util import inheritable_thread_target

from trainer.parameters import LOGISTIC_REGRESSION, Parameters

Estimator: TypeAlias = LogisticRegression | GBTClassifier
Fitted: TypeAlias = LogisticRegressionModel | GBTClassificationModel
INPUTS = "inputs"
LABEL = "churned"
THREADS = 2

Item = TypeVar("Item")
Result = TypeVar("Result")


def estimator(kind: str, parameters: Parameters) -> Estimator:
    """The untrained model of that kind."""
    if kind == LOGISTIC_REGRESSION:
        logistic = parameters.logistic_regression
        return LogisticRegression(
            featuresCol=INPUTS,
            labelCol=LABEL,
            regParam=logistic.reg_param,
            maxIter=logistic.max_iter,
            tol=logistic.tol,
            # Penalises on the standardised scale; coefficients come back on the inputs' own.
            standardization=True,
        )
    trees = parameters.gradient_boosted_trees
    return GBTClassifier(
        featuresCol=INPUTS,
        labelCol=LABEL,
        maxIter=trees.max_iter,
        maxDepth=trees.max_depth,
        stepSize=trees.step_size,
        maxBins=trees.max_bins,
        minInstancesPerNode=trees.min_instances_per_node,
        seed=parameters.seed,
    )


def derived(parameters: Parameters) -> dict[str, str]:
    """Inputs that the pipeline adds to the features: name to SQL expression."""
    return {f"log1p_{name}": f"log1p(`{name}`)" for name in parameters.log1p}


def assembly(
    features: Sequence[str], added: dict[str, str]
) -> tuple[SQLTransformer, VectorAssembler]:
    """The stages in front of the classifier: derive inputs, put all of them into one vector."""
    columns = ["*", *(f"{expression} as `{name}`" for name, expression in added.items())]
    return (
        SQLTransformer(statement=f"select {', '.join(columns)} from __THIS__"),
        VectorAssembler(inputCols=[*features, *added], outputCol=INPUTS),
    )


def pipeline(features: Sequence[str], added: dict[str, str], fitted: Fitted) -> PipelineModel:
    """What takes a frame of features to probabilities, in one piece."""
    return PipelineModel([*assembly(features, added), fitted])


def each(
    spark: SparkSession,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int = THREADS,
) -> list[Result]:
    """`work` on every item, two at a time, results in the items' order.

    Fits of small data leave a core idle between their many short jobs; a second one fills it.
    Spark ML asks for the session of the thread it runs in, and would take another one that this
    process has open: all ML work goes through here, in threads that know just this session.
    """
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(inheritable_thread_target(spark)(work), items))
