"""Lift and profit of a ranking, against integration over the rates and another package."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import beta

from lakehouse.domain import ProfitTerms, read_domain
from lakehouse.errors import ChurnError
from trainer import bootstrap, metrics, profit, promotion, record
from trainer.bootstrap import Interval
from trainer.parameters import parameters_of_record, read_parameters
from trainer.splits import BLOCKS

Floats = NDArray[np.float64]
PUBLISHED = ProfitTerms(6, 14, 200, 10, 1)
OTHERS = [
    ProfitTerms(6, 14, 780, 39, 20),
    ProfitTerms(2, 2, 100, 30, 5),
    ProfitTerms(0.5, 3, 50, 0, 2),
    ProfitTerms(6, 14, 200, 10, 0),
]
TERMS = [PUBLISHED, *OTHERS]


def draw_scores(seed: int, rows: int = 400, decimals: int = 2) -> tuple[Floats, Floats]:
    """Labels and scores with ties."""
    drawn = np.random.default_rng(seed)
    probability = drawn.beta(1, 3, rows)
    churned = (drawn.random(rows) < probability).astype(float)
    return churned, np.clip(probability + drawn.normal(0, 0.1, rows), 0, 1).round(decimals)


def integrate(churned: Floats, probability: Floats, terms: ProfitTerms) -> tuple[float, float]:
    """Maximum profit at the mean rate, and its mean over the rates: by trying out all thresholds.

    No convex hull, no incomplete beta function: a sum over a fine grid of rates, each weighted by
    the probability of its cell.
    """
    thresholds = [2.0, *np.unique(probability)]
    called = np.array([probability >= mark for mark in thresholds], dtype=float)
    leavers, stayers = called @ churned, called @ (1 - churned)

    def best(rate: Floats) -> Floats:
        gained = leavers * (rate * (terms.customer_value - terms.offer_cost) - terms.contact_cost)
        return (gained - stayers * (terms.offer_cost + terms.contact_cost)).max(axis=1)

    edges = np.linspace(0, 1, 200_001)
    middle = (edges[1:] + edges[:-1]) / 2
    weights = np.diff(beta(terms.alpha, terms.beta).cdf(edges))
    each = np.concatenate([best(part[:, None]) for part in np.array_split(middle, 100)])
    mean = terms.alpha / (terms.alpha + terms.beta)
    at_mean = float(best(np.array([[mean]]))[0])
    return at_mean / len(churned), float(each @ weights) / len(churned)


@pytest.mark.parametrize("terms", TERMS, ids=str)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_profit_is_that_of_all_thresholds_over_all_rates(seed: int, terms: ProfitTerms) -> None:
    churned, probability = draw_scores(seed)
    found = profit.compute_profit(*profit.count_by_score(churned, probability), terms)
    maximum, expected = integrate(churned, probability, terms)
    assert found.maximum_profit == pytest.approx(maximum, abs=1e-9)
    assert found.expected_maximum_profit == pytest.approx(expected, abs=1e-6)
    # the mean of the best is at least the best at the mean
    assert found.expected_maximum_profit >= found.maximum_profit - 1e-9


@pytest.mark.parametrize("terms", TERMS, ids=str)
def test_another_package_has_the_same_profit(terms: ProfitTerms) -> None:
    from empulse.metrics import empc_score, mpc_score

    churned, probability = draw_scores(3, 3000, 6)
    found = profit.compute_profit(*profit.count_by_score(churned, probability), terms)
    costs = {
        "clv": terms.customer_value,
        "incentive_cost": terms.offer_cost,
        "contact_cost": terms.contact_cost,
    }
    shape = {"alpha": terms.alpha, "beta": terms.beta}
    expected = empc_score(churned, probability, **shape, **costs)
    assert found.expected_maximum_profit == pytest.approx(expected, abs=1e-6)
    rate = terms.alpha / (terms.alpha + terms.beta)
    maximum = mpc_score(churned, probability, accept_rate=rate, **costs)
    assert found.maximum_profit == pytest.approx(maximum, abs=1e-9)
    share = mpc_score.optimal_rate(churned, probability, accept_rate=rate, **costs)
    assert found.maximum_profit_share == pytest.approx(share, abs=1e-9)


def test_by_hand() -> None:
    """Two leavers above two stayers; each accepts with 1/2 on average, and is worth 10."""
    terms = ProfitTerms(1, 1, 10, 2, 1)
    counts = profit.count_by_score(np.array([1.0, 1, 0, 0]), np.array([0.9, 0.8, 0.3, 0.2]))
    found = profit.compute_profit(*counts, terms)
    # one leaver contacted: 8 × rate - 1, so none below 1/8; per customer, two of four
    assert found.maximum_profit == pytest.approx((8 / 2 - 1) * 2 / 4)
    # the integral of 8 × rate - 1 from 1/8 to 1
    assert found.expected_maximum_profit == pytest.approx((4 * (1 - 1 / 64) - 7 / 8) * 2 / 4)
    assert (found.maximum_profit_share, found.expected_maximum_profit_share) == (0.5, 0.5 * 7 / 8)
    # the first tenth is within the leavers
    assert found.top_decile_lift == pytest.approx(2)


def test_ties_at_the_edge_of_the_first_tenth_count_in_part() -> None:
    churned = np.array([1.0] * 3 + [0.0] * 7 + [1.0] * 2 + [0.0] * 8)
    probability = np.array([0.9] + [0.5] * 9 + [0.1] * 10)
    found = profit.compute_profit(*profit.count_by_score(churned, probability), PUBLISHED)
    # of two customers one is the first, the other one of nine of whom two left
    assert found.top_decile_lift == pytest.approx((1 + 2 / 9) / 2 / (5 / 20))
    order = np.random.default_rng(1).permutation(20)
    shuffled = profit.count_by_score(churned[order], probability[order])
    assert profit.compute_profit(*shuffled, PUBLISHED) == found


def test_the_profit_of_the_deciles_is_counted_customer_by_customer() -> None:
    deciles = [{"customers": 10, "leavers": 6}, {"customers": 10, "leavers": 1}]
    first, second = profit.add_profit(deciles, PUBLISHED)
    assert first["profit"] == pytest.approx(6 * (0.3 * 190 - 1) - 4 * 11)
    assert second["profit"] == pytest.approx(1 * (0.3 * 190 - 1) - 9 * 11)
    assert second["profit_so_far"] == pytest.approx(first["profit"] + second["profit"])


def test_counts_by_block_give_the_profit_of_all_rows() -> None:
    churned, probability = draw_scores(4, 5000, 4)
    frame = pd.DataFrame({"churned": churned, "probability": probability})
    counted = bootstrap.count(frame.assign(block=np.arange(5000) % BLOCKS), 0.5, PUBLISHED)
    exact = metrics.measure(frame, 0.5, PUBLISHED)
    whole = counted.compute_metrics(bootstrap.ALL_BLOCKS)
    for name in metrics.PROFIT_NAMES:
        assert whole[name][0] == pytest.approx(getattr(exact, name), rel=5e-3)
    drawn = counted.compute_metrics(bootstrap.draw_replicates(1, 200))
    low, high = np.percentile(drawn["expected_maximum_profit"], (2.5, 97.5))
    assert low < exact.expected_maximum_profit < high


# --- terms -----------------------------------------------------------------------------------


def test_the_terms_are_those_of_the_domain(tmp_path: Path) -> None:
    assert read_parameters().profit == ProfitTerms(6, 14, 780, 39, 20)
    (tmp_path / "contract.yml").touch()
    lines = ["monthly_value: null", "months: 1", "contact_cost: 2", "retention_rate: 0.25"]
    declared = tmp_path / "campaign.yml"
    declared.write_text("\n".join(lines))
    assert read_domain(tmp_path).campaign.profit_terms == ProfitTerms(5, 15, 200, 10, 2)
    other = tmp_path / "other"
    other.mkdir()
    (other / "contract.yml").touch()
    lines += ["profit:", "  customer_value: 9"]
    (other / "campaign.yml").write_text("\n".join(lines))
    with pytest.raises(ChurnError, match="no offer can pay"):
        _ = read_domain(other).campaign


def test_they_determine_no_model() -> None:
    parameters = read_parameters()
    assert replace(parameters, profit=PUBLISHED).to_json() == parameters.to_json()
    assert parameters_of_record(parameters.to_json(), parameters).profit == parameters.profit


def test_a_record_from_before_has_no_profit() -> None:
    place = Path(__file__).with_name("models_of_before") / "20250103-00000002" / "record.json"
    before = record.read(place.read_text())
    assert {before.metrics[name] for name in metrics.PROFIT_NAMES} == {None}
    again = record.read(record.write(before))
    assert again.metrics == before.metrics


# --- promotion -------------------------------------------------------------------------------


def compare(roc_auc: Interval, worth: Interval) -> promotion.Comparison:
    """A challenger that is better by these gains."""
    models = (promotion.CHAMPION, promotion.CHALLENGER)
    return promotion.Comparison(
        1000,
        300,
        dict(zip(models, (0.84, 0.84 + roc_auc.mean), strict=True)),
        {"roc_auc": roc_auc, "expected_maximum_profit": worth},
        [],
        dict(zip(models, (40.0, 40 + worth.mean), strict=True)),
    )


@pytest.mark.parametrize(
    ("measure", "minimum", "worth", "is_promoted"),
    [
        ("roc_auc", 0, Interval(1, 0.5, 1.5), False),
        ("profit", 0, Interval(1, 0.5, 1.5), True),
        ("profit", 0, Interval(1, -0.1, 1.5), False),
        ("profit", 2, Interval(1, 0.5, 1.5), False),
    ],
)
def test_promotion_by_the_declared_measure(
    measure: str, minimum: float, worth: Interval, is_promoted: bool
) -> None:
    assert read_parameters().promotion.measure == "roc_auc"
    rule = replace(read_parameters().promotion, measure=measure, minimum_profit_gain=minimum)
    compared = compare(Interval(0.0, -0.01, 0.01), worth)
    promoted, reason = promotion.weigh_comparison(compared, rule, "v1", False)
    assert promoted == is_promoted
    said = "expected profit per customer 41.0000 against 40.0000 of v1"
    assert reason.startswith(said if measure == "profit" else "ROC-AUC 0.8400 against 0.8400")
    json.dumps(asdict(compared))
