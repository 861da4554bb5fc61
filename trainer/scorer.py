"""Score one customer without Spark, with the same result as the batch for the same features.

Terms are summed in the batch's order, so that values which are equal there are equal here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.explain import SMALLEST, TOP
from trainer.portable_model import Form, LinearModel, Node, TreeEnsemble, with_derived
from trainer.reason_texts import Reason, reasons_for
from trainer.record import ModelRecord

Features = Mapping[str, int | float]


@dataclass(frozen=True)
class Given:
    """A rendered reason: its text, and what it adds to the log-odds."""

    feature: str
    text: str
    contribution: float


@dataclass(frozen=True)
class Answer:
    """The churn probability, and the reasons that raise it most, the strongest first."""

    probability: float
    reasons: tuple[Given, ...]


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
        self._parts = _parts(record.form, self._reasons)
        inputs = with_derived(dict.fromkeys(self.features, 0.0), self._log1p)
        if not math.isfinite(self.baseline + math.fsum(self._parts.contributions(inputs))):
            raise ValueError(f"the numbers of model {record.version} are not finite")

    def answer(self, features: Features) -> Answer:
        """Return probability and reasons; `features` may contain more than the model requires.

        Raises:
            ValueError, ArithmeticError: The result for these features can't be computed.
        """
        contributions = self._parts.contributions(with_derived(features, self._log1p))
        raising = [
            (-contribution, reason.feature, reason)
            for contribution, reason in zip(contributions, self._reasons, strict=True)
            if contribution >= SMALLEST
        ]
        # Equal contributions are ordered by name, as in the batch; names differ.
        raising.sort(key=lambda each: each[:2])
        given = (
            Given(feature, reason.words.say(features), -lowered)
            for lowered, feature, reason in raising[:TOP]
        )
        log_odds = self.baseline + math.fsum(contributions)
        if not math.isfinite(log_odds):
            raise ValueError("the log-odds are not finite")
        return Answer(probability(log_odds), tuple(given))

    def contributions(self, features: Features) -> tuple[Given, ...]:
        """Return what every reason adds to the log-odds or subtracts, the strongest first.

        Together with `baseline` they sum to the log-odds.
        """
        found = self._parts.contributions(with_derived(features, self._log1p))
        given = (
            Given(reason.feature, reason.words.say(features), moved)
            for reason, moved in zip(self._reasons, found, strict=True)
        )
        return tuple(sorted(given, key=lambda each: (-abs(each.contribution), each.feature)))


def probability(log_odds: float) -> float:
    """Return the logistic function of any finite number."""
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1 + odds)


class _Linear:
    """Coefficient and mean of each input, by reason."""

    def __init__(self, form: LinearModel, reasons: Sequence[Reason]) -> None:
        self._terms = [
            [
                (name, float(form.coefficients[name]), float(form.means[name]))
                for name in reason.inputs
            ]
            for reason in reasons
        ]

    def contributions(self, inputs: Mapping[str, float]) -> list[float]:
        found = []
        for terms in self._terms:
            total = 0.0
            for name, coefficient, mean in terms:
                total += coefficient * (inputs[name] - mean)
            found.append(total)
        return found


class _Trees:
    """The trees, and the reason that each input belongs to."""

    def __init__(self, form: TreeEnsemble, reasons: Sequence[Reason]) -> None:
        self._trees: list[list[Node]] = form.trees
        self._reason = {name: place for place, each in enumerate(reasons) for name in each.inputs}
        self._count = len(reasons)

    def contributions(self, inputs: Mapping[str, float]) -> list[float]:
        found = [0.0] * self._count
        for tree in self._trees:
            node = tree[0]
            moved: dict[int, float] = {}
            while node.input is not None:
                child = tree[node.left if inputs[node.input] <= node.threshold else node.right]
                reason = self._reason[node.input]
                moved[reason] = moved.get(reason, 0.0) + (child.value - node.value)
                node = child
            for reason, step in moved.items():
                found[reason] += step
        return found


def _parts(form: Form, reasons: Sequence[Reason]) -> _Linear | _Trees:
    if isinstance(form, LinearModel):
        return _Linear(form, reasons)
    return _Trees(form, reasons)
