"""Define the data for the plots of a model."""

from collections.abc import Mapping
from dataclasses import dataclass

from trainer.metrics import Curves


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model type by name (`roc_auc`, …), out of fold and on the hold-out.

    `curves` are those out of fold, as the record has them; a missing one has no plot.
    """

    kind: str
    out_of_fold: Mapping[str, float]
    holdout: Mapping[str, float]
    curves: Curves
    threshold: float = 0.5
