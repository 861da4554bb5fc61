"""The hazard model in numbers: additive reasons, months, and models from before."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from model_records import a_record

from serving.remaining_time import RemainingTime
from trainer import hazard_model
from trainer.hazard_model import EXTRACT, JOINED, HazardModel, answer, interpolate
from trainer.portable_model import LinearModel
from trainer.reason_texts import read_reasons
from trainer.retention_campaign import read_campaign

FEATURES = ["tenure", "monthly_charges", "contract_month_to_month"]
MODEL = HazardModel(
    origin=EXTRACT,
    months=1.0,
    longest=12,
    clock="tenure",
    intercept=-2.5,
    steps=(-0.3, 0.02, 0.1),
    coefficients={"tenure": -0.01, "contract_month_to_month": 1.2, "log1p_tenure": -0.2},
    later={"tenure": 0.001, "contract_month_to_month": -0.3, "log1p_tenure": 0.05},
    growing={"tenure": 0.0002, "contract_month_to_month": 0.01, "log1p_tenure": -0.003},
    means={"tenure": 32.0, "contract_month_to_month": 0.55, "log1p_tenure": 3.1},
    aging=-0.4,
    mean_clock=32.0,
)
BY_JOINED = replace(MODEL, origin=JOINED, longest=72, aging=0.0, mean_clock=0.0)
CUSTOMER = {"tenure": 5, "monthly_charges": 70.5, "contract_month_to_month": 1}
INPUTS = {**CUSTOMER, "log1p_tenure": math.log1p(5)}


@pytest.mark.parametrize("model", [MODEL, BY_JOINED])
def test_baseline_and_contributions_sum_to_the_log_odds(model: HazardModel) -> None:
    groups = {"tenure": 0, "log1p_tenure": 0, "contract_month_to_month": 1}
    row = np.array([[float(INPUTS[name]) for name in model.inputs]])
    odds = model.log_odds(row, np.array([5.0]), 80)[0]
    for period in (1, 2, 12, 13, 80):
        moved = model.contributions(INPUTS, groups, period)
        assert len(moved) == 2
        assert model.baseline(period, 5.0) + sum(moved) == pytest.approx(odds[period - 1], abs=1e-9)


def test_the_formula_is_the_documented_one() -> None:
    since, log = 5 + 3, math.log(3)
    expected = -2.5 - 0.3 * log + 0.02 * 3 - 0.4 * math.log(since)
    for name in MODEL.inputs:
        weight = MODEL.coefficients[name] + MODEL.later[name] * log + MODEL.growing[name] * 3
        expected += weight * (INPUTS[name] - MODEL.means[name])
    row = np.array([[float(INPUTS[name]) for name in MODEL.inputs]])
    assert MODEL.log_odds(row, np.array([5.0]), 3)[0, 2] == pytest.approx(expected, abs=1e-12)


def test_a_constant_risk_has_the_months_of_its_series() -> None:
    zeros = dict.fromkeys(MODEL.inputs, 0.0)
    constant = replace(
        MODEL,
        intercept=math.log(0.1 / 0.9),
        steps=(0, 0, 0),
        coefficients=zeros,
        later=zeros,
        growing=zeros,
        aging=0.0,
    )
    found = answer(constant, INPUTS, 24)
    assert found.risk_within == pytest.approx(
        {1: 0.1, 3: 1 - 0.9**3, 6: 1 - 0.9**6, 12: 1 - 0.9**12}
    )
    months = sum(0.9**k for k in range(1, 25))
    assert found.remaining_months == pytest.approx(months)
    assert found.months_if_kept == pytest.approx(months / 0.9)
    # The same risk per period of two months lasts twice as long.
    slower = answer(replace(constant, months=2.0), INPUTS, 24)
    assert slower.risk_within[6] == pytest.approx(1 - 0.9**3)
    assert slower.risk_within[1] == pytest.approx(1 - 0.9**0.5)
    assert slower.remaining_months == pytest.approx(2 * sum(0.9**k for k in range(1, 13)))


def test_within_a_period_the_risk_is_constant() -> None:
    assert interpolate(np.array([0.81, 0.5]), 0.5) == pytest.approx(0.9)
    assert interpolate(np.array([0.81, 0.5]), 2) == pytest.approx(0.5)


def test_no_customer_is_expected_for_more_than_the_most_months() -> None:
    loyal = answer(replace(MODEL, intercept=-30.0), INPUTS, 24)
    assert [loyal.remaining_months, loyal.months_if_kept] == pytest.approx([24, 24])


def test_a_model_is_read_as_it_was_written_and_only_with_its_inputs(tmp_path: Path) -> None:
    hazard_model.write(tmp_path, MODEL)
    known = [*FEATURES, "log1p_tenure"]
    assert hazard_model.read(tmp_path, known) == MODEL
    assert hazard_model.read(tmp_path, FEATURES) is None
    (tmp_path / hazard_model.FILE).write_text('{"origin": 1}')
    assert hazard_model.read(tmp_path, known) is None
    hazard_model.write(tmp_path, None)
    assert not (tmp_path / hazard_model.FILE).exists()
    assert hazard_model.read(tmp_path, known) is None


def remaining_time(model: HazardModel | None, *others: str) -> RemainingTime:
    """Of a version with these features besides those of all."""
    means = dict.fromkeys([*FEATURES, *others, "log1p_tenure"], 0.0)
    record = a_record(LinearModel(0.0, means, means), [*FEATURES, *others])
    return RemainingTime(model, record, read_reasons(), read_campaign())


def test_a_version_without_a_hazard_model_counts_twelve_months() -> None:
    assert remaining_time(None).describe(CUSTOMER) == {"time": None, "value": 12 * 70.5}
    campaign = read_campaign()
    assert campaign.with_hazard(None, {}) == campaign
    assert campaign.revenue == "(12 * monthly_charges)"


@pytest.mark.parametrize("model", [MODEL, BY_JOINED])
def test_api_and_list_count_the_same_months(model: HazardModel) -> None:
    told = remaining_time(model).describe(CUSTOMER)
    expected = answer(model, INPUTS, 24)
    assert told["time"] is not None
    assert told["time"]["months_if_kept"] == expected.months_if_kept
    assert told["value"] == pytest.approx(70.5 * expected.months_if_kept)
    assert 0 < expected.remaining_months < expected.months_if_kept < 24
    risks = list(told["time"]["risk_within"].values())
    assert risks == sorted(risks) and list(told["time"]["risk_within"]) == ["1", "3", "6", "12"]
    assert "month-to-month contract" in [each["text"] for each in told["time"]["reasons"]]
    assert json.dumps(asdict(model))


def test_a_sensitive_reason_is_given_and_marked() -> None:
    weights = {"senior_citizen": 0.9, "contract_month_to_month": 1.2}
    none = dict.fromkeys(weights, 0.0)
    model = replace(MODEL, coefficients=weights, later=none, growing=none, means=none)
    told = remaining_time(model, "senior_citizen").describe({**CUSTOMER, "senior_citizen": 1})
    assert told["time"] is not None
    assert told["time"]["reasons"][:2] == [
        {
            "feature": "contract",
            "text": "month-to-month contract",
            "contribution": 1.2,
            "is_sensitive": False,
        },
        {
            "feature": "senior_citizen",
            "text": "senior citizen",
            "contribution": 0.9,
            "is_sensitive": True,
        },
    ]
