"""Fit and evaluate the model of the time until a customer leaves, a logistic regression.

A row of the regression is a month of a customer (a period between two extracts), and the label is
whether the customer left in it. With observed churn, each training row starts a history that goes
on with the customer's rows in the following extracts, for a year at most; the features are those of
the start. With the workbook's label, a history begins when the customer joined.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pyspark.sql.connect.dataframe import DataFrame

from lakehouse.domain import read_domain
from lakehouse.sql import literal
from trainer import splits, survival
from trainer.hazard_model import EXTRACT, HORIZONS, JOINED, Floats, HazardModel
from trainer.parameters import Parameters
from trainer.period_regression import PeriodRegression
from trainer.pipeline import LABEL, derive_inputs
from trainer.training_data import TrainingRows

if TYPE_CHECKING:
    from feature_repo.training import TrainingSet

# L2 on standardised columns. Far less than the churn model has: the late months have few rows, and
# would all be drawn to the early ones (12 months: 2.6 points off in a fifth with .0001, 1.4 with
# this and both changes).
PENALTY = 0.000001
# Months of customers that are learned from; of larger bases, a share of the customers.
MOST_MONTHS = 1_000_000
DAYS_PER_MONTH = 365.25 / 12
FOLLOWED_MONTHS = 12
TRUNCATION = (
    "one extract only: time is counted from the month in which a customer joined. Customers who "
    "left before and are not in the extract are missing (truncated), so that the risk is too low "
    "for months in which many left"
)
OBSERVED = "months between extracts, each history from an extract on, for a year at most"


@dataclass(frozen=True)
class Histories:
    """How long each customer was observed.

    Attributes:
        frame: Rows of `fold`, the inputs, `duration` (periods) and `left` (1 if in the last one).
        inputs: The inputs.
        origin: `extract` or `joined`.
        months: Months of a period.
        clock: Feature with the months since the customer joined, or None.
        basis: Where the histories are from, for people.
    """

    frame: DataFrame
    inputs: list[str]
    origin: str
    months: float
    clock: str | None
    basis: str


def select_histories(
    rows: TrainingRows, training: "TrainingSet", parameters: Parameters
) -> Histories | None:
    """Return the histories of the training rows; None if their label allows none."""
    # Imported here: Feast takes seconds to import.
    from feature_repo import labels

    clock = read_domain().model.clock
    derived = derive_inputs(parameters)
    inputs = [*training.features, *derived]
    name = clock.feature if clock and clock.feature in training.features else None
    share = splits.share(training.group_columns, parameters.seed)
    if training.label.kind == labels.OBSERVED:
        months = sum(training.label.days_between) / len(training.label.days_between)
        months = months / DAYS_PER_MONTH
        longest = max(1, math.ceil(FOLLOWED_MONTHS / months - 0.5))
        frame = _compute_durations(rows.frame, training.label.days_between, longest)
        origin, basis = EXTRACT, OBSERVED
    elif name is not None and clock is not None:
        moving = {name, *clock.moving}
        inputs = [
            each
            for each in inputs
            if each not in moving and not any(f"`{m}`" in derived.get(each, "") for m in moving)
        ]
        months, origin, basis = 1.0, JOINED, TRUNCATION
        frame = rows.frame.selectExpr(
            "*", f"cast(`{name}` as int) as duration", f"cast({LABEL} as int) as left"
        ).where("duration > 0")
    else:
        return None
    frame = frame.selectExpr("*", f"{share} as share").localCheckpoint()
    total = frame.selectExpr("sum(duration) as total").toArrow().to_pylist()[0]["total"] or 0
    if total > MOST_MONTHS:
        frame = frame.where(f"share < {MOST_MONTHS / total}")
    return Histories(frame, inputs, origin, months, name, basis) if total else None


def _compute_durations(frame: DataFrame, days_between: list[int], longest: int) -> DataFrame:
    """Return the rows with the periods until the customer leaves or is not followed any more.

    A customer's rows of neighbouring extracts form a sequence; only its last one can be labelled as
    leaving.
    """
    found = frame.select("event_timestamp").distinct().toArrow()["event_timestamp"].to_pylist()
    place, positions, expected = 0, [], None
    for start, days in zip(sorted(found), days_between, strict=True):
        place += 1 if start == expected else 2
        positions.append(
            f"when event_timestamp = timestamp {literal(f'{start:%Y-%m-%d}')} then {place}"
        )
        expected = start + timedelta(days=days)
    customers = "partition by customer_id"
    numbered = frame.selectExpr("*", f"case {' '.join(positions)} end as place")
    sequences = numbered.selectExpr(
        "*", f"place - row_number() over ({customers} order by place) as sequence"
    )
    within = f"({customers}, sequence)"
    followed = sequences.selectExpr(
        "*",
        f"max(place) over {within} - place + 1 as followed",
        f"max({LABEL}) over {within} as leaves",
    ).drop("place", "sequence")
    return followed.selectExpr(
        "*",
        f"cast(least(followed, {longest}) as int) as duration",
        f"if(followed <= {longest}, cast(leaves as int), 0) as left",
    ).drop("followed", "leaves")


def fit(histories: Histories, rows: pd.DataFrame) -> HazardModel:
    """Return the hazard model fitted on these rows of the histories, its inputs centred."""
    names = histories.inputs
    inputs = rows[names].to_numpy(dtype=float)
    durations = rows["duration"].to_numpy(dtype=np.int64)
    clock = rows[histories.clock].to_numpy(dtype=float) if histories.clock else None
    is_aging = histories.origin == EXTRACT and clock is not None
    left = rows["left"].to_numpy() == 1
    found = PeriodRegression(inputs, durations, left, clock if is_aging else None).fit(PENALTY)
    means = inputs.mean(axis=0)
    log, linear, first, aging = map(float, found.terms)
    return HazardModel(
        origin=histories.origin,
        months=histories.months,
        longest=int(durations.max()),
        clock=histories.clock,
        intercept=found.intercept + float(found.level @ means),
        steps=(log + float(found.change @ means), linear + float(found.growth @ means), first),
        coefficients=dict(zip(names, found.level.tolist(), strict=True)),
        later=dict(zip(names, found.change.tolist(), strict=True)),
        growing=dict(zip(names, found.growth.tolist(), strict=True)),
        means=dict(zip(names, means.tolist(), strict=True)),
        aging=aging,
        mean_clock=float(clock.mean()) if is_aging and clock is not None else 0.0,
    )


# --- evaluation ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Predicted:
    """Histories with the survival that a model predicted which was not trained on the customer.

    Attributes:
        durations: Periods that each customer was observed.
        events: Whether the customer left in the last of them.
        survival: Predicted share still there, by customer and period.
        cox: The same by Cox's model.
    """

    durations: survival.Whole
    events: survival.Flags
    survival: Floats
    cox: Floats


def evaluate(
    histories: Histories, parameters: Parameters, advance: Callable[[int, int, str], None]
) -> tuple[HazardModel, dict[str, Any]]:
    """Return the model of all histories, and how well models of the other folds predict a fold."""
    columns = [histories.clock] if histories.clock else []
    names = [*dict.fromkeys([*histories.inputs, *columns]), "fold", "duration", "left"]
    rows = histories.frame.select(*names).toArrow().to_pandas()
    titles = [f"fold {k + 1} of {parameters.folds}" for k in range(parameters.folds)] + ["all rows"]
    models = []
    for k, title in enumerate(titles):
        advance(k + 1, len(titles), f"time until leaving, {title}")
        # No row is of fold `folds`: the last model is that of all rows.
        models.append(fit(histories, rows[rows["fold"] != k]))
    return models[-1], measure(predict(rows, histories, models[:-1]), histories)


def predict(rows: pd.DataFrame, histories: Histories, models: list[HazardModel]) -> Predicted:
    """Return each fold's survival as predicted by the model of the other folds, and by Cox's."""
    inputs = rows[histories.inputs].to_numpy(dtype=float)
    durations = rows["duration"].to_numpy(dtype=np.int64)
    events = rows["left"].to_numpy() == 1
    clock = np.zeros(len(rows))
    if histories.clock and histories.origin == EXTRACT:
        clock = rows[histories.clock].to_numpy(dtype=float)
    periods = int(durations.max())
    ours, cox = np.zeros((len(rows), periods)), np.zeros((len(rows), periods))
    for fold, model in enumerate(models):
        there = (rows["fold"] == fold).to_numpy()
        ours[there] = model.survive(inputs[there], clock[there], periods)
        other = survival.Cox(inputs[~there], durations[~there], events[~there])
        cox[there] = other.survive(inputs[there], periods)
    return Predicted(durations, events, ours, cox)


def measure(predicted: Predicted, histories: Histories) -> dict[str, Any]:
    """Return calibration per horizon, C-index and integrated Brier score, next to Cox's model."""
    durations, events = predicted.durations, predicted.events
    periods = predicted.survival.shape[1]
    average = survival.kaplan_meier(durations, events, periods)
    nothing = np.broadcast_to(average, predicted.survival.shape)
    found = {"hazard": predicted.survival, "cox": predicted.cox, "kaplan_meier": nothing}
    return {
        "origin": histories.origin,
        "basis": histories.basis,
        "months_per_period": histories.months,
        "histories": len(durations),
        "left": int(events.sum()),
        "c_index": {
            # Rounded, so that customers with equal inputs are equal.
            name: survival.concordance(durations, events, np.round(-there.sum(axis=1), 9))
            for name, there in found.items()
        },
        "integrated_brier": {
            name: survival.integrated_brier(durations, events, there)
            for name, there in found.items()
        },
        "calibration": {
            str(months): calibrate(durations, events, predicted.survival, months / histories.months)
            for months in HORIZONS
            if months / histories.months <= periods + 0.5
        },
    }


def calibrate(
    durations: survival.Whole, events: survival.Flags, there: Floats, position: float
) -> list[dict[str, float]]:
    """Return predicted and observed risk (Kaplan-Meier) in each fifth by predicted risk.

    `position` is the horizon in periods; the nearest whole number of them is evaluated.
    """
    period = min(max(1, round(position)), there.shape[1])
    risk = 1 - there[:, period - 1]
    edges = np.quantile(risk, np.arange(1, 5) / 5)
    group = np.searchsorted(edges, risk, side="left")
    fifths = []
    for number in np.unique(group):
        part = group == number
        observed = 1 - float(survival.kaplan_meier(durations[part], events[part], period)[-1])
        fifths.append(
            {
                "predicted": float(risk[part].mean()),
                "observed": observed,
                "customers": int(part.sum()),
            }
        )
    return fifths
