"""The model's answer without Spark: words, contributions, deciles."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from model_records import SPLITS, a_record

from trainer import deciles
from trainer.deciles import Boundary, Deciles
from trainer.portable_model import LinearModel, Node, PortableModel, TreeEnsemble
from trainer.reason_texts import (
    NUMBERS,
    FlagTemplate,
    format_with_currency,
    read_reasons,
)
from trainer.scorer import Scorer, probability

LINEAR = LinearModel(
    intercept=-1.0,
    coefficients={
        "tenure": 0.01,
        "contract_month_to_month": 0.8,
        "contract_two_year": -0.9,
        "partner": 0.04,
        "log1p_tenure": -0.5,
    },
    means={
        "tenure": 31.0,
        "contract_month_to_month": 0.5,
        "contract_two_year": 0.25,
        "partner": 0.5,
        "log1p_tenure": 3.0,
    },
)
TREES = TreeEnsemble(
    trees=[
        SPLITS,
        [Node(0.125, "log1p_tenure", 1.0, 1, 2), Node(0.25), Node(0.0)],
    ]
)
FEATURES = ["tenure", "contract_month_to_month", "contract_two_year", "partner"]
NEWCOMER = {
    "tenure": 1,
    "contract_month_to_month": 1,
    "contract_one_year": 0,
    "contract_two_year": 0,
    "partner": 0,
}


def a_scorer(form: PortableModel) -> Scorer:
    return Scorer(a_record(form, FEATURES), read_reasons())


def test_a_linear_answer_is_the_one_by_hand() -> None:
    answer = a_scorer(LINEAR).answer(NEWCOMER)
    assert [each.feature for each in answer.reasons] == ["tenure", "contract"]
    tenure, contract = answer.reasons
    assert tenure.text == "customer for 1 month"
    assert tenure.contribution == pytest.approx(-0.3 + 0.5 * (3 - 0.6931471805599453))
    assert contract.text == "month-to-month contract"
    assert contract.contribution == pytest.approx(0.4 + 0.225)
    log_odds = LINEAR.baseline + tenure.contribution + contract.contribution - 0.04 * 0.5
    assert answer.probability == pytest.approx(probability(log_odds), abs=1e-15)


def test_trees_give_what_the_path_decides() -> None:
    answer = a_scorer(TREES).answer(NEWCOMER)
    given = {each.feature: each.contribution for each in answer.reasons}
    assert given == {"contract": 1.25, "tenure": 0.125}
    assert answer.probability == pytest.approx(probability(0.75 + 0.25))


def test_what_hardly_raises_the_risk_is_no_reason() -> None:
    answer = a_scorer(LINEAR).answer({**NEWCOMER, "partner": 1})
    assert "partner" not in [each.feature for each in answer.reasons]


def test_equal_reasons_stand_in_the_order_of_names() -> None:
    form = replace(LINEAR, coefficients={**LINEAR.coefficients, "partner": 1.25, "tenure": 0.0})
    form.coefficients["log1p_tenure"] = 0.0
    answer = a_scorer(form).answer({**NEWCOMER, "partner": 1})
    assert [each.contribution for each in answer.reasons] == [0.625, 0.625]
    assert [each.feature for each in answer.reasons] == ["contract", "partner"]


@pytest.mark.parametrize(("log_odds", "expected"), [(0.0, 0.5), (-800.0, 0.0), (800.0, 1.0)])
def test_no_log_odds_are_too_far_out(log_odds: float, expected: float) -> None:
    assert probability(log_odds) == expected


@pytest.mark.parametrize("tenure", [-2.0, 1e309, float("nan")])
def test_features_beyond_bounds_get_no_number(tenure: float) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        a_scorer(LINEAR).answer({**NEWCOMER, "tenure": tenure})


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        a_scorer(replace(LINEAR, intercept=float("nan")))
    with pytest.raises(KeyError):
        a_scorer(replace(LINEAR, means={}))


# --- words -----------------------------------------------------------------------------------


def said(reason: str, **features: float) -> str:
    declared = {each.feature: each for each in read_reasons()}
    return declared[reason].text.render(features)


@pytest.mark.parametrize(
    ("reason", "value", "text"),
    [
        ("tenure", 1, "customer for 1 month"),
        ("tenure", 0, "customer for 0 months"),
        ("service_count", 1, "1 service"),
        ("service_count", 9, "9 services"),
        ("monthly_charges", 29.85, "monthly bill of $29.85"),
        ("monthly_charges", 1234.5, "monthly bill of $1,234.50"),
        ("total_charges", 1234567.891, "billed so far: $1,234,567.89"),
        ("total_charges", -0.5, "billed so far: −$0.50"),
        # exactly a half: to the even digit
        ("total_charges", 0.125, "billed so far: $0.12"),
        ("total_charges", 0.375, "billed so far: $0.38"),
        # in binary a little less than the half
        ("total_charges", 2.675, "billed so far: $2.67"),
        ("billing_ratio", 1.125, "bill 13% above its average"),
        ("billing_ratio", 0.875, "bill 13% below its average"),
        ("billing_ratio", 1.004, "bill at its average"),
        ("billing_ratio", 0.9951, "bill at its average"),
    ],
)
def test_numbers_are_written_as_spark_writes_them(reason: str, value: float, text: str) -> None:
    assert said(reason, **{reason: value}) == text


def test_an_amount_has_the_currency_that_the_domain_declares() -> None:
    amount = NUMBERS["amount"]
    assert format_with_currency(amount, "") is amount
    in_euro = format_with_currency(amount, "EUR ")
    assert in_euro.format(1234.5) == "EUR 1,234.50" and in_euro.format(-1) == "−EUR 1.00"
    number = "format_number(abs({value}), 2)"
    assert in_euro.text == f"concat(if({{value}} < 0, '−', ''), 'EUR ', {number})"


def test_flags_say_the_one_that_is_set() -> None:
    words = FlagTemplate({"a_yes": "it's a", "b_yes": "b"}, "none")
    assert words.render({"a_yes": 0, "b_yes": 1}) == "b"
    assert words.render({"a_yes": 0, "b_yes": 0}) == "none"
    assert words.sql() == (
        r"case when `a_yes` = 1 then 'it\'s a' when `b_yes` = 1 then 'b' else 'none' end"
    )


# --- deciles ---------------------------------------------------------------------------------

BOUNDS = Deciles(
    "2025-12-03", "b", 40, tuple(Boundary(k, k / 10, f"customer-{k}") for k in range(1, 11))
)


@pytest.mark.parametrize(
    ("probability", "customer_id", "decile"),
    [
        (0.0, "a", 1),
        (0.1, "customer-1", 1),
        (0.1, "customer-0", 1),
        (0.1, "customer-2", 2),
        (0.1 + 1e-15, "customer-1", 1),
        (0.1 - 1e-15, "customer-2", 2),
        (0.15, "z", 2),
        (0.85, "a", 9),
        (0.95, "a", 10),
        # what-if may go beyond all that were scored
        (1.0, "z", 10),
    ],
)
def test_the_decile_is_the_one_of_the_batch(
    probability: float, customer_id: str, decile: int
) -> None:
    assert BOUNDS.decile(probability, customer_id) == decile


def test_deciles_survive_their_file(tmp_path: Path) -> None:
    deciles.write(tmp_path, BOUNDS)
    assert deciles.read(tmp_path) == BOUNDS


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"lasts": []}', '{"lasts": [{"decile": 1}]}'])
def test_damaged_deciles_are_none(tmp_path: Path, text: Any) -> None:
    assert deciles.read(tmp_path) is None
    (tmp_path / deciles.FILE).write_text(text)
    assert deciles.read(tmp_path) is None
