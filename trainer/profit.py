"""Compute what a model is worth to a retention campaign: lift, maximum profit, expected profit.

The maximum profit (MP) is that of the best threshold if the acceptance rate is known: the share of
the contacted leavers who accept the offer and stay. The expected maximum profit (EMP; Verbraken,
Verbeke and Baesens 2013) is its mean over a Beta distribution of that rate. Both are amounts per
customer, of a campaign that contacts the customers at highest risk: each costs a contact, and an
offer if it is accepted. A leaver accepts it at the acceptance rate, a stayer always.

Customers are counted by score, the highest first, and customers with equal scores are contacted
together. Only the scores on the convex hull of the ROC curve can have the highest profit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from lakehouse.domain import ProfitTerms

Floats = NDArray[np.float64]
TOP_SHARE = 0.1


@dataclass(frozen=True)
class Profit:
    """What a ranking is worth; the amounts are per customer.

    Attributes:
        top_decile_lift: Share of leavers in the tenth at highest risk, as a multiple of their share
            among all.
        maximum_profit: Profit of the best threshold at the mean acceptance rate.
        maximum_profit_share: Share of the customers contacted for it.
        expected_maximum_profit: Mean of the maximum profit over the acceptance rates.
        expected_maximum_profit_share: Mean share of the customers contacted for it.
    """

    top_decile_lift: float
    maximum_profit: float
    maximum_profit_share: float
    expected_maximum_profit: float
    expected_maximum_profit_share: float


def count_by_score(churned: Floats, probability: Floats) -> tuple[Floats, Floats]:
    """Return the numbers of stayers and of leavers for each score, the highest score first."""
    _, place = np.unique(-probability, return_inverse=True)
    everyone = np.bincount(place).astype(float)
    leavers = np.bincount(place, churned).astype(float)
    return everyone - leavers, leavers


def compute_profit(stayers: Floats, leavers: Floats, terms: ProfitTerms) -> Profit:
    """Return what a ranking is worth, from the counts by score, the highest score first.

    Both kinds of customers must occur.
    """
    rows = float(stayers.sum() + leavers.sum())
    # Cumulated: the contacted stayers and leavers of each threshold, as shares of all customers.
    called_stayers = np.concatenate(([0.0], np.cumsum(stayers))) / rows
    called_leavers = np.concatenate(([0.0], np.cumsum(leavers))) / rows
    lift = _compute_lift(called_stayers, called_leavers)
    hull = _find_hull(called_stayers, called_leavers)
    stayed, left = called_stayers[hull], called_leavers[hull]
    # The profit of a threshold grows linearly with the acceptance rate.
    slope = (terms.customer_value - terms.offer_cost) * left
    fixed = -terms.contact_cost * left - (terms.offer_cost + terms.contact_cost) * stayed
    mean = terms.alpha / (terms.alpha + terms.beta)
    at_mean = mean * slope + fixed
    best = int(at_mean.argmax())
    # From the i-th mark on, the i-th threshold of the hull is the best one.
    with np.errstate(divide="ignore"):
        marks = np.concatenate(([0.0], -np.diff(fixed) / np.diff(slope), [1.0]))
    marks = np.maximum.accumulate(np.clip(marks, 0.0, 1.0))
    chance = np.diff(betainc(terms.alpha, terms.beta, marks))
    share_weighted = mean * np.diff(betainc(terms.alpha + 1, terms.beta, marks))
    return Profit(
        lift,
        float(at_mean[best]),
        float(stayed[best] + left[best]),
        float((slope * share_weighted + fixed * chance).sum()),
        float(((stayed + left) * chance).sum()),
    )


def _compute_lift(called_stayers: Floats, called_leavers: Floats) -> float:
    """Return the lift of the first tenth; of customers with equal scores, an equal share counts."""
    found = np.interp(TOP_SHARE, called_stayers + called_leavers, called_leavers)
    return float(found / TOP_SHARE / called_leavers[-1])


def _find_hull(across: Floats, up: Floats) -> list[int]:
    """Return the places of the upper convex hull of points that are ordered to the right and up.

    Places to the right of the highest point are omitted.
    """
    xs, ys = across.tolist(), up.tolist()
    hull: list[int] = []
    for place, (x, y) in enumerate(zip(xs, ys, strict=True)):
        while len(hull) > 1:
            before, last = hull[-2], hull[-1]
            right, rise = xs[last] - xs[before], ys[last] - ys[before]
            if right * (y - ys[before]) < rise * (x - xs[before]):
                break  # the last point is above the line to this one
            hull.pop()
        hull.append(place)
    return hull[:-1] if ys[hull[-1]] == ys[hull[-2]] else hull


def add_profit(deciles: Sequence[Mapping[str, Any]], terms: ProfitTerms) -> list[dict[str, Any]]:
    """Return the deciles with the expected profit of each, and of all from the first one to it."""
    mean, total, priced = terms.alpha / (terms.alpha + terms.beta), 0.0, []
    for decile in deciles:
        leavers = decile["leavers"]
        offered = mean * leavers + (decile["customers"] - leavers)
        profit = (
            mean * leavers * terms.customer_value
            - offered * terms.offer_cost
            - decile["customers"] * terms.contact_cost
        )
        total += profit
        priced.append({**decile, "profit": profit, "profit_so_far": total})
    return priced
