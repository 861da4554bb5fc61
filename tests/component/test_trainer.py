"""Training and scoring on a real server, on the published workbook."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from environments import ChurnHome
from pyspark.sql.connect.functions import lit
from pyspark.sql.connect.session import SparkSession
from training_frames import FEATURES, a_training_set, gold_rows, ignore

from lakehouse import spark_session
from lakehouse.domain import ProfitTerms
from lakehouse.errors import InvalidInputError
from lakehouse.settings import Settings
from lakehouse.sql import query
from trainer import deciles, metrics, profit, registry, splits
from trainer.cross_validation import TrainingJob, first_jobs, fold_jobs, predict
from trainer.explain import contribution
from trainer.metrics import Metrics
from trainer.model_selection import has_chance, select_model
from trainer.model_types import KINDS
from trainer.parameters import Parameters, read_parameters
from trainer.pipeline import derive_inputs, run_in_threads
from trainer.portable_model import add_derived_inputs, log_odds
from trainer.reason_texts import read_reasons, reasons_for
from trainer.record import ModelRecord
from trainer.score import preview_deciles, score, score_rows
from trainer.scorer import Scorer
from trainer.train import fit_final, train_on
from trainer.training_data import build_training_frame


@dataclass(frozen=True)
class Trained:
    """A session on a home with gold, models apart from the home's own, and a trained version."""

    spark: SparkSession
    settings: Settings
    record: ModelRecord


@pytest.fixture(scope="module")
def trained(
    completed_home: ChurnHome, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trained]:
    # Models apart: the home's own champion stays what it is.
    settings = completed_home.settings_in(tmp_path_factory.mktemp("models"))
    with spark_session.session(settings) as spark:
        training = a_training_set(gold_rows(spark), "in gold's order")
        result = train_on(settings, training, read_parameters(), ignore)
        assert result.is_new
        yield Trained(spark, settings, result.record)


def evaluated_kinds(record: ModelRecord) -> list[dict[str, Metrics]]:
    """The evaluations of the model types that were trained on all folds."""
    found = [each for each in record.evaluations.values() if "out_of_fold" in each]
    assert record.evaluations[record.kind] in found
    return found


def test_the_metrics_are_honest(trained: Trained) -> None:
    assert trained.record.evaluations.keys() == KINDS.keys()
    for evaluations in evaluated_kinds(trained.record):
        out_of_fold = evaluations["out_of_fold"]
        assert (out_of_fold.rows, out_of_fold.positives) == (7043, 1869)
        assert 0.835 < out_of_fold.roc_auc < 0.87
        assert out_of_fold.pr_auc > 0.64
        assert out_of_fold.brier < 0.14
    logistic = trained.record.evaluations["logistic_regression"]
    assert logistic["out_of_fold"].roc_auc >= 0.845
    assert logistic["out_of_fold"].pr_auc >= 0.65
    assert 1200 < logistic["holdout"].rows < 1620
    assert logistic["holdout"].roc_auc < 0.89


def test_the_folds_add_up_to_the_pooled_rows(trained: Trained) -> None:
    for evaluations in evaluated_kinds(trained.record):
        judged = [evaluations[f"fold_{k}"] for k in range(5)]
        assert sum(fold.rows for fold in judged) == evaluations["out_of_fold"].rows
        assert all(1200 < fold.rows < 1620 for fold in judged)


def test_the_curves_are_small_and_complete(trained: Trained) -> None:
    for kind, evaluations in trained.record.curves.items():
        assert set(evaluations) == {"out_of_fold", "holdout"}
        for name, curves in evaluations.items():
            assert all(len(points) <= 200 for points in curves.values())
            assert len(curves["calibration"]) == 10
            thresholds = [round(point["threshold"], 2) for point in curves["thresholds"]]
            assert thresholds == [round(0.05 * step, 2) for step in range(1, 20)]
            assert curves["roc"][-1]["true_positive_rate"] == 1.0
            assert curves["pr"][-1]["recall"] == 1.0
            binned = sum(point["stayed"] + point["churned"] for point in curves["histogram"])
            assert binned == trained.record.evaluations[kind][name].rows


def test_neither_order_nor_partitions_change_a_figure(trained: Trained) -> None:
    shuffled = gold_rows(trained.spark).repartition(7).orderBy("monthly_charges", "customer_id")
    again = train_on(
        trained.settings, a_training_set(shuffled, "shuffled"), read_parameters(), ignore
    )
    assert again.is_new
    assert again.record.version != trained.record.version
    for kind, evaluations in trained.record.evaluations.items():
        for name, figures in evaluations.items():
            assert asdict(again.record.evaluations[kind][name]) == pytest.approx(
                asdict(figures), abs=1e-9
            )
    # who is as good as the champion does not take over
    assert not again.decision.promoted
    assert again.decision.comparison["gains"]["roc_auc"]["mean"] == pytest.approx(0, abs=1e-9)
    assert registry.champion(trained.settings) == trained.record


def test_a_trained_version_is_not_trained_again(trained: Trained) -> None:
    training = a_training_set(gold_rows(trained.spark), "in gold's order")
    again = train_on(trained.settings, training, read_parameters(), ignore)
    assert not again.is_new
    assert again.record == trained.record


@pytest.mark.parametrize("value", ["nan", "infinity", "-infinity"])
def test_a_value_that_is_no_finite_number_is_named_and_refused(
    trained: Trained, value: str
) -> None:
    """Gold of an earlier version may hold such ratios."""
    one = f"if(customer_id = '7590-VHVEG', double('{value}'), billing_ratio) as billing_ratio"
    others = [name for name in FEATURES if name != "billing_ratio"]
    frame = gold_rows(trained.spark).selectExpr(
        "customer_id", "event_timestamp", *others, one, "churned"
    )
    with pytest.raises(InvalidInputError, match=r"not finite numbers: billing_ratio \(1 row\)"):
        train_on(trained.settings, a_training_set(frame, value), read_parameters(), ignore)


def test_rows_with_equal_features_are_never_split(trained: Trained) -> None:
    columns = ", ".join(f"`{name}`" for name in FEATURES)
    found = query(
        trained.spark,
        f"""
        with placed as (
            select *, {splits.is_holdout(FEATURES, 42, 0.2)} as is_holdout
            from gold.customer_features
        ),

        grouped as (
            select count(*) as customers,
                count(distinct {splits.fold(FEATURES, 42, 5)}) as folds,
                count(distinct is_holdout) as sides
            from placed group by {columns}
        )
        select max(folds) as folds, max(sides) as sides, sum(customers) as customers,
            sum(if(customers > 1, customers, 0)) as twins
        from grouped
        """,
    )[0]
    assert (found["folds"], found["sides"], found["customers"]) == (1, 1, 7043)
    assert found["twins"] > 40


# --- reasons ---------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=KINDS)
def explained(
    request: pytest.FixtureRequest, trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> ModelRecord:
    """A version of each kind, trained on all rows, saved beside its record."""
    if request.param == trained.record.kind:
        return trained.record
    training = a_training_set(gold_rows(trained.spark), "either kind")
    parameters = read_parameters()
    version = f"20251203-{request.param}"
    with registry.draft(trained.settings, version) as drafted:
        rows = build_training_frame(training, parameters)
        form, _ = fit_final(rows, training, parameters, request.param, str(drafted / "model"))
        record = replace(trained.record, version=version, kind=request.param, form=form)
        registry.publish(trained.settings, drafted, record)
    return record


def with_reasons(trained: Trained, record: ModelRecord) -> list[dict[str, Any]]:
    """Features, probability and the sum of all contributions of every customer."""
    from pyspark.ml import PipelineModel

    inputs = [*record.features, *record.derived]
    terms = [
        contribution(record.form, reason, record.derived)
        for reason in reasons_for(inputs, read_reasons())
    ]
    features = trained.spark.table("gold.customer_features").select("customer_id", *FEATURES)
    path = registry.pipeline(trained.settings, record.version)

    def work(place: str) -> list[dict[str, Any]]:
        predicted = score_rows(PipelineModel.load(place), record, features)
        summed = features.selectExpr("*", f"{' + '.join(terms)} as contributions")
        rows = predicted.join(summed, "customer_id").toArrow().to_pylist()
        return [dict(row) for row in rows]

    return run_in_threads(trained.spark, work, [path])[0]


def test_baseline_and_contributions_are_the_models_log_odds(
    trained: Trained, explained: ModelRecord
) -> None:
    rows = with_reasons(trained, explained)
    assert len(rows) == 7043
    for row in rows:
        model = math.log(row["probability"] / (1 - row["probability"]))
        assert explained.form.baseline + row["contributions"] == pytest.approx(model, abs=1e-6)
        values = add_derived_inputs({name: row[name] for name in FEATURES}, ["tenure"])
        assert log_odds(explained.form, values) == pytest.approx(model, abs=1e-6)


def test_without_spark_the_answer_is_the_same(trained: Trained, explained: ModelRecord) -> None:
    scorer = Scorer(explained, read_reasons())
    for row in with_reasons(trained, explained):
        answer = scorer.answer(row)
        assert answer.probability == pytest.approx(row["probability"], rel=0, abs=1e-9)
        assert [(each.feature, each.text) for each in answer.reasons] == [
            (each["feature"], each["text"]) for each in row["reasons"]
        ]
        assert [each.contribution for each in answer.reasons] == pytest.approx(
            [each["contribution"] for each in row["reasons"]], rel=0, abs=1e-9
        )


def test_reasons_speak_of_the_customer(trained: Trained, explained: ModelRecord) -> None:
    for row in with_reasons(trained, explained):
        given = [reason["contribution"] for reason in row["reasons"]]
        assert given == sorted(given, reverse=True)
        assert len(given) <= 3
        assert all(amount > 0 for amount in given)
        texts = {reason["feature"]: reason["text"] for reason in row["reasons"]}
        assert None not in texts.values()
        assert len(set(texts.values())) == len(texts)
        if "contract" in texts:
            monthly = row["contract_month_to_month"] == 1
            assert (texts["contract"] == "month-to-month contract") == monthly
        if "tenure" in texts:
            months = "month" if row["tenure"] == 1 else "months"
            assert texts["tenure"] == f"customer for {row['tenure']} {months}"
        if "monthly_charges" in texts:
            assert texts["monthly_charges"] == f"monthly bill of ${row['monthly_charges']:.2f}"


def test_a_shorter_contract_does_not_lower_the_risk(
    trained: Trained, explained: ModelRecord
) -> None:
    features = trained.spark.table("gold.customer_features").select(*FEATURES)
    for row in features.limit(200).toArrow().to_pylist():
        values = add_derived_inputs(row, ["tenure"])
        monthly, two_years = (
            {
                **values,
                "contract_month_to_month": float(term == "monthly"),
                "contract_one_year": 0.0,
                "contract_two_year": float(term == "two years"),
            }
            for term in ("monthly", "two years")
        )
        assert log_odds(explained.form, monthly) >= log_odds(explained.form, two_years)


# --- scores ----------------------------------------------------------------------------------


def commits(trained: Trained) -> int:
    return len(query(trained.spark, "describe history gold.churn_scores"))


def test_the_deciles_of_a_version_are_known_before_it_is_champion(trained: Trained) -> None:
    place = registry.folder(trained.settings) / trained.record.version
    (place / deciles.FILE).unlink(missing_ok=True)
    preview_deciles(trained.settings, trained.spark, trained.record)
    previewed = deciles.read(place)
    assert previewed is not None
    (place / deciles.FILE).unlink()
    registry.promote(trained.settings, trained.record.version)
    score(trained.settings, trained.spark, ignore)
    scored = deciles.read(place)
    assert scored is not None
    assert replace(previewed, boundaries=()) == replace(scored, boundaries=())
    for one, other in zip(previewed.boundaries, scored.boundaries, strict=True):
        assert (one.decile, one.customer_id) == (other.decile, other.customer_id)
        assert one.probability == pytest.approx(other.probability, rel=0, abs=deciles.TOLERANCE)
    trained.spark.sql(
        f"delete from gold.churn_scores where model_version = '{trained.record.version}'"
    )


def test_scores_are_written_once_and_replaced_by_version(  # long: one story
    trained: Trained,
) -> None:
    registry.promote(trained.settings, trained.record.version)
    first = score(trained.settings, trained.spark, ignore)
    assert (first.customers, first.written) == (7043, True)
    place = registry.folder(trained.settings) / trained.record.version
    bounds = deciles.read(place)
    assert bounds is not None
    assert (bounds.customers, bounds.extract_date) == (7043, "2025-12-03")
    assert [each.decile for each in bounds.boundaries] == list(range(1, 11))
    before = commits(trained)
    (place / deciles.FILE).unlink()
    again = score(trained.settings, trained.spark, ignore)
    assert (again.customers, again.written) == (7043, False)
    assert commits(trained) == before
    # who has scores and no bounds of theirs, from before there were any, gets them
    assert deciles.read(place) == bounds

    trained.spark.sql("delete from gold.churn_scores where decile = 3")
    repaired = score(trained.settings, trained.spark, ignore)
    assert repaired.written

    other = replace(trained.record, version="20251203-another0")
    with registry.draft(trained.settings, other.version) as drafted:
        model = registry.pipeline(trained.settings, trained.record.version)
        (drafted / "model").symlink_to(model)
        registry.publish(trained.settings, drafted, other)
    registry.promote(trained.settings, other.version)
    assert score(trained.settings, trained.spark, ignore).written
    registry.promote(trained.settings, trained.record.version)

    kept = query(
        trained.spark,
        """
        select model_version, count(*) as customers, count(distinct decile) as deciles,
            min(decile) as lowest, max(decile) as highest,
            avg(if(decile = 10, probability, null)) as top,
            avg(if(decile = 1, probability, null)) as bottom
        from gold.churn_scores
        where model_version in (:one, :other)
        group by model_version
        """,
        one=trained.record.version,
        other=other.version,
    )
    assert len(kept) == 2
    for row in kept:
        assert (row["customers"], row["deciles"]) == (7043, 10)
        assert (row["lowest"], row["highest"]) == (1, 10)
        assert row["top"] > 0.7 > 0.05 > row["bottom"]


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 20))]
)
def test_a_race_has_the_winner_of_all_folds(trained: Trained, seed: int) -> None:
    parameters: Parameters = replace(read_parameters(), seed=seed)
    rule = parameters.champion
    training = a_training_set(gold_rows(trained.spark), f"of seed {seed}")
    rows = build_training_frame(training, parameters)
    fits = [fit for kind in parameters.candidates for fit in fold_jobs(kind, parameters)]
    predictions = predict(rows.frame, fits, ignore).localCheckpoint()
    fetched = list(metrics.fetch(predictions, "part"))
    found = metrics.metrics(fetched, parameters.threshold, parameters.profit)
    whole = {
        kind: [parts[f"fold_{k}"].roc_auc for k in range(parameters.folds)]
        for kind, parts in found.items()
    }
    raced = {**whole, rule.challenger: whole[rule.challenger][: rule.race_folds]}
    if not has_chance(raced, rule):
        assert select_model(raced, rule).kind == select_model(whole, rule).kind


def test_progress_names_the_folds(trained: Trained) -> None:
    declared = read_parameters()
    rule = replace(declared.champion, race_folds=1)
    parameters: Parameters = replace(declared, folds=2, champion=rule)
    quick = replace(
        parameters,
        kinds={kind: {**each, "max_iter": 1} for kind, each in parameters.kinds.items()},
    )
    said: list[str] = []
    rows = build_training_frame(a_training_set(gold_rows(trained.spark), "quick"), quick)
    predict(rows.frame, first_jobs(quick), said.append)
    assert "fold 2 of 2, logistic regression" in said
    assert derive_inputs(quick) == {"log1p_tenure": "log1p(`tenure`)"}


# --- profit ----------------------------------------------------------------------------------


def test_the_profit_on_the_published_split(trained: Trained, shared_data: Path) -> None:
    """The split of e-Profits (docs/model.md): 30 % of the rows, in the order of the file."""
    from sklearn.model_selection import train_test_split

    rows = pd.read_excel(shared_data / "Telco-Customer-Churn.xlsx").drop_duplicates("customerID")
    _, tested = train_test_split(rows, test_size=0.3, random_state=42)
    spark, parameters = trained.spark, read_parameters()
    ids = spark.createDataFrame(tested[["customerID"]].astype(str), "customer_id string")
    training = a_training_set(gold_rows(spark), "in gold's order")
    frame = build_training_frame(training, parameters).frame
    frame = frame.join(ids.withColumn("is_tested", lit(True)), "customer_id", "left")
    frame = frame.selectExpr("*", "is_tested is not null as is_test").drop("is_tested")
    job = TrainingJob("logistic_regression", "tested", "is_test", "split", parameters, "tested")
    predictions = predict(frame.localCheckpoint(), [job], ignore)
    ((_, found),) = metrics.fetch(predictions)
    counts = profit.count_by_score(found["churned"].to_numpy(), found["probability"].to_numpy())
    worth = profit.compute_profit(*counts, ProfitTerms(6, 14, 200, 10, 1))
    assert (len(found), int(found["churned"].sum())) == (2113, 574)
    assert worth.expected_maximum_profit == pytest.approx(10.90, abs=0.02)
