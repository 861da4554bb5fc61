"""Build estimators over one vector of inputs, and the pipeline around them."""

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


def build_estimator(kind: str, parameters: Parameters) -> Any:
    """Return the untrained model of a model type."""
    settings = {_camel_case(name): value for name, value in parameters.kinds[kind].items()}
    result = getattr(classification, KINDS[kind].estimator)(
        featuresCol=INPUTS, labelCol=LABEL, **settings
    )
    return result.setSeed(parameters.seed) if result.hasParam("seed") else result


def _camel_case(name: str) -> str:
    """Return the name in the spelling of Spark's parameters."""
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def derive_inputs(parameters: Parameters) -> dict[str, str]:
    """Return the inputs that the pipeline adds to the features, as name to SQL expression."""
    return {f"log1p_{name}": f"log1p(`{name}`)" for name in parameters.log1p}


def assembly(
    features: Sequence[str], added: dict[str, str]
) -> tuple[SQLTransformer, VectorAssembler]:
    """Return the stages before the classifier, which derive inputs and assemble the vector."""
    columns = ["*", *(f"{expression} as `{name}`" for name, expression in added.items())]
    return (
        SQLTransformer(statement=f"select {', '.join(columns)} from __THIS__"),
        VectorAssembler(inputCols=[*features, *added], outputCol=INPUTS),
    )


def build_pipeline(features: Sequence[str], added: dict[str, str], fitted: Any) -> PipelineModel:
    """Return the complete pipeline from a frame of features to probabilities."""
    return PipelineModel([*assembly(features, added), fitted])


def run_in_threads(
    spark: SparkSession,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int = THREADS,
) -> list[Result]:
    """Apply `work` to every item, two at a time, and return the results in the items' order.

    Fits of small data leave a core idle between their many short jobs; a second fit uses it. Spark
    ML uses the session of the thread that it runs in, and could pick another session that is open
    in this process: all ML work therefore runs here, in threads that have only this session.
    """
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(inheritable_thread_target(spark)(work), items))
