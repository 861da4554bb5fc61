"""The rule by which the champion's kind is chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from trainer.parameters import ChampionRule


@dataclass(frozen=True)
class Selection:
    """The chosen kind, with the reason in a sentence."""

    kind: str
    reason: str


def select_model(fold_auc: Mapping[str, Sequence[float]], rule: ChampionRule) -> Selection:
    """The champion's kind; `fold_auc` has the ROC-AUC of each kind, fold by fold in one order.

    The folds are paired: both kinds were judged on the same rows, so the spread of the
    differences is the noise that a gain must exceed.
    """
    gains = [
        challenger - default
        for default, challenger in zip(
            fold_auc[rule.default], fold_auc[rule.challenger], strict=True
        )
    ]
    gain, error = mean(gains), stdev(gains) / len(gains) ** 0.5
    needed = max(rule.minimum_gain, rule.standard_errors * error)
    kind = rule.challenger if gain > needed else rule.default
    verb = "exceeds" if gain > needed else "does not exceed"
    reason = (
        f"{_words(rule.challenger)} against {_words(rule.default)}: mean gain in ROC-AUC over "
        f"{len(gains)} folds {gain:+.4f}, which {verb} the {needed:.4f} needed "
        f"(standard error {error:.4f}, minimum gain {rule.minimum_gain})"
    )
    return Selection(kind, reason)


def _words(kind: str) -> str:
    return kind.replace("_", " ")
