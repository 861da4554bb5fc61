"""The workbook of rejects: written, then read back by the loader, by openpyxl and as XML."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZipFile

import openpyxl
import pytest

from churn.reports.rejects_workbook import (
    COLUMNS_A_SHEET,
    FAULTY,
    ORIGIN,
    ROWS_A_SHEET,
    UNITS_A_CELL,
    Reject,
    RejectedLoad,
    write_rejects_workbook,
)
from lakehouse.command_name import name_commands
from seeds_loader.contract import read_contract
from seeds_loader.reader.sandbox import read_workbook
from seeds_loader.reject_messages import Reason, format_reason

CONTRACT = read_contract()
NAMES = CONTRACT.names
WORDS = {
    "missing": "A value is missing.",
    "not_accepted": "This is not an accepted value.",
    "not_a_number": "This is not a number.",
    "out_of_range": "This number is out of range.",
}
SOUND = dict.fromkeys(NAMES, "Yes") | {
    "customerID": "7590-VHVEG",
    "tenure": "12",
    "MonthlyCharges": "29.85",
    "TotalCharges": "358.2",
}
NAMESPACE = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}

# Blanks, tab, line ends, a no-break space, zero-width and full-width signs before or instead of
# what starts a formula.
FORMULAS = [
    *("=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|' /C calc'!A0", '=HYPERLINK("http://x","y")'),
    *(" =1+1", "\t=1+1", "\n=1+1", "\r=1+1", "\u00a0=1+1", "\u200b=1+1", "\ufeff@x", "\x00=1+1"),
    *("＝1+1", "＋1", "－1+1", "＠x", " ﹦1", "+5", "-", "=", "-5-", "--5", "-0"),
]


def reject(
    row_number: int = 2,
    reasons: Iterable[Reason] = (),
    extra: dict[str, str] | None = None,
    **cells,
) -> Reject:
    """A row that is sound but for the cells given."""
    row = SOUND | cells
    return Reject(row_number, [row[name] for name in NAMES], extra or {}, tuple(reasons))


def written(
    path: Path, rejects: Sequence[Reject], rows_a_sheet: int = ROWS_A_SHEET, **load
) -> Path:
    facts = {
        "batch_id": "1f0c",
        "source_file": "base.xlsx",
        "sheet": "Customers",
        "extract_date": date(2025, 1, 1),
        "loaded_at": datetime(2025, 1, 2, 3, 4, tzinfo=UTC),
        "row_count": 7049,
        **load,
    }
    out = path / "rejects.xlsx"
    count = write_rejects_workbook(
        iter(rejects), RejectedLoad(**facts), CONTRACT, WORDS, out, rows_a_sheet
    )
    assert count == len(rejects)
    return out


def sheet_xml(path: Path, number: int = 2) -> ElementTree.Element:
    with ZipFile(path) as archive:
        return ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{number}.xml"))


def cell_xml(path: Path, place: str) -> tuple[str | None, str | None, bool]:
    """Type, text and quotePrefix of a cell, as they stand in the file."""
    cell = sheet_xml(path).find(f".//x:c[@r='{place}']", NAMESPACE)
    with ZipFile(path) as archive:
        styles = ElementTree.fromstring(archive.read("xl/styles.xml"))
    style = styles.findall("x:cellXfs/x:xf", NAMESPACE)[int(cell.get("s", "0"))]
    text = cell.findtext("x:is/x:t", None, NAMESPACE) or cell.findtext("x:v", None, NAMESPACE)
    return cell.get("t"), text, style.get("quotePrefix") == "1"


def place_of(header: str, row: int = 2) -> str:
    headers = (*ORIGIN, *NAMES)
    return f"{openpyxl.utils.get_column_letter(headers.index(header) + 1)}{row}"


def test_nothing_that_looks_like_a_formula_is_one(tmp_path):
    rejects = [reject(n, Partner=text, extra={"=A1": text}) for n, text in enumerate(FORMULAS, 2)]
    hostile = {"source_file": "=1+1.xlsx", "sheet": "@SUM", "extra": ["=A1"]}
    path = written(tmp_path, rejects, **hostile)
    with ZipFile(path) as archive:
        parts = [each for each in archive.namelist() if each.endswith(".xml")]
        assert parts
        for part in parts:
            tags = {
                each.tag.rpartition("}")[2]
                for each in ElementTree.fromstring(archive.read(part)).iter()
            }
            assert not tags & {"f", "hyperlink", "externalReference", "ddeLink"}, part
    sheet = openpyxl.load_workbook(path)["Rejects"]
    for row in sheet.iter_rows():
        for cell in row:
            assert cell.data_type in ("s", "n"), cell
            if (
                cell.data_type == "s"
                and str(cell.value).strip("\t\n \u00a0\u200b\ufeff")[:1] in "=+-@"
            ):
                assert cell.quotePrefix, cell
    for n in range(2, len(FORMULAS) + 2):
        assert cell_xml(path, place_of("Partner", n))[::2] == ("inlineStr", True), FORMULAS[n - 2]
    assert [cell_xml(path, place)[0] for place in ("B2", "C2", "Z1")] == ["inlineStr"] * 3
    assert f"like a formula: {2 * len(FORMULAS)}" in summary_text(path)


def test_an_ordinary_text_bears_no_mark_and_needs_no_warning(tmp_path):
    path = written(tmp_path, [reject()])
    assert cell_xml(path, place_of("Partner")) == ("inlineStr", "Yes", False)
    assert "formula" not in summary_text(path)


def test_the_loader_reads_back_what_it_read(tmp_path):
    values = [
        *FORMULAS,
        *("-5", "0", "12", "29.85", "6886.25", "007", "1.50", "12,5", "1e5", "1234567890123"),
        *("0.1234567890123", "#N/A", "TRUE", "_x0041_", "_x005F_x0041_", " yes ", "a\nb", "<&>'\""),
        *("مرحبا", "😀", "２９", "n/a", "{{ 1 }}", "'; drop table x --"),
    ]
    # What XML can't hold comes back spelled out, not as it was; below.
    values = [each for each in values if not re.search("[\r\x00]", each)]
    rejects = [
        reject(n, TotalCharges=text, customerID=text, extra={"Note": text})
        for n, text in enumerate(values, 2)
    ]
    table = read_workbook(written(tmp_path, rejects, extra=["Note"]), sheet="Rejects").table
    assert table["TotalCharges"].to_pylist() == values
    assert table["customerID"].to_pylist() == values
    assert [dict(extra)["Note"] for extra in table["_extra"].to_pylist()] == values
    assert [dict(extra)["Row"] for extra in table["_extra"].to_pylist()] == [
        str(n) for n in range(2, len(values) + 2)
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [("-5", -5), ("0", 0), ("29.85", 29.85), ("-0.5", -0.5), ("12345678901", 12345678901)],
)
def test_a_plain_number_is_a_number(tmp_path, text, value):
    path = written(tmp_path, [reject(TotalCharges=text)])
    sheet = openpyxl.load_workbook(path)["Rejects"]
    assert sheet[place_of("TotalCharges")].value == value
    assert cell_xml(path, place_of("TotalCharges"))[0] == "n"


@pytest.mark.parametrize("text", ["05", "1.50", "+5", "-0", "1e5", "5 ", "٣", "123456789012", ".5"])
def test_what_excel_would_write_otherwise_stays_a_text(tmp_path, text):
    sheet = openpyxl.load_workbook(written(tmp_path, [reject(TotalCharges=text)]))["Rejects"]
    assert sheet[place_of("TotalCharges")].value == text


def test_a_key_of_digits_stays_a_text(tmp_path):
    sheet = openpyxl.load_workbook(written(tmp_path, [reject(customerID="4711")]))["Rejects"]
    assert sheet[place_of("customerID")].value == "4711"


def test_the_cells_at_fault_are_marked_and_no_others(tmp_path):
    reasons = [
        Reason("not_accepted", "Partner", "Maybe"),
        Reason("missing", "TotalCharges", None),
        Reason("out_of_range", "tenure", "-3"),
    ]
    row = reject(7, reasons, Partner="Maybe", TotalCharges=None, tenure="-3")
    sheet = openpyxl.load_workbook(written(tmp_path, [row, reject(8)]))["Rejects"]
    marked = {
        cell.coordinate
        for line in sheet.iter_rows(min_row=2)
        for cell in line
        if cell.fill.fgColor.rgb == FAULTY.fgColor.rgb
    }
    assert marked == {place_of("Partner"), place_of("TotalCharges"), place_of("tenure")}
    assert sheet["D2"].value.split("\n") == [
        'Partner is "Maybe": This is not an accepted value. Write "Yes" or "No".',
        "TotalCharges is blank. Write an amount from $0 to $1,000,000, as a plain number such as "
        "49.90. It may only be blank if tenure is 0.",
        'tenure is "-3": This number is out of range. Write a whole number of months from 0 to '
        "600.",
    ]
    assert [cell.value for cell in sheet[2][:3]] == [7, "base.xlsx", "Customers"]


def test_of_a_duplicate_the_kept_row_is_named(tmp_path):
    reasons = (Reason("conflicting_duplicate", "customerID", "7590-VHVEG"),)
    row = Reject(9, [SOUND[name] for name in NAMES], {}, reasons, kept_row=4)
    sheet = openpyxl.load_workbook(written(tmp_path, [row]))["Rejects"]
    assert sheet["D2"].value == 'customerID is "7590-VHVEG": conflicting duplicate (row 4).'


@pytest.mark.parametrize(
    ("own", "kept", "marked", "lines"),
    [
        (
            {"tenure": "1", "Partner": "No"},
            {"tenure": "2"},
            {"tenure", "Partner"},
            [
                'Partner is "No" here, "Yes" in row 4.',
                'tenure is "1" here, "2" in row 4.',
                "Row 4 was kept because its tenure is higher.",
            ],
        ),
        (
            {"TotalCharges": None},
            {},
            {"TotalCharges"},
            [
                'TotalCharges is blank here, "358.2" in row 4.',
                "Row 4 was kept because its TotalCharges is higher.",
            ],
        ),
        (
            {},
            {"Partner": "No"},
            {"Partner"},
            [
                'Partner is "Yes" here, "No" in row 4.',
                "Row 4 was kept by a fixed order of such rows, because they are equal in tenure "
                "and TotalCharges.",
            ],
        ),
    ],
)
def test_of_rows_that_differ_the_differing_cells_are_named_and_marked(
    tmp_path, own, kept, marked, lines
):
    reasons = (Reason("conflicting_duplicate", "customerID", "7590-VHVEG"),)
    texts, others = SOUND | own, SOUND | kept
    extra, kept_extra = {"Note": "a"}, {"Note": "a"}
    cells, kept_cells = ([row[name] for name in NAMES] for row in (texts, others))
    row = Reject(9, cells, extra, reasons, 4, kept_cells, kept_extra)
    sheet = openpyxl.load_workbook(written(tmp_path, [row], extra=["Note"]))["Rejects"]
    assert sheet["D2"].value.split("\n")[1:] == lines
    assert {
        sheet.cell(1, cell.column).value
        for cell in sheet[2]
        if cell.fill.fgColor.rgb == FAULTY.fgColor.rgb
    } == marked


@pytest.mark.parametrize(
    ("tenure", "end"),
    [
        (
            "12",
            "This is not what 12 months at $29.85 a month would give, about $358.20 (accepted: "
            "$214.92 to $501.48). Correct TotalCharges, tenure or MonthlyCharges, whichever is "
            "wrong.",
        ),
        ("x", "total fits tenure."),
    ],
)
def test_a_deviating_amount_is_named_with_what_is_expected(tmp_path, tenure, end):
    reasons = [Reason("total_fits_tenure", "TotalCharges", "9")]
    row = reject(2, reasons, TotalCharges="9", tenure=tenure)
    sheet = openpyxl.load_workbook(written(tmp_path, [row]))["Rejects"]
    assert sheet["D2"].value == f'TotalCharges is "9": {end}'


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "blank"),
        ("  ", "blank"),
        ("Yes\u200b", '"Yes[zero width space]"'),
        ("\u00a0", '"[no-break space]"'),
        ("\u202eseY", '"[right-to-left override]seY"'),
        ("a\tb", '"a[tab]b"'),
        ("a\x07", '"a[control character U+0007]"'),
        ("a\ue000", '"a[character U+E000]"'),
        ("a\u3164", '"a[hangul filler]"'),
        ("é😀", '"é😀"'),
        ("x" * 101, '"' + "x" * 100 + '…"'),
    ],
)
def test_a_sentence_shows_what_can_not_be_seen(value, shown):
    said = format_reason(Reason("new_rule", "Partner", value), None, {"new_rule": "So it is"})
    named = "[" in shown
    note = " Square brackets name characters that can't be seen: enter the value without them."
    assert said == f"Partner is {shown}: So it is.{note * named}"


def test_a_code_without_words_speaks_for_itself():
    assert format_reason(Reason("old_rule", "gone", "1"), None, {}) == 'gone is "1": old rule.'


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("a\x07b", r"a\x07b"),
        ("a\r\nb", "a\\x0d\nb"),
        ("a\uffffb", r"a\uffffb"),
        ("\x00=1", r"\x00=1"),
        ("a\tb\x85c", "a\tb\x85c"),
    ],
)
def test_control_characters_are_spelled_out(tmp_path, text, held):
    row = reject(Partner=text, extra={"a\x01": "b\x02"})
    path = written(tmp_path, [row], extra=["a\x01"], source_file="f\x03.xlsx")
    sheet = openpyxl.load_workbook(path)["Rejects"]
    assert sheet[place_of("Partner")].value == held
    assert [sheet["B2"].value, sheet["Z1"].value, sheet["Z2"].value] == [
        *(r"f\x03.xlsx", r"a\x01", r"b\x02"),
    ]


@pytest.mark.parametrize("text", ["x" * 40_000, "😀" * 20_000, "\x01" * 10_000, "=" * 40_000])
def test_a_long_text_is_cut_with_a_note(tmp_path, text):
    path = written(tmp_path, [reject(Partner=text)])
    value = openpyxl.load_workbook(path)["Rejects"][place_of("Partner")].value
    assert UNITS_A_CELL - 2 < len(value.encode("utf-16-le")) // 2 <= UNITS_A_CELL
    assert value.endswith(f" … [cut: the text has {len(text):,} characters]")
    assert value[0] == ("\\" if text[0] == "\x01" else text[0])


def test_the_longest_text_is_not_cut(tmp_path):
    path = written(tmp_path, [reject(Partner="x" * UNITS_A_CELL)])
    value = openpyxl.load_workbook(path)["Rejects"][place_of("Partner")].value
    assert value == "x" * UNITS_A_CELL


def test_what_a_sheet_can_not_hold_goes_on_to_the_next(tmp_path):
    path = written(tmp_path, [reject(n) for n in range(2, 7)], rows_a_sheet=2)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["Summary", "Rejects", "Rejects 2", "Rejects 3"]
    sheets = [book[name] for name in book.sheetnames if name != "Summary"]
    assert [[row[0].value for row in sheet.iter_rows()] for sheet in sheets] == [
        *(["Row", 2, 3], ["Row", 4, 5], ["Row", 6]),
    ]
    assert [sheet.auto_filter.ref for sheet in sheets] == ["A1:Y3", "A1:Y3", "A1:Y2"]
    assert {sheet.freeze_panes for sheet in sheets} == {"B2"}
    assert {sheet.page_setup.orientation for sheet in sheets} == {"landscape"}
    assert all(sheet.sheet_properties.pageSetUpPr.fitToPage for sheet in sheets)
    titles = {(sheet.print_title_rows, sheet.print_title_cols) for sheet in sheets}
    assert titles == {("$1:$1", "$A:$A")}
    assert all(sheet.page_setup.fitToWidth > 1 for sheet in sheets)


@pytest.mark.long
def test_further_columns_beyond_the_sheet_are_told(tmp_path):
    headers = [f"extra {n}" for n in range(COLUMNS_A_SHEET)]
    path = written(tmp_path, [reject(extra={"extra 0": "here"})], extra=headers)
    sheet = openpyxl.load_workbook(path)["Rejects"]
    assert sheet.max_column == COLUMNS_A_SHEET
    assert sheet["Z2"].value == "here"
    assert f"no room for: {len(ORIGIN) + len(NAMES)}." in summary_text(path)


def test_the_summary_counts_rows_by_reason_most_first(tmp_path):
    rejects = [
        reject(2, [Reason("missing", "gender", None), Reason("missing", "tenure", None)]),
        reject(3, [Reason("missing", "gender", None), Reason("out_of_range", "tenure", "-1")]),
        reject(4, [Reason("not_a_number", "TotalCharges", "x")]),
        reject(5, [Reason("not_a_number", "TotalCharges", "x")]),
        reject(6, [Reason("not_a_number", "MonthlyCharges", "x")]),
        reject(7, [Reason("exact_duplicate", "customerID", "7590-VHVEG")]),
    ]
    sheet = openpyxl.load_workbook(written(tmp_path, rejects))["Summary"]
    rows = [tuple(cell.value for cell in row) for row in sheet.iter_rows()]
    facts = dict(row[:2] for row in rows[:9])
    assert facts == {
        "File": "base.xlsx",
        "Sheet": "Customers",
        "Extract date": "2025-01-01",
        "Load": "1f0c",
        "Loaded at": "2025-01-02 03:04 UTC",
        "Rows read": 7049,
        "Rows kept": 7043,
        "Rows rejected": 5,
        "Exact duplicates": 1,
    }
    start = rows.index(("What is wrong", "Rows", "Columns (rows)", "Rule"))
    assert rows[start + 1 : start + 5] == [
        (WORDS["not_a_number"], 3, "TotalCharges (2), MonthlyCharges (1)", "not_a_number"),
        (WORDS["missing"], 2, "gender (2), tenure (1)", "missing"),
        ("exact duplicate", 1, "customerID (1)", "exact_duplicate"),
        (WORDS["out_of_range"], 1, "tenure (1)", "out_of_range"),
    ]


@pytest.mark.parametrize(
    ("value", "near"), [("Fibre optik", ', probably "Fiber optic".'), ("satellite", '"No".')]
)
def test_a_category_that_is_near_is_suggested(value, near):
    column = next(each for each in CONTRACT.columns if each.name == "InternetService")
    reason = Reason("not_accepted", "InternetService", value)
    assert format_reason(reason, column, WORDS).endswith(near)


@pytest.mark.parametrize("called", ["churn", "churn --demo"])
def test_the_summary_names_the_command_with_the_date(tmp_path, called):
    name_commands(called)
    try:
        text = summary_text(written(tmp_path, [reject()], source_file="new base.xlsx"))
    finally:
        name_commands("churn")
    assert f": {called} run 'new base.xlsx' --extract-date 2025-01-01\n" in text


def summary_text(path: Path) -> str:
    rows = openpyxl.load_workbook(path)["Summary"].iter_rows(values_only=True)
    return "\n".join(str(value) for row in rows for value in row if value is not None)
