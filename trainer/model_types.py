"""Define the model types: Spark's name, the form once fitted, and the settings of each.

The values of the settings are in `parameters.yml`. This module does not import Spark, which is not
needed for reading parameters.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelType:
    """A type of model.

    Attributes:
        estimator: Name of a class of pyspark.ml.classification.
        form: Form of what the model computes once fitted.
        settings: The estimator's parameters that `parameters.yml` must contain, in snake case.
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
