"""What the tables must hold for a workbook, worked out without the project.

Plain Python over the cells that openpyxl reads, written from the declared words: the source
contract, the row rules, the design of the features. Nothing of the project is imported, so a fault
of the loader, of the contract or of the SQL shows as a difference. Amounts are compared as exact
decimals where a rule draws a line between them.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import openpyxl

Reason = tuple[str, str]  # code, and the contract's header of the cell

YES_NO = {"yes": 1, "no": 0}
FLAGS = {
    "SeniorCitizen": YES_NO | {"1": 1, "0": 0},
    "Partner": YES_NO,
    "Dependents": YES_NO,
    "PhoneService": YES_NO,
    "PaperlessBilling": YES_NO,
    "Churn": YES_NO,
}
ADD_ONS = {
    "OnlineSecurity": "online_security",
    "OnlineBackup": "online_backup",
    "DeviceProtection": "device_protection",
    "TechSupport": "tech_support",
    "StreamingTV": "streaming_tv",
    "StreamingMovies": "streaming_movies",
}
CATEGORIES = {
    "gender": ("gender", ["Female", "Male"]),
    "MultipleLines": ("multiple_lines", ["No", "Yes", "No phone service"]),
    "InternetService": ("internet_service", ["DSL", "Fiber optic", "No"]),
    **{name: (column, ["No", "Yes", "No internet service"]) for name, column in ADD_ONS.items()},
    "Contract": ("contract", ["Month-to-month", "One year", "Two year"]),
    "PaymentMethod": (
        "payment_method",
        [
            "Bank transfer (automatic)",
            "Credit card (automatic)",
            "Electronic check",
            "Mailed check",
        ],
    ),
}
HIGHEST = {"tenure": 600, "MonthlyCharges": 10_000, "TotalCharges": 1_000_000}
HEADERS = [
    *("customerID", "gender", "SeniorCitizen", "Partner", "Dependents", "tenure"),
    *("PhoneService", "MultipleLines", "InternetService"),
    *ADD_ONS,
    *("Contract", "PaperlessBilling", "PaymentMethod", "MonthlyCharges", "TotalCharges", "Churn"),
]
# Names of the same columns in the wide layout, where they say more than "with spaces between".
OTHER_NAMES = {"tenuremonths": "tenure", "churnlabel": "Churn"}

# Characters that can't be seen, beside those of Unicode's categories for them.
INVISIBLE = {*map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0xFFFD))}
SELECTORS = {*map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))}
NO_IDS = {
    *("#n/a", "#na", "#n/d", "#nv", "#getting_data", "n/a", "null", "(null)", "nan", "none"),
    *("<na>", "undefined"),
}

WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Row:
    """A row of the sheet: its number as Excel shows it, the contract's cells, and all cells."""

    number: int
    cells: dict[str, str | None]
    whole: tuple[str | None, ...]


@dataclass(frozen=True)
class Truth:
    """What must become of a workbook.

    rows      the rows that bronze holds, by row number
    reasons   why a row is rejected, by row number; rows that stand are not in it
    standing  for each customer the numbers of the rows that may be the one that stays: more than
              one where just the hash of the row decides, which is the project's own affair
    """

    rows: dict[int, Row]
    reasons: dict[int, set[Reason]]
    standing: dict[str, list[int]]

    def customer(self, number: int) -> dict[str, Any]:
        """The features of the row, and `churned`; ids and times left out."""
        return features(values_of(self.rows[number].cells)[0])


def truth_of(path: Path) -> Truth:
    """What must become of the first sheet of a workbook."""
    rows = {row.number: row for row in read_rows(path)}
    reasons = {number: faults_of(row.cells) for number, row in rows.items()}
    reasons = {number: faults for number, faults in reasons.items() if faults}
    first: dict[tuple[str | None, ...], int] = {}
    for number, row in sorted(rows.items()):
        if number not in reasons and first.setdefault(row.whole, number) != number:
            reasons[number] = {("exact_duplicate", "customerID")}
    rivals: dict[str, list[int]] = {}
    for number, row in rows.items():
        if number not in reasons:
            rivals.setdefault(trimmed(row.cells["customerID"]), []).append(number)
    standing = {}
    for customer, numbers in rivals.items():
        merit = {number: _merit(rows[number]) for number in numbers}
        best = max(merit.values())
        standing[customer] = [number for number in numbers if merit[number] == best]
        for number in numbers:
            if merit[number] < best:
                reasons[number] = {("conflicting_duplicate", "customerID")}
    return Truth(rows, reasons, standing)


def _merit(row: Row) -> tuple[int, float]:
    values = values_of(row.cells)[0]
    return values["tenure"], values["TotalCharges"]


# --- cells ----------------------------------------------------------------------------------------


def read_rows(path: Path) -> list[Row]:
    """The rows below the header; rows without any text are no rows."""
    sheet = openpyxl.load_workbook(path, data_only=True).worksheets[0]
    grid = [[as_text(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
    above = next(place for place, cells in enumerate(grid) if is_header(cells))
    names = [header_of(cell) for cell in grid[above]]
    return [
        Row(
            number,
            contract_cells(cells, names),
            tuple(cells),
        )
        for number, cells in enumerate(grid[above + 1 :], start=above + 2)
        if any(trimmed(cell) for cell in cells)
    ]


def contract_cells(cells: list[str | None], names: list[str | None]) -> dict[str, str | None]:
    """The contract's cells; an id is in Unicode's composed form."""
    found = {name: cells[names.index(name)] for name in HEADERS}
    customer = found["customerID"]
    return found | {"customerID": customer and unicodedata.normalize("NFC", customer)}


def is_header(cells: list[str | None]) -> bool:
    return set(HEADERS) <= {header_of(cell) for cell in cells}


def header_of(cell: str | None) -> str | None:
    """The contract's name of a header: case, white space, dots and underscores don't count."""
    squeezed = re.sub(r"[\s._\u200b\ufeff]", "", cell or "").lower()
    known = {name.lower(): name for name in HEADERS} | OTHER_NAMES
    return known.get(squeezed)


def as_text(value: Any) -> str | None:
    """A cell as text: numbers in their shortest decimals, booleans as Excel shows them."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return str(value)


def trimmed(text: str | None) -> str:
    return (text or "").strip()


# --- rules of a row -------------------------------------------------------------------------------


def faults_of(cells: dict[str, str | None]) -> set[Reason]:
    """All that is wrong with a row by itself."""
    values, faults = values_of(cells)
    return faults | contradictions_of(values)


def values_of(cells: dict[str, str | None]) -> tuple[dict[str, Any], set[Reason]]:
    """The cells as values, None where there is none, and what is wrong with single cells."""
    values: dict[str, Any] = {}
    faults: set[Reason] = set()
    for name in HEADERS:
        values[name], code = value_of(name, trimmed(cells[name]))
        if code:
            faults.add((code, name))
    if not trimmed(cells["TotalCharges"]) and values["tenure"] == 0:
        values["TotalCharges"] = 0.0
        faults.discard(("missing", "TotalCharges"))
    return values, faults


def value_of(name: str, text: str) -> tuple[Any, str | None]:
    """A value and the code of what is wrong with it. A number out of range is still a number."""
    if not text:
        return None, "missing"
    if name in FLAGS:
        flag = FLAGS[name].get(text.lower())
        return flag, "not_accepted" if flag is None else None
    if name in CATEGORIES:
        accepted = {category.lower(): category for category in CATEGORIES[name][1]}
        category = accepted.get(text.lower())
        return category, "not_accepted" if category is None else None
    if name == "tenure":
        return number_of(name, text, WHOLE, "not_an_integer")
    if name in HIGHEST:
        return number_of(name, text, NUMBER, "not_a_number")
    return text, id_fault(text)


def id_fault(text: str) -> str | None:
    """The code of what is wrong with an id."""
    if len(text) > 100:
        return "too_long"
    hidden = {each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Co", "Zl", "Zp")}
    if hidden | set(text) & (INVISIBLE | SELECTORS):
        return "hidden_characters"
    is_error = text.startswith("#") and (text.endswith(("!", "?")) or set(text) == {"#"})
    if is_error or text.lower() in NO_IDS:
        return "error_text"
    if re.fullmatch(r"[0-9]([.,][0-9]+)?[eE]\+[0-9]+", text):
        return "turned_into_number"
    return None


def number_of(
    name: str, text: str, pattern: re.Pattern[str], otherwise: str
) -> tuple[float | None, str | None]:
    if not pattern.fullmatch(text):
        return None, otherwise
    number = int(Decimal(text)) if name == "tenure" else float(text)
    if name == "tenure" and abs(number) >= 2**31:
        # no value of the column's type, so no other rule can speak of it
        return None, "out_of_range"
    return number, None if 0 <= number <= HIGHEST[name] else "out_of_range"


def contradictions_of(values: dict[str, Any]) -> set[Reason]:
    """Cells that can't be true beside others; a value that is not there contradicts nothing."""
    faults: set[Reason] = set()
    if values["InternetService"] == "No":
        for name in ADD_ONS:
            if values[name] not in (None, "No internet service"):
                faults.add(("no_internet_service", name))
    if values["PhoneService"] == 0 and values["MultipleLines"] not in (None, "No phone service"):
        faults.add(("no_phone_service", "MultipleLines"))
    tenure, monthly, total = (values[name] for name in ("tenure", "MonthlyCharges", "TotalCharges"))
    if tenure == 0 and total not in (None, 0):
        faults.add(("nothing_billed_yet", "TotalCharges"))
    if None not in (tenure, monthly, total) and not total_fits(tenure, monthly, total):
        faults.add(("total_fits_tenure", "TotalCharges"))
    if None not in (tenure, monthly, total) and not ratio_is_plausible(tenure, monthly, total):
        faults.add(("feature_out_of_range", "TotalCharges"))
    return faults


def ratio_is_plausible(tenure: int, monthly: float, total: float) -> bool:
    """The bill is at most fifty times the average so far, in exact fractions; of cells in range."""
    numbers = {"tenure": tenure, "MonthlyCharges": monthly, "TotalCharges": total}
    if any(not 0 <= number <= HIGHEST[name] for name, number in numbers.items()):
        return True
    if tenure and total / tenure == 0:
        return True  # the average is below any double, and so it is 0
    average = Fraction(total) / tenure if tenure else Fraction(monthly)
    return average == 0 or Fraction(monthly) / average <= 50


def total_fits(tenure: int, monthly: float, total: float) -> bool:
    """Within 40 % of tenure times monthly, or within four bills of it."""
    if float("inf") in (abs(monthly), abs(total)):
        return False
    bill, billed = Decimal(repr(monthly)), Decimal(repr(total))
    expected = tenure * bill
    return abs(billed - expected) <= max(Decimal("0.4") * expected, 4 * bill)


# --- features -------------------------------------------------------------------------------------


def features(values: dict[str, Any]) -> dict[str, Any]:
    """What gold holds for a sound row: the features and `churned`."""
    tenure, monthly, total = (values[name] for name in ("tenure", "MonthlyCharges", "TotalCharges"))
    average = total / tenure if tenure else monthly
    services = [
        values["PhoneService"] == 1,
        values["MultipleLines"] == "Yes",
        values["InternetService"] != "No",
        *(values[name] == "Yes" for name in ADD_ONS),
    ]
    return {
        "tenure": tenure,
        "monthly_charges": monthly,
        "total_charges": total,
        "avg_historical_charge": average,
        "billing_ratio": monthly / average if average else 1.0,
        "service_count": sum(services),
        "tenure_group": sum(tenure >= start for start in (12, 24, 48)),
        "is_high_value": int(tenure > 24 and monthly > 80),
        "senior_citizen": values["SeniorCitizen"],
        "partner": values["Partner"],
        "dependents": values["Dependents"],
        "phone_service": values["PhoneService"],
        "paperless_billing": values["PaperlessBilling"],
        **one_hot(values),
        "churned": values["Churn"],
    }


def one_hot(values: dict[str, Any]) -> dict[str, int]:
    return {
        f"{column}_{snake_case(category)}": int(values[name] == category)
        for name, (column, categories) in CATEGORIES.items()
        for category in categories
    }


def snake_case(text: str) -> str:
    return "_".join(re.findall(r"[a-z0-9]+", text.lower()))


def times(extract_date: date) -> dict[str, Any]:
    """The times that follow from the extract date; the load's own time does not."""
    return {
        "extract_date": extract_date,
        "event_timestamp": datetime.combine(extract_date, datetime.min.time()),
    }
