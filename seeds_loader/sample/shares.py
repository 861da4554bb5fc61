"""Declare shares, prices and effects of the simulated customer base.

They are rounded marginal shares and effects of the published sample of a fictional operator (Telco
Customer Churn): nothing here is a row of it. Categories are stored as codes, a code being the index
in `LABELS`.
"""

from typing import Final

import numpy as np

NO, YES, NOT_AVAILABLE = 0, 1, 2
DSL, FIBER, NO_INTERNET = 0, 1, 2
MONTH_TO_MONTH, ONE_YEAR, TWO_YEAR = 0, 1, 2
ELECTRONIC_CHECK = 2

ADD_ONS: Final = (
    "OnlineSecurity",
    "OnlineBackup",
    "DeviceProtection",
    "TechSupport",
    "StreamingTV",
    "StreamingMovies",
)

_FLAG = ("No", "Yes")
LABELS: Final[dict[str, tuple[str, ...]]] = {
    "gender": ("Female", "Male"),
    "Partner": _FLAG,
    "Dependents": _FLAG,
    "PhoneService": _FLAG,
    "MultipleLines": (*_FLAG, "No phone service"),
    "InternetService": ("DSL", "Fiber optic", "No"),
    **dict.fromkeys(ADD_ONS, (*_FLAG, "No internet service")),
    "Contract": ("Month-to-month", "One year", "Two year"),
    "PaperlessBilling": _FLAG,
    "PaymentMethod": (
        "Bank transfer (automatic)",
        "Credit card (automatic)",
        "Electronic check",
        "Mailed check",
    ),
    "Churn": _FLAG,
}

CHURN_SHARE = 0.265

# --- terms: contract, tenure and internet service -------------------------------------------

CONTRACT_SHARES = np.array([0.550, 0.209, 0.241])

# Tenure is drawn from 0 to 72 months: the operator is six years old. Stayers grow older.
LONGEST_TENURE = 72

# First month of each band, and the share of a contract's customers in it (one row per contract).
_BAND_STARTS = (0, 1, 2, 6, 12, 24, 36, 48, 60, 67, 72)
_BAND_SHARES = np.array(
    [
        [0.0000, 0.1559, 0.1843, 0.1523, 0.1974, 0.1347, 0.0834, 0.0594, 0.0237, 0.0085, 0.0004],
        [0.0010, 0.0048, 0.0163, 0.0475, 0.1350, 0.1704, 0.1757, 0.2206, 0.1242, 0.0930, 0.0115],
        [0.0059, 0.0012, 0.0053, 0.0224, 0.0490, 0.0608, 0.0979, 0.1563, 0.1558, 0.2430, 0.2024],
    ]
)

# DSL, fiber, none, by contract; and how a year of tenure above the contract's mean shifts it.
_INTERNET_SHARES = np.array([[0.316, 0.549, 0.135], [0.387, 0.366, 0.247], [0.371, 0.253, 0.376]])
_INTERNET_TILT_PER_YEAR = np.array([0.0, 0.25, -0.30])


def _terms() -> np.ndarray:
    """Return the share of each contract, month of tenure and internet service: (3, 73, 3)."""
    widths = np.diff([*_BAND_STARTS, LONGEST_TENURE + 1])
    tenures = np.repeat(_BAND_SHARES / widths, widths, axis=1)
    tenures /= tenures.sum(axis=1, keepdims=True)
    months = np.arange(LONGEST_TENURE + 1)
    beyond_mean = (months - (tenures @ months)[:, None]) / 12
    services = _INTERNET_SHARES[:, None, :] * np.exp(
        beyond_mean[:, :, None] * _INTERNET_TILT_PER_YEAR
    )
    services /= services.sum(axis=2, keepdims=True)
    terms = CONTRACT_SHARES[:, None, None] * tenures[:, :, None] * services
    return np.asarray(terms / terms.sum())


TERMS: Final = _terms()

# --- services -------------------------------------------------------------------------------

# By internet service: only DSL comes without phone; seniors buy fiber.
PHONE_SHARES = np.array([0.718, 1.0, 1.0])
SENIOR_SHARES = np.array([0.107, 0.268, 0.034])

# By internet service and contract.
PAPERLESS_SHARES = np.array([[0.59, 0.53, 0.49], [0.79, 0.74, 0.71], [0.33, 0.27, 0.27]])
PAYMENT_SHARES = np.array(
    [
        [[0.16, 0.15, 0.39, 0.30], [0.25, 0.30, 0.21, 0.24], [0.36, 0.38, 0.09, 0.17]],
        [[0.15, 0.14, 0.62, 0.09], [0.29, 0.28, 0.36, 0.07], [0.38, 0.36, 0.21, 0.05]],
        [[0.12, 0.13, 0.13, 0.62], [0.24, 0.21, 0.10, 0.45], [0.28, 0.30, 0.03, 0.39]],
    ]
)

# By partner and senior citizen.
DEPENDENTS_SHARES = np.array([[0.115, 0.014], [0.589, 0.145]])

# Log-odds: intercept, one year, two year, a year of tenure.
PARTNER_EFFECTS = np.array([-1.15, 0.19, 0.40, 0.35])
# Log-odds: intercept, fiber, no internet, a year of tenure.
MULTIPLE_LINES_EFFECTS = np.array([-1.65, 1.11, -0.85, 0.42])
# Log-odds: intercept, fiber, one year, two year, a year of tenure; then the effect of a taste for
# entertainment, which makes customers who stream films stream television too.
ADD_ON_EFFECTS: Final = {
    "OnlineSecurity": np.array([-1.23, -0.94, 0.62, 1.13, 0.28, 0.0]),
    "OnlineBackup": np.array([-1.49, -0.04, 0.13, 0.22, 0.43, 0.3]),
    "DeviceProtection": np.array([-1.57, 0.21, 0.69, 1.25, 0.29, 0.8]),
    "TechSupport": np.array([-1.20, -0.78, 0.96, 1.99, 0.16, 0.3]),
    "StreamingTV": np.array([-1.47, 0.93, 0.51, 0.89, 0.23, 1.3]),
    "StreamingMovies": np.array([-1.45, 0.89, 0.51, 0.88, 0.24, 1.3]),
}

# --- prices, in cents -----------------------------------------------------------------------

INTERNET_PRICES = np.array([2500, 5000, 0])
PHONE_PRICE = 2000
MULTIPLE_LINES_PRICE = 500
ADD_ON_PRICES = np.array([500, 500, 500, 500, 1000, 1000])
PRICE_STEP = 5
PRICE_SPREAD = 100  # standard deviation of a bill from the list price
LOWEST_PRICE, HIGHEST_PRICE = 1825, 11875

# A total deviates from tenure x bill by this share over the root of the tenure; the second value
# limits that share. Old bills differ from the present one, and the longer the history the less it
# shows.
HISTORY_SPREAD, HISTORY_LIMIT = 0.2, 0.5

# --- leaving --------------------------------------------------------------------------------

# Log-odds of leaving; the intercept is set each month so that `CHURN_SHARE` leaves.
CONTRACT_PULLS = np.array([0.0, -0.71, -1.71])
INTERNET_PULLS = np.array([0.0, 0.95, -0.83])
LOG_TENURE_PULL = -0.75  # of log(1 + months)
SENIOR_PULL = 0.23
DEPENDENTS_PULL = -0.12
PAPERLESS_PULL = 0.35
ELECTRONIC_CHECK_PULL = 0.33
NO_PHONE_PULL = 0.55
MULTIPLE_LINES_PULL = 0.37
ADD_ON_PULLS = np.array([-0.32, -0.13, 0.02, -0.28, 0.31, 0.32])

# --- a month of a stayer --------------------------------------------------------------------

# From contract (row) to contract (column).
CONTRACT_MOVES = np.array([[0.982, 0.013, 0.005], [0.010, 0.980, 0.010], [0.003, 0.002, 0.995]])
ADD_ON_CHANGE_SHARE = 0.025
# An add-on that is considered is always added, but dropped only this often.
ADD_ON_DROP_SHARE = 0.5
PRICE_RISE_SHARE = 0.4  # of the customers at an anniversary
PRICE_RISE = (0.01, 0.03)
