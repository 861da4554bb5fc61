"""The time until customers leave, predicted on a history of twelve months."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from environments import Environments
from monthly import tables_only

from feature_repo.training import training_set
from lakehouse import spark_session
from seeds_loader.sample import SampleParameters, write_samples
from trainer import hazard
from trainer.hazard import Histories
from trainer.hazard_model import EXTRACT, HazardModel
from trainer.parameters import read_parameters
from trainer.training_data import build_training_frame

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
# Thirteen extracts are twelve months.
SAMPLE = SampleParameters(rows=7043, months=13, seed=5)
Evaluated = tuple[HazardModel, dict[str, Any], Histories, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def evaluated(
    environments: Environments, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Evaluated]:
    home = environments.new("history")
    paths: list[Path] = write_samples(SAMPLE, tmp_path_factory.mktemp("history"))
    tables_only(home, *paths)
    home.churn("features", "apply")
    parameters = read_parameters()
    with spark_session.session(home.settings) as spark:
        training = training_set(home.settings, spark, print)
        rows = build_training_frame(training, parameters)
        histories = hazard.select_histories(rows, training, parameters)
        assert histories is not None
        model, figures = hazard.evaluate(histories, parameters, lambda *_: None)
        columns = ["customer_id", "event_timestamp", "churned", "duration", "left"]
        kept = histories.frame.select(*columns).toArrow().to_pylist()
    yield model, figures, histories, kept
    home.churn("down")


def test_predicted_and_observed_risk_agree_in_each_fifth(evaluated: Evaluated) -> None:
    _, figures, _, _ = evaluated
    assert figures["origin"] == EXTRACT
    assert figures["months_per_period"] == pytest.approx(1, abs=0.01)
    assert figures["calibration"].keys() == {"1", "3", "6", "12"}
    for months, fifths in figures["calibration"].items():
        gaps = [abs(each["predicted"] - each["observed"]) for each in fifths]
        print(months, [round(gap, 4) for gap in gaps])
        assert len(fifths) == 5
        assert max(gaps) <= 0.02, months


def test_it_ranks_as_well_as_cox(evaluated: Evaluated) -> None:
    _, figures, _, _ = evaluated
    assert figures["c_index"]["hazard"] >= figures["c_index"]["cox"] - 0.01
    assert figures["c_index"]["hazard"] > 0.7
    brier = figures["integrated_brier"]
    assert brier["hazard"] <= brier["cox"] + 0.001 < brier["kaplan_meier"]


def test_a_history_ends_where_the_customers_rows_do(evaluated: Evaluated) -> None:
    """Counted again, customer by customer."""
    model, _, _, kept = evaluated
    assert model.longest == 12
    dates = sorted({row["event_timestamp"] for row in kept})
    place = {day: number for number, day in enumerate(dates)}
    labels = {(row["customer_id"], place[row["event_timestamp"]]): row["churned"] for row in kept}
    assert len(dates) == 12
    for row in kept:
        customer, start = row["customer_id"], place[row["event_timestamp"]]
        period = 1
        while labels[customer, start + period - 1] == 0 and (customer, start + period) in labels:
            period += 1
        assert row["duration"] == period
        assert row["left"] == labels[customer, start + period - 1]
    # Else the loop above has seen one kind of history only.
    assert 0.2 < np.mean([row["left"] for row in kept]) < 0.8
