"""A year of extracts whose ninth month is another: when the alert fires, and when not.

Each month of ten years is asked, which takes long. The parts are in `make test`: that a drift
alerts (test_rules.py), and that a quiet month does not (test_point_in_time.py).
"""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from environments import Environments
from training_frames import QUICK, ignore

from feature_repo.publications import read_publications
from feature_repo.training import training_set
from lakehouse import spark_session
from lakehouse.settings import Settings
from seeds_loader.extract_date import ExtractDate
from seeds_loader.load import load
from seeds_loader.reader.sandbox import read_workbook
from seeds_loader.sample import Month, SampleParameters, simulate
from trainer import registry
from trainer.monitoring import monitor, read_rules, stability_index
from trainer.score import score
from trainer.train import train_on

CUSTOMERS = 1500
MONTHS = 12
DRIFTS_FROM = 9
START = date(2024, 1, 1)
# Who of those with bills on paper gets them by mail from the ninth month on.
SWITCHED = 0.44


def with_drift(sheet: pd.DataFrame) -> pd.DataFrame:
    """The same customers each month, so that the tenth is like the ninth."""
    drawn = sheet["customerID"].map(lambda customer: hash_of(customer) < SWITCHED)
    switched = drawn & (sheet["PaperlessBilling"] == "No")
    return sheet.assign(PaperlessBilling=sheet["PaperlessBilling"].mask(switched, "Yes"))


def hash_of(text: str) -> float:
    return int.from_bytes(text.encode(), "big") % 9973 / 9973


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(1, 11))
def test_the_alert_fires_when_the_customers_change_and_not_before(  # long: one story
    environments: Environments, tmp_path: Path, seed: int
) -> None:
    home = environments.new(f"watched_{seed}")
    home.churn("up")
    months = list(simulate(SampleParameters(CUSTOMERS, MONTHS, seed, START)))
    settings = home.settings
    alerts: dict[int, list[str]] = {}
    # The champion learned from what could be observed in the first two.
    give(settings, months, range(2), tmp_path)
    home.churn("build")
    home.churn("features", "apply")
    with spark_session.session(settings) as spark:
        training = training_set(settings, spark, ignore)
        assert training.label.kind == "observed"
        record = train_on(settings, training, QUICK, ignore).record
    give(settings, months, range(2, len(months)), tmp_path)
    home.churn("build")
    with spark_session.session(settings) as spark:
        history = read_publications(spark)
        assert [each.extract_date for each in history] == [each.extract_date for each in months]
        for month in range(1, MONTHS + 1):
            score(settings, spark, ignore, history[month - 1])
            seen = monitor(settings, spark, read_rules(), history[:month])
            assert seen is not None
            alerts[month] = [each.words for each in seen.alerts]
            if month == DRIFTS_FROM:
                drifted = [each for each in seen.alerts if "paperless" in each.watched]
                assert drifted
                # worth a warning, and no reason for the gate to refuse
                assert all(0.1 <= each.figure <= 0.25 for each in drifted)
            # what came true is known of a month that was scored, with a model that was there
            if month > 2:
                watched = {each.watched.partition(":")[0] for each in seen.figures}
                assert watched == {"feature", "scores", "realised churn"}
        assert registry.champion_version(settings) == record.version
    warned = home.sql(
        "select distinct extract_date from audit.gate_results "
        "where verdict = 'warned' and rule = 'unusual_drift_of_paperless_billing'"
    )
    assert [row["extract_date"] for row in warned] == [months[DRIFTS_FROM - 1].extract_date]
    home.churn("down")
    false_alarms = {month: words for month, words in alerts.items() if month < 9 and words}
    print(f"seed {seed}: {alerts[9] or alerts[10]}; false alarms: {false_alarms or 'none'}")
    assert not false_alarms
    assert alerts[9] or alerts[10]


def give(settings: Settings, months: list[Month], places: range, folder: Path) -> None:
    with spark_session.session(settings) as spark:
        for place in places:
            month = months[place]
            sheet = with_drift(month.sheet) if place + 1 >= DRIFTS_FROM else month.sheet
            path = folder / f"{month.extract_date}.csv"
            sheet.to_csv(path, index=False)
            extract = read_workbook(path)
            load(settings, spark, extract, ExtractDate(month.extract_date, "given"), ignore)


def test_the_index_is_that_of_the_textbook() -> None:
    # (.6 - .5) ln(.6 / .5) + (.4 - .5) ln(.4 / .5)
    assert stability_index({"a": 60, "b": 40}, {"a": 50, "b": 50}) == pytest.approx(0.0405465)
    assert stability_index({"a": 5, "b": 5}, {"a": 50, "b": 50}) == 0
    # a band that had no customers before does not make the index infinite
    assert 0 < stability_index({"a": 90, "b": 10}, {"a": 100}) < 1
