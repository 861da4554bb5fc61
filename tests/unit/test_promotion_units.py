"""Who may take over without a comparison, who waits for a person, and what a person leaves behind.

Of the paths that compare nothing, so without Spark: the rest is in the component tests. The
registry that they start from was written by the version before promotions were left to persons.
"""

import ast
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from model_records import FIGURES, a_record

from churn.cli.main import main
from churn.pipeline import airflow_promotion
from churn.pipeline.airflow_steps import NothingToDoError
from lakehouse import commit_metadata
from lakehouse.errors import ChurnError, InvalidInputError
from lakehouse.settings import PROJECT, Settings, read_settings
from trainer import decisions, manual_promotion, promotion, registry
from trainer.decisions import Decision
from trainer.parameters import read_parameters
from trainer.portable_model import LinearModel
from trainer.record import ModelRecord

BEFORE = Path(__file__).with_name("models_of_before")
FIRST, CHAMPION = "20241203-00000001", "20250103-00000002"
NEW = "20250203-00000003"
PARAMETERS = read_parameters()
RULE = PARAMETERS.promotion
MONTHS = {"kind": "observed", "days_between": [31, 28]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A registry as the last version left it: two models, the second one champion."""
    shutil.copytree(BEFORE, tmp_path / "models")
    for version in (FIRST, CHAMPION):
        (tmp_path / "models" / version / "model").mkdir()
    return read_settings({"CHURN_HOME": str(tmp_path)})


@pytest.fixture
def empty(tmp_path: Path) -> Settings:
    return read_settings({"CHURN_HOME": str(tmp_path)})


def a_challenger(settings: Settings, roc_auc: float = 0.85, **others: Any) -> ModelRecord:
    """A version that was just trained, published in the registry."""
    figures = replace(FIGURES, roc_auc=roc_auc)
    fields = {
        "version": NEW,
        "label": MONTHS,
        "evaluations": {"logistic_regression": {"out_of_fold": figures, "holdout": figures}},
        **others,
    }
    form = LinearModel(-1.0, {"tenure": -0.1}, {"tenure": 20.0})
    record = a_record(form, fields.pop("features", ["tenure"]), **fields)
    with registry.draft(settings, record.version) as drafted:
        (drafted / "model").mkdir()
        registry.publish(settings, drafted, record)
    return record


def decided(settings: Settings, challenger: ModelRecord) -> Decision:
    """The decision where nothing is compared: rows and training set are not asked."""
    decision = promotion.decide(settings, None, None, PARAMETERS, challenger)
    promotion.apply_decision(settings, decision)
    return decision


def test_the_registry_of_before_is_read_as_it_was(settings: Settings) -> None:
    now = registry.read_champion_history(settings)
    assert now == registry.ChampionHistory(CHAMPION, (FIRST,))
    champion = registry.champion(settings)
    assert champion is not None
    assert (champion.label["kind"], champion.label["left_out"]) == ("observed", [])
    decision = decisions.read(registry.folder(settings) / CHAMPION)
    assert decision is not None
    assert (decision.promoted, decision.waits, decision.user) == (True, False, "")
    assert decisions.find_waiting(settings) is None
    # what is written next keeps what was there
    registry.roll_back(settings)
    now = registry.read_champion_history(settings)
    assert now is not None
    assert (now.version, now.withdrawn) == (FIRST, (CHAMPION,))
    (change,) = now.changes
    assert (change.version, change.how, change.user) == (FIRST, "rollback", commit_metadata.user())


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"label": {"kind": "workbook", "days_between": []}}, "from observed to workbook"),
        ({"label": {**MONTHS, "days_between": [92]}}, "within 31 days to leaving within 92"),
        ({"label": {**MONTHS, "days_between": [7, 7]}}, "within 31 days to leaving within 7"),
        ({"features": ["partner"]}, "asks for features that are gone: tenure"),
        ({}, "from before models were compared"),
        ({"roc_auc": RULE.minimum_roc_auc - 0.001}, "has to have 0.650 at least"),
        ({"roc_auc": float("nan")}, "out of fold is nan"),
    ],
)
def test_what_cant_be_compared_or_is_too_poor_waits_for_a_person(
    settings: Settings, others: dict[str, Any], said: str
) -> None:
    decision = decided(settings, a_challenger(settings, **others))
    assert (decision.promoted, decision.waits, decision.champion) == (False, True, CHAMPION)
    assert said in decision.reason
    assert registry.champion_version(settings) == CHAMPION
    assert decisions.find_waiting(settings) == decision


@pytest.mark.parametrize("damage", ["record", "pipeline"])
def test_a_damaged_champion_is_replaced_by_no_run(settings: Settings, damage: str) -> None:
    place = registry.folder(settings) / CHAMPION
    if damage == "record":
        (place / "record.json").write_text("{")
    else:
        (place / "model").rmdir()
    decision = decided(settings, a_challenger(settings))
    assert (decision.promoted, decision.waits) == (False, True)
    assert "missing or damaged" in decision.reason
    with pytest.raises(ChurnError, match="churn promote VERSION"):
        registry.champion(settings)
    # made again from what it learned from it is what it was
    again = decided(settings, a_challenger(settings, version=CHAMPION))
    assert (again.promoted, registry.champion_version(settings)) == (True, CHAMPION)


def test_months_of_other_lengths_are_the_same_question() -> None:
    def redefined(before: list[int], now: list[int]) -> str | None:
        labels = ({"kind": "observed", "days_between": days} for days in (before, now))
        return promotion._label_change(*labels, RULE)

    assert redefined([31], [28]) is None
    assert redefined([28], [31, 30, 31, 29]) is None
    assert redefined([31], [92]) is not None
    assert redefined([92], [31]) is not None
    # the marks of a workbook look at no next extract, however far that is
    of_workbook = ({"kind": "workbook", "days_between": days} for days in ([31], [92]))
    assert promotion._label_change(*of_workbook, RULE) is None


def test_far_below_the_champions_own_figures_is_suspect(settings: Settings) -> None:
    champion = registry.champion(settings)
    assert champion is not None
    lowest = champion.metrics["roc_auc"] - RULE.worst_drop
    for roc_auc, is_far in ((lowest - 0.001, True), (lowest + 0.001, False)):
        challenger = a_challenger(settings, roc_auc=roc_auc)
        assert (promotion._far_below(champion, challenger, RULE) is not None) == is_far


def test_the_first_model_needs_no_comparison_but_a_minimum(empty: Settings) -> None:
    poor = decided(empty, a_challenger(empty, roc_auc=0.61))
    assert (poor.promoted, poor.waits, poor.champion) == (False, True, None)
    assert registry.champion_version(empty) is None
    assert decisions.find_waiting(empty) == poor
    with pytest.raises(InvalidInputError, match=f"{NEW}[^.]*churn promote VERSION"):
        registry.champion_or_error(empty)
    good = decided(empty, a_challenger(empty, version="20250303-00000004"))
    assert (good.promoted, good.reason) == (True, "it is the first model")
    assert registry.champion_version(empty) == good.version
    assert decisions.find_waiting(empty) is None


def test_a_declined_version_no_longer_waits(settings: Settings) -> None:
    label = {"kind": "workbook", "days_between": []}
    waiting = decided(settings, a_challenger(settings, label=label))
    asked = airflow_promotion.find_waiting_version(settings)
    assert asked["version"] == NEW and waiting.reason in asked["question"]
    for version, reason, said in ((NEW, " ", "needs a reason"), (CHAMPION, "no", f"{NEW} waits")):
        with pytest.raises(InvalidInputError, match=said):
            manual_promotion.decline_by_hand(settings, version, reason)
    declined = manual_promotion.decline_by_hand(settings, NEW, "marks are late", "ann")
    assert decisions.read(registry.folder(settings) / NEW) == declined
    assert (declined.promoted, declined.waits, declined.user) == (False, False, "ann")
    assert declined.reason == f"declined by ann on {declined.decided}: marks are late"
    assert registry.champion_version(settings) == CHAMPION
    # Airflow no longer asks about it, and a decision that was made meanwhile counts.
    with pytest.raises(NothingToDoError, match="no version waits"):
        airflow_promotion.find_waiting_version(settings)
    for is_promoted in (True, False):
        with pytest.raises(NothingToDoError, match="another decision"):
            airflow_promotion.apply_decision(settings, NEW, is_promoted, "because", "bob")
    assert decisions.read(registry.folder(settings) / NEW) == declined


def test_what_a_person_decides_is_kept_with_name_time_and_reason(settings: Settings) -> None:
    label = {"kind": "workbook", "days_between": []}
    waiting = decided(settings, a_challenger(settings, label=label))
    decision = manual_promotion.promote_by_hand(settings, NEW, "  marks are what we want  ")
    user = commit_metadata.user()
    assert (decision.promoted, decision.waits, decision.user) == (True, False, user)
    assert decision.champion == waiting.champion == CHAMPION
    assert decision.reason.startswith(f"promoted by hand by {user} on {decision.decided}: marks")
    assert decisions.read(registry.folder(settings) / NEW) == decision
    now = registry.read_champion_history(settings)
    assert now is not None
    assert (now.version, now.before) == (NEW, (FIRST, CHAMPION))
    change = now.changes[-1]
    assert (change.how, change.user, change.reason) == ("promote", user, "marks are what we want")
    assert change.time == decision.decided
    assert decisions.find_waiting(settings) is None
    # what was rolled back no run promotes, and a person may
    registry.roll_back(settings)
    refused = decided(settings, replace(a_challenger(settings), label=MONTHS))
    assert (refused.promoted, refused.waits) == (False, False)
    manual_promotion.promote_by_hand(settings, NEW, "after all")
    assert registry.read_champion_history(settings) == replace(
        registry.read_champion_history(settings),
        version=NEW,
        withdrawn=(),
        before=(FIRST, CHAMPION),
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["20200101-none"], "Missing option '--reason'"),
        (["20200101-none", "--reason", "it is good"], "There is no model '20200101-none'"),
        ([CHAMPION, "--reason", "it is good"], f"{CHAMPION} is the champion already"),
        ([FIRST, "--reason", "  "], "A manual decision needs a reason"),
        (["--reason", "it is good"], "Missing argument 'VERSION'"),
    ],
)
def test_a_promotion_that_cant_be_ends_with_2_and_writes_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.setenv("CHURN_HOME", str(settings.home))
    before = files(settings)
    answer = CliRunner().invoke(main, ["promote", *arguments])
    assert answer.exit_code == 2
    assert said in answer.output
    assert files(settings) == before


def files(settings: Settings) -> dict[str, str]:
    found = (each for each in settings.home.rglob("*") if each.is_file())
    return {str(each): each.read_text() for each in found}


def test_a_champion_is_made_in_one_place() -> None:
    """Run, `churn train`, Airflow and `churn promote` come to it by the same decision."""
    callers = {
        (path.relative_to(PROJECT).as_posix(), function.name)
        for package in ("churn", "dags", "serving", "trainer", "feature_repo")
        for path in sorted((PROJECT / package).rglob("*.py"))
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Attribute) and ast.unparse(call) == "registry.promote"
    }
    assert callers == {
        ("trainer/promotion.py", "apply_decision"),
        ("trainer/manual_promotion.py", "promote_by_hand"),
    }


def test_a_decision_goes_to_json_and_back(tmp_path: Path) -> None:
    decision = Decision("v", None, False, "why", {"rows": 1}, True, "2025-01-01T00:00:00Z", "ann")
    decisions.write(tmp_path, decision)
    assert decisions.read(tmp_path) == decision
    assert json.loads((tmp_path / decisions.FILE).read_text()) == asdict(decision)
