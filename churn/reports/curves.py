"""Define the data for the plots of a model."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Curves:
    """Out-of-fold points of a model. An empty curve has no plot."""

    roc: tuple[tuple[float, float], ...] = ()  # false positive rate, true positive rate
    pr: tuple[tuple[float, float], ...] = ()  # recall, precision
    calibration: tuple[tuple[float, float, int], ...] = ()  # mean predicted, observed, customers
    thresholds: tuple[tuple[float, float, float], ...] = ()  # threshold, accuracy, F1
    histogram: tuple[tuple[float, float, int, int], ...] = ()  # from, to, churned, stayed


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model type by name (`roc_auc`, …), out of fold and on the hold-out."""

    kind: str
    out_of_fold: Mapping[str, float]
    holdout: Mapping[str, float]
    curves: Curves
    threshold: float = 0.5
