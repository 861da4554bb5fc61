"""The measured effect of simulated campaigns: interval, money, and how often it is right."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from environments import CompletedRun
from scipy.stats import binomtest

from churn.pipeline.campaigns import CONTACTED, CONTROL, draw_arms
from churn.provenance.compiled_sql import replace_relations
from lakehouse import spark_session
from lakehouse.dbt_runner import compile_models

CAMPAIGNS = 200
CONTACT_COST = 20.0


def simulate(seed: int) -> tuple[pa.Table, pa.Table, dict[str, float]]:
    """Members and campaigns of known effect, from 500 to 5,000 customers, and the true effects."""
    chance = np.random.default_rng(seed)
    members, campaigns, truth = [], [], {}
    for number in range(CAMPAIGNS):
        name, size = f"c{number:03}", int(chance.integers(500, 5001))
        share, rate = chance.choice([0.1, 0.2, 0.3]), chance.choice([0.0, 0.1, 0.3])
        risk = chance.beta(4, 5, size)
        controls = round(size * share)
        arms = np.array([arm for _, arm in draw_arms(risk.tolist(), controls, number)])
        is_contacted = arms == CONTACTED
        has_left = chance.random(size) < risk * np.where(is_contacted, 1 - rate, 1)
        called = is_contacted & (chance.random(size) < 0.9)
        reached = called & (chance.random(size) < 0.7)
        members.append(
            pa.table(
                {
                    "campaign": [name] * size,
                    "arm": arms,
                    "has_left": has_left.astype(np.int32),
                    "revenue": np.full(size, 800.0),
                    "cost": np.full(size, 60.0),
                    "called": pa.array(called, mask=~is_contacted),
                    "reached": pa.array(reached, mask=~is_contacted),
                    "accepted": pa.array(reached & (chance.random(size) < 0.4), mask=~is_contacted),
                }
            )
        )
        records = int(number % 2)
        campaigns.append(
            {"campaign": name, "records": records, "contact_cost": CONTACT_COST}
            | {"control_share": controls / size}
        )
        truth[name] = float((risk * rate).mean())
    return pa.concat_tables(members), pa.Table.from_pylist(campaigns), truth


@pytest.fixture(scope="module")
def measured(
    completed_run: CompletedRun, tmp_path_factory: pytest.TempPathFactory
) -> tuple[pa.Table, list[dict[str, Any]], dict[str, float]]:
    folder = tmp_path_factory.mktemp("campaigns")
    members, campaigns, truth = simulate(seed=11)
    settings = completed_run.home.settings
    with pytest.MonkeyPatch.context() as patch:
        password = {"CHURN_SPARK_PASSWORD": settings.spark_password or ""}
        for name, value in {**settings.for_dbt(), **password}.items():
            patch.setenv(name, value)
        sql = compile_models(settings, ["campaign_results"])["campaign_results"]
    with spark_session.session(settings) as spark:
        for name, table in (("members", members), ("campaigns", campaigns)):
            pq.write_table(table, folder / f"{name}.parquet")
            spark.read.parquet(str(folder / f"{name}.parquet")).createOrReplaceTempView(
                f"simulated_{name}"
            )
        simulated = {
            "gold.campaigns": "simulated_campaigns",
            "gold.campaign_members": "simulated_members",
        }
        rows = spark.sql(replace_relations(sql, simulated)).toArrow().to_pylist()
    return members, rows, truth


def test_the_interval_covers_the_truth_as_often_as_it_says(measured: Any) -> None:
    _, rows, truth = measured
    results = [row for row in rows if row["analysis"] == "intention_to_treat"]
    assert len(results) == CAMPAIGNS
    covered = [row["effect_low"] <= truth[row["campaign"]] <= row["effect_high"] for row in results]
    assert 0.93 <= sum(covered) / CAMPAIGNS <= 0.97


def test_figures_are_those_of_a_reference(measured: Any) -> None:
    members, rows, _ = measured
    frame = members.to_pandas()
    for row in rows[:40]:
        own = frame[frame["campaign"] == row["campaign"]]
        contacted, control = own[own["arm"] == CONTACTED], own[own["arm"] == CONTROL]
        if row["analysis"] == "per_protocol":
            contacted = contacted[contacted["reached"].astype(bool)]
        left = [int(each["has_left"].sum()) for each in (contacted, control)]
        sizes = [len(contacted), len(control)]
        assert (row["contacted"], row["control"]) == tuple(sizes)
        assert (row["contacted_left"], row["control_left"]) == tuple(left)
        (low_1, high_1), (low_2, high_2) = (
            binomtest(k, n).proportion_ci(0.95, "wilson") for k, n in zip(left, sizes, strict=True)
        )
        rate_1, rate_2 = (k / n for k, n in zip(left, sizes, strict=True))
        effect = rate_2 - rate_1
        assert row["effect"] == pytest.approx(effect, abs=1e-12)
        low = effect - ((rate_2 - low_2) ** 2 + (high_1 - rate_1) ** 2) ** 0.5
        high = effect + ((high_2 - rate_2) ** 2 + (rate_1 - low_1) ** 2) ** 0.5
        assert row["effect_low"] == pytest.approx(low, abs=1e-9)
        assert row["effect_high"] == pytest.approx(high, abs=1e-9)
        called, accepted = contacted["called"].astype(bool), contacted["accepted"].astype(bool)
        is_recorded = int(row["campaign"][1:]) % 2
        costs = 60.0 * sizes[0]
        if is_recorded:
            costs = 60.0 * accepted.sum() + CONTACT_COST * (called & ~accepted).sum()
        assert row["costs"] == pytest.approx(costs)
        assert row["saved"] == pytest.approx(effect * 800.0 * sizes[0] - costs)
        assert (row["customers_needed"] is None) == (effect <= 0)


def test_a_larger_campaign_that_is_needed_shows_the_effect(measured: Any) -> None:
    """A campaign of the stated size shows an effect of that size in about 80 % of all cases."""
    _, rows, _ = measured
    (row,) = [each for each in rows if each["customers_needed"]][:1]
    chance = np.random.default_rng(3)
    share = row["control"] / (row["control"] + row["contacted"])
    controls = round(row["customers_needed"] * share)
    contacted = round(row["customers_needed"]) - controls
    left_1 = chance.binomial(contacted, row["contacted_rate"], 4000) / contacted
    left_2 = chance.binomial(controls, row["control_rate"], 4000) / controls
    error = (left_1 * (1 - left_1) / contacted + left_2 * (1 - left_2) / controls) ** 0.5
    assert np.mean((left_2 - left_1) / error > 1.96) == pytest.approx(0.8, abs=0.03)
