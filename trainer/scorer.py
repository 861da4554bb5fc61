"""Score one customer without Spark, with the same result as the batch for the same features.

Terms are summed in the batch's order, so that values which are equal there are equal here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.explain import SMALLEST, TOP
from trainer.portable_model import add_derived_inputs
from trainer.reason_texts import Reason, reasons_for
from trainer.record import ModelRecord

Features = Mapping[str, int | float]


@dataclass(frozen=True)
class RenderedReason:
    """A rendered reason: its text, and what it adds to the log-odds."""

    feature: str
    text: str
    contribution: float


@dataclass(frozen=True)
class Answer:
    """The churn probability, and the reasons that raise it most, the strongest first."""

    probability: float
    reasons: tuple[RenderedReason, ...]


class Scorer:
    """Scorer of a model version; `features` are those that the model requires."""

    def __init__(self, record: ModelRecord, declared: Sequence[Reason]) -> None:
        """Prepare a model version for scoring.

        Raises:
            ValueError, KeyError, TypeError: The record's numbers can't be used for computing.
        """
        self.version = record.version
        self.features = tuple(record.features)
        self._log1p: tuple[str, ...] = tuple(record.parameters["log1p"])
        self._reasons = reasons_for([*record.features, *record.derived], declared)
        self.baseline = record.form.baseline
        self._form = record.form
        self._groups = {
            name: place for place, reason in enumerate(self._reasons) for name in reason.inputs
        }
        zeros = self._contributions(dict.fromkeys(self.features, 0.0))
        if not math.isfinite(self.baseline + math.fsum(zeros)):
            raise ValueError(f"the numbers of model {record.version} are not finite")

    def answer(self, features: Features) -> Answer:
        """Return probability and reasons; `features` may contain more than the model requires.

        Raises:
            ValueError, ArithmeticError: The result for these features can't be computed.
        """
        contributions = self._contributions(features)
        raising = [
            (-contribution, reason.feature, reason)
            for contribution, reason in zip(contributions, self._reasons, strict=True)
            if contribution >= SMALLEST
        ]
        # Equal contributions are ordered by name, as in the batch; names differ.
        raising.sort(key=lambda each: each[:2])
        given = (
            RenderedReason(feature, reason.text.render(features), -lowered)
            for lowered, feature, reason in raising[:TOP]
        )
        log_odds = self.baseline + math.fsum(contributions)
        if not math.isfinite(log_odds):
            raise ValueError("the log-odds are not finite")
        return Answer(probability(log_odds), tuple(given))

    def contributions(self, features: Features) -> tuple[RenderedReason, ...]:
        """Return what every reason adds to the log-odds or subtracts, the strongest first.

        Together with `baseline` they sum to the log-odds.
        """
        found = self._contributions(features)
        given = (
            RenderedReason(reason.feature, reason.text.render(features), moved)
            for reason, moved in zip(self._reasons, found, strict=True)
        )
        return tuple(sorted(given, key=lambda each: (-abs(each.contribution), each.feature)))

    def _contributions(self, features: Features) -> list[float]:
        """Return what each reason adds to the log-odds, in the order of the reasons."""
        return self._form.contributions(add_derived_inputs(features, self._log1p), self._groups)


def probability(log_odds: float) -> float:
    """Return the logistic function of any finite number."""
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1 + odds)
