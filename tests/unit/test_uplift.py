"""Uplift on simulated campaigns whose best ranking is known."""

import numpy as np
import pytest

from trainer import uplift
from trainer.uplift import RISK, Trial, advise, compute_qini

ROWS = 8_000


def simulated(
    seed: int, rows: int = ROWS, persuadable: bool = True, share: float = 0.3
) -> tuple[Trial, np.ndarray]:
    """A campaign and the true effect on each customer.

    Persuadable: the call keeps customers by another feature than the one that makes them leave, and
    drives some away. Otherwise it keeps the same share of all leavers, so that risk ranks best.
    """
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(rows, 4))
    risk = 1 / (1 + np.exp(1.2 - 1.1 * inputs[:, 0]))
    kept = np.clip(0.35 + 0.45 * inputs[:, 1], -0.6, 0.9) if persuadable else np.full(rows, 0.3)
    effect = np.minimum(risk * kept, risk)
    contacted = rng.random(rows) >= share
    left = rng.random(rows) < np.clip(risk - contacted * effect, 0, 1)
    return Trial(inputs, risk, contacted, left, np.full(rows, 1 - share)), effect


def test_whom_a_call_keeps_is_found() -> None:
    trial, effect = simulated(1)
    advice = advise(trial, seed=7)
    assert advice is not None
    assert advice.ranking != RISK
    best = compute_qini(trial, effect)
    chosen = advice.qini[advice.ranking]
    assert chosen.value > advice.qini[RISK].value
    assert chosen.low < best < chosen.high * 1.3
    assert chosen.value > 0.7 * best


@pytest.mark.parametrize("persuadable", [True, False])
def test_it_is_never_worse_than_risk_beyond_noise(persuadable: bool) -> None:
    """The true saving of the advised ranking, over campaigns of all kinds of luck."""
    lost = []
    for seed in range(8):
        trial, effect = simulated(seed, rows=3_000, persuadable=persuadable)
        advice = advise(trial, seed)
        assert advice is not None
        scores = {
            RISK: trial.risk,
            uplift.TWO_MODELS: uplift.predict_effects(trial, seed, uplift.estimate_by_two_models),
            uplift.TRANSFORMED: uplift.predict_effects(
                trial, seed, uplift.estimate_by_transformation
            ),
        }
        saved = {name: true_saving(effect, score) for name, score in scores.items()}
        lost.append(saved[RISK] - saved[advice.ranking])
    assert np.mean(lost) <= 0
    assert max(lost) < 0.003  # of all customers
    if persuadable:
        assert np.mean(lost) < -0.005


def true_saving(effect: np.ndarray, scores: np.ndarray) -> float:
    """Customers kept per customer, called down to each depth, on average over the depths."""
    order = np.argsort(-scores, kind="stable")
    return float(np.cumsum(effect[order]).mean() / len(effect))


def test_equal_effects_give_no_reason_to_change() -> None:
    advised = [advise(simulated(seed, 3_000, persuadable=False)[0], seed) for seed in range(8)]
    assert [each.ranking for each in advised if each].count(RISK) >= 7


def test_no_advice_while_data_are_few() -> None:
    trial, _ = simulated(3, rows=400)
    assert 0 < uplift.count_smallest_group(trial) < uplift.MIN_CUSTOMERS
    assert advise(trial, 1) is None
    all_called = Trial(trial.inputs, trial.risk, np.ones(400, dtype=bool), trial.left, trial.share)
    assert advise(all_called, 1) is None


def test_campaigns_of_other_shares_are_pooled_without_a_bias() -> None:
    """More were called where more leave: by plain rates, a call would drive customers away."""
    rng = np.random.default_rng(5)
    parts = []
    for share, risk in ((0.9, 0.6), (0.5, 0.2)):
        contacted = rng.random(20_000) < share
        left = rng.random(20_000) < risk * np.where(contacted, 0.7, 1)
        parts.append((contacted, left, np.full(20_000, share), np.full(20_000, risk)))
    contacted, left, shares, risk = (np.concatenate(each) for each in zip(*parts, strict=True))
    assert left[contacted].mean() > left[~contacted].mean()
    trial = Trial(risk[:, None], risk, contacted, left, shares)
    # saved per 100 customers down to each depth: .18 in the first half, .06 in the second
    depths = np.arange(1, 101) / 100
    saved = np.where(depths <= 0.5, 0.18 * depths, 0.09 + 0.06 * (depths - 0.5))
    assert compute_qini(trial, risk) == pytest.approx(100 * (saved - 0.12 * depths).mean(), abs=0.5)


def test_the_sentence_says_what_was_found() -> None:
    trial, _ = simulated(1)
    assert "call by effect" in uplift.format_advice(trial, advise(trial, 7))
    few, _ = simulated(3, rows=400)
    assert "at least 100 are needed" in uplift.format_advice(few, advise(few, 1))
    equal, _ = simulated(2, 3_000, persuadable=False)
    assert "go on calling by risk" in uplift.format_advice(equal, advise(equal, 2))


def test_a_random_ranking_has_no_qini() -> None:
    trial, effect = simulated(4, rows=40_000)
    by_lot = compute_qini(trial, np.random.default_rng(1).random(40_000))
    assert abs(by_lot) < 0.4 < compute_qini(trial, effect)


def test_qini_equals_the_difference_of_rates_by_hand() -> None:
    contacted = np.array([True, False, True, False] * 25)
    left = np.array([False, True, True, True] * 25)
    scores = np.concatenate([np.arange(100, 0, -1)]).astype(float)
    trial = Trial(np.zeros((100, 1)), scores, contacted, left, np.full(100, 0.5))
    total, expected = 1 - 25 / 50, 0.0
    for depth in range(1, 101):
        called = [left[i] for i in range(depth) if contacted[i]]
        spared = [left[i] for i in range(depth) if not contacted[i]]
        effect = np.mean(spared) - np.mean(called) if called and spared else 0.0
        expected += (effect - total) * depth / 100
    assert compute_qini(trial, scores) == pytest.approx(expected, abs=1e-9)
