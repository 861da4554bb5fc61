"""Simulate a population of customers: draw it, draw its leavers, and advance it by a month.

A population is a data frame with one row per customer: the contract's columns with categories as
codes (see `shares.LABELS`), `tenure` in months, and the amounts in cents as `monthly` and `total`.
Customer ids are stored separately, as they have no influence.
"""

import numpy as np
import pandas as pd

from seeds_loader.sample import shares as s


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    """Return the probabilities for log-odds, element by element."""
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)))


def draw_terms(
    rng: np.random.Generator, count: int, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw contract, months of tenure and internet service of `count` customers.

    `weights` have the shape of `shares.TERMS`: (3 contracts, 73 months, 3 services). The draw is
    systematic (evenly spaced over the weights), so that a small base also has its due share of
    each.
    """
    steps = np.cumsum(weights.ravel())
    points = (np.arange(count) + rng.random()) / count * steps[-1]
    cells = np.searchsorted(steps, points, side="right").clip(max=steps.size - 1)
    contract, tenure, internet = np.unravel_index(rng.permutation(cells), weights.shape)
    return contract, tenure, internet


def draw_customers(
    rng: np.random.Generator, contract: np.ndarray, tenure: np.ndarray, internet: np.ndarray
) -> pd.DataFrame:
    """Draw customers with the given contracts, months of tenure and internet services."""
    years = tenure / 12
    senior = _flip(rng, s.SENIOR_SHARES[internet])
    partner = _flip(
        rng,
        sigmoid(
            _values_by_contract(contract) @ s.PARTNER_EFFECTS[:3] + s.PARTNER_EFFECTS[3] * years
        ),
    )
    phone = _flip(rng, s.PHONE_SHARES[internet])
    people = pd.DataFrame(
        {
            "gender": _flip(rng, np.full(len(contract), 0.505)),
            "SeniorCitizen": senior,
            "Partner": partner,
            "Dependents": _flip(rng, s.DEPENDENTS_SHARES[partner, senior]),
            "tenure": tenure.astype(np.int32),
            "PhoneService": phone,
            "MultipleLines": _draw_multiple_lines(rng, phone, internet, years),
            "InternetService": internet.astype(np.int8),
            **_draw_add_ons(rng, internet, contract, years),
            "Contract": contract.astype(np.int8),
            "PaperlessBilling": _flip(rng, s.PAPERLESS_SHARES[internet, contract]),
            "PaymentMethod": _choose(rng, s.PAYMENT_SHARES[internet, contract]),
        }
    )
    people["monthly"] = _draw_prices(rng, people)
    people["total"] = _draw_totals(rng, people)
    return people


def churn_probabilities(people: pd.DataFrame) -> np.ndarray:
    """Return the probability that each customer leaves this month.

    The mean over the customers with a bill is `CHURN_SHARE`. No customer leaves before the first
    bill: the probability is 0 where tenure is 0.
    """
    billed = (people["tenure"] > 0).to_numpy()
    probabilities = np.zeros(len(people))
    pulls = _churn_log_odds(people[billed])
    if pulls.size:
        probabilities[billed] = sigmoid(pulls + _intercept(pulls))
    return probabilities


def draw_leavers(rng: np.random.Generator, probabilities: np.ndarray) -> np.ndarray:
    """Draw which customers leave, as booleans: as many as the probabilities sum to, within one.

    The customers are processed in random order; one leaves whenever the running sum of the
    probabilities passes a whole number. Small bases therefore have the share of large ones.
    """
    order = rng.permutation(len(probabilities))
    passed = np.floor(np.cumsum(probabilities[order]) + rng.random())
    leaves = np.zeros(len(probabilities), dtype=bool)
    leaves[order] = np.diff(passed, prepend=0.0) > 0
    return leaves


def simulate_month(rng: np.random.Generator, people: pd.DataFrame) -> pd.DataFrame:
    """Return the stayers a month later: add-ons, contracts, prices, tenure and total updated."""
    older = people.copy()
    contract = older["Contract"].to_numpy()
    older["Contract"] = _choose(rng, s.CONTRACT_MOVES[contract])
    _change_add_ons(rng, older)
    _raise_prices(rng, older)
    older["tenure"] += 1
    older["total"] += older["monthly"]
    return older


def _flip(rng: np.random.Generator, probabilities: np.ndarray) -> np.ndarray:
    """Draw codes 0 or 1."""
    return np.asarray(rng.random(len(probabilities)) < probabilities).astype(np.int8)


def _choose(rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """Draw a code for each row of weights, shape (customers, categories)."""
    steps = np.cumsum(weights, axis=1)
    points = rng.random(len(weights)) * steps[:, -1]
    return np.asarray((points[:, None] >= steps[:, :-1]).sum(axis=1, dtype=np.int8))


def _values_by_contract(contract: np.ndarray) -> np.ndarray:
    """Return columns for an intercept, one year and two year: shape (customers, 3)."""
    return np.column_stack([np.ones(len(contract)), contract == s.ONE_YEAR, contract == s.TWO_YEAR])


def _draw_multiple_lines(
    rng: np.random.Generator, phone: np.ndarray, internet: np.ndarray, years: np.ndarray
) -> np.ndarray:
    intercept, fiber, no_internet, per_year = s.MULTIPLE_LINES_EFFECTS
    log_odds = (
        intercept
        + fiber * (internet == s.FIBER)
        + no_internet * (internet == s.NO_INTERNET)
        + per_year * years
    )
    return np.where(phone == s.YES, _flip(rng, sigmoid(log_odds)), np.int8(s.NOT_AVAILABLE))


def _draw_add_ons(
    rng: np.random.Generator, internet: np.ndarray, contract: np.ndarray, years: np.ndarray
) -> dict[str, np.ndarray]:
    terms = _values_by_contract(contract)
    taste = rng.standard_normal(len(internet))
    add_ons = {}
    for name, (intercept, fiber, one_year, two_year, per_year, pull) in s.ADD_ON_EFFECTS.items():
        log_odds = (
            terms @ np.array([intercept, one_year, two_year])
            + fiber * (internet == s.FIBER)
            + per_year * years
        )
        # A latent taste flattens the effects over the whole base; this widens them again.
        log_odds = log_odds * np.sqrt(1 + 0.346 * pull**2) + pull * taste
        taken = _flip(rng, sigmoid(log_odds))
        add_ons[name] = np.where(internet == s.NO_INTERNET, np.int8(s.NOT_AVAILABLE), taken)
    return add_ons


def _round_to_price_step(cents: np.ndarray) -> np.ndarray:
    return (np.round(cents / s.PRICE_STEP) * s.PRICE_STEP).astype(np.int64)


def _draw_prices(rng: np.random.Generator, people: pd.DataFrame) -> np.ndarray:
    """Draw monthly bills in cents: the list price of the services and a small deviation."""
    listed = (
        s.INTERNET_PRICES[people["InternetService"]]
        + s.PHONE_PRICE * (people["PhoneService"] == s.YES).to_numpy()
        + s.MULTIPLE_LINES_PRICE * (people["MultipleLines"] == s.YES).to_numpy()
        + (people[list(s.ADD_ONS)] == s.YES).to_numpy() @ s.ADD_ON_PRICES
    )
    beside = rng.standard_normal(len(people)) * s.PRICE_SPREAD
    return _round_to_price_step(listed + beside).clip(s.LOWEST_PRICE, s.HIGHEST_PRICE)


def _draw_totals(rng: np.random.Generator, people: pd.DataFrame) -> np.ndarray:
    """Draw the amounts billed so far, in cents: tenure x bill and deviations of earlier bills."""
    tenure, monthly = people["tenure"].to_numpy(), people["monthly"].to_numpy()
    spread = s.HISTORY_SPREAD * rng.standard_normal(len(people))
    stray = spread.clip(-s.HISTORY_LIMIT, s.HISTORY_LIMIT) / np.sqrt(np.maximum(tenure, 1))
    return _round_to_price_step(tenure * monthly * np.where(tenure > 1, 1 + stray, 1.0))


def _churn_log_odds(people: pd.DataFrame) -> np.ndarray:
    """Return the log-odds of leaving, without the intercept that all share."""
    return np.asarray(
        s.CONTRACT_PULLS[people["Contract"]]
        + s.INTERNET_PULLS[people["InternetService"]]
        + s.LOG_TENURE_PULL * np.log1p(people["tenure"].to_numpy())
        + s.SENIOR_PULL * people["SeniorCitizen"].to_numpy()
        + s.DEPENDENTS_PULL * people["Dependents"].to_numpy()
        + s.PAPERLESS_PULL * people["PaperlessBilling"].to_numpy()
        + s.ELECTRONIC_CHECK_PULL * (people["PaymentMethod"] == s.ELECTRONIC_CHECK).to_numpy()
        + s.NO_PHONE_PULL * (people["PhoneService"] == s.NO).to_numpy()
        + s.MULTIPLE_LINES_PULL * (people["MultipleLines"] == s.YES).to_numpy()
        + (people[list(s.ADD_ONS)] == s.YES).to_numpy() @ s.ADD_ON_PULLS
    )


def _intercept(pulls: np.ndarray) -> float:
    """Return the intercept with which `CHURN_SHARE` of them leave, by Newton's method."""
    # Below the solution of so flat a curve the steps don't overshoot far; 25 are sufficient.
    intercept = 0.0
    for _ in range(25):
        probabilities = sigmoid(pulls + intercept)
        miss = float(probabilities.mean()) - s.CHURN_SHARE
        slope = float((probabilities * (1 - probabilities)).mean())
        intercept -= float(np.clip(miss / max(slope, 1e-6), -2.0, 2.0))
        if abs(miss) < 1e-9:
            break
    return intercept


def _change_add_ons(rng: np.random.Generator, people: pd.DataFrame) -> None:
    """Add or drop an add-on for some customers, in place, at its price.

    A change that would leave the total too far from tenure x bill is not made.
    """
    online = (people["InternetService"] != s.NO_INTERNET).to_numpy()
    thinks = online & (rng.random(len(people)) < s.ADD_ON_CHANGE_SHARE)
    thought_of = rng.integers(len(s.ADD_ONS), size=len(people))
    keeps = rng.random(len(people)) >= s.ADD_ON_DROP_SHARE
    monthly = people["monthly"].to_numpy().copy()
    for place, name in enumerate(s.ADD_ONS):
        has = people[name].to_numpy() == s.YES
        price = np.where(has, -s.ADD_ON_PRICES[place], s.ADD_ON_PRICES[place])
        changes = thinks & (thought_of == place) & ~(has & keeps)
        changes &= _is_plausible_bill(people, monthly + price)
        people[name] = np.where(changes, 1 - people[name], people[name]).astype(np.int8)
        monthly = monthly + np.where(changes, price, 0)
    people["monthly"] = monthly


def _raise_prices(rng: np.random.Generator, people: pd.DataFrame) -> None:
    """Raise some bills a little from an anniversary of the contract on, in place."""
    anniversary = (people["tenure"] % 12 == 11).to_numpy()
    dearer = anniversary & (rng.random(len(people)) < s.PRICE_RISE_SHARE)
    monthly = people["monthly"].to_numpy()
    raised = _round_to_price_step(monthly * (1 + rng.uniform(*s.PRICE_RISE, size=len(people))))
    people["monthly"] = np.where(dearer & _is_plausible_bill(people, raised), raised, monthly)


def _is_plausible_bill(people: pd.DataFrame, monthly: np.ndarray) -> np.ndarray:
    """Return whether a bill is in the price range and fits the amount billed so far.

    The total has to stay within 40 % or four bills of tenure x bill. A month that is billed adds
    the same to both, so it is sufficient to enforce this, with a small margin, when a bill changes.
    """
    total = people["total"].to_numpy()
    expected = people["tenure"].to_numpy() * monthly
    allowed = np.maximum(0.38 * np.minimum(total, expected), 3.8 * monthly)
    priced = (monthly >= s.LOWEST_PRICE) & (monthly <= s.HIGHEST_PRICE)
    return np.asarray(priced & (np.abs(total - expected) <= allowed))
