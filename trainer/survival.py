"""Compute survival statistics in numpy: Kaplan-Meier, concordance, Brier score, Cox's model.

Time is discrete: `durations` are whole periods from 1, `events` tell who left in the last of them.
Those who did not were followed to the end of that period. A test compares the figures with those of
lifelines.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Ridge on standardised inputs, per row: just enough for collinear one-hot columns.
RIDGE = 1e-3
STEPS = 25


def kaplan_meier(durations: Whole, events: Flags, periods: int) -> Floats:
    """Return the share that is still there after each period, from 1 to `periods`.

    It is not a number from the first period on in which there was no one left to observe.
    """
    left = np.bincount(durations[events], minlength=periods + 1)[1 : periods + 1]
    at_risk = _count_at_risk(durations, periods)
    with np.errstate(invalid="ignore", divide="ignore"):
        stayed = np.where(at_risk > 0, 1 - left / at_risk, np.nan)
    return np.asarray(np.cumprod(stayed), dtype=np.float64)


def _count_at_risk(durations: Whole, periods: int) -> Whole:
    """Return how many were observed in each period, from 1 to `periods`."""
    ended = np.bincount(durations, minlength=periods + 2)
    return ended[::-1].cumsum()[::-1][1 : periods + 1]


def concordance(durations: Whole, events: Flags, scores: Floats) -> float:
    """Return how often a customer who left earlier has the higher score (Harrell's C-index).

    A customer who was only followed that long counts as leaving later. Equal scores count half.
    """
    right, pairs = 0.0, 0
    for period in np.unique(durations[events]):
        early = np.sort(scores[events & (durations == period)])
        late = scores[(durations > period) | ((durations == period) & ~events)]
        below = np.searchsorted(early, late, "left")
        equal = np.searchsorted(early, late, "right") - below
        right += float((len(early) - below - equal).sum() + 0.5 * equal.sum())
        pairs += len(early) * len(late)
    return right / pairs if pairs else float("nan")


def integrated_brier(durations: Whole, events: Flags, survival: Floats) -> float:
    """Return the mean over the periods of the weighted squared error of the survival.

    Customers who are not followed to a period are represented by those who are (inverse probability
    of censoring, Graf and others 1999).

    Args:
        durations: Periods that each customer was observed.
        events: Whether the customer left in the last of them.
        survival: Predicted share that is still there, by customer and period.
    """
    periods = survival.shape[1]
    observed = _share_observed(durations, events, periods)
    errors = []
    for period in range(1, periods + 1):
        gone = events & (durations <= period)
        there = (durations > period) | ((durations == period) & ~events)
        weights = np.zeros(len(durations))
        weights[gone] = 1 / observed[durations[gone] - 1]
        if there.any():
            weights[there] = 1 / observed[period - 1]
        errors.append(float((weights * (there - survival[:, period - 1]) ** 2).mean()))
    return float(np.mean(errors))


def _share_observed(durations: Whole, events: Flags, periods: int) -> Floats:
    """Return the probability of still being followed in each period, from 1 to `periods`."""
    left = np.bincount(durations[events], minlength=periods + 1)[1 : periods + 1]
    lost = np.bincount(durations[~events], minlength=periods + 1)[1 : periods + 1]
    stayed = np.maximum(_count_at_risk(durations, periods) - left, 1)
    return np.concatenate([[1.0], np.cumprod(1 - lost / stayed)[:-1]])


class Cox:
    """Cox's proportional hazards with Efron's treatment of ties, fitted by Newton's method."""

    def __init__(self, inputs: Floats, durations: Whole, events: Flags) -> None:
        """Fit the model."""
        self._means = inputs.mean(axis=0)
        deviations = inputs.std(axis=0)
        self._deviations = np.where(deviations > 0, deviations, 1.0)
        standardised = self._standardise(inputs)
        self.coefficients = np.zeros(inputs.shape[1])
        for _ in range(STEPS):
            gradient, curvature = _differentiate(standardised, durations, events, self.coefficients)
            rows = len(durations)
            gradient = gradient / rows - RIDGE * self.coefficients
            step = np.linalg.solve(curvature / rows + RIDGE * np.eye(len(gradient)), gradient)
            self.coefficients = self.coefficients + step
            if np.abs(step).max(initial=0.0) < 1e-9:
                break
        self._baseline = self._fit_baseline(standardised, durations, events)

    def _standardise(self, inputs: Floats) -> Floats:
        return (inputs - self._means) / self._deviations

    def _fit_baseline(self, standardised: Floats, durations: Whole, events: Flags) -> Floats:
        """Return Breslow's cumulative hazard by period, from 1."""
        periods = int(durations.max())
        weights = np.exp(standardised @ self.coefficients)
        ended = np.bincount(durations, weights=weights, minlength=periods + 1)
        at_risk = ended[::-1].cumsum()[::-1][1:]
        left = np.bincount(durations[events], minlength=periods + 1)[1:]
        return np.cumsum(left / np.maximum(at_risk, 1e-300))

    def score(self, inputs: Floats) -> Floats:
        """Return the log of the relative hazard."""
        return np.asarray(self._standardise(inputs) @ self.coefficients)

    def survive(self, inputs: Floats, periods: int) -> Floats:
        """Return the share that is still there, by customer and period from 1 to `periods`."""
        places = np.minimum(np.arange(periods), len(self._baseline) - 1)
        return np.exp(-np.exp(self.score(inputs))[:, None] * self._baseline[places])


def _differentiate(
    inputs: Floats, durations: Whole, events: Flags, coefficients: Floats
) -> tuple[Floats, Floats]:
    """Return gradient and negative second derivative of Efron's partial log-likelihood."""
    width = len(coefficients)
    weights = np.exp(inputs @ coefficients)
    gradient, curvature = inputs[events].sum(axis=0), np.zeros((width, width))
    zeroth = 0.0
    first, second = np.zeros(width), np.zeros((width, width))
    for period in np.unique(durations)[::-1]:
        here = durations == period
        added = _moments(inputs, weights, here)
        zeroth, first, second = zeroth + added[0], first + added[1], second + added[2]
        left = here & events
        count = int(left.sum())
        if not count:
            continue
        tied, tied_first, tied_second = _moments(inputs, weights, left)
        shares = np.arange(count) / count
        inverse = 1 / (zeroth - shares * tied)
        whole, part = inverse.sum(), (shares * inverse).sum()
        gradient = gradient - (first * whole - tied_first * part)
        squares = [(shares**power * inverse**2).sum() for power in range(3)]
        cross = np.outer(first, tied_first)
        curvature += second * whole - tied_second * part
        curvature -= squares[0] * np.outer(first, first) - squares[1] * (cross + cross.T)
        curvature -= squares[2] * np.outer(tied_first, tied_first)
    return gradient, curvature


def _moments(inputs: Floats, weights: Floats, rows: Flags) -> tuple[float, Floats, Floats]:
    """Return the sums of weights, of weighted inputs and of their products."""
    chosen, weight = inputs[rows], weights[rows]
    weighted = chosen * weight[:, None]
    return float(weight.sum()), weighted.sum(axis=0), weighted.T @ chosen
