"""`churn init`: what each column of a drawn or a real workbook is for, and what the files say."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from click.testing import CliRunner

from churn.cli.main import main
from churn.operations.domain_init import format_draft
from churn.reports.draft_page import draft_page
from lakehouse.dbt_project import declared_columns
from lakehouse.domain import PROJECT, Domain
from lakehouse.errors import InvalidInputError
from seeds_loader.contract import read_contract
from seeds_loader.draft.files import write_domain
from seeds_loader.draft.profile import profile_table, snake_case
from seeds_loader.draft.roles import Draft, choose_id, choose_label, draft_roles
from trainer.reason_texts import read_reasons

FOREIGN = PROJECT.parent / "shared" / "foreign"
ROWS = 2000


def draw() -> pd.DataFrame:
    """Customers of a gym, with a column of every kind that is set aside."""
    chance = np.random.default_rng(1)
    visits = chance.integers(0, 30, ROWS)
    left = chance.random(ROWS) < 0.5 / (1 + visits / 4)
    plan = chance.choice(["Basic", "Gold", "Int'l"], ROWS)
    return pd.DataFrame(
        {
            "Member No.": [f"M-{number:05}" for number in range(ROWS)],
            "Visits": visits,
            "Price/Month (EUR)": np.round(chance.uniform(10, 90, ROWS), 2),
            "Minutes": visits * 60 + 5,
            "Weight": (weight := np.round(chance.uniform(50, 99, ROWS), 1)),
            "Height": (height := np.round(chance.uniform(1.5, 2, ROWS), 2)),
            "Index": np.round(weight / height, 2),
            "Joined": [f"2024-01-{1 + number % 28:02}" for number in range(ROWS)],
            "Joined at": [f"{1 + n % 28}.{1 + n % 11}.{2000 + n % 20}" for n in range(ROWS)],
            "Visits range": np.where(visits < 10, "0-9", np.where(visits < 20, "10-19", "20+")),
            "Plan": plan,
            "Plan code": pd.Series(plan).map({"Basic": "B", "Gold": "G", "Int'l": "I"}),
            "Newsletter": chance.choice(["Y", "N"], ROWS),
            "Coach": np.where(chance.random(ROWS) < 0.1, "", chance.choice(["Ann", "Bo"], ROWS)),
            "Club": "Berlin",
            "Remark": [f"note {number} of a person" for number in range(ROWS)],
            "Exit reason": np.where(left, "moved", "none"),
            "Churn score": np.round(left * 0.8 + chance.random(ROWS) * 0.3, 3),
            "order": chance.integers(1, 5, ROWS),
            "Status of membership": np.where(left, "cancelled", "active"),
        }
    )


def draft_of(frame: pd.DataFrame, **stated: Any) -> Draft:
    table = pa.table(
        {name: pa.chunked_array([[str(cell) for cell in frame[name]]]) for name in frame}
    )
    profiles = profile_table(table)
    label = choose_label(profiles, stated.get("label"), stated.get("left"))
    customer_id = None if stated.get("by_row") else choose_id(profiles, stated.get("id"), label)
    return draft_roles(profiles, label, customer_id, stated.get("value"))


@pytest.fixture
def draft() -> Draft:
    return draft_of(draw(), label="Status of membership", left="cancelled")


def test_every_column_has_its_role(draft: Draft) -> None:
    assert draft.id is not None and draft.id.header == "Member No."
    assert draft.value is not None and draft.value.header == "Price/Month (EUR)"
    assert [column.header for column in draft.features] == [
        *("Visits", "Price/Month (EUR)", "Weight", "Height", "Plan", "Newsletter"),
        *("Coach", "order"),
    ]
    reasons = draft.set_aside
    assert reasons["Minutes"] == "follows from Visits: 60 × Visits + 5"
    assert reasons["Index"] == "follows from Weight / Height"
    assert reasons["Joined"].startswith("a date") and reasons["Joined at"].startswith("a date")
    assert reasons["Visits range"] == "ranges of Visits"
    assert reasons["Plan code"] == "says the same as Plan"
    assert reasons["Club"] == "constant"
    assert reasons["Remark"].startswith("free text")
    assert "only after the customer left" in reasons["Exit reason"]
    assert "only after the customer left" in reasons["Churn score"]


def test_the_files_are_a_domain_that_the_pipeline_reads(draft: Draft, tmp_path: Path) -> None:
    folder = tmp_path / "gym"
    write_domain(draft, folder, "gym.xlsx")
    domain = Domain(folder)
    features = [column["name"] for column in declared_columns("features", domain.variables)]
    assert features == [
        *("visits", "price_month_eur", "weight", "height", "order_value", "newsletter"),
        *("plan_basic", "plan_gold", "plan_int_l"),
        *("coach_ann", "coach_bo", "coach_unknown"),
    ]
    contract = read_contract(folder)
    assert contract.id == "Member_No_" and contract.label == "Status_of_membership"
    headers = list(draw())
    matched = {column.name for header in headers if (column := contract.match(header))}
    assert matched == set(contract.names), "the workbook's own headers match"
    assert contract.find("coach").blank_as == "Unknown"
    reasons = domain.features.reasons
    assert {*reasons} == {column.name for column in draft.features}
    assert domain.campaign.monthly_value == "price_month_eur"
    texts = {reason.feature: reason.text for reason in read_reasons(folder)}
    assert texts["price_month_eur"].render({"price_month_eur": 30.5}).endswith(": EUR\u00a030.50")
    assert texts["weight"].render({"weight": 70.5}) == "weight: 70.5", "no money"
    shown = {column.column: column.format for column in domain.report.list_columns}
    assert shown["price_month_eur"] == "amount"
    assert all(shown[name] == "text" for name in ("weight", "height") if name in shown)
    assert domain.rules.gate_rules["minimum_customers"].at_least == ROWS / 2
    text = (folder / "contract.yml").read_text()
    assert "#   Minutes: follows from Visits" in text, "the reason is in the file"
    assert yaml.safe_load((folder / "model.yml").read_text())["accepted_features"] == []


def test_the_page_shows_roles_and_who_left(draft: Draft) -> None:
    html = draft_page(draft, "gym <b>.xlsx")
    assert "gym &lt;b&gt;.xlsx" in html, "a file's name is text"
    assert html.count("<svg") == len(draft.features)
    assert "follows from Visits: 60 × Visits + 5" in html
    assert "Status of membership: cancelled" in html
    assert "Look at these" not in html
    draft.accepted["visits"] = "60 of the 60 with 9 left"
    assert "Look at these" in draft_page(draft, "gym.xlsx")
    assert not re.search(r"(src|href)=\"(?!data:|#)", html), "nothing is loaded from elsewhere"


def test_without_an_id_the_row_is_one(tmp_path: Path) -> None:
    drafted = draft_of(
        draw().drop(columns="Member No."),
        label="Status of membership",
        left="cancelled",
        by_row=True,
    )
    write_domain(drafted, tmp_path / "gym", "gym.xlsx")
    domain = Domain(tmp_path / "gym")
    assert not domain.has_ids
    contract = read_contract(tmp_path / "gym")
    assert contract.id not in contract.without_row_number().names


def test_a_small_pure_group_is_shown_and_a_large_one_is_a_leak() -> None:
    frame = draw()
    left = frame["Status of membership"] == "cancelled"
    few = left & (np.cumsum(left) <= 60)
    frame["Rating"] = np.where(few, 9, frame["Visits"] % 4)
    drafted = draft_of(frame, label="Status of membership", left="cancelled")
    share = 60 / int(left.sum())
    assert share > 0.1 and "a leak: 60 of the 60 with 9 left" in drafted.set_aside["Rating"]
    more = pd.concat([frame, frame.assign(**{"Rating": frame["Visits"] % 4})])
    more["Member No."] = [f"M-{number:05}" for number in range(len(more))]
    drafted = draft_of(more, label="Status of membership", left="cancelled")
    assert "60 of the 60 with 9 left" in drafted.accepted["rating"]


def test_two_labels_that_say_the_same_are_one() -> None:
    frame = draw()
    is_left = frame["Status of membership"] == "cancelled"
    frame = frame.drop(columns=["Status of membership", "Exit reason", "Churn score"])
    frame["Churn Label"] = np.where(is_left, "True.", "False.")
    frame["Churn Value"] = is_left.astype(int)
    drafted = draft_of(frame)
    assert (drafted.label.profile.header, drafted.label.left) == ("Churn Label", "True.")
    assert "Churn Value" in drafted.set_aside


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    workbook = tmp_path / "gym.csv"
    lines = ["Id,Visits,Visits,Churn", *(f"k{n},{n},{n},{n % 2}" for n in range(30))]
    workbook.write_text("\n".join(lines))
    answer = CliRunner().invoke(
        main, ["init", str(workbook), "--out", str(tmp_path / "d"), "--yes"]
    )
    assert answer.exit_code == 2 and "Visits" in answer.output


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({}, "which column says who left"),
        ({"label": "Plan"}, "3 values"),
        ({"label": "Nothing"}, "there is no column Nothing"),
        ({"label": "Newsletter"}, None),
        ({"label": "Newsletter", "left": "Q"}, "no value 'Q'"),
        ({"label": "Newsletter", "left": "N", "id": "Plan"}, "does not identify a customer"),
    ],
)
def test_what_is_not_clear_is_asked_for(stated: dict[str, str], message: str | None) -> None:
    if message is None:
        assert draft_of(draw(), **stated).label.left == "Y"
        return
    with pytest.raises(InvalidInputError, match=message) as raised:
        draft_of(draw(), **stated)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("DayMins", "day_mins"),
        ("Int'l Plan", "int_l_plan"),
        ("VMailMessage", "v_mail_message"),
        ("2nd line", "2nd_line"),
        ("%", "column"),
    ],
)
def test_a_header_becomes_a_name(header: str, name: str) -> None:
    assert snake_case(header) == name


FOUND = {
    "orange_churn.xlsx": ("Phone", "True", {"DayCharge", "EveCharge", "NightCharge", "IntlCharge"}),
    "bank_with_dashboard.xlsx": (
        "customer_id",
        "Churned",
        {"Credt Score Ratings", "Age Bracket (yrs)", "Tenure Range"},
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_company_s_workbook_is_drafted(name: str, tmp_path: Path) -> None:
    if not (FOREIGN / name).exists():
        pytest.skip("the other companies' workbooks are not here")
    customer_id, left, aside = FOUND[name]
    arguments = ["init", str(FOREIGN / name), "--out", str(tmp_path / "domain"), "--yes"]
    answer = CliRunner().invoke(main, arguments)
    assert answer.exit_code == 0, answer.output
    assert f"id          {customer_id}" in answer.output and f"{left!r} left" in answer.output
    assert all(f"set aside   {header}: " in answer.output for header in aside)
    assert answer.output.count("set aside") == len(aside)
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 2 and "exists already" in again.output


def test_a_workbook_without_an_id_is_explained(tmp_path: Path) -> None:
    frame = draw().drop(columns=["Member No.", "Remark"])
    workbook = tmp_path / "gym.csv"
    frame.to_csv(workbook, index=False)
    arguments = ["init", str(workbook), "--out", str(tmp_path / "gym"), "--yes"]
    stated = ["--label", "Status of membership", "--left", "cancelled"]
    answer = CliRunner().invoke(main, [*arguments, *stated])
    assert answer.exit_code == 2 and "--id none" in answer.output
    assert not (tmp_path / "gym").exists()
    answer = CliRunner().invoke(main, [*arguments, *stated, "--id", "none"])
    assert answer.exit_code == 0, answer.output
    assert "none: the row of the sheet" in answer.output


def test_a_file_without_a_table_is_refused(tmp_path: Path) -> None:
    workbook = tmp_path / "small.csv"
    workbook.write_text("a,b,c\n1,2,3\n")
    answer = CliRunner().invoke(
        main, ["init", str(workbook), "--out", str(tmp_path / "d"), "--yes"]
    )
    assert answer.exit_code == 2 and "no table of customers" in answer.output


def test_the_draft_ends_with_the_commands_that_use_it(draft: Draft, tmp_path: Path) -> None:
    """Paths are absolute: those of settings are relative to the project."""
    lines = format_draft(draft, tmp_path / "my gym", Path("gym 1.csv"), Path("/data/.churn"))
    assert lines[-2:] == [
        f"  export CHURN_DOMAIN='{tmp_path / 'my gym'}' CHURN_HOME='/data/.churn-my gym'",
        "  churn run 'gym 1.csv'",
    ]
