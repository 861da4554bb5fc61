"""Workbooks with arbitrary faults, drawn by hypothesis.

A workbook is drawn as sound customers and a list of changes to them, so that few draws make many
rows and a workbook says by itself what is wrong with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from math import prod
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from hypothesis import strategies as st
from openpyxl import Workbook

Customer = dict[str, Any]

COLUMNS = [
    *("customerID", "gender", "SeniorCitizen", "Partner", "Dependents", "tenure"),
    *("PhoneService", "MultipleLines", "InternetService", "OnlineSecurity", "OnlineBackup"),
    *("DeviceProtection", "TechSupport", "StreamingTV", "StreamingMovies", "Contract"),
    *("PaperlessBilling", "PaymentMethod", "MonthlyCharges", "TotalCharges", "Churn"),
]
ADD_ONS = COLUMNS[9:15]
NUMBERS = ["tenure", "MonthlyCharges", "TotalCharges"]
# The headers of the 33-column layout, the contract's columns among them.
WIDE = {
    **{"CustomerID": "customerID", "Gender": "gender", "Senior Citizen": "SeniorCitizen"},
    **{"Tenure Months": "tenure", "Phone Service": "PhoneService"},
    **{"Multiple Lines": "MultipleLines", "Internet Service": "InternetService"},
    **{"Online Security": "OnlineSecurity", "Online Backup": "OnlineBackup"},
    **{"Device Protection": "DeviceProtection", "Tech Support": "TechSupport"},
    **{"Streaming TV": "StreamingTV", "Streaming Movies": "StreamingMovies"},
    **{"Paperless Billing": "PaperlessBilling", "Payment Method": "PaymentMethod"},
    **{"Monthly Charges": "MonthlyCharges", "Total Charges": "TotalCharges"},
    **{"Churn Label": "Churn"},
}
WIDE_ONLY = [
    *("Count", "Country", "State", "City", "Zip Code", "Lat Long", "Latitude", "Longitude"),
    *("Churn Value", "Churn Score", "CLTV", "Churn Reason"),
]

SPACES = [" ", "  ", "\t", "\n", "\u00a0", " \u00a0\t", "\u2003", "\u202f", "\u3000"]
INVISIBLE = ["\u200b", "\u2060", "\ufeff", "\u00ad", "\u200e"]
BLANKS = [None, "", " ", "\u00a0", "\t\n ", "\u200b", "-", "n/a", "null", "None"]
WORDS = [
    *("Yes", "No", "yes", "NO", "Y", "N", "Ja", "True", "1", "0", "2", "1.0", "Maybe"),
    *("Female", "MALE", "Divers", "DSL", "Fibre optik", "fiber  optic", "Fiber-optic"),
    *("No phone service", "no internet service", "No internet", "Month to month", "ONE YEAR"),
    *("Cash", "mailed check", "Credit card", "Bank transfer(automatic)", "Electronic cheque"),
]
FIGURES = [
    *("12", "+12", "012", "12.0", "12.", ".5", "1e1", "1.2E+1", "5e-1", "1e400", "1e-400"),
    *("-0", "-0.0", "-1", "-12.5", "12,5", "1,234.50", "1 000", "1_000", "12d", "0x1F", "1e"),
    *("NaN", "Infinity", "-inf", "$20", "20 €", "12.5.1", "--1", "", "１２", "٣", "½", "²", "Ⅻ"),
    *("600", "601", "10000", "10000.01", "1000000", "1000000.5", "2147483648", "99999999999"),
    *("9" * 40, "0." + "0" * 30 + "1", "12\u2028", "1\u00a02", "TRUE"),
]
NUMERIC = [0, 1, -1, 2, 12, 24, 48, 600, 601, 10_000, 10_001, 1_000_000, 1_000_001, 99999999999]
DATES = [datetime(2024, 3, 1), datetime(2024, 3, 1, 12, 30)]
FRACTIONS = [0.0, -0.5, 0.1, 12.5, 20.05, 80.01, 1e-3, 118.75, 8684.8, 1e16]
SIGNS = ["#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!"]
HOSTILE = [
    *("'; drop table bronze.loads; --", "' or '1'='1", "Yes' or 1=1 --", '"; --', "\\", "\\'"),
    *("{{ 1 / 0 }}", "{% raw %}", "{{ env_var('HOME') }}", "{# #}", "${jndi:ldap://x}", "%s"),
    *("=1+1", "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1+1)", '=HYPERLINK("http://x")'),
    *("\u202eseY", "🙂", "e\u0301", "Yes\x85", "<b>Yes</b>", "a" * 300),
]
TITLES = [
    *("Note", "note ", "Region", "churn risk", "{{ title }}", "'; drop table x; --", "=1+1"),
    *("_batch_id", "_extract_date", "extract_date", "Ümläut", "customer", "Total", "🙂"),
]
STYLES: list[Callable[[str], str]] = [
    str,
    str.upper,
    str.lower,
    lambda text: f" {text}\u00a0",
    lambda text: "_".join(text),
    lambda text: f"{text[:3]}. {text[3:]}",
    lambda text: f"\u200b{text}",
]

# What a sound customer is chosen from.
MENU: list[tuple[str, list[Any]]] = [
    ("gender", ["Female", "Male"]),
    ("SeniorCitizen", [0, 1]),
    ("Partner", ["No", "Yes"]),
    ("Dependents", ["No", "Yes"]),
    ("tenure", [*range(0, 81)]),
    ("MultipleLines", ["No", "Yes", "No phone service"]),
    ("InternetService", ["DSL", "Fiber optic", "No"]),
    *[(name, ["No", "Yes"]) for name in ADD_ONS],
    ("Contract", ["Month-to-month", "One year", "Two year"]),
    ("PaperlessBilling", ["No", "Yes"]),
    (
        "PaymentMethod",
        [
            "Mailed check",
            "Electronic check",
            "Bank transfer (automatic)",
            "Credit card (automatic)",
        ],
    ),
    ("MonthlyCharges", [round(18.25 + 0.05 * step, 2) for step in range(2011)]),
    # Of what tenure and the bill say, in percent.
    ("TotalCharges", [100, *range(75, 126)]),
    ("Churn", ["No", "Yes"]),
]


@dataclass(frozen=True)
class Drawn:
    """A workbook: its header, the rows below it, and how many rows stand above.

    A row is a list of cells, None for an empty row of the sheet.
    """

    header: list[str]
    rows: list[list[Any] | None]
    above: int
    layout: str

    def write(self, path: Path) -> Path:
        """The workbook as a file; text stays text, also where Excel would take it for a formula."""
        book = Workbook()
        sheet = book.worksheets[0]
        for number in range(1, self.above + 1):
            sheet.cell(number, 1, "Customers, as exported")
        for number, row in enumerate([self.header, *self.rows], start=self.above + 1):
            for column, value in enumerate(row or [], start=1):
                cell = sheet.cell(number, column, value)
                if isinstance(value, str) and value not in SIGNS:
                    cell.data_type = "s"
        book.save(path)
        _keep_blanks(path)
        return path

    def only(self, numbers: set[int]) -> "Drawn":
        """The workbook with just these rows, by the row numbers of its sheet."""
        first = self.above + 2
        rows = [row for index, row in enumerate(self.rows, start=first) if index in numbers]
        return replace(self, rows=rows, above=0)

    def turned(self) -> "Drawn":
        """The same rows from the last to the first, the same columns from right to left."""
        rows = [row and row[::-1] for row in self.rows[::-1]]
        return replace(self, header=self.header[::-1], rows=rows)


def _keep_blanks(path: Path) -> None:
    """Marks texts of nothing but blanks as Excel does; without that they would be no text."""
    with ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(b"<t>", b'<t xml:space="preserve">'))


def sound_customer(number: int) -> Customer:
    """The customer that a number stands for: the number's digits choose from the menu."""
    customer: Customer = {"customerID": f"{number % 9973:04}-CUSTM"}
    for name, choices in MENU:
        number, digit = divmod(number, len(choices))
        customer[name] = choices[digit]
    customer["PhoneService"] = "No" if customer["MultipleLines"] == "No phone service" else "Yes"
    if customer["InternetService"] == "No":
        customer |= dict.fromkeys(ADD_ONS, "No internet service")
    share = customer["TotalCharges"] / 100
    total = round(customer["tenure"] * customer["MonthlyCharges"] * share, 2)
    customer["TotalCharges"] = total if customer["tenure"] else " "
    return customer


def _always(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def _of_text(change: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else change(str(value))


def _padded(before: str, after: str) -> Callable[[Any], Any]:
    return _of_text(lambda text: f"{before}{text}{after}")


def _negative(value: Any) -> Any:
    return f"-{value}" if isinstance(value, str) or value is None else -value


def _wide_digits(value: Any) -> Any:
    return "".join(chr(ord(each) + 0xFEE0) if each.isdecimal() else each for each in str(value))


def _with_exponent(value: Any) -> Any:
    return value if not isinstance(value, int | float) else f"{value:.6e}"


# A change of a workbook, given the place of a row.
Change = Callable[[list[Customer], int], None]


def _cell_changed(column: str, change: Callable[[Any], Any]) -> Change:
    def apply(rows: list[Customer], place: int) -> None:
        rows[place][column] = change(rows[place].get(column))

    return apply


def _changed(values: dict[str, Any]) -> Change:
    def apply(rows: list[Customer], place: int) -> None:
        rows[place].update(values)

    return apply


def _copied(target: int) -> Change:
    def apply(rows: list[Customer], place: int) -> None:
        rows.insert(target % (len(rows) + 1), dict(rows[place]))

    return apply


def _rival(target: int, values: dict[str, Any]) -> Change:
    """Another row of the same customer: later or earlier in life, or just different."""

    def apply(rows: list[Customer], place: int) -> None:
        rows.insert(target % (len(rows) + 1), rows[place] | values)

    return apply


RIVALS: list[dict[str, Any]] = [
    {"gender": "Female"},
    {"gender": "male"},
    {"PaymentMethod": "Cash"},
    {"Contract": "Two year"},
    {"PaperlessBilling": " Yes"},
    {"Churn": "Yes"},
    {"tenure": 30, "MonthlyCharges": 70, "TotalCharges": 2100},
    {"tenure": 30, "MonthlyCharges": 70, "TotalCharges": "2100.00"},
    {"tenure": 31, "MonthlyCharges": 70, "TotalCharges": 2100},
    {"tenure": 30, "MonthlyCharges": 70, "TotalCharges": 2101.5},
    {"tenure": 0, "TotalCharges": " "},
    {"tenure": 0, "TotalCharges": None},
]
CONTRADICTIONS: list[dict[str, Any]] = [
    {"InternetService": "No"},
    {"InternetService": "no", "TechSupport": "Yes", "StreamingTV": "No"},
    {"PhoneService": "No"},
    {"PhoneService": "No", "MultipleLines": "Yes"},
    {"PhoneService": "Yes", "MultipleLines": "No phone service"},
    {"InternetService": "DSL", "OnlineBackup": "No internet service"},
    {"tenure": 0, "TotalCharges": 20},
    {"tenure": 10, "MonthlyCharges": 50, "TotalCharges": 9000},
    # on the line, and a cent beyond it: 40 % of it, and four bills
    {"tenure": 10, "MonthlyCharges": 50, "TotalCharges": 700},
    {"tenure": 10, "MonthlyCharges": 50, "TotalCharges": 700.01},
    {"tenure": 20, "MonthlyCharges": 50, "TotalCharges": 600},
    {"tenure": 20, "MonthlyCharges": 50, "TotalCharges": 599.99},
    {"tenure": 2, "MonthlyCharges": 50, "TotalCharges": 300},
    {"tenure": 2, "MonthlyCharges": 50, "TotalCharges": 300.01},
    {"tenure": 3, "MonthlyCharges": 50, "TotalCharges": 0},
    {"tenure": 5, "MonthlyCharges": 50, "TotalCharges": 49.99},
    # a bill of fifty times the average so far, and more than that: up to what no double holds
    {"tenure": 1, "MonthlyCharges": 50, "TotalCharges": 1},
    {"tenure": 2, "MonthlyCharges": 50, "TotalCharges": 1.99},
    {"tenure": 1, "MonthlyCharges": 50, "TotalCharges": 1e-9},
    {"tenure": 3, "MonthlyCharges": 50, "TotalCharges": "1e-320"},
    {"tenure": 4, "MonthlyCharges": 50, "TotalCharges": "5e-324"},
    {"tenure": 1, "MonthlyCharges": "1e400", "TotalCharges": "1e-320"},
    {"tenure": -5, "TotalCharges": 700},
    {"MonthlyCharges": -20, "TotalCharges": 700},
    {"InternetService": "Fibre optik", "TotalCharges": "n/a", "gender": None},
]
EXTREMES: list[dict[str, Any]] = [
    {"MonthlyCharges": 0, "TotalCharges": 0},
    {"MonthlyCharges": 0, "tenure": 0, "TotalCharges": None},
    {"tenure": 600, "MonthlyCharges": 1500, "TotalCharges": 900_000},
    {"tenure": 24, "MonthlyCharges": 80.01, "TotalCharges": 1920},
    {"tenure": 25, "MonthlyCharges": 80, "TotalCharges": 2000},
    {"tenure": 25, "MonthlyCharges": 80.01, "TotalCharges": 2000},
    *({"tenure": tenure} for tenure in (11, 12, 23, 47, 48)),
    {"tenure": 0, "MonthlyCharges": 10_000, "TotalCharges": "0"},
    {"tenure": 1, "MonthlyCharges": 0, "TotalCharges": "-0.0"},
    {"tenure": 3, "MonthlyCharges": "1e-9", "TotalCharges": "1e-9"},
    *({"TotalCharges": text} for text in ("1e308", "1e400", "NaN", "-Infinity", "1d", "0x1p3")),
    {"tenure": 99_999_999_999},
    {"tenure": "2147483648"},
    {"customerID": None},
    {"customerID": "\u00a0\u3000"},
    {"customerID": "\t0000-CUSTM "},
    {"customerID": 7590},
]


def _unbilled(total: Any) -> Change:
    return _changed({"tenure": 0, "TotalCharges": total})


def _cleared(column: str) -> Change:
    """A row of which one cell is left."""

    def apply(rows: list[Customer], place: int) -> None:
        rows[place] = {column: rows[place].get(column)}

    return apply


# --- what hypothesis draws from, made once --------------------------------------------------------

# Characters that a workbook can hold.
LETTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
# What becomes of one cell, as a function of what stood there.
CELL_CHANGES: st.SearchStrategy[Callable[[Any], Any]] = st.one_of(
    st.sampled_from(BLANKS).map(_always),
    st.sampled_from([str.upper, str.lower, str.swapcase, str.title]).map(_of_text),
    st.builds(_padded, st.sampled_from(["", *SPACES]), st.sampled_from(["", *SPACES])),
    st.builds(_padded, st.sampled_from(["", *INVISIBLE]), st.sampled_from(INVISIBLE)),
    st.sampled_from(WORDS).map(_always),
    st.just(_of_text(str)),
    st.sampled_from(FIGURES).map(_always),
    st.sampled_from([*NUMERIC, *FRACTIONS]).map(_always),
    st.integers(-2, 700).map(_always),
    st.sampled_from([_negative, _wide_digits, _with_exponent]),
    st.sampled_from(SIGNS).map(_always),
    st.sampled_from([True, False, *DATES]).map(_always),
    st.sampled_from(HOSTILE).map(_always),
    st.text(LETTERS, max_size=12).map(_always),
)
COLUMN = st.one_of(st.sampled_from(COLUMNS), st.sampled_from(NUMBERS))
PLACE = st.integers(0, 10_000)
CHANGES: st.SearchStrategy[Change] = st.one_of(
    *[st.builds(_cell_changed, COLUMN, CELL_CHANGES) for _ in range(5)],
    st.builds(_copied, PLACE),
    st.builds(_rival, PLACE, st.sampled_from(RIVALS)),
    st.sampled_from(CONTRADICTIONS).map(_changed),
    st.sampled_from(EXTREMES).map(_changed),
    st.sampled_from([None, " ", "\u00a0", 0, "0", "0.00", "-0", 5, "x"]).map(_unbilled),
)
CUSTOMERS = st.integers(0, prod(len(choices) for _, choices in MENU) - 1).map(sound_customer)


@st.composite
def workbooks(draw: st.DrawFn) -> Drawn:
    """A workbook of 10 to some 60 rows, in one of both layouts."""
    rows = draw(st.lists(CUSTOMERS, min_size=10, max_size=40))
    layout = draw(st.sampled_from(["narrow", "wide"]))
    if layout == "wide":
        for row in rows:
            row["SeniorCitizen"] = "Yes" if row["SeniorCitizen"] else "No"
    titles = draw(st.lists(st.sampled_from(TITLES), max_size=3))
    for index, row in enumerate(rows):
        row["further"] = [[None, "x", 7][index % 3] for _ in titles]
    for _ in range(draw(st.integers(0, 2 * len(rows)))):
        draw(CHANGES)(rows, draw(PLACE) % len(rows))
    for place in draw(st.lists(PLACE, max_size=1)):
        draw(st.builds(_cleared, COLUMN))(rows, place % len(rows))
    for place in draw(st.lists(PLACE, max_size=3)):
        rows.insert(place % (len(rows) + 1), {})
    named = {contract: header for header, contract in WIDE.items()} if layout == "wide" else {}
    columns = draw(st.permutations(COLUMNS))
    styles = draw(st.lists(st.sampled_from(STYLES), min_size=len(columns), max_size=len(columns)))
    header = [style(named.get(name, name)) for name, style in zip(columns, styles, strict=True)]
    only = WIDE_ONLY if layout == "wide" else []
    return Drawn(
        header=[*only, *header, *titles],
        rows=list(_as_cells(rows, columns, only)),
        above=draw(st.integers(0, 2)),
        layout=layout,
    )


def _as_cells(
    rows: list[Customer], columns: list[str], only: list[str]
) -> Iterator[list[Any] | None]:
    for row in rows:
        if not row:
            yield None
        else:
            constant = [f"{name} of all" for name in only]
            yield [*constant, *(row.get(name) for name in columns), *row.get("further", [])]
