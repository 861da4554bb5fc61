"""The kinds of model: what Spark calls each, how it is read once it is fitted, what it is set by.

The settings' values are in `parameters.yml`. Here is no Spark: who reads parameters needs none.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelType:
    """`estimator` is a class of pyspark.ml.classification, `form` what it computes once fitted.

    `settings` are its parameters that `parameters.yml` has to give, in snake case.
    """

    estimator: str
    form: Literal["linear", "trees"]
    settings: tuple[str, ...]


KINDS = {
    "logistic_regression": ModelType(
        "LogisticRegression", "linear", ("reg_param", "max_iter", "tol")
    ),
    "gradient_boosted_trees": ModelType(
        "GBTClassifier",
        "trees",
        ("max_iter", "max_depth", "step_size", "max_bins", "min_instances_per_node"),
    ),
}
