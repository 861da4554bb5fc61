"""Estimators over one vector of inputs, and the pipeline around them."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pyspark.ml import PipelineModel, classification
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.sql.connect.session import SparkSession
from pyspark.util import inheritable_thread_target

from trainer.model_types import KINDS
from trainer.parameters import Parameters

INPUTS = "inputs"
LABEL = "churned"
THREADS = 2

Item = TypeVar("Item")
Result = TypeVar("Result")


def estimator(kind: str, parameters: Parameters) -> Any:
    """The untrained model of that kind."""
    settings = {_camel_case(name): value for name, value in parameters.kinds[kind].items()}
    made = getattr(classification, KINDS[kind].estimator)(
        featuresCol=INPUTS, labelCol=LABEL, **settings
    )
    return made.setSeed(parameters.seed) if made.hasParam("seed") else made


def _camel_case(name: str) -> str:
    """As Spark writes its parameters."""
    first, *others = name.split("_")
    return first + "".join(each.title() for each in others)


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


def pipeline(features: Sequence[str], added: dict[str, str], fitted: Any) -> PipelineModel:
    """What takes a frame of features to probabilities, in one piece."""
    return PipelineModel([*assembly(features, added), fitted])


def run_in_threads(
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
