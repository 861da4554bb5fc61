"""Choose the champion's model type by the declared rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from trainer.parameters import ChampionRule


@dataclass(frozen=True)
class Selection:
    """The chosen model type, with the reason in one sentence."""

    kind: str
    reason: str


def select_model(fold_auc: Mapping[str, Sequence[float]], rule: ChampionRule) -> Selection:
    """Return the champion's model type.

    The folds are paired: both model types were evaluated on the same rows, so the spread of the
    differences is the noise that a gain must exceed.

    Args:
        fold_auc: The ROC-AUC of each model type, fold by fold in the same order.
        rule: The declared rule.
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
        f"{_format_kind(rule.challenger)} against {_format_kind(rule.default)}: mean gain in "
        f"ROC-AUC over {len(gains)} folds {gain:+.4f}, which {verb} the {needed:.4f} needed "
        f"(standard error {error:.4f}, minimum gain {rule.minimum_gain})"
    )
    return Selection(kind, reason)


def _format_kind(kind: str) -> str:
    return kind.replace("_", " ")
