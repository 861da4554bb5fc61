"""The full evaluation, the list and the model's behaviour, on the real workbook."""

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import pytest
from environments import CompletedRun, Environments
from openpyxl import load_workbook

from feature_repo.feature_definitions import read_feature_columns
from lakehouse import spark_session
from lakehouse.sql import query
from lakehouse.storage import escape_glob
from trainer import registry
from trainer.pipeline import run_in_threads
from trainer.portable_model import add_derived_inputs, log_odds
from trainer.retention_campaign import read_campaign
from trainer.score import score_rows
from trainer.scorer import probability

FEATURES = [feature.name for feature in read_feature_columns()]
FIGURES = ("roc_auc", "pr_auc", "brier", "accuracy", "f1")


@pytest.fixture(scope="module")
def evaluated(completed_run: CompletedRun) -> dict[str, Any]:
    return completed_run.home.churn_json("evaluate")


def test_it_is_good_beyond_one_lucky_split(evaluated: dict[str, Any]) -> None:
    found = evaluated["cross_validated"]
    assert (found["rounds"], found["folds"]) == (5, 5)
    for name in FIGURES:
        assert found[name]["low"] < found[name]["mean"] < found[name]["high"]
        assert found[name]["high"] - found[name]["low"] < 0.08
        assert found[name]["deviation_of_folds"] > 0
    assert found["roc_auc"]["mean"] >= 0.845
    assert found["pr_auc"]["mean"] >= 0.655
    assert found["brier"]["mean"] <= 0.136
    # a higher value would indicate that a feature leaks the label
    assert found["roc_auc"]["mean"] < 0.87


def test_it_beats_what_needs_no_model(evaluated: dict[str, Any]) -> None:
    prior, contract = evaluated["baselines"].values()
    assert prior["roc_auc"] == pytest.approx(0.5, abs=0.03)
    assert prior["brier"] == pytest.approx(0.2654 * (1 - 0.2654), abs=0.001)
    assert 0.7 < contract["roc_auc"] < 0.76
    found = evaluated["cross_validated"]
    assert found["brier"]["high"] < contract["brier"]
    assert found["roc_auc"]["low"] > contract["roc_auc"]


def test_the_curves_say_what_they_must(evaluated: dict[str, Any]) -> None:
    curve = evaluated["learning_curve"]
    assert [point["share"] for point in curve] == [0.1, 0.25, 0.5, 1.0]
    assert curve[0]["roc_auc"] < curve[-1]["roc_auc"]
    bins = evaluated["calibration"]["bins"]
    assert len(bins) == 10
    assert sum(each["customers"] for each in bins) == 7043
    assert evaluated["calibration"]["expected_error"] < 0.03
    assert evaluated["calibration"]["slope"] == pytest.approx(1, abs=0.1)
    deciles = evaluated["deciles"]
    assert sum(each["leavers"] for each in deciles) == 1869
    assert deciles[-1]["gain"] == pytest.approx(1)
    assert deciles[0]["lift"] > 2.5 > 1 > deciles[-1]["lift"]
    best = evaluated["threshold"]["best"]
    assert best["gain"] == max(point["gain"] for point in evaluated["threshold"]["curve"])
    # the gain is 0 if no customer is approached
    assert best["gain"] > 0
    # one extract has no earlier one to learn from
    assert evaluated["temporal"] is None


def test_slices_add_up_and_gaps_are_told(evaluated: dict[str, Any]) -> None:
    slices = evaluated["slices"]
    for name in ("gender", "senior citizen", "contract", "tenure"):
        groups = [each for each in slices if each["slice"] == name]
        assert sum(each["rows"] for each in groups) == 7043
        left = sum(each["rows"] * each["observed"] for each in groups)
        assert left == pytest.approx(1869)
    for one in slices:
        assert one["gap"] == pytest.approx(one["predicted"] - one["observed"])
        assert not one["flagged"] or abs(one["gap"]) > 0.03


def test_no_leak_and_the_strongest_features_named(evaluated: dict[str, Any]) -> None:
    leaks = evaluated["leaks"]
    assert leaks["found"] == []
    assert leaks["suspicious"] is False
    strongest = {each["feature"]: each["roc_auc"] for each in leaks["strongest"]}
    assert strongest["contract_month_to_month"] > 0.7
    assert max(strongest.values()) < 0.8


def test_it_behaves(evaluated: dict[str, Any]) -> None:
    behaviour = {each["what"]: each for each in evaluated["behaviour"]}
    assert all(each["holds"] for each in behaviour.values()), behaviour
    assert 0 < behaviour["gender alone"]["shift"] < 0.02
    assert behaviour["a one-year contract instead of month to month"]["shift"] < -0.01


def test_it_is_done_once_a_version(completed_run: CompletedRun, evaluated: dict[str, Any]) -> None:
    place = registry.folder(completed_run.home.settings) / evaluated["version"] / "evaluation.json"
    written = place.stat().st_mtime_ns
    assert completed_run.home.churn_json("evaluate") == evaluated
    assert place.stat().st_mtime_ns == written
    told = completed_run.home.churn("evaluate").stdout
    assert f"{evaluated['cross_validated']['roc_auc']['mean']:.4f}" in told
    assert Path(evaluated["page"]).stat().st_size > 50_000


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_another_home_has_the_same_model_and_figures(
    environments: Environments,
    completed_run: CompletedRun,
    evaluated: dict[str, Any],
    shared_data: Path,
) -> None:
    home = environments.new("another")
    summary = home.churn_json("run", shared_data / "Telco-Customer-Churn.xlsx")
    assert close(completed_run.summary["model"], summary["model"])
    again = home.churn_json("evaluate")
    for volatile in ("page", "version"):
        evaluated, again = (
            {name: value for name, value in figures.items() if name != volatile}
            for figures in (evaluated, again)
        )
    assert close(evaluated, again)
    home.churn("down")


def close(one: Any, other: Any) -> bool:
    """Equal, numbers to 1e-9."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=0, abs_tol=1e-9)
    return bool(one == other)


# --- behaviour -----------------------------------------------------------------------------------


def test_neither_order_nor_further_columns_nor_twins_change_a_score(
    completed_run: CompletedRun,
) -> None:
    """Each customer twice, in another order, with a column that no model knows."""
    from pyspark.ml import PipelineModel

    settings = completed_run.home.settings
    record = registry.champion(settings)
    assert record is not None
    with spark_session.session(settings) as spark:
        gold = spark.table("gold.customer_features").select("customer_id", *FEATURES)
        other = gold.selectExpr("concat('twin of ', customer_id) as customer_id", *FEATURES)
        mixed = (
            gold.union(other)
            .selectExpr("*", "rand(1) as unknown_column")
            .repartition(5)
            .orderBy("unknown_column")
        )

        def work(place: str) -> list[dict[str, Any]]:
            rows = score_rows(PipelineModel.load(escape_glob(place)), record, mixed)
            return list(rows.select("customer_id", "probability").toArrow().to_pylist())

        found = run_in_threads(spark, work, [registry.pipeline(settings, record.version)])[0]
        kept = query(spark, "select customer_id, probability from gold.churn_scores")
    by_customer = {row["customer_id"]: row["probability"] for row in found}
    assert len(by_customer) == 2 * len(kept) == 2 * 7043
    for row in kept:
        assert by_customer[row["customer_id"]] == row["probability"]
        assert by_customer[f"twin of {row['customer_id']}"] == row["probability"]


# --- the list ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listed(completed_run: CompletedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("list") / "at_risk.xlsx"
    assert "50 customers" in completed_run.home.churn("list", "--top", "50", "--out", path).stdout
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    header, *rows = load_workbook(path)["Customers"].iter_rows(values_only=True)
    return [dict(zip(map(str, header), row, strict=True)) for row in rows]


def test_the_list_has_the_most_valuable_first_and_nobody_who_left(  # long: one story
    completed_run: CompletedRun, listed: Path
) -> None:
    """Worked out again, from the tables and the kept predictions."""
    settings = completed_run.home.settings
    record = registry.champion(settings)
    assert record is not None
    place = f"{registry.pipeline(settings, record.version)}/{registry.OUT_OF_FOLD}"
    with spark_session.session(settings) as spark:
        unseen = {
            row["customer_id"]: row["probability"]
            for row in spark.read.parquet(escape_glob(place)).toArrow().to_pylist()
        }
        customers = query(
            spark, "select customer_id, churned, monthly_charges, contract from silver.customers"
        )
        features = {
            row["customer_id"]: row for row in query(spark, "select * from gold.customer_features")
        }
    assert len(unseen) == 7043
    value = {
        row["customer_id"]: unseen[row["customer_id"]] * 12 * row["monthly_charges"] - 20
        for row in customers
        if not row["churned"]
    }
    expected = sorted(value, key=lambda customer: (-value[customer], customer))[:50]
    rows = rows_of(listed)
    assert [row["Customer"] for row in rows] == expected
    assert [row["Rank"] for row in rows] == list(range(1, 51))
    name = next(iter(read_campaign().offers))
    for row in rows:
        assert row["Expected value"] == pytest.approx(value[row["Customer"]])
        assert row["Probability of leaving"] == pytest.approx(unseen[row["Customer"]])
        assert row["Reason 1"]
        now = features[row["Customer"]]
        tried = row[f"Probability with {name}"]
        if now["contract_month_to_month"] == 0:
            assert tried is None
            continue
        before = unseen[row["Customer"]]
        odds = [
            log_odds(
                record.form, add_derived_inputs({name: at[name] for name in FEATURES}, ["tenure"])
            )
            for at in ({**now, "contract_month_to_month": 0, "contract_one_year": 1}, now)
        ]
        moved = math.log(before / (1 - before)) + odds[0] - odds[1]
        assert tried == pytest.approx(probability(moved), abs=1e-9)


def test_the_list_is_made_for_people(listed: Path) -> None:
    sheet = load_workbook(listed)["Customers"]
    assert sheet.freeze_panes == "C2"
    assert sheet.auto_filter.ref == f"A1:{sheet.cell(1, sheet.max_column).column_letter}51"
    assert sheet.print_title_rows == "$1:$1"
    assert sheet.page_setup.orientation == "landscape"
    assert len(list(sheet.conditional_formatting)) == 3
    notes = load_workbook(listed)["How to read"]
    assert any("out of fold" in str(row[1]) for row in notes.iter_rows(values_only=True))
    with zipfile.ZipFile(listed) as file:
        assert not [name for name in file.namelist() if "external" in name.lower()]


def test_a_list_is_never_written_over(completed_run: CompletedRun, listed: Path) -> None:
    before = listed.read_bytes()
    said = completed_run.home.churn("list", "--out", listed, code=2).stderr
    assert "exists already" in said
    assert listed.read_bytes() == before
    assert (
        "does not end in .xlsx"
        in completed_run.home.churn("list", "--out", "list.csv", code=2).stderr
    )


def test_the_summary_has_the_watch(completed_run: CompletedRun) -> None:
    watch = completed_run.summary["watch"]
    assert (watch["alerts"], watch["proposal"]) == ([], None)
    seen = completed_run.home.churn_json("watch")
    assert seen["champion"] == completed_run.summary["model"]["version"]
    assert json.dumps(seen["alerts"]) == "[]"
