"""Survival statistics against lifelines, an independent implementation."""

import numpy as np
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.utils import concordance_index
from pandas import DataFrame

from trainer import survival
from trainer.hazard import calibrate


def drawn(rows: int = 600, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, durations with many ties, and events of simulated customers."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(rows, 3)) * [1.0, 2.0, 0.5]
    chance = 1 / (1 + np.exp(2.5 - inputs @ [0.8, -0.3, 0.4]))
    leaves, followed = rng.geometric(chance), rng.integers(1, 13, rows)
    return inputs, np.minimum(leaves, followed), leaves <= followed


def test_kaplan_meier_equals_lifelines() -> None:
    _, durations, events = drawn()
    ours = survival.kaplan_meier(durations, events, 12)
    theirs = KaplanMeierFitter().fit(durations, events).predict(range(1, 13)).to_numpy()
    assert 0 < ours[-1] < ours[0] < 1
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_nobody_observed_is_no_number() -> None:
    found = survival.kaplan_meier(np.array([1, 2]), np.array([True, False]), 3)
    assert found[:2] == pytest.approx([0.5, 0.5])
    assert np.isnan(found[2])


def test_the_c_index_equals_lifelines() -> None:
    inputs, durations, events = drawn()
    scores = np.round(inputs[:, 0], 1)  # with ties
    ours = survival.concordance(durations, events, scores)
    assert 0.55 < ours < 0.9
    assert ours == pytest.approx(concordance_index(durations, -scores, events), abs=1e-12)


def test_cox_equals_lifelines() -> None:
    inputs, durations, events = drawn()
    model = survival.Cox(inputs, durations, events)
    frame = DataFrame(inputs).assign(duration=durations, left=events)
    theirs = CoxPHFitter(penalizer=survival.RIDGE).fit(frame, "duration", "left")
    hazard = theirs.predict_log_partial_hazard(frame).to_numpy()
    assert model.score(inputs) == pytest.approx(hazard, abs=2e-3)
    assert model.score(inputs).std() > 0.5


def test_the_brier_score_of_complete_histories_is_the_mean_square() -> None:
    durations, events = np.array([1, 2, 3, 3]), np.array([True, True, False, False])
    there = np.array([[0.4, 0.3, 0.2], [0.9, 0.5, 0.4], [0.9, 0.8, 0.7], [1.0, 0.9, 0.6]])
    truth = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 1], [1, 1, 1]])
    expected = ((truth - there) ** 2).mean()
    assert survival.integrated_brier(durations, events, there) == pytest.approx(expected, abs=1e-12)


def test_the_brier_score_of_cut_histories_estimates_that_of_complete_ones() -> None:
    rng = np.random.default_rng(1)
    leaves, followed = rng.geometric(0.2, 200_000), rng.integers(1, 9, 200_000)
    there = np.broadcast_to(0.85 ** np.arange(1, 9), (len(leaves), 8))
    complete = survival.integrated_brier(np.minimum(leaves, 8), leaves <= 8, there)
    cut = survival.integrated_brier(np.minimum(leaves, followed), leaves <= followed, there)
    assert cut == pytest.approx(complete, abs=1e-3)
    # histories that were cut off are not those of customers who left
    ignored = survival.integrated_brier(np.minimum(leaves, followed), leaves > 0, there)
    assert abs(ignored - complete) > 0.002


def test_calibration_finds_risks_that_are_too_high() -> None:
    rng = np.random.default_rng(2)
    chance = rng.uniform(0.05, 0.5, 50_000)
    durations = np.minimum(rng.geometric(chance), 6)
    events = rng.geometric(chance) > 0
    leaves, followed = rng.geometric(chance), rng.integers(1, 7, len(chance))
    durations, events = np.minimum(leaves, followed), leaves <= followed
    truth = (1 - chance)[:, None] ** np.arange(1, 7)
    for months in (1, 3, 6):
        right = calibrate(durations, events, truth, months)
        assert [each["customers"] for each in right] == [10_000] * 5
        assert all(abs(each["predicted"] - each["observed"]) < 0.02 for each in right)
        assert right[4]["observed"] > right[0]["observed"] + 0.2
        wrong = calibrate(durations, events, truth**1.5, months)
        assert max(abs(each["predicted"] - each["observed"]) for each in wrong) > 0.02
