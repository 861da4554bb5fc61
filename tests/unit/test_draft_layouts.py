"""`churn init` on the layouts of public data sets: drawn rows under the real headers."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result
from openpyxl import load_workbook
from openpyxl.worksheet.datavalidation import DataValidation

from churn.cli.main import main
from lakehouse.domain import Domain

ROWS = 1500
CHANCE = np.random.default_rng(7)
Sheets = dict[str, pd.DataFrame]


def pick(*values: object) -> np.ndarray:
    return CHANCE.choice(np.array(values, dtype=object), ROWS)


def some_blank(values: np.ndarray) -> pd.Series:
    column = pd.Series(values, dtype=object)
    column[CHANCE.random(ROWS) < 0.05] = None
    return column


def left_with(risk: np.ndarray) -> np.ndarray:
    return (CHANCE.random(ROWS) < np.clip(risk, 0.02, 0.9)).astype(int)


def shop() -> Sheets:
    tenure = CHANCE.integers(0, 62, ROWS)
    dictionary = {"Data": ["E Comm"] * 25, "Variable": [f"v{n}" for n in range(25)], "Text": "text"}
    return {
        "Data Dict": pd.DataFrame(dictionary),
        "E Comm": pd.DataFrame(
            {
                "CustomerID": 50001 + np.arange(ROWS),
                "Churn": left_with(0.35 - tenure * 0.012),
                "Tenure": some_blank(tenure),
                "PreferredLoginDevice": pick("Mobile Phone", "Phone", "Computer"),
                "CityTier": pick(1, 2, 3),
                "WarehouseToHome": some_blank(CHANCE.integers(5, 36, ROWS)),
                "SatisfactionScore": pick(1, 2, 3, 4, 5),
                "Complain": pick(0, 1),
                "CashbackAmount": np.round(CHANCE.uniform(0, 325, ROWS), 2),
            }
        ),
    }


def credit_cards() -> Sheets:
    limit = np.round(CHANCE.lognormal(8.5, 0.8, ROWS), 1)
    owed = np.minimum(CHANCE.integers(0, 2517, ROWS), limit.astype(int))
    count = CHANCE.integers(10, 139, ROWS)
    left = left_with(0.35 - count * 0.003)
    other = "Naive_Bayes_Classifier_Attrition_Flag_Card_Category_"
    frame = pd.DataFrame(
        {
            "CLIENTNUM": 708082083 + 97 * np.arange(ROWS),
            "Attrition_Flag": np.where(left == 1, "Attrited Customer", "Existing Customer"),
            "Customer_Age": CHANCE.integers(26, 73, ROWS),
            "Income_Category": pick("$60K - $80K", "Less than $40K", "$120K +", "Unknown"),
            "Card_Category": pick("Blue", "Gold", "Silver", "Platinum"),
            "Credit_Limit": limit,
            "Total_Revolving_Bal": owed,
            "Avg_Open_To_Buy": limit - owed,
            "Total_Trans_Ct": count,
            "Avg_Utilization_Ratio": np.round(owed / limit, 3),
            f"{other}1": np.where(left == 1, CHANCE.uniform(0.98, 1, ROWS), 0.0003),
            f"{other}2": np.where(left == 1, 0.0003, CHANCE.uniform(0.98, 1, ROWS)),
        }
    )
    return {"BankChurners": frame}


def streaming() -> Sheets:
    plan = pick("Basic", "Standard", "Premium")
    days = CHANCE.integers(0, 61, ROWS)
    frame = pd.DataFrame(
        {
            "customer_id": [f"a9b75100-82a8-{n:04x}-8c5d-{n * 7919:012x}" for n in range(ROWS)],
            "age": CHANCE.integers(18, 71, ROWS),
            "subscription_type": plan,
            "last_login_days": days,
            "device": pick("TV", "Mobile", "Laptop", "Tablet"),
            "monthly_fee": pd.Series(plan).map(
                {"Basic": 8.99, "Standard": 13.99, "Premium": 17.99}
            ),
            "churned": left_with(0.1 + days * 0.01),
        }
    )
    return {"netflix": frame}


def calls() -> Sheets:
    worth = np.round(CHANCE.uniform(0, 2165, ROWS), 2)
    group = CHANCE.integers(1, 6, ROWS)
    frame = pd.DataFrame(
        {
            "Call  Failure": CHANCE.integers(0, 37, ROWS),
            "Complains": pick(0, 1),
            "Subscription  Length": (length := CHANCE.integers(3, 48, ROWS)),
            "Seconds of Use": CHANCE.integers(0, 17091, ROWS),
            "Age Group": group,
            "Age": np.array([15, 25, 30, 45, 55])[group - 1],
            "Customer Value": worth,
            "FN": np.round(worth * 0.9, 4),
            "FP": np.round(worth * 0.1, 4),
            "Churn": left_with(0.4 - length * 0.007),
        }
    )
    return {"Customer Churn": frame}


def agency() -> Sheets:
    sites = CHANCE.integers(3, 15, ROWS)
    frame = pd.DataFrame(
        {
            "Names": [f"Cameron Williams {n}" for n in range(ROWS)],
            "Age": CHANCE.integers(22, 65, ROWS),
            "Total_Purchase": np.round(CHANCE.normal(10062, 2400, ROWS), 2),
            "Num_Sites": sites,
            "Onboard_date": pd.Timestamp("2006-01-02")
            + pd.to_timedelta(CHANCE.integers(0, 4000, ROWS), unit="D"),
            "Location": [f"{n} Elm Street, Suite {n}, AK {10000 + n}" for n in range(ROWS)],
            "Company": [f"Harvey LLC {n % 900}" for n in range(ROWS)],
            "Churn": left_with((sites - 6) * 0.06),
        }
    )
    return {"customer_churn": frame}


def staff() -> Sheets:
    employee = np.arange(ROWS) // 5
    leaves = (np.arange(ROWS) % 5 == 4) & (employee % 3 == 0)
    frame = pd.DataFrame(
        {
            "MMM-YY": pick("Jan-16", "Feb-16", "Mar-16"),
            "Emp_ID": employee + 1,
            "Age": CHANCE.integers(21, 60, ROWS),
            "Gender": np.where(employee % 2, "Male", "Female"),
            "City": [f"C{n % 29}" for n in employee],
            "Salary": 10000 + employee * 37,
            "Dateofjoining": "2015-10-23",
            "LastWorkingDate": np.where(leaves, "2018-04-01", ""),
            "Quarterly Rating": pick(1, 2, 3, 4),
        }
    )
    return {"train": frame}


def init(sheets: Sheets, folder: Path, *stated: str) -> Result:
    workbook = folder / "customers.xlsx"
    with pd.ExcelWriter(workbook) as writer:
        for name, frame in sheets.items():
            frame.to_excel(writer, sheet_name=name, index=False)
    arguments = ["init", str(workbook), "--out", str(folder / "domain"), "--yes", *stated]
    return CliRunner().invoke(main, arguments)


# What is drafted: id, the value that means left, the value per month, and what is set aside, why.
DRAFTED: dict[Callable[[], Sheets], tuple[str, str, str, dict[str, str]]] = {
    shop: ("CustomerID", "1", "none", {}),
    credit_cards: (
        "CLIENTNUM",
        "Attrited Customer",
        "none",
        {
            "Avg_Open_To_Buy": "follows from Credit_Limit - Total_Revolving_Bal",
            "Avg_Utilization_Ratio": "follows from Total_Revolving_Bal / Credit_Limit",
            "Naive_Bayes_Classifier_Attrition_Flag_Card_Category_1": "only after the customer left",
            "Naive_Bayes_Classifier_Attrition_Flag_Card_Category_2": "only after the customer left",
        },
    ),
    # Of two columns that say the same, the value is kept.
    streaming: (
        "customer_id",
        "1",
        "monthly_fee",
        {"subscription_type": "says the same as monthly_fee"},
    ),
}


@pytest.mark.parametrize("layout", DRAFTED, ids=lambda layout: layout.__name__)
def test_a_layout_is_drafted(layout: Callable[[], Sheets], tmp_path: Path) -> None:
    key, left, value, aside = DRAFTED[layout]
    answer = init(layout(), tmp_path)
    assert answer.exit_code == 0, answer.output
    lines = answer.output.splitlines()
    assert f"id          {key}" in lines
    assert any(line.startswith("label") and f"{left!r} left" in line for line in lines)
    assert any(line.startswith(f"value       {value}") for line in lines)
    found = dict(re.findall(r"set aside   (.*?): (.*)", answer.output))
    assert found.keys() == aside.keys(), found
    assert all(reason in found[header] for header, reason in aside.items())
    domain = Domain(tmp_path / "domain")
    assert domain.campaign.monthly_value == (None if value == "none" else value)


@pytest.mark.parametrize("layout", [calls, agency], ids=lambda layout: layout.__name__)
def test_a_layout_without_an_id_goes_by_rows_if_asked(
    layout: Callable[[], Sheets], tmp_path: Path
) -> None:
    refused = init(layout(), tmp_path)
    assert refused.exit_code == 2 and "--id none" in refused.output
    answer = init(layout(), tmp_path, "--id", "none")
    assert answer.exit_code == 0, answer.output
    aside = dict(re.findall(r"set aside   (.*?): (.*)", answer.output))
    if layout is calls:
        assert aside["FN"] == "follows from Customer Value: 0.9 × Customer Value"
        assert aside["Age"] == "says the same as Age Group"
    else:
        assert aside.keys() == {"Names", "Onboard_date", "Location", "Company"}


def test_monthly_figures_of_staff_have_no_label(tmp_path: Path) -> None:
    answer = init(staff(), tmp_path)
    assert answer.exit_code == 2
    assert "which column says who left" in answer.output and "add one" in answer.output
    answer = init(staff(), tmp_path, "--label", "LastWorkingDate")
    assert answer.exit_code == 2 and "a label has two values and no blanks" in answer.output
    assert not (tmp_path / "domain").exists()


def test_the_entry_of_a_date_can_be_moved_into_the_contract(tmp_path: Path) -> None:
    assert init(agency(), tmp_path, "--id", "none").exit_code == 0
    file = tmp_path / "domain" / "contract.yml"
    text = file.read_text()
    entry = re.search(r"(?ms)^#  Onboard_date:\n(^#    .*\n)+", text)
    assert entry is not None, text
    moved = entry[0].replace("\n#", "\n").removeprefix("#")
    file.write_text(text.replace("columns:\n", f"columns:\n{moved}", 1))
    column = Domain(tmp_path / "domain").contract.columns["Onboard_date"]
    assert (column.type, column.name) == ("days_since", "days_since_onboard_date")


def test_values_that_excel_offers_are_accepted(tmp_path: Path) -> None:
    assert init(shop(), tmp_path).exit_code == 0
    book = load_workbook(tmp_path / "customers.xlsx")
    sheet, lists = book["E Comm"], book.create_sheet("Lists")
    for row, tier in enumerate(("1", "2", "3"), 1):
        lists.cell(row, 1, tier)
    written = DataValidation(type="list", formula1='"Phone,Computer,Mobile Phone,Smart TV"')
    written.add(f"D2:D{ROWS + 1}")
    elsewhere = DataValidation(type="list", formula1="Lists!$A$1:$A$3")
    elsewhere.add("E2:E1048576")
    by_name = DataValidation(type="list", formula1="Tiers")
    by_name.add("F2:F9")
    for each in (written, elsewhere, by_name):
        sheet.add_data_validation(each)
    book.save(tmp_path / "with_lists.xlsx")
    arguments = ["init", str(tmp_path / "with_lists.xlsx"), "--out", str(tmp_path / "offered")]
    answer = CliRunner().invoke(main, [*arguments, "--yes"])
    assert answer.exit_code == 0, answer.output
    columns = Domain(tmp_path / "offered").contract.columns
    device = columns["PreferredLoginDevice"]
    assert device.categories == ("Computer", "Mobile Phone", "Phone", "Smart TV")
    text = (tmp_path / "offered" / "contract.yml").read_text()
    assert text.count("Excel offers 4 values") == text.count("Excel offers 3 values") == 1
    features = yaml.safe_load((tmp_path / "offered" / "features.yml").read_text())
    words = features["reasons"]["preferred_login_device"]["words"]
    assert "preferred_login_device_smart_tv" in words
