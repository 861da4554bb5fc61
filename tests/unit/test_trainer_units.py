"""The trainer's pure parts: parameters, champion rule, words, forms, records, registry."""

import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from model_records import SPLITS, a_record

from feature_repo.feature_definitions import read_feature_columns
from lakehouse.errors import ChurnError, InvalidInputError
from lakehouse.settings import Settings
from trainer import record as records
from trainer import registry, splits
from trainer.explain import contribution, reasons_column
from trainer.model_selection import has_chance, select_model
from trainer.parameters import DECLARED, ChampionRule, check_features, read_parameters
from trainer.pipeline import derive_inputs
from trainer.portable_model import (
    LinearModel,
    Node,
    PortableModel,
    TreeEnsemble,
    from_json,
    log_odds,
    to_json,
)
from trainer.reason_texts import FlagTemplate, Reason, read_reasons, reasons_for
from trainer.record import ModelRecord

LINEAR = LinearModel(
    intercept=-1.0,
    coefficients={"tenure": -0.05, "contract_month_to_month": 0.8, "contract_two_year": -0.9},
    means={"tenure": 30.0, "contract_month_to_month": 0.5, "contract_two_year": 0.25},
)
TREES = TreeEnsemble(
    trees=[
        SPLITS,
        [Node(0.125)],
    ]
)
NEWCOMER = {"tenure": 1.0, "contract_month_to_month": 1.0, "contract_two_year": 0.0}
LABEL = {
    "kind": "observed",
    "reason": "churn observed in the next extract",
    "extracts": 3,
    "days_between": [31, 28],
    "rows": 100,
    "positives": 26,
    "left_out": [],
}


def a_model(version: str = "20251203-0123abcd", form: PortableModel = LINEAR) -> ModelRecord:
    return a_record(
        form,
        ["tenure"],
        version=version,
        curves={"logistic_regression": {"out_of_fold": {"roc": [{"threshold": 0.5}]}}},
        parameters=read_parameters().to_json(),
        label=LABEL,
        seconds={"final": 1.25},
        created=datetime(2025, 12, 4, 5, 6, tzinfo=UTC),
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(project=tmp_path, home=tmp_path, lake_uri=str(tmp_path / "lake"), landing="")


# --- parameters ------------------------------------------------------------------------------


def test_the_declared_parameters_are_read() -> None:
    parameters = read_parameters()
    assert (parameters.folds, parameters.holdout_share, parameters.threshold) == (5, 0.2, 0.5)
    assert parameters.champion.default == "logistic_regression"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("folds: 5", "folds: 1"),
        ("threshold: 0.5", "threshold: 1.5"),
        ("seed: 42", "sead: 42"),
        ("    reg_param: 0.001", ""),
        ("    max_depth: 2", "    max_dept: 2"),
        ("  gradient_boosted_trees:\n", "  forest:\n"),
        ("challenger: gradient_boosted_trees", "challenger: forest"),
        ("default: logistic_regression", "default: gradient_boosted_trees"),
    ],
)
def test_unusable_parameters_are_refused(tmp_path: Path, old: str, new: str) -> None:
    text = DECLARED.read_text()
    assert old in text
    file = tmp_path / "parameters.yml"
    file.write_text(text.replace(old, new))
    with pytest.raises(ChurnError, match="parameters can't be used"):
        read_parameters(file)


@pytest.mark.parametrize(
    "leak",
    ["churned", "Churn", "churn_score", "Churn_Reason", "cltv", "created_timestamp", "_loaded_at"],
)
def test_a_feature_that_knows_the_label_is_refused(leak: str) -> None:
    with pytest.raises(InvalidInputError, match=leak):
        check_features(["tenure", "monthly_charges", leak], read_parameters())


def test_the_declared_features_leak_nothing() -> None:
    check_features([feature.name for feature in read_feature_columns()], read_parameters())


# --- folds -----------------------------------------------------------------------------------


def test_folds_and_hold_out_are_different_hashes_of_all_features() -> None:
    fold = splits.fold(["a", "b"], seed=7, folds=5)
    held_out = splits.is_holdout(["a", "b"], seed=7, share=0.2)
    assert fold == "cast(pmod(xxhash64('fold 7', `a`, `b`), 5) as int)"
    # by the first customer of those with equal features, who is the same next month
    assert held_out == (
        "pmod(xxhash64('holdout 7', min(customer_id) over "
        "(partition by xxhash64('together', `a`, `b`))), 10000) < 2000"
    )


# --- champion --------------------------------------------------------------------------------

RULE = ChampionRule("logistic_regression", "gradient_boosted_trees", 0.002, 1.0)


@pytest.mark.parametrize(
    ("challenger", "chosen"),
    [
        ([0.851, 0.841, 0.861, 0.846, 0.856], "logistic_regression"),  # below the minimum gain
        ([0.860, 0.850, 0.870, 0.855, 0.865], "gradient_boosted_trees"),
        ([0.890, 0.820, 0.870, 0.805, 0.880], "logistic_regression"),  # a gain within the noise
    ],
)
def test_the_challenger_must_gain_more_than_the_noise(challenger: list[float], chosen: str) -> None:
    default = [0.85, 0.84, 0.86, 0.845, 0.855]
    choice = select_model({RULE.default: default, RULE.challenger: challenger}, RULE)
    assert choice.kind == chosen
    assert "takes more than" in choice.reason


@pytest.mark.parametrize(
    ("gains", "is_worth_it"),
    [([0.003, -0.002], False), ([0.0009, 0.001], False), ([0.004, 0.0], True), ([], True)],
)
def test_a_challenger_without_a_chance_is_not_trained_on_all_folds(
    gains: list[float], is_worth_it: bool
) -> None:
    rule = replace(RULE, race_folds=2, race_gain=0.001)
    fold_auc = {rule.default: [0.85] * 5, rule.challenger: [0.85 + gain for gain in gains]}
    assert has_chance(fold_auc, rule) == is_worth_it
    if not is_worth_it:
        choice = select_model(fold_auc, rule)
        assert choice.kind == rule.default
        assert "first 2 folds" in choice.reason and "more than 0.001" in choice.reason


# --- words and contributions -----------------------------------------------------------------


def test_every_input_belongs_to_one_reason() -> None:
    inputs = [feature.name for feature in read_feature_columns()] + list(
        derive_inputs(read_parameters())
    )
    covered = [name for reason in reasons_for(inputs, read_reasons()) for name in reason.inputs]
    assert sorted(covered) == sorted(inputs)


def test_every_declared_reason_is_of_a_feature() -> None:
    inputs = {feature.name for feature in read_feature_columns()} | set(
        derive_inputs(read_parameters())
    )
    declared = {name for reason in read_reasons() for name in reason.inputs}
    assert declared == inputs


def test_an_undeclared_input_is_a_reason_of_its_own() -> None:
    (reason,) = reasons_for(["fresh"], read_reasons())
    assert (reason.feature, reason.inputs) == ("fresh", ("fresh",))
    said = [reason.text.render({"fresh": value}) for value in (3, 0.5, 1234567.25, 0)]
    assert said == ["fresh = 3", "fresh = 0.5", "fresh = 1234567.25", "fresh = 0"]
    assert "format_number(`fresh`, '0.######')" in reason.text.sql()


def test_one_hot_columns_speak_as_one_category() -> None:
    contract = next(reason for reason in read_reasons() if reason.feature == "contract")
    words = contract.text.sql()
    assert "when `contract_month_to_month` = 1 then 'month-to-month contract'" in words
    assert len(contract.inputs) == 3


def test_a_linear_reason_sums_its_columns() -> None:
    contract = Reason(
        "contract", ("contract_month_to_month", "contract_two_year"), FlagTemplate({}, "c")
    )
    assert contribution(LINEAR, contract, {}) == (
        "((0.8D) * (`contract_month_to_month` - (0.5D))"
        " + (-0.9D) * (`contract_two_year` - (0.25D)))"
    )


def test_a_tree_reason_walks_only_what_matters_to_it() -> None:
    contract = Reason("contract", ("contract_month_to_month",), FlagTemplate({}, "c"))
    assert contribution(TREES, contract, {}) == (
        "(case when `contract_month_to_month` <= (0.5D) then (-0.5D) else (1.25D) end)"
    )
    assert (
        contribution(TREES, Reason("partner", ("partner",), FlagTemplate({}, "p")), {})
        == "((0.0D))"
    )


def test_derived_inputs_are_written_as_their_expression() -> None:
    form = LinearModel(0.0, {"log1p_tenure": 2.0}, {"log1p_tenure": 3.0})
    tenure = Reason("tenure", ("log1p_tenure",), FlagTemplate({}, "t"))
    written = reasons_column(form, [tenure], {"log1p_tenure": "log1p(`tenure`)"})
    assert "(2.0D) * (log1p(`tenure`) - (3.0D))" in written


# --- forms -----------------------------------------------------------------------------------


def test_log_odds_are_the_baseline_and_all_contributions() -> None:
    assert math.isclose(log_odds(LINEAR, NEWCOMER), -1.0 - 0.05 + 0.8)
    assert math.isclose(log_odds(TREES, NEWCOMER), 0.75 + 0.125)
    settled = {**NEWCOMER, "contract_month_to_month": 0.0, "tenure": 60.0}
    assert math.isclose(log_odds(TREES, settled), -1.5 + 0.125)
    groups = {"contract_month_to_month": 0, "tenure": 1, "partner": 2}
    assert TREES.contributions(settled, groups) == [-0.5, -0.5, 0.0]
    assert TREES.contributions(settled, {"contract_month_to_month": 0, "tenure": 0}) == [-1.0]


@pytest.mark.parametrize("form", [LINEAR, TREES])
def test_a_form_survives_json(form: PortableModel) -> None:
    assert from_json(to_json(form)) == form


# --- record and registry ---------------------------------------------------------------------


@pytest.mark.parametrize("form", [LINEAR, TREES])
def test_a_record_survives_its_file(form: PortableModel) -> None:
    record = a_model(form=form)
    assert records.read(records.write(record)) == record


def test_a_record_of_before_labels_were_observed_has_the_workbooks() -> None:
    fields = json.loads(records.write(a_model()))
    del fields["label"]
    label = records.read(json.dumps(fields)).label
    assert (label["kind"], label["rows"], label["positives"]) == ("workbook", 100, 26)
    assert label.keys() == LABEL.keys()


def test_the_summary_has_the_champions_figures() -> None:
    summary = a_model().summary()
    assert summary["label"] == LABEL
    assert summary["roc_auc"] == 0.85
    assert summary["holdout"]["brier"] == 0.13


def test_the_version_changes_with_data_parameters_and_features() -> None:
    parameters = read_parameters()
    day = date(2025, 12, 3)
    versions = {
        registry.version_of(day, "s", parameters, ["a", "b"]),
        registry.version_of(day, "t", parameters, ["a", "b"]),
        registry.version_of(day, "s", replace(parameters, seed=1), ["a", "b"]),
        registry.version_of(day, "s", parameters, ["b", "a"]),
    }
    assert len(versions) == 4
    assert all(version.startswith("20251203-") and len(version) == 17 for version in versions)


def test_a_version_appears_whole_or_not_at_all(settings: Settings) -> None:
    record = a_model()
    with pytest.raises(KeyError), registry.draft(settings, record.version) as drafted:
        (drafted / "model").mkdir()
        assert registry.find(settings, record.version) is None
        raise KeyError("a fault while the model is written")
    assert list(registry.folder(settings).iterdir()) == []

    with registry.draft(settings, record.version) as drafted:
        (drafted / "model").mkdir()
        registry.publish(settings, drafted, record)
    assert registry.find(settings, record.version) == record
    assert [each.name for each in registry.folder(settings).iterdir()] == [record.version]


def test_a_damaged_version_counts_as_none_and_is_replaced(settings: Settings) -> None:
    record = a_model()
    place = registry.folder(settings) / record.version
    (place / "model").mkdir(parents=True)
    (place / "record.json").write_text('{"version": ')
    assert registry.find(settings, record.version) is None
    with registry.draft(settings, record.version) as drafted:
        (drafted / "model").mkdir()
        registry.publish(settings, drafted, record)
    assert registry.find(settings, record.version) == record


def test_the_champion_is_none_then_the_promoted_one(settings: Settings) -> None:
    assert registry.champion(settings) is None
    record = a_model()
    with registry.draft(settings, record.version) as drafted:
        (drafted / "model").mkdir()
        registry.publish(settings, drafted, record)
    registry.promote(settings, record.version)
    assert registry.champion(settings) == record
    registry.promote(settings, "20260101-missing0")
    with pytest.raises(ChurnError, match="missing or damaged"):
        registry.champion(settings)
