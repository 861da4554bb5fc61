"""Learn from closed campaigns whom a call keeps, and say whether that beats ranking by risk.

Two estimates of the effect on a customer: two models (the risk of those who were not contacted
minus that of those who were) and class transformation (one model of "contacted and stayed, or not
contacted and left"). Each is predicted out of fold. A ranking is measured by its Qini coefficient:
how many more customers stay than if as many were called by lot, averaged over all depths. Advice is
given only if there are enough data; it is to keep ranking by risk unless an estimate is better
beyond noise (paired bootstrap).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# In each arm, so many customers must have left and stayed: fewer carry no difference of effects.
MIN_CUSTOMERS = 100
FOLDS = 5
REPLICATES = 200
DEPTHS = 100
RISK, TWO_MODELS, TRANSFORMED = "risk", "two models", "class transformation"


@dataclass(frozen=True)
class Trial:
    """Customers of closed campaigns, contacted by lot.

    Attributes:
        inputs: Customers by inputs, as of the campaign's start.
        risk: Probability of leaving, by which they were chosen.
        contacted: Whether a customer was to be called.
        left: Whether the customer left.
        share: Share of the customer's campaign that was contacted, between 0 and 1.
    """

    inputs: Floats
    risk: Floats
    contacted: Flags
    left: Flags
    share: Floats

    @property
    def weights(self) -> Floats:
        """Return weights with which campaigns of other shares can be pooled."""
        return np.where(self.contacted, 1 / self.share, 1 / (1 - self.share))


@dataclass(frozen=True)
class Qini:
    """Qini coefficient of a ranking, per 100 customers, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Advice:
    """Which ranking to use, and the evidence.

    Attributes:
        ranking: `risk`, `two models` or `class transformation`.
        qini: The coefficient of each ranking.
        gain: What each estimate gains over ranking by risk.
    """

    ranking: str
    qini: dict[str, Qini]
    gain: dict[str, Qini]


def advise(trial: Trial, seed: int) -> Advice | None:
    """Return the ranking to use, or None while data are too few."""
    if count_smallest_group(trial) < MIN_CUSTOMERS:
        return None
    scores = {
        RISK: trial.risk,
        TWO_MODELS: predict_effects(trial, seed, estimate_by_two_models),
        TRANSFORMED: predict_effects(trial, seed, estimate_by_transformation),
    }
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(trial.left), size=(REPLICATES, len(trial.left)))
    found = {name: compute_qini(trial, score) for name, score in scores.items()}
    drawn = {
        name: np.array([compute_qini(trial, score, rows) for rows in draws])
        for name, score in scores.items()
    }
    qini = {name: _describe(found[name], drawn[name]) for name in scores}
    gain = {
        name: _describe(found[name] - found[RISK], drawn[name] - drawn[RISK])
        for name in (TWO_MODELS, TRANSFORMED)
    }
    better = [name for name, each in gain.items() if each.low > 0]
    return Advice(max(better, key=lambda name: found[name], default=RISK), qini, gain)


def count_smallest_group(trial: Trial) -> int:
    """Return the smallest number of leavers or stayers in an arm."""
    groups = trial.contacted.astype(int) * 2 + trial.left
    return int(np.bincount(groups, minlength=4).min())


def _describe(value: float, drawn: Floats) -> Qini:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Qini(value, float(low), float(high))


def compute_qini(trial: Trial, scores: Floats, rows: NDArray[np.int64] | None = None) -> float:
    """Return the Qini coefficient of a ranking, the highest score first.

    At each depth, the number of customers kept among those called is the difference of the leaving
    rates times the depth. Equal scores keep the order of the rows.
    """
    chosen = np.arange(len(scores)) if rows is None else rows
    order = chosen[np.argsort(-scores[chosen], kind="stable")]
    contacted, left, weights = trial.contacted[order], trial.left[order], trial.weights[order]
    ends = np.round(np.arange(1, DEPTHS + 1) / DEPTHS * len(order)).astype(int) - 1
    called, spared, lost, gone = (
        np.cumsum(weights * rows)[ends]
        for rows in (contacted, ~contacted, contacted & left, ~contacted & left)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        effect = np.nan_to_num(gone / spared - lost / called, posinf=0.0, neginf=0.0)
    depth = np.arange(1, DEPTHS + 1) / DEPTHS
    return float((effect * depth - effect[-1] * depth).mean() * 100)


def predict_effects(
    trial: Trial, seed: int, estimate: Callable[[Trial, Flags, Floats], Floats]
) -> Floats:
    """Return the effect on each customer, estimated from the other folds."""
    folds = np.random.default_rng(seed).integers(FOLDS, size=len(trial.left))
    spread = trial.inputs.std(axis=0)
    scaled = (trial.inputs - trial.inputs.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    effects = np.zeros(len(folds))
    for fold in range(FOLDS):
        effects[folds == fold] = estimate(trial, folds != fold, scaled)[folds == fold]
    return effects


def estimate_by_two_models(trial: Trial, learned: Flags, scaled: Floats) -> Floats:
    """Return the risk without a call minus the risk with one."""
    risks = []
    for arm in (False, True):
        rows = learned & (trial.contacted == arm)
        risks.append(_fit(scaled[rows], trial.left[rows]).predict_proba(scaled)[:, 1])
    return np.asarray(risks[0] - risks[1])


def estimate_by_transformation(trial: Trial, learned: Flags, scaled: Floats) -> Floats:
    """Return an estimate that is monotone in the effect, from one model.

    The arms are weighted as if half of the customers had been contacted.
    """
    target = trial.contacted != trial.left
    model = _fit(scaled[learned], target[learned], trial.weights[learned] / 2)
    return np.asarray(2 * model.predict_proba(scaled)[:, 1] - 1)


def _fit(inputs: Floats, target: Flags, weights: Floats | None = None) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.1, max_iter=500).fit(inputs, target, sample_weight=weights)


def format_advice(trial: Trial, advice: Advice | None) -> str:
    """Return the advice as a sentence."""
    if advice is None:
        smallest = f"{count_smallest_group(trial):,} customers, at least {MIN_CUSTOMERS} are needed"
        return (
            "whom a call keeps can't be said yet: the smallest group (left or stayed, called or "
            f"not) has {smallest}"
        )
    best = advice.qini[advice.ranking]
    said = f"Qini {best.value:.2f} per 100 customers ({best.low:.2f} to {best.high:.2f})"
    if advice.ranking == RISK:
        return f"go on calling by risk: no estimate of the effect is better beyond noise; {said}"
    gain = advice.gain[advice.ranking]
    return (
        f"call by effect ({advice.ranking}) rather than by risk: {said}, "
        f"{gain.value:.2f} more than by risk ({gain.low:.2f} to {gain.high:.2f})"
    )
