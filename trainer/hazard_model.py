"""Represent a fitted hazard model as numbers: when a customer is likely to leave.

The model gives the log-odds of leaving in a period, for those who are still there. They are
additive like those of the churn model: a baseline of the period, and a contribution of each input.
`hazard.json` beside the version's record contains it; scoring needs numpy alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakehouse.atomic_write import atomic_write
from trainer.portable_model import Column, Groups, number

Floats = NDArray[np.float64]
FILE = "hazard.json"
# Where the periods begin: at the extract that the features are from, or when the customer joined.
EXTRACT, JOINED = "extract", "joined"
# Months ahead that risks are given for.
HORIZONS = (1, 3, 6, 12)


@dataclass(frozen=True)
class HazardModel:
    """Log-odds of leaving in period k after an extract, for those who are still there.

    With u = k (`origin` extract) or u = clock + k (`origin` joined), and at most `longest`:
    log-odds = intercept + log * ln(u) + linear * u + first * [u = 1]
    + sum of (coefficient + later * ln(u) + growing * u) * (input - mean) + aging * ln(clock + k).

    Attributes:
        origin: `extract` or `joined`.
        months: Months of a period.
        longest: Highest u that was observed; the risk stays as it is after that.
        clock: Feature with the months since the customer joined; None if the domain has none.
        intercept: Log-odds, as above.
        steps: `log`, `linear` and `first` of the formula.
        coefficients: Coefficient by input.
        later: How it changes with ln(u).
        growing: How it changes with u.
        means: Mean of each input over the training rows.
        aging: Coefficient of the clock that goes on; 0 if the clock is the origin.
    """

    origin: str
    months: float
    longest: int
    clock: str | None
    intercept: float
    steps: tuple[float, float, float]
    coefficients: dict[str, float]
    later: dict[str, float]
    growing: dict[str, float]
    means: dict[str, float]
    aging: float = 0.0
    mean_clock: float = 0.0

    @property
    def inputs(self) -> list[str]:
        """Return the names of the inputs in order; the clock may be another one."""
        return list(self.coefficients)

    def baseline(self, period: int, clock: float = 0.0) -> float:
        """Return the log-odds of the average training row in a period."""
        u = self._position(period, clock)
        log, linear, first = self.steps
        found = self.intercept + log * float(np.log(u)) + linear * u + first * (u == 1)
        return found + (self.aging * float(np.log(self.mean_clock + period)) if self.aging else 0.0)

    def _position(self, period: int, clock: float) -> float:
        since = clock if self.origin == JOINED else 0.0
        return min(max(since + period, 1.0), float(self.longest))

    def contributions(
        self, inputs: Mapping[str, float], groups: Groups, period: int
    ) -> list[float]:
        """Return how far each group of inputs moves the log-odds of a period.

        With the baseline of that period, they sum to the log-odds.
        """
        clock = inputs[self.clock] if self.clock else 0.0
        u = self._position(period, clock)
        log = float(np.log(u))
        moved = [0.0] * (max(groups.values(), default=-1) + 1)
        for name, group in groups.items():
            if name in self.coefficients:
                weight = self.coefficients[name] + self.later[name] * log + self.growing[name] * u
                moved[group] += weight * (inputs[name] - self.means[name])
            if name == self.clock:
                aged = np.log((clock + period) / (self.mean_clock + period)) if self.aging else 0.0
                moved[group] += self.aging * float(aged)
        return moved

    def log_odds(self, inputs: Floats, clock: Floats, periods: int) -> Floats:
        """Return the log-odds of leaving, by customer and period from 1 to `periods`.

        Args:
            inputs: Customers by inputs, in the model's order.
            clock: Months since the customer joined; zeros if there is no clock.
            periods: Number of periods.
        """
        centred = inputs - np.array([self.means[name] for name in self.inputs])
        level = centred @ np.array([self.coefficients[name] for name in self.inputs])
        change = centred @ np.array([self.later[name] for name in self.inputs])
        growth = centred @ np.array([self.growing[name] for name in self.inputs])
        k = np.arange(1, periods + 1, dtype=float)
        since = clock[:, None] if self.origin == JOINED else np.zeros((len(clock), 1))
        u = np.clip(since + k, 1.0, float(self.longest))
        log, linear, first = self.steps
        found = self.intercept + log * np.log(u) + linear * u + first * (u == 1)
        found = found + level[:, None] + change[:, None] * np.log(u) + growth[:, None] * u
        if self.aging:
            found = found + self.aging * np.log(clock[:, None] + k)
        return np.asarray(found)

    def survive(self, inputs: Floats, clock: Floats, periods: int) -> Floats:
        """Return the probability of still being there, by customer and period."""
        stays = 1 / (1 + np.exp(self.log_odds(inputs, clock, periods)))
        return np.asarray(np.cumprod(stays, axis=1), dtype=np.float64)

    def count_periods(self, months: float) -> int:
        """Return the periods that cover so many months."""
        return max(1, int(np.ceil(months / self.months - 1e-9)))


@dataclass(frozen=True)
class TimeAnswer:
    """When a customer is likely to leave.

    Attributes:
        risk_within: Probability of leaving within so many months.
        remaining_months: Expected months that the customer stays, at most the declared number.
        months_if_kept: The same for a customer who does not leave in the next period.
    """

    risk_within: dict[int, float]
    remaining_months: float
    months_if_kept: float


def answer(model: HazardModel, inputs: Mapping[str, float], most_months: int) -> TimeAnswer:
    """Return when one customer is likely to leave."""
    row = np.array([[float(inputs[name]) for name in model.inputs]])
    clock = np.array([float(inputs[model.clock]) if model.clock else 0.0])
    periods = model.count_periods(max(most_months, *HORIZONS))
    there = model.survive(row, clock, periods)[0]
    summed = there[: model.count_periods(most_months)]
    months = min(float(summed.sum()) * model.months, float(most_months))
    kept = min(months / max(float(there[0]), 1e-12), float(most_months))
    risks = {months: 1 - interpolate(there, months / model.months) for months in HORIZONS}
    return TimeAnswer(risks, months, kept)


def interpolate(there: Floats, position: float) -> float:
    """Return the survival at a position in periods, with a constant risk within a period."""
    logs = np.concatenate([[0.0], np.log(np.maximum(there, 1e-300))])
    return float(np.exp(np.interp(position, np.arange(len(logs)), logs)))


def write_months_sql(model: HazardModel, column: Column, most_months: int) -> str:
    """Return `months_if_kept` as a SQL expression over the features."""
    terms = [(name, f"({column(name)} - {number(model.means[name])})") for name in model.inputs]
    level = " + ".join(f"{number(model.coefficients[name])} * {sql}" for name, sql in terms)
    change = " + ".join(f"{number(model.later[name])} * {sql}" for name, sql in terms)
    growth = " + ".join(f"{number(model.growing[name])} * {sql}" for name, sql in terms)
    clock = f"cast({column(model.clock)} as double)" if model.clock else "0D"
    since = clock if model.origin == JOINED else "0D"
    log, linear, first = (number(each) for each in model.steps)
    u = f"least(greatest({since} + k, 1D), {number(float(model.longest))})"
    aged = f"ln({clock} + k)" if model.aging else "0D"
    odds = (
        f"{number(model.intercept)} + {log} * ln({u}) + {linear} * {u} + if({u} = 1, {first}, 0D)"
        f" + ({level or '0D'}) + ({change or '0D'}) * ln({u}) + ({growth or '0D'}) * {u}"
        f" + {number(model.aging)} * {aged}"
    )
    periods = (
        f"transform(sequence(1, {model.count_periods(most_months)}), k -> 1 / (1 + exp({odds})))"
    )
    step = (
        "named_struct('there', done.there * stays, 'sum', done.sum + done.there * stays, "
        "'first', coalesce(done.first, stays))"
    )
    start = "named_struct('there', 1D, 'sum', 0D, 'first', cast(null as double))"
    most = number(float(most_months))
    months = f"least(done.sum * {number(model.months)}, {most})"
    final = f"least({months} / greatest(done.first, 1e-12D), {most})"
    return f"aggregate({periods}, {start}, (done, stays) -> {step}, done -> {final})"


def write(folder: Path, model: HazardModel | None) -> None:
    """Write the model beside the version's record; without one, remove an earlier one."""
    if model is None:
        (folder / FILE).unlink(missing_ok=True)
        return
    with atomic_write(folder / FILE) as draft:
        draft.write_text(json.dumps(asdict(model), indent=1))


def read(folder: Path, known: Sequence[str]) -> HazardModel | None:
    """Return the model beside the version's record; None if missing, damaged or of other inputs.

    Args:
        folder: The version's folder.
        known: Features and derived inputs of the version.
    """
    try:
        stored: dict[str, Any] = json.loads((folder / FILE).read_text())
        model = HazardModel(**{**stored, "steps": tuple(stored["steps"])})
        needed = {*model.inputs, *([model.clock] if model.clock else [])}
        parts = (model.later, model.growing, model.means)
        is_complete = all(part.keys() == model.coefficients.keys() for part in parts)
        is_known = needed <= {*known}
        return model if is_complete and is_known and len(model.steps) == 3 else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
