"""The champion's evaluation, as data and as lines for people."""

from typing import Any

from lakehouse.errors import Unusable
from lakehouse.settings import Settings
from trainer.registry import champion

METRICS = ("roc_auc", "pr_auc", "accuracy", "f1", "brier")


def evaluation(settings: Settings) -> dict[str, Any]:
    """Figures of the champion and of the kinds it was chosen among.

    Raises:
        Unusable: no model was trained yet.
    """
    record = champion(settings)
    if record is None:
        raise Unusable(
            "No model has been trained yet",
            where=str(settings.home / "models"),
            remedy="`churn run WORKBOOK`, or `churn train` where gold has data",
        )
    return record.summary()


def evaluation_lines(figures: dict[str, Any]) -> list[str]:
    """A table for people."""
    lines = [
        f"model {figures['version']}: {figures['kind']}",
        f"label: {figures['label']['reason']}",
        f"{'':<12}{'out of fold':>12}{'hold-out':>12}",
    ]
    holdout = figures["holdout"]
    lines += [f"{name:<12}{figures[name]:>12.4f}{holdout[name]:>12.4f}" for name in METRICS]
    return lines
