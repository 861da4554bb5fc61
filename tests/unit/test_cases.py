"""Workbooks as people send them: titles, hidden sheets, dashboards beside the table.

The files of the field test lie beside the checkout and may be absent; each kind is made here too.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest
import xlwt
from openpyxl.chart import BarChart, Reference
from workbooks import HEADER, change_part, customer, sheet_rows, write_xlsx

from lakehouse.errors import InvalidInputError
from seeds_loader.reader import excel_reader
from seeds_loader.reader.extract import Extract, read_extract
from seeds_loader.reader.sandbox import read_workbook

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases"
FOREIGN = CASES.with_name("foreign")
LAST_CELL = "XFD1048576"
LACKING = [name for name in HEADER if name != "tenure"]


def read(path: Path, sheet: str | None = None) -> Extract:
    return read_extract(path, sheet, lambda _: None)


def refused(path: Path, *words: str, sheet: str | None = None) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read(path, sheet)
    message = str(caught.value)
    missing = [word for word in words if word not in message]
    assert not missing, f"{missing} not in: {message}"
    return message


def case(name: str, folder: Path = CASES) -> Path:
    path = folder / name
    if not path.is_file():
        pytest.skip("the files of the field test are not beside this checkout")
    return path


# --- the files of the field test -----------------------------------------------------------------


def test_a_table_that_does_not_begin_in_column_a():
    extract = read(case("16-table-not-in-column-A/B_average_price_beside_list_price.xlsx"))
    row = extract.table.to_pylist()[0]
    assert (row["_row_number"], row["MonthlyCharges"]) == (2, "74.15333333333334")
    assert extract.table.num_rows == 1_200


def test_a_rate_on_another_sheet():
    extract = read(case("17-odd-neighbour-sheets/rate_in_B_on_kpi.xlsx"))
    assert (extract.sheet, extract.table.num_rows) == ("Customers", 1_200)


def test_a_dashboard_beside_the_data():
    assert read(case("20-real-files/dashboard.xlsx")).table.num_rows == 7_043


def test_a_dashboard_of_other_data():
    words = ("No sheet", "'KPI': nothing like", "`churn init WORKBOOK`")
    message = refused(case("bank_with_dashboard.xlsx", FOREIGN), *words)
    assert "damaged" not in message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("13-errors/formula_uncached.xlsx", ("without a stored value", "T2", "1,200 cells")),
        ("15-formula-variants/v_space_selfclosed.xlsx", ("without a stored value", "T5")),
        (
            "18-formula-results-of-zero/xlsxwriter_totals_of_new_customers.xlsx",
            ("0 or empty", "T2", "open it in Excel"),
        ),
        ("12-hidden/hidden_old_sheet.xlsx", ("2 sheets", "'Customers (old)' is hidden", "--sheet")),
        ("04-titles-and-merged/header_row_25.xlsx", ("row 25", "within the first 20 used rows")),
    ],
)
def test_cases_that_are_refused(name, words):
    refused(case(name), *words)


# --- headers too low -----------------------------------------------------------------------------


def titled(rows: int, table: Sequence[Sequence[object]], gap: int = 0) -> list[Sequence[object]]:
    return [*[[f"Note {number}"] for number in range(rows)], *[[]] * gap, *table]


@pytest.mark.parametrize("gap", [0, 7])
@pytest.mark.parametrize("left", [0, 3])
def test_a_header_within_the_first_20_used_rows_or_not(tmp_path, left, gap):
    table = [[None] * left + [*row] for row in sheet_rows(2)]
    path = tmp_path / "book.xlsx"
    assert read(write_xlsx(path, {"Data": titled(19, table, gap)})).header_row == 20 + gap
    write_xlsx(path, {"Data": titled(20, table, gap)})
    refused(path, f"row {21 + gap}", "within the first 20 used rows", "rows above the header")


def test_a_header_too_low_that_lacks_a_column(tmp_path):
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": titled(30, [LACKING])})
    refused(path, "row 31 looks like the header but lacks tenure", "within the first 20 used rows")


# --- hidden sheets -------------------------------------------------------------------------------


def hide(path: Path, states: dict[str, str]) -> Path:
    book = openpyxl.load_workbook(path)
    for name, state in states.items():
        book[name].sheet_state = state
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("state", "words"), [("hidden", "is hidden"), ("veryHidden", "is very hidden")]
)
@pytest.mark.parametrize("hidden", ["Jan", "Feb"])
def test_of_two_sheets_that_fit_the_hidden_one_is_named(tmp_path, state, words, hidden):
    path = write_xlsx(tmp_path / "book.xlsx", {"Jan": sheet_rows(1), "Feb": sheet_rows(2)})
    shown = "Feb" if hidden == "Jan" else "Jan"
    message = refused(hide(path, {hidden: state}), f"'{hidden}' {words}", f"--sheet '{shown}'")
    assert f"'{shown}' is" not in message
    assert read(path, hidden).sheet == hidden


def test_a_hidden_sheet_of_an_xls(tmp_path):
    book = xlwt.Workbook()
    for number, name in enumerate(("Jan", "Feb", "Mar")):
        sheet = book.add_sheet(name)
        sheet.visibility = number
        for row, values in enumerate(sheet_rows(1)):
            for column, value in enumerate(values):
                sheet.write(row, column, value)
    book.save(str(tmp_path / "book.xls"))
    refused(tmp_path / "book.xls", "3 sheets", "'Feb' is hidden", "'Mar' is very hidden")


def test_a_hidden_sheet_is_named_where_none_fits(tmp_path):
    path = write_xlsx(tmp_path / "book.xlsx", {"Notes": [["x"]], "Old": [LACKING, ["x"]]})
    refused(hide(path, {"Old": "hidden"}), "'Old' (hidden): row 1", "lacks tenure")


# --- sheets beside the table ---------------------------------------------------------------------


def with_dashboard(path: Path) -> Path:
    book = openpyxl.Workbook()
    kpi = book.active
    kpi.title = "KPI"
    kpi["C4"], kpi["C5"], kpi["D5"] = "Churn rate", 0.2653698707936959, True
    kpi["G40"], kpi["E5"] = "=C5*2", "#N/A"
    data = book.create_sheet("Data")
    for row in sheet_rows(3):
        data.append(row)
    chart = BarChart()
    chart.add_data(Reference(data, min_col=19, min_row=1, max_row=4), titles_from_data=True)
    book.create_chartsheet("Chart").add_chart(chart)
    kpi.add_chart(BarChart(), "K2")
    notes = book.create_sheet("Notes")
    notes.sheet_state = "veryHidden"
    notes["Z900"] = 1 / 3
    book.create_sheet("Empty")
    book.save(path)
    return path


def test_dashboards_charts_and_notes_beside_the_table(tmp_path):
    extract = read(with_dashboard(tmp_path / "book.xlsx"))
    assert (extract.sheet, extract.table.num_rows) == ("Data", 3)


FAR = f'<row r="1048576"><c r="{LAST_CELL}"><v>1</v></c></row>'
BROKEN = {
    "a far cell": lambda xml: xml.replace("</sheetData>", f"{FAR}</sheetData>"),
    "cut off": lambda xml: xml[: len(xml) // 2],
    "no XML": lambda xml: "no XML",
    "nothing": lambda xml: "",
    "out of order": lambda xml: xml.replace("</sheetData>", '<c r="A1"><v>1</v></c></sheetData>'),
    "an unknown error": lambda xml: xml.replace(
        "</sheetData>", '<row r="90"><c r="A90" t="e"><v>#SPILL!</v></c></row></sheetData>'
    ),
    "a document type": lambda xml: f"<!DOCTYPE a>{xml}",
    "no number": lambda xml: xml.replace(
        "</sheetData>", "<row><c t='s'><v>x</v></c></row></sheetData>"
    ),
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("breach", BROKEN)
def test_a_sheet_that_cannot_be_read_beside_one_that_fits(tmp_path, breach, first):
    sheets = {"Data": sheet_rows(2), "Notes": [["note", 1], ["far", 2]]}
    order = dict(sorted(sheets.items(), reverse=first))
    path = write_xlsx(tmp_path / "book.xlsx", order)
    part = f"xl/worksheets/sheet{[*order].index('Notes') + 1}.xml"
    change_part(path, part, BROKEN[breach])
    assert read(path).table.num_rows == 2
    refused(path, "book.xlsx", sheet="Notes")


def test_a_damaged_part_of_another_sheet(tmp_path):
    """Its checksum is wrong: bytes were lost on the way."""
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(2), "Notes": [["note"] * 9] * 9})
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("xl/worksheets/sheet2.xml").header_offset
    content = bytearray(path.read_bytes())
    content[start + 80] ^= 0xFF
    path.write_bytes(content)
    assert read(path).table.num_rows == 2


@pytest.mark.parametrize("breach", ["a far cell", "an unknown error", "out of order"])
def test_a_second_table_that_cannot_be_read_is_still_a_second_one(tmp_path, breach):
    path = write_xlsx(tmp_path / "book.xlsx", {"Jan": sheet_rows(2), "Feb": sheet_rows(3)})
    change_part(path, "xl/worksheets/sheet2.xml", BROKEN[breach])
    refused(path, "2 sheets", "'Feb' can't be read", "--sheet 'Jan'")
    assert read(path, "Jan").table.num_rows == 2


@pytest.mark.parametrize("breach", ["a far cell", "an unknown error", "out of order"])
def test_the_only_table_that_cannot_be_read_is_told_by_its_fault(tmp_path, breach):
    path = write_xlsx(tmp_path / "book.xlsx", {"Notes": [["x"]], "Data": sheet_rows(2)})
    change_part(path, "xl/worksheets/sheet2.xml", BROKEN[breach])
    assert "No sheet" not in refused(path, "'Data'")


def test_no_table_and_a_sheet_that_cannot_be_read(tmp_path):
    path = write_xlsx(tmp_path / "book.xlsx", {"Notes": [["x"]], "Data": [LACKING, ["x"]]})
    change_part(path, "xl/worksheets/sheet1.xml", BROKEN["a far cell"])
    refused(path, "No sheet", "'Notes': can't be read", "'Data': row 1", "lacks tenure")


def test_a_far_cell_beside_the_table_of_a_large_file(tmp_path, monkeypatch):
    """There the look goes beside the reader, which must not be ended by a note."""
    monkeypatch.setattr(excel_reader, "SCAN_FIRST_BYTES", 0)
    path = write_xlsx(tmp_path / "book.xlsx", {"Notes": [["x"]], "Data": sheet_rows(2)})
    change_part(path, "xl/worksheets/sheet1.xml", BROKEN["a far cell"])
    assert read(path).table.num_rows == 2


def test_a_megabyte_of_formulas_without_values_beside_the_table(tmp_path):
    formulas = [["=A1*2", "=B1", "=1/3"] * 6] * 2_000
    path = write_xlsx(tmp_path / "book.xlsx", {"Model": formulas, "Data": sheet_rows(2)})
    assert read_workbook(path).table.num_rows == 2


def test_a_second_reading_that_differs_is_no_result(tmp_path, monkeypatch):
    """Were the reader to count columns in another way, nothing would be loaded."""
    rows = [[None, *row] for row in sheet_rows(2)]
    rows[1][19], rows[1][20] = 1 / 3, 2 / 3
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": rows})
    assert read(path).table["MonthlyCharges"].to_pylist()[0] == "0.3333333333333333"
    real = excel_reader._SecondReading.read

    def shifted(again, columns, which, dtype):
        for index, exact in real(again, columns, [index + 1 for index in which], dtype):
            yield index - 1, exact

    monkeypatch.setattr(excel_reader._SecondReading, "read", shifted)
    refused(path, "two readings of cell", "differ")


def test_text_numbers_and_dates_beside_long_fractions(tmp_path):
    """What only looks like a number is not taken for one by the second reading."""
    texts = ["1.23456789", "true", "-0", "0.30000000000000004000"]
    rows = [[*customer(number)] for number in range(1, 6)]
    for row, text in zip(rows, texts, strict=False):
        row[18] = text
    rows[4][18], rows[4][19] = 2 / 3, True
    path = write_xlsx(
        tmp_path / "book.xlsx", {"Data": [["", *HEADER], *[[None, *r] for r in rows]]}
    )
    extract = read(path)
    assert extract.table["MonthlyCharges"].to_pylist() == [*texts, "0.6666666666666666"]
    assert extract.table["TotalCharges"].to_pylist() == ["358.2"] * 4 + ["TRUE"]
