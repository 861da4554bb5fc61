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


def has_chance(fold_auc: Mapping[str, Sequence[float]], rule: ChampionRule) -> bool:
    """Return whether the challenger is worth training on all folds, after the first ones.

    Args:
        fold_auc: The ROC-AUC of each model type, fold by fold in the same order; of the challenger
            only those of the first folds.
        rule: The declared rule.
    """
    gains = _gains(fold_auc, rule)
    return not gains or mean(gains) > rule.race_gain


def select_model(fold_auc: Mapping[str, Sequence[float]], rule: ChampionRule) -> Selection:
    """Return the champion's model type.

    The folds are paired: both model types were evaluated on the same rows, so the spread of the
    differences is the noise that a gain must exceed.

    Args:
        fold_auc: The ROC-AUC of each model type, fold by fold in the same order; of a challenger
            without a chance only those of the first folds.
        rule: The declared rule.
    """
    gains = _gains(fold_auc, rule)
    is_dropped = len(gains) < len(fold_auc[rule.default])
    compared = (
        f"{_format_kind(rule.challenger)} were compared with {_format_kind(rule.default)}: on "
        f"average {mean(gains):+.4f} ROC-AUC over {'the first ' if is_dropped else ''}"
        f"{len(gains)} folds ({min(gains):+.4f} to {max(gains):+.4f})"
    )
    if is_dropped:
        return Selection(
            rule.default,
            f"{compared}; being trained on the other folds takes more than {rule.race_gain}",
        )
    gain, error = mean(gains), stdev(gains) / len(gains) ** 0.5
    needed = max(rule.minimum_gain, rule.standard_errors * error)
    kind = rule.challenger if gain > needed else rule.default
    reason = (
        f"{compared}; replacing the simpler model takes more than {needed:.4f} (standard error "
        f"{error:.4f}, minimum gain {rule.minimum_gain})"
    )
    return Selection(kind, reason)


def _gains(fold_auc: Mapping[str, Sequence[float]], rule: ChampionRule) -> list[float]:
    default, challenger = fold_auc[rule.default], fold_auc.get(rule.challenger, [])
    return [gained - base for base, gained in zip(default, challenger, strict=False)]


def _format_kind(kind: str) -> str:
    return kind.replace("_", " ")
