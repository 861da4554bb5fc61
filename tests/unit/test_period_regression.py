"""The regression on periods against one on the rows that it does not write out."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from trainer.period_regression import Coefficients, Flags, Floats, PeriodRegression, Whole

PENALTY = 1e-3


def draw(rows: int = 800, seed: int = 4) -> tuple[Floats, Whole, Flags, Floats]:
    """Inputs, periods, who left and months before, of simulated customers."""
    rng = np.random.default_rng(seed)
    category = rng.integers(0, 3, rows)
    inputs = np.column_stack(
        [
            *(category == value for value in range(3)),
            rng.normal(70, 30, rows),
            np.full(rows, 7.0),
            np.zeros(rows),
        ]
    )
    chance = 1 / (1 + np.exp(2.5 - inputs[:, :4] @ [0.8, -0.3, 0.4, -0.01]))
    leaves, followed = rng.geometric(chance), rng.integers(1, 25, rows)
    clock = rng.integers(0, 60, rows).astype(float)
    return inputs, np.minimum(leaves, followed), leaves <= followed, clock


def write_out(
    inputs: Floats, durations: Whole, left: Flags, clock: Floats | None
) -> tuple[Floats, Whole]:
    """Columns and label of every period, in the order of the coefficients."""
    rows, labels = [], []
    for number, (customer, duration) in enumerate(zip(inputs, durations, strict=True)):
        for u in range(1, int(duration) + 1):
            further = 0.0 if clock is None else np.log(clock[number] + u)
            terms = [np.log(u), u, float(u == 1), further]
            rows.append([*terms, *customer, *(customer * np.log(u)), *(customer * u)])
            labels.append(int(left[number] and u == duration))
    return np.array(rows), np.array(labels)


def join(found: Coefficients) -> Floats:
    return np.concatenate([found.terms, found.level, found.change, found.growth])


@pytest.mark.parametrize("has_clock", [True, False])
def test_the_coefficients_equal_those_of_scikit_learn(has_clock: bool) -> None:
    inputs, durations, left, clock = draw()
    given = clock if has_clock else None
    found = PeriodRegression(inputs, durations, left, given).fit(PENALTY)
    columns, labels = write_out(inputs, durations, left, given)
    deviations = columns.std(axis=0, ddof=1)
    deviations[deviations < 1e-9] = np.inf
    theirs = LogisticRegression(
        C=1 / (PENALTY * len(labels)), solver="newton-cholesky", tol=1e-12, max_iter=1000
    ).fit(columns / deviations, labels)
    assert join(found) == pytest.approx(theirs.coef_[0] / deviations, abs=1e-6)
    assert found.intercept == pytest.approx(theirs.intercept_[0], abs=1e-6)
    # Else both are nothing but the intercept.
    assert np.abs(found.change[:3]).max() > 0.01
    assert (found.terms[3] != 0) == has_clock


def test_constant_columns_have_no_coefficient() -> None:
    found = PeriodRegression(*draw()).fit(PENALTY)
    assert found.level[4] == found.level[5] == found.change[5] == found.growth[5] == 0
    # A constant times ln(u) is ln(u): both carry it.
    assert found.change[4] != 0


def test_collinear_columns_are_fitted_with_the_least_penalty() -> None:
    """Categories add up to 1, as those of the domain do."""
    inputs, durations, left, clock = draw(3000)
    small = PeriodRegression(inputs, durations, left, clock).fit(1e-6)
    columns, labels = write_out(inputs, durations, left, clock)
    chance = 1 / (1 + np.exp(-(small.intercept + columns @ join(small))))
    # The score equations of the intercept and, almost without a penalty, of each column.
    assert chance.mean() == pytest.approx(labels.mean(), abs=1e-9)
    gaps = columns.T @ (chance - labels) / len(labels) / np.maximum(columns.std(axis=0), 1e-9)
    assert np.abs(gaps[columns.std(axis=0) > 0]).max() < 1e-4


@pytest.mark.parametrize("leaves", [True, False])
def test_customers_who_all_leave_or_all_stay_have_finite_coefficients(leaves: bool) -> None:
    inputs, durations, _, clock = draw(100)
    if leaves:
        durations = np.ones_like(durations)
    found = PeriodRegression(inputs, durations, np.full(100, leaves), clock).fit(PENALTY)
    assert np.isfinite([found.intercept, *join(found)]).all()
    assert abs(found.intercept) > 5
