"""Which refused load a person may approve, and what an answer comes too late for; without Spark."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from churn.cli.main import main
from churn.pipeline import airflow_approvals, approvals
from churn.pipeline.airflow_steps import NothingToDoError
from churn.pipeline.rule_texts import can_approve, format_expected_change
from lakehouse.errors import InvalidInputError
from lakehouse.settings import Settings, read_settings
from seeds_loader.bronze_reader import LoadRow

DAY = date(2025, 3, 1)
BATCH = "b1"


def a_load(batch_id: str = BATCH, day: date = DAY) -> LoadRow:
    time = datetime(2025, 3, 2, tzinfo=UTC)
    return LoadRow(batch_id, f"{batch_id}.xlsx", "", "", day, "given", time)


def a_result(rule: str = "rows_not_lost", **others: Any) -> dict[str, Any]:
    """A rule that refused the load by a comparison with its baseline."""
    return {
        "run_id": "20250302T000000Z-aaaaaa",
        "batch_id": BATCH,
        "extract_date": DAY,
        "rule": rule,
        "severity": "error",
        "verdict": "failed",
        "figure": -0.3,
        "threshold": -0.2,
        "compared_with": date(2025, 2, 1),
        "description": "Fewer rows than the baseline.",
        "approver": None,
        "reason": None,
        **others,
    }


ALONE = a_result("minimum_customers", figure=900.0, threshold=1000.0, compared_with=None)
NOT_COMPUTED = a_result("drift_of_tenure", figure=None)
PASSED = a_result("drift_of_gender", verdict="passed", figure=0.01)
WARNED = a_result("new_customers_typical", severity="warn", verdict="warned")
APPROVED = a_result(verdict="expected", approver="ann", reason="a branch was sold")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"CHURN_HOME": str(tmp_path)})


def test_only_failed_rules_are_approved() -> None:
    refusal = approvals.require_approvable(a_load(), [a_result(), PASSED, WARNED])
    assert refusal.values == {"rows_not_lost": -0.3}


@pytest.mark.parametrize("rule", [ALONE, NOT_COMPUTED])
def test_what_compares_nothing_is_no_matter_of_expectation(rule: dict[str, Any]) -> None:
    assert can_approve([a_result()])
    assert not can_approve([a_result(), rule])
    with pytest.raises(InvalidInputError, match=f"can't be approved.*: {rule['rule']}"):
        approvals.require_approvable(a_load(), [a_result(), rule])


@pytest.mark.parametrize("values", [{"rows_not_lost": -0.31}, {}, {"drift_of_tenure": 0.3}])
def test_an_answer_to_another_result_is_an_error(values: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match=r"evaluated again.*rows_not_lost: -0.3 against"):
        approvals.require_approvable(a_load(), [a_result()], values)
    approvals.require_approvable(a_load(), [a_result()], {"rows_not_lost": -0.3 + 1e-12})


def test_a_second_decision_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="was approved by ann: a branch was sold"):
        approvals.require_approvable(a_load(), [APPROVED, PASSED])
    with pytest.raises(InvalidInputError, match="has not refused"):
        approvals.require_approvable(a_load(), [PASSED])


def test_a_rule_that_fails_beside_an_approved_one_is_decided_on_alone() -> None:
    worse = a_result("drift_of_tenure", figure=0.4, threshold=0.25)
    assert not approvals.is_approved([APPROVED, worse])
    assert approvals.require_approvable(a_load(), [APPROVED, worse]).values.keys() == {
        "drift_of_tenure"
    }
    assert approvals.is_approved([APPROVED, PASSED, WARNED])


def test_a_newer_load_of_the_date_is_decided_on_instead() -> None:
    loads = [a_load(), a_load("other date", date(2025, 4, 1))]
    approvals.require_latest(loads, loads[0])
    with pytest.raises(InvalidInputError, match=r"b2.xlsx has replaced b1.xlsx"):
        approvals.require_latest([*loads, a_load("b2")], loads[0])
    with pytest.raises(InvalidInputError, match="There is no load 'b3'"):
        approvals.find_load(loads, "b3")


def test_the_refusal_says_how_to_approve() -> None:
    said = format_expected_change([a_result()])
    assert f"approve it with `churn approve {BATCH} --reason TEXT`, or declare it" in said
    # Approving a part of the rules would publish nothing.
    said = format_expected_change([a_result(), ALONE])
    assert "approve" not in said and "declare it" in said


def test_the_question_has_rules_and_values() -> None:
    question = airflow_approvals.make_question(approvals.Refusal(a_load(), [a_result()]))
    assert question["subject"] == "Approve b1.xlsx, extract of 2025-03-01?"
    rule = "- rows_not_lost: -0.3 against -0.2, compared with the extract of 2025-02-01"
    assert rule in question["question"]
    assert question["values"] == {"rows_not_lost": -0.3}


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_an_approval_without_a_reason_writes_nothing(
    settings: Settings, reason: str | None
) -> None:
    question = airflow_approvals.make_question(approvals.Refusal(a_load(), [a_result()]))
    with pytest.raises(InvalidInputError, match="needs a reason"):
        airflow_approvals.apply_decision(settings, "r", question, True, reason, "ann")
    assert list(settings.home.iterdir()) == []


def test_a_load_that_is_left_refused_stays_as_it_is(settings: Settings) -> None:
    question = airflow_approvals.make_question(approvals.Refusal(a_load(), [a_result()]))
    with pytest.raises(NothingToDoError, match="ann leaves b1 refused: an error"):
        airflow_approvals.apply_decision(settings, "r", question, False, "an error", "ann")
    assert list(settings.home.iterdir()) == []


def test_the_command_needs_a_reason(tmp_path: Path) -> None:
    answer = CliRunner().invoke(
        main, ["approve", BATCH, "--reason", " "], env={"CHURN_HOME": str(tmp_path)}
    )
    assert answer.exit_code == 2
    assert "needs a reason" in answer.output
