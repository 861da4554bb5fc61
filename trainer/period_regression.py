"""Fit a logistic regression on the periods of customers by Newton's method, in numpy.

A row of the regression is a period of a customer. Its columns are terms of the period u, the
customer's inputs, and their products with ln(u) and with u. The rows are never written out: a sum
over them is a sum over customers, with weights that are summed over the periods of each customer.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]

STEPS = 50
# Half the squared Newton decrement, an estimate of how far the objective is above its minimum.
CLOSE = 1e-13
# Below this share of its mean square, the variance of a column is a rounding error.
CONSTANT = 1e-12


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of the log-odds; 0 for constant columns.

    Attributes:
        intercept: The intercept.
        terms: Coefficients of ln(u), u, [u = 1] and the further term.
        level: Coefficient of each input.
        change: Coefficient of its product with ln(u).
        growth: Coefficient of its product with u.
    """

    intercept: float
    terms: Floats
    level: Floats
    change: Floats
    growth: Floats


class PeriodRegression:
    """Regression on all periods of all customers.

    Its columns are: 1, the four terms of the period, then the inputs times each of 1, ln(u), u.
    """

    def __init__(self, inputs: Floats, durations: Whole, left: Flags, clock: Floats | None) -> None:
        """Set up the regression.

        Args:
            inputs: Customers by inputs.
            durations: Periods that each customer was observed, from 1.
            left: Whether the customer left in the last of them.
            clock: Periods of each customer before the first one; with it, the further term is
                ln(clock + u), and 0 without.
        """
        self._inputs = inputs
        self._starts = np.cumsum(durations) - durations
        self._customer = np.repeat(np.arange(len(durations)), durations)
        u = 1.0 + np.arange(len(self._customer)) - self._starts[self._customer]
        further = np.zeros_like(u) if clock is None else np.log(clock[self._customer] + u)
        self._factors = np.stack([np.ones_like(u), np.log(u), u])
        self._terms = np.vstack([self._factors, u == 1, further])
        self._left = np.zeros_like(u)
        self._left[(self._starts + durations - 1)[left]] = 1.0

    def fit(self, penalty: float) -> Coefficients:
        """Return the coefficients that minimize the mean loss and the penalty.

        As in Spark ML, the penalty is half the sum of the squared coefficients of columns that are
        scaled to deviation 1, times `penalty`; the intercept has none.
        """
        deviations = self._compute_deviations()
        used = deviations > 0
        # The intercept's column is the one constant that is fitted.
        used[0] = True
        scale = np.where(deviations > 0, deviations, 1.0)[used]
        ridge = penalty * deviations**2
        found = np.zeros(len(deviations))
        share = np.clip(self._left.mean(), 1e-9, 1 - 1e-9)
        found[0] = np.log(share / (1 - share))
        loss = self._compute_loss(found, ridge)
        for _ in range(STEPS):
            gradient, curvature = self._differentiate(found, ridge)
            scaled = gradient[used] / scale
            step = np.linalg.solve(curvature[np.ix_(used, used)] / np.outer(scale, scale), scaled)
            if scaled @ step / 2 < CLOSE:
                break
            full = np.zeros(len(found))
            full[used] = step / scale
            while (lower := self._compute_loss(found - full, ridge)) > loss:
                full /= 2
            found, loss = found - full, lower
        level, change, growth = found[self._terms.shape[0] :].reshape(3, -1)
        return Coefficients(float(found[0]), found[1 : len(self._terms)], level, change, growth)

    def _compute_deviations(self) -> Floats:
        """Return the standard deviation of each column over all periods; 0 if it is constant."""
        one = np.ones_like(self._left)
        rows = len(one)
        squares = np.diag(self._sum_products(one))
        variances = squares - self._sum_columns(one) ** 2 / rows
        variances[variances < CONSTANT * squares] = 0.0
        return np.asarray(np.sqrt(variances / max(rows - 1, 1)))

    def _log_odds(self, found: Floats) -> Floats:
        odds = found[: len(self._terms)] @ self._terms
        for factor, part in zip(
            self._factors, found[len(self._terms) :].reshape(3, -1), strict=True
        ):
            odds += (self._inputs @ part)[self._customer] * factor
        return np.asarray(odds)

    def _compute_loss(self, found: Floats, ridge: Floats) -> float:
        """Return the mean loss, and the penalty of the coefficients."""
        odds = self._log_odds(found)
        loss = float((np.logaddexp(0, odds) - self._left * odds).mean())
        return loss + float(ridge @ found**2) / 2

    def _differentiate(self, found: Floats, ridge: Floats) -> tuple[Floats, Floats]:
        """Return gradient and second derivative of the loss."""
        leaves = np.exp(-np.logaddexp(0, -self._log_odds(found)))
        rows = len(leaves)
        gradient = self._sum_columns(leaves - self._left) / rows + ridge * found
        curvature = self._sum_products(leaves * (1 - leaves)) / rows
        return gradient, curvature + np.diag(ridge)

    def _sum_by_customer(self, values: Floats) -> Floats:
        return np.asarray(np.add.reduceat(values, self._starts))

    def _sum_columns(self, weights: Floats) -> Floats:
        """Return the weighted sum of each column over all periods."""
        summed = [self._sum_by_customer(factor * weights) for factor in self._factors]
        return np.concatenate([self._terms @ weights, *(each @ self._inputs for each in summed)])

    def _sum_products(self, weights: Floats) -> Floats:
        """Return the weighted sum of the products of each two columns over all periods."""
        first, width = len(self._terms), self._inputs.shape[1]
        sums = np.zeros((first + 3 * width, first + 3 * width))
        sums[:first, :first] = (self._terms * weights) @ self._terms.T
        parts = [slice(first + k * width, first + (k + 1) * width) for k in range(3)]
        for a, part in enumerate(parts):
            weighted = self._factors[a] * weights
            by_term = np.stack([self._sum_by_customer(weighted * term) for term in self._terms])
            sums[:first, part] = by_term @ self._inputs
            sums[part, :first] = sums[:first, part].T
            for b in range(a, 3):
                by_customer = self._sum_by_customer(weighted * self._factors[b])
                sums[part, parts[b]] = (self._inputs * by_customer[:, None]).T @ self._inputs
                sums[parts[b], part] = sums[part, parts[b]].T
        return sums
