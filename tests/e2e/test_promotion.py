"""Who becomes champion, on a real server: the gate of promotion, leaks, rollback."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from environments import ChurnHome
from pyspark.sql.connect.session import SparkSession
from training_frames import FEATURES, QUICK, a_training_set, gold_rows, ignore

from churn.pipeline import airflow_steps
from churn.reports.model_page import model_page
from feature_repo.labels import OBSERVED, Label
from lakehouse import commit_metadata, spark_session
from lakehouse.errors import InvalidInputError
from lakehouse.run_lock import run_lock
from lakehouse.settings import Settings
from lakehouse.sql import query
from trainer import decisions, manual_promotion, mlflow_sync, registry
from trainer.monitoring import monitor, read_rules
from trainer.parameters import Parameters, read_parameters
from trainer.score import score
from trainer.train import Training, train_on

# An honest but poor recipe: nothing of the curve in tenure, and shrunk until little is left.
POOR = replace(QUICK.with_settings("logistic_regression", reg_param=3.0), log1p=())


class Contest:
    """A registry of its own over the gold of a home."""

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self.spark, self.settings = spark, settings

    def enter(self, name: str, parameters: Parameters | None = None, **more: Any) -> Training:
        training = replace(a_training_set(gold_rows(self.spark), name), **more)
        return train_on(self.settings, training, parameters or QUICK, ignore)

    @property
    def champion(self) -> str | None:
        return registry.champion_version(self.settings)


@pytest.fixture(scope="module")
def server(completed_home: ChurnHome) -> Iterator[tuple[SparkSession, Settings]]:
    with spark_session.session(completed_home.settings) as spark:
        yield spark, completed_home.settings


@pytest.fixture(scope="module")
def contest(
    server: tuple[SparkSession, Settings],
    completed_home: ChurnHome,
    tmp_path_factory: pytest.TempPathFactory,
) -> Contest:
    spark, _ = server
    return Contest(spark, completed_home.settings_in(tmp_path_factory.mktemp("contest")))


def scores(contest: Contest, version: str) -> list[dict[str, Any]]:
    return query(
        contest.spark,
        "select customer_id, probability, decile, reasons from gold.churn_scores "
        "where model_version = :version order by customer_id",
        version=version,
    )


def test_a_poor_model_is_champion_a_better_one_takes_over_and_a_worse_one_does_not(
    contest: Contest,
) -> None:
    poor = contest.enter("first", POOR)
    assert poor.decision.promoted
    assert contest.champion == poor.record.version

    good = contest.enter("first")
    assert good.decision.promoted, good.decision.reason
    gain = good.decision.comparison["gains"]["roc_auc"]
    assert gain["low"] > 0
    assert gain["low"] <= gain["mean"] <= gain["high"]
    assert good.decision.comparison["rows"] > 1000
    assert contest.champion == good.record.version
    print(good.decision.reason)

    worse = contest.enter("next", POOR)
    assert not worse.decision.promoted
    assert worse.decision.comparison["gains"]["roc_auc"]["high"] < 0
    assert good.record.version in worse.decision.reason
    assert worse.summary()["champion"] is False
    assert contest.champion == good.record.version
    print(worse.decision.reason)

    # what was decided stands: nothing is trained, and nothing compared again
    again = contest.enter("next", POOR)
    assert (again.is_new, again.decision) == (False, worse.decision)


def test_a_better_model_waits_if_a_person_is_to_be_asked(
    server: tuple[SparkSession, Settings],
    completed_home: ChurnHome,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    spark, _ = server
    own = completed_home.settings_in(tmp_path_factory.mktemp("asked"))
    contest = Contest(spark, replace(own, promotion="ask"))
    # The first model is compared with none: without it, nothing would be scored.
    first = contest.enter("first", POOR)
    assert first.decision.promoted
    better = contest.enter("first")
    assert (better.decision.promoted, better.decision.waits) == (False, True)
    assert "better beyond noise" in better.decision.reason
    assert "CHURN_PROMOTION=ask" in better.decision.reason
    assert contest.champion == first.record.version
    assert decisions.find_waiting(contest.settings) == better.decision


def test_a_better_model_that_spoils_a_slice_does_not_take_over(contest: Contest) -> None:
    """With a declared bound that no model can meet, even a better model is not promoted."""
    now = contest.champion
    registry.promote(contest.settings, contest.enter("first", POOR).record.version)
    strict = replace(QUICK.promotion, worst_slice=-1.0)
    kept_out = contest.enter("third", replace(QUICK, promotion=strict))
    assert not kept_out.decision.promoted
    assert "slice gets worse: gender: female" in kept_out.decision.reason
    registry.promote(contest.settings, str(now))


def test_who_learned_from_a_replaced_load_goes_without_having_to_be_beaten(
    contest: Contest,
) -> None:
    before = contest.enter("of the first load", batches=("a",), published=("a",))
    registry.promote(contest.settings, before.record.version)
    after = contest.enter("of its restatement", batches=("b",), published=("b",))
    assert after.decision.promoted
    assert "replaced since" in after.decision.reason


def test_a_model_of_another_question_waits_until_a_person_promotes_it(contest: Contest) -> None:
    """The same rows with another label can't be compared, so the champion stays."""
    before = contest.champion
    label = Label(OBSERVED, "what happened next", 2, [31], 7043, 1869)
    challenger = contest.enter("observed", label=label)
    assert (challenger.decision.promoted, challenger.decision.waits) == (False, True)
    assert "from workbook to observed" in challenger.decision.reason
    assert "churn promote" in challenger.format_outcome()
    assert contest.champion == before
    seen = monitor(contest.settings, contest.spark, read_rules())
    assert seen is not None
    (alert,) = seen.alerts
    assert (alert.watched, seen.champion) == ("promotion", before)
    assert challenger.record.version in str(seen.proposal)
    # trained again it waits again
    assert contest.enter("observed", label=label).decision == challenger.decision
    manual_promotion.promote_by_hand(
        contest.settings, challenger.record.version, "we ask who leaves next"
    )
    assert contest.champion == challenger.record.version
    assert monitor(contest.settings, contest.spark, read_rules()).alerts == ()
    # a run does not undo it
    again = contest.enter("observed", label=label)
    assert (again.decision.promoted, again.decision.user) == (True, commit_metadata.user())
    registry.roll_back(contest.settings)
    assert contest.champion == before


def test_a_rollback_brings_back_the_same_scores_and_stays(contest: Contest) -> None:
    old, new = contest.champion, contest.enter("of another load", batches=("c",), published=("c",))
    assert old is not None
    registry.promote(contest.settings, old)
    score(contest.settings, contest.spark, ignore)
    before = scores(contest, old)
    registry.promote(contest.settings, new.record.version)
    score(contest.settings, contest.spark, ignore)

    assert registry.roll_back(contest.settings) == old
    # Written once more, so that they are the latest ones, which gold.scores_current shows.
    assert score(contest.settings, contest.spark, ignore).written
    assert scores(contest, old) == before
    assert score(contest.settings, contest.spark, ignore).written is False
    # also where they have to be made again
    contest.spark.sql(f"delete from gold.churn_scores where model_version = '{old}'")
    assert score(contest.settings, contest.spark, ignore).written
    assert scores(contest, old) == before

    # no run brings back what a person withdrew
    again = contest.enter("of another load", batches=("c",), published=("c",))
    assert not again.decision.promoted
    assert "rolled back" in again.decision.reason
    assert contest.champion == old
    assert registry.roll_back(contest.settings, new.record.version) == new.record.version
    with pytest.raises(InvalidInputError, match="There is no model '20200101-none'"):
        registry.roll_back(contest.settings, "20200101-none")


def test_a_planted_leak_is_named_and_refused(contest: Contest) -> None:
    """Like the operator's own churn score: it ranks nearly without a fault, by an honest name."""
    noise = "pmod(xxhash64('noise', customer_id), 100)"
    columns = (
        gold_rows(contest.spark)
        .selectExpr("*", f"cast(0.7 * {noise} + 60 * churned as int) as care_index")
        .select("customer_id", "event_timestamp", *FEATURES, "care_index", "churned")
        .localCheckpoint()
    )
    training = replace(
        a_training_set(gold_rows(contest.spark), "leaking"),
        retrieve=lambda: columns,
        features=[*FEATURES, "care_index"],
    )
    before = contest.champion
    with pytest.raises(InvalidInputError, match=r"leaks: care_index alone has ROC-AUC 0\.9"):
        train_on(contest.settings, training, read_parameters(), ignore)
    assert contest.champion == before


def test_the_next_score_is_of_the_version_that_the_alias_was_moved_to(
    completed_home: ChurnHome,
) -> None:
    settings = completed_home.settings
    champion = registry.champion(settings)
    assert champion is not None
    other = replace(champion, version="20251203-moved000")
    with run_lock(settings, "churn train", ignore):
        with registry.draft(settings, other.version) as drafted:
            shutil.copytree(registry.pipeline(settings, champion.version), drafted / "model")
            registry.publish(settings, drafted, other)
        store = mlflow_sync.open_store(settings)
        mlflow_sync.sync(settings, store, model_page, ignore)
    by_tag = f"name = 'churn' and tag.`churn.version` = '{other.version}'"
    (registered,) = store.client.search_model_versions(by_tag)
    store.client.set_registered_model_alias("churn", "champion", registered.version)
    try:
        # as Airflow does every five minutes, and `churn score` by the same way
        found = airflow_steps.adopt_moved_alias(settings)
        assert found["model"] == other.version
        scored = f"select count(*) from gold.churn_scores where model_version = '{other.version}'"
        assert completed_home.value(scored) == 7043
        (change, *_) = completed_home.churn_json("history", "champion")["written"]
        assert (change["version"], change["how"]) == (other.version, "alias")
        assert "by MLflow alias (alias)" in completed_home.churn("status").stdout
        with pytest.raises(airflow_steps.NothingToDoError):
            airflow_steps.adopt_moved_alias(settings)
    finally:
        completed_home.churn("rollback")
        completed_home.sql(f"delete from gold.churn_scores where model_version = '{other.version}'")
        registry.remove(settings, other.version)
    assert registry.champion_version(settings) == champion.version
