"""What `churn rejects` can't do, and says before it starts a server; the words of the codes."""

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from churn.cli.main import main
from lakehouse.domain import DOMAINS, read_domain
from lakehouse.errors import ChurnError
from seeds_loader.contract import Column, read_contract
from seeds_loader.reject_messages import (
    Reason,
    format_reason,
    format_reasons,
    omit_consequences,
    read_reject_messages,
)
from seeds_loader.reject_values import compute_value

RUNS = ("20250101T000000Z-aaaaaa", "20250201T000000Z-bbbbbb", "20250301T000000Z-cccccc")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for run in RUNS:
        folder = tmp_path / "home" / "runs" / run
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps({"run_id": run, "batch_id": "1f0c"}))
    (tmp_path / "home" / "runs" / "20250401T000000Z-dddddd").mkdir()
    return tmp_path / "home"


def rejects(home: Path, *arguments: str | Path) -> Result:
    call = ["rejects", *map(str, arguments)]
    return CliRunner().invoke(main, call, env={"CHURN_HOME": str(home)})


@pytest.mark.parametrize(
    ("run", "named"),
    [
        ("20250201T000000Z-bbbbbc", RUNS[1]),
        ("nonsense", ", ".join(RUNS)),
        ("../runs/" + RUNS[0], RUNS[0]),
        ("20250401T000000Z-dddddd", "2025"),
    ],
)
def test_an_unknown_run_is_told_with_the_nearest_known(home, tmp_path, run, named):
    answer = rejects(home, "--run", run, "--out", tmp_path / "out.xlsx")
    assert answer.exit_code == 2
    assert f"There is no run '{run}'" in answer.stderr
    assert named in answer.stderr
    assert not (home / "spark").exists()


def test_without_any_run_none_is_named(tmp_path):
    answer = rejects(tmp_path / "new", "--run", "x", "--out", tmp_path / "out.xlsx")
    assert answer.exit_code == 2
    assert "leave --run out" in answer.stderr


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("there.xlsx", "there.xlsx exists already"),
        ("folder.xlsx", "folder.xlsx exists already"),
        ("none/out.xlsx", "There is no folder"),
        ("there.xlsx/out.xlsx", "There is no folder"),
        ("out.csv", "does not end in .xlsx"),
        ("out", "does not end in .xlsx"),
        ("x" * 300 + ".xlsx", "can't be written"),
    ],
)
def test_a_file_that_can_not_be_written_is_told_first(home, tmp_path, out, told):
    (tmp_path / "there.xlsx").write_text("other content")
    (tmp_path / "folder.xlsx").mkdir()
    answer = rejects(home, "--out", tmp_path / out)
    assert answer.exit_code == 2, answer.stderr
    assert told in answer.stderr
    assert (tmp_path / "there.xlsx").read_text() == "other content"
    assert not (home / "spark").exists()


def test_the_project_has_words_for_its_codes():
    words = read_reject_messages()
    assert words["missing"]
    assert words["conflicting_duplicate"]
    assert "internet" in words["no_internet_service"]
    assert all(words.values())


def test_a_message_says_what_is_wrong_with_the_row():
    """What a valid row has, as a statement, reads as if it were true of the rejected one."""
    deviation = re.compile(r"\b(not|no|neither|differs|differ|outside)\b")
    rules = read_domain().variables["row_rules"]
    messages = {name: rule["description"] for name, rule in rules.items()}
    assert messages and all(map(deviation.search, messages.values())), messages
    words = read_reject_messages()
    assert format_reason(Reason("total_fits_tenure", "TotalCharges", "5"), None, words) == (
        'TotalCharges is "5": The total differs from tenure times the monthly charge by more than '
        "40%, and by more than four monthly charges. Correct the one of the three that is wrong."
    )


@pytest.fixture
def domain(tmp_path: Path) -> Path:
    """A copy of telco's folder, to be changed."""
    return Path(shutil.copytree(DOMAINS / "telco", tmp_path / "domain"))


@pytest.mark.parametrize("rule", ["{columns: [b]}", "text", "{description: a, columns: b}"])
def test_broken_words_are_told(domain: Path, rule: str) -> None:
    rules = domain / "rules.yml"
    text = rules.read_text()
    rules.write_text(text.replace("row_rules:\n", f"row_rules:\n  a: {rule}\n"))
    with pytest.raises(ChurnError, match=r"row_rules\.a") as caught:
        read_reject_messages(domain)
    assert caught.value.where.startswith(str(rules))


def test_words_fold_onto_one_line(domain: Path) -> None:
    rules = domain / "rules.yml"
    text = rules.read_text().replace(
        "row_rules:\n",
        "row_rules:\n  a: {description: 'one\n\n    two', columns: [b], condition: 'true'}\n",
    )
    rules.write_text(text.replace("reject_reasons:\n", "reject_reasons:\n  b: three\n"))
    words = read_reject_messages(domain)
    assert (words["a"], words["b"]) == ("one two", "three")
    assert words["missing"] == "The cell is blank."


@pytest.mark.parametrize(
    ("value", "end"),
    [
        ("12,5", ". Write 12.5."),
        ("$ 12.50", ". Write 12.50."),
        ("30 EUR", ". Write 30."),
        ("1,234", "."),
        ("1.234,5", "."),
        ("twelve", "."),
        ("12 or 13", "."),
        ("1.2k", "."),
        ("$1.2k", "."),
        ("12%", "."),
        ("12 years", "."),
        ("(45)", "."),
        ("€1.234", "."),
    ],
)
def test_a_number_that_was_written_otherwise_is_suggested(value: str, end: str) -> None:
    reason = Reason("not_a_number", "Bill", value)
    said = format_reason(reason, None, {"not_a_number": "The value is not a number."})
    assert said == f'Bill is "{value}": The value is not a number{end}'


CONTRACT = read_contract()
CELLS = {"tenure": "1", "MonthlyCharges": "50", "TotalCharges": "0.99"}


def explain(code: str, column: str, **cells: str | None) -> str:
    row = CELLS | cells
    reasons = [Reason(code, column, row[column])]
    return " ".join(format_reasons(reasons, row, CONTRACT, read_reject_messages()))


@pytest.mark.parametrize(
    ("column", "values", "end"),
    [
        ("gender", "Male\u00a0x", '. Write "Female" or "Male", probably "Male".'),
        ("Contract", "x", '. Write "Month-to-month", "One year" or "Two year".'),
    ],
)
def test_accepted_values_are_named(column: str, values: str, end: str) -> None:
    assert end in explain("not_accepted", column, **{column: values})


def test_an_implausible_multiple_is_named_with_its_values_and_its_limit() -> None:
    assert explain("feature_out_of_range", "TotalCharges") == (
        'TotalCharges is "0.99": Over 1 month this is an average bill of $0.99 a month, and the '
        "current monthly bill of $50.00 is 50.51 times that (accepted: up to 50 times). Correct "
        "TotalCharges, tenure or MonthlyCharges, whichever is wrong."
    )
    tiny = explain("feature_out_of_range", "TotalCharges", TotalCharges="1e-320")
    assert "less than $0.01 a month" in tiny
    assert "more than 1,000,000 times" in tiny
    # Without the values, the message is that of the code.
    unknown = explain("feature_out_of_range", "TotalCharges", tenure=None)
    assert "The total does not fit the monthly bill" in unknown


@pytest.mark.parametrize(("tenure", "monthly"), [(1, 50.0), (3, 20.0), (10, 29.85), (60, 99.5)])
def test_the_limits_in_a_message_are_those_of_the_rule(tenure: int, monthly: float) -> None:
    rule = read_domain().rules.row_rules["total_fits_tenure"]
    numbers = {"tenure": tenure, "monthly_charges": monthly}
    low, high = (compute_value(limit, numbers) for limit in (rule.lowest, rule.highest))
    assert low is not None
    assert high is not None
    condition = rule.condition.replace("{cell}", "total_charges")
    for total, accepted in ((low + 0.01, 1), (high - 0.01, 1), (high + 0.01, 0), (low - 0.01, 0)):
        # Below 0 the contract's range decides.
        if total >= 0:
            assert compute_value(condition, numbers | {"total_charges": total}) == accepted, total


@pytest.mark.parametrize(
    ("date_format", "sample"),
    [
        (None, "2026-03-04 ("),
        ("dd.MM.yyyy", "04.03.2026 or 2026-03-04 ("),
        ("M/d/yy", "3/4/26 or 2026-03-04 ("),
        ("d MMM yyyy", "2026-03-04 ("),
    ],
)
def test_a_date_is_explained_by_a_sample(date_format: str | None, sample: str) -> None:
    column = Column("Since", "days_since", "since", range=(0, 7000), date_format=date_format)
    said = format_reason(Reason("not_a_date", "Since", "4/3/26"), column, read_reject_messages())
    assert f"Write the date as {sample}for 4 March 2026), at most 7,000 days before" in said


def test_each_message_says_what_to_do() -> None:
    """Each code's message has an instruction, from the declaration or from the contract."""
    values = {"turned_into_number": "1E+10", "hidden_characters": "a\u200b", "too_long": "x" * 101}
    for code in read_reject_messages():
        column = "customerID" if code in values or "duplicate" in code else "TotalCharges"
        said = explain(code, column, **{column: values.get(code, "x")})
        assert re.search(r"\. (Write|Correct|Delete|Enter|Format|Square|There is nothing)", said), (
            said
        )


@pytest.mark.parametrize(
    ("faulty", "told"),
    [
        # The rule uses the tenure, which has an error of its own, or the cell itself has one.
        (Reason("out_of_range", "tenure", "-48"), ["out_of_range"]),
        (Reason("not_a_number", "MonthlyCharges", "x"), ["not_a_number"]),
        (Reason("out_of_range", "TotalCharges", "-5"), ["out_of_range"]),
        # It does not use the gender.
        (Reason("not_accepted", "gender", "x"), ["not_accepted", "total_fits_tenure"]),
    ],
)
def test_what_follows_from_another_error_is_not_told(faulty: Reason, told: list[str]) -> None:
    reasons = [faulty, Reason("total_fits_tenure", "TotalCharges", "2211.6")]
    contract = read_contract()
    assert [each.code for each in omit_consequences(reasons, contract)] == told
    cells = {each.column: each.value for each in reasons}
    said = list(format_reasons(reasons, cells, contract, read_reject_messages()))
    assert len(said) == len(told)
