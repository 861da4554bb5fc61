import hashlib
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import msoffcrypto.format.ooxml
import olefile
import pyarrow as pa
import pytest
import xlwt
from workbooks import (
    HEADER,
    change_part,
    customer,
    raw_row,
    sheet_rows,
    summary,
    text_row,
    write_ole,
    write_raw_xlsx,
    write_xlsx,
)

from lakehouse.errors import InvalidInputError
from seeds_loader.reader.extract import Extract, read_extract

TEXTS = [str(value) for value in customer()]


def read(path: Path, sheet: str | None = None) -> Extract:
    return read_extract(path, sheet, lambda _: None)


def numbers(extract: Extract) -> list[int]:
    return extract.table["_row_number"].to_pylist()


def extras(extract: Extract) -> list[dict[str, str]]:
    return [dict(row) for row in extract.table["_extra"].to_pylist()]


def refused(path: Path, *words: str, sheet: str | None = None) -> None:
    """Reading fails, and the message has all of these words."""
    with pytest.raises(InvalidInputError) as caught:
        read(path, sheet)
    message = str(caught.value)
    missing = [word for word in (path.name, *words) if word not in message]
    assert not missing, f"{missing} not in: {message}"
    assert caught.value.hint


def write_csv(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def csv_text(*rows: list[str], delimiter: str = ",", end: str = "\n") -> str:
    return "".join(delimiter.join(row) + end for row in rows)


def write_xls(path: Path, rows: list) -> Path:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Data")
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            sheet.write(i, j, value)
    book.save(str(path))
    return path


# --- what a workbook says ------------------------------------------------------------------------


def test_the_21_column_workbook(shared_data):
    extract = read(shared_data / "Telco-Customer-Churn.xlsx")
    table = extract.table
    assert table.num_rows == 7049
    assert numbers(extract)[0] == 2
    assert numbers(extract)[-1] == 7050
    assert extract.sheet == "Telco-Customer-Churn"
    assert extract.saved_at == datetime(2025, 12, 3, 14, 18, 48, tzinfo=UTC)
    blank = [row for row in table.to_pylist() if row["TotalCharges"] == " "]
    assert len(blank) == 11
    assert {row["tenure"] for row in blank} == {"0"}
    assert table["TotalCharges"].null_count == 0
    late = table.slice(7043).to_pylist()
    assert [row["TotalCharges"] for row in late if row["customerID"] == "0639-TSIQW"] == ["-100"]
    assert "74.4" in table["MonthlyCharges"].to_pylist()
    assert set(table["SeniorCitizen"].to_pylist()) == {"0", "1"}
    assert extras(extract) == [{}] * 7049


def test_the_33_column_workbook(shared_data):
    extract = read(shared_data / "Telco_customer_churn_33.xlsx")
    assert extract.table.num_rows == 7043
    assert set(extract.table["SeniorCitizen"].to_pylist()) == {"Yes", "No"}
    assert extras(extract)[0] == {
        "Count": "1",
        "Country": "United States",
        "State": "California",
        "City": "Los Angeles",
        "Zip Code": "90003",
        "Lat Long": "33.964131, -118.272783",
        "Latitude": "33.964131",
        "Longitude": "-118.272783",
        "Churn Value": "1",
        "Churn Score": "86",
        "CLTV": "3239",
        "Churn Reason": "Competitor made better offer",
    }
    # customers who stay have no reason to leave, and nulls are left out
    assert sum("Churn Reason" in row for row in extras(extract)) == 1869


def test_csv_and_workbook_say_the_same(shared_data):
    book = read(shared_data / "Telco-Customer-Churn.xlsx").table.slice(0, 7043)
    csv = read(shared_data / "Telco-Customer-Churn.csv").table
    for name in (*HEADER, "_row_number"):
        if name != "TotalCharges":
            assert csv[name].to_pylist() == book[name].to_pylist(), name


def test_the_table_has_the_contracts_columns_whatever_the_workbooks_order(tmp_path):
    rows = [list(reversed(row)) for row in sheet_rows(2)]
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": rows})
    extract = read(path)
    assert extract.table.schema == pa.schema(
        [(name, pa.string()) for name in HEADER]
        + [("_extra", pa.map_(pa.string(), pa.string())), ("_row_number", pa.int32())]
    )
    assert list(extract.table.to_pylist()[0].values())[:21] == TEXTS
    assert extract.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (extract.path, extract.sheet, extract.header_row) == (path, "Data", 1)


def test_cells_are_read_as_they_stand(tmp_path):
    cells = [
        ('t="inlineStr"><is><t xml:space="preserve"> </t></is>', " "),
        ('t="inlineStr"><is><t xml:space="preserve"> No </t></is>', " No "),
        ('t="inlineStr"><is><t>0012</t></is>', "0012"),
        ('t="inlineStr"><is><t>12345678901234567890123</t></is>', "12345678901234567890123"),
        ('t="inlineStr"><is><t>true</t></is>', "true"),
        ('t="inlineStr"><is><t>0.30000000000000004000</t></is>', "0.30000000000000004000"),
        ("><v>1</v>", "1"),
        ("><v>1.0</v>", "1"),
        ("><v>74.400000000000006</v>", "74.4"),
        ("><v>123456789012345</v>", "123456789012345"),
        ("><v>1.2345678901234567</v>", "1.2345678901234567"),
        ('t="b"><v>1</v>', "TRUE"),
        ('t="b"><v>0</v>', "FALSE"),
        ('t="e"><v>#N/A</v>', "#N/A"),
        ('t="e"><v>#DIV/0!</v>', "#DIV/0!"),
        ('t="d"><v>2024-03-01T00:00:00</v>', "2024-03-01T00:00:00"),
        ("><f>1+1</f><v>2</v>", "2"),
        ('t="str"><f>"a"</f><v>a</v>', "a"),
        ("/>", None),
    ]
    rows = [text_row(1, HEADER)]
    for number, (xml, _) in enumerate(cells, 2):
        closed = "" if xml == "/>" else "</c>"
        rows.append(raw_row(number, [f'<c r="A{number}" {xml}{closed}', "<c><v>5</v></c>"]))
    extract = read(write_raw_xlsx(tmp_path / "book.xlsx", "".join(rows)))
    assert extract.table["customerID"].to_pylist() == [text for _, text in cells]


def test_dates_become_iso_text(tmp_path):
    row = [*customer(), datetime(2024, 3, 1, 12, 30, 5), datetime(2024, 3, 1)]
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": [[*HEADER, "at", "on"], row]})
    assert extras(read(path)) == [{"at": "2024-03-01 12:30:05", "on": "2024-03-01 00:00:00"}]


def test_an_xls_is_read_as_text_too(tmp_path):
    rows = [[*HEADER, "flag", "share", "on"], [*customer(), True, 1.2345678901234567, 0.5]]
    extract = read(write_xls(tmp_path / "book.xls", rows))
    assert list(extract.table.to_pylist()[0].values())[:21] == TEXTS
    assert extras(extract) == [{"flag": "TRUE", "share": "1.2345678901234567", "on": "0.5"}]
    assert extract.saved_at is None
    assert extract.sheet == "Data"


# --- row numbers, blank rows, titles -------------------------------------------------------------


def test_row_numbers_are_excels(tmp_path):
    first, second, third = (customer(number) for number in (1, 2, 3))
    rows = [[], ["Customers, March"], [], [], HEADER, first, [], second, [None, "  "], third, []]
    for path in (
        write_xlsx(tmp_path / "book.xlsx", {"Data": rows}),
        write_csv(
            tmp_path / "book.csv",
            csv_text(*[["" if c is None else str(c) for c in row] for row in rows]),
        ),
    ):
        extract = read(path)
        assert numbers(extract) == [6, 8, 10]
        assert extract.header_row == 5
        assert extract.table["customerID"].to_pylist()[1] == "0002-ABCDE"


def test_a_sheet_may_start_anywhere(tmp_path):
    rows = [[None, None, None, *row] for row in sheet_rows(1)]
    rows[1].append("more")
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": [[], [], *rows]})
    extract = read(path)
    assert numbers(extract) == [4]
    assert extras(extract) == [{"column_Y": "more"}]


def test_row_numbers_of_a_large_sheet(tmp_path):
    height = 60_000
    row = text_row(0, TEXTS[:3]).replace("<row", "\n<row")
    blank = {20_000, 20_001, 45_000}
    rows = "".join(
        f'<row r="{number}"/>'
        if number in blank
        else row.replace('0"', f'{number}"').replace("0001-ABCDE", f"{number}-ROW")
        for number in range(2, height + 2)
    )
    path = write_raw_xlsx(tmp_path / "large.xlsx", text_row(1, HEADER) + rows)
    start = time.process_time()
    table = read(path).table
    assert time.process_time() - start < 10
    assert table.num_rows == height - len(blank)
    assert [f"{number}-ROW" for number in table["_row_number"].to_pylist()] == table[
        "customerID"
    ].to_pylist()


# --- further columns -----------------------------------------------------------------------------


def test_further_columns_are_kept_without_nulls(tmp_path):
    header = [*HEADER, "Region", "Region", " Note ", None, None, "Empty"]
    rows = [
        [*customer(1), "N", "n", "x", "loose", None, None],
        [*customer(2), None, "s", None, None, None, None],
        [*customer(3), None, None, None, 7, None, None],
    ]
    extract = read(write_xlsx(tmp_path / "book.xlsx", {"Data": [header, *rows]}))
    assert extras(extract) == [
        {"Region": "N", "Region_2": "n", "Note": "x", "column_Y": "loose"},
        {"Region_2": "s"},
        {"column_Y": "7"},
    ]


def test_a_made_up_name_does_not_hide_a_column(tmp_path):
    rows = [[*HEADER, "R", "R_2", "R"], [*customer(), "a", "b", "c"]]
    extract = read(write_xlsx(tmp_path / "book.xlsx", {"Data": rows}))
    assert extras(extract) == [{"R": "a", "R_2": "b", "R_3": "c"}]


def test_two_columns_for_one_are_refused(tmp_path):
    rows = [["Total Charge", *HEADER], [1, *customer()]]
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": [[], *rows]})
    words = ("TotalCharges", "'Total Charge' in column A (cell A2)", "column U (cell U2)", "'Data'")
    refused(path, *words)


# --- which sheet ---------------------------------------------------------------------------------


def test_the_sheet_that_fits_is_taken(tmp_path):
    sheets = {"Notes": [["hello"]], "Empty": [], "Base": sheet_rows(3)}
    assert read(write_xlsx(tmp_path / "book.xlsx", sheets)).sheet == "Base"


def test_several_sheets_need_a_choice(tmp_path):
    path = write_xlsx(tmp_path / "book.xlsx", {"Jan": sheet_rows(1), "Feb": sheet_rows(2)})
    refused(path, "2 sheets", "'Jan'", "'Feb'", "--sheet 'Jan'")
    assert read(path, "Feb").table.num_rows == 2
    assert read(path, "feb").sheet == "Feb"


def test_no_sheet_fits(tmp_path):
    short = [[name for name in HEADER if name not in ("Churn", "tenure")], ["x"]]
    sheets = {"Near": [["title"], *short], "Notes": [["hello"]], "Empty": []}
    refused(
        write_xlsx(tmp_path / "book.xlsx", sheets),
        *("'Near': row 2", "lacks tenure, Churn", "'Notes': nothing like", "'Empty': empty"),
    )


def test_a_sheet_by_name_must_exist_and_fit(tmp_path):
    path = write_xlsx(tmp_path / "book.xlsx", {"Base": sheet_rows(1), "Notes": [["hello"]]})
    refused(path, "'Nots'", "'Base', 'Notes'", "--sheet", sheet="Nots")
    refused(path, "'Notes'", "nothing like the header", "'Base'", sheet="Notes")
    expected = "expected: customerID, gender, … (21)"
    only = write_xlsx(tmp_path / "other.xlsx", {"Notes": [["hello"]]})
    refused(only, "No sheet of other.xlsx", expected, "what to do: for a workbook of other columns")


def test_many_missing_columns_stay_readable(tmp_path):
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": [HEADER[:5], ["x"]]})
    refused(path, "tenure", "and 8 more")


def test_a_header_without_rows(tmp_path):
    refused(write_xlsx(tmp_path / "book.xlsx", {"Data": [HEADER]}), "no rows", "'Data'", "row 1")
    refused(write_csv(tmp_path / "book.csv", csv_text(HEADER)), "no rows", "row 1")


def test_progress_names_the_sheets(tmp_path):
    lines: list[str] = []
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(1)})
    read_extract(path, None, lines.append)
    assert any("'Data'" in line for line in lines)


# --- the saved date ------------------------------------------------------------------------------


CORE = (
    '<p xmlns:d="http://purl.org/dc/terms/"><d:created>2023-01-31T23:30:00-02:00</d:created>%s</p>'
)


def test_the_saved_date_of_xlsx(tmp_path):
    saved = datetime(2024, 2, 29, 23, 15)
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(1)})
    modified = CORE % "<d:modified>2024-02-29T23:15:00Z</d:modified>"
    change_part(path, "docProps/core.xml", lambda _: modified)
    assert read(path).saved_at == saved.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("core", "saved"),
    [
        (CORE % "", datetime(2023, 2, 1, 1, 30, tzinfo=UTC)),
        (CORE % "<d:modified>soon</d:modified>", datetime(2023, 2, 1, 1, 30, tzinfo=UTC)),
        (CORE % "<d:modified>2024-05-06</d:modified>", datetime(2024, 5, 6, tzinfo=UTC)),
        (f'<!DOCTYPE p [<!ENTITY a "b">]>{CORE % "&a;"}', None),
        ("<broken", None),
        ("", None),
    ],
)
def test_odd_properties_of_xlsx(tmp_path, core, saved):
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(1)})
    change_part(path, "docProps/core.xml", lambda _: core)
    assert read(path).saved_at == saved


def test_the_saved_date_of_xls(tmp_path):
    saved = datetime(2024, 3, 31, 22, 30, tzinfo=UTC)
    content = xls_stream(tmp_path)
    path = write_ole(
        tmp_path / "dated.xls", {"Workbook": content, "\x05SummaryInformation": summary(saved)}
    )
    assert read(path).saved_at == saved


def xls_stream(tmp_path: Path) -> bytes:
    with olefile.OleFileIO(write_xls(tmp_path / "plain.xls", sheet_rows(2))) as ole:
        return ole.openstream("Workbook").read()


# --- CSV -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiters_and_encodings(tmp_path, delimiter, encoding):
    text = csv_text([*HEADER, "City"], [*TEXTS, "Zürich"], delimiter=delimiter, end="\r\n")
    extract = read(write_csv(tmp_path / "book.csv", text, encoding))
    assert list(extract.table.to_pylist()[0].values())[:21] == TEXTS
    assert extras(extract) == [{"City": "Zürich"}]
    assert (extract.sheet, extract.saved_at) == ("", None)


def test_bytes_that_are_not_utf8_are_windows_1252(tmp_path):
    text = csv_text([*HEADER, "City"], [*TEXTS, "Zürich €"])
    extract = read(write_csv(tmp_path / "book.csv", text, "cp1252"))
    assert extras(extract) == [{"City": "Zürich €"}]


def test_csv_values_are_not_guessed(tmp_path):
    values = [" ", "007", "1.0", "1e5", "NA", "NULL", "", "TRUE", "12345678901234567890", '"a"']
    rows = [['"""a"""' if v == '"a"' else v, *TEXTS[1:]] for v in values]
    table = read(write_csv(tmp_path / "book.csv", csv_text(HEADER, *rows))).table
    assert table["customerID"].to_pylist() == [value or None for value in values]


def test_quoted_newlines_and_delimiters(tmp_path):
    rows = [[*HEADER, "Note"], [*TEXTS, '"two\nlines, one ""cell"""'], [*TEXTS, "x"]]
    extract = read(write_csv(tmp_path / "book.csv", csv_text(*rows)))
    assert extras(extract)[0] == {"Note": 'two\nlines, one "cell"'}
    # the record's number, not the line's
    assert numbers(extract) == [2, 3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (csv_text(HEADER, TEXTS, [*TEXTS, "x"]), ("row 3", "22 cells", "21")),
        (csv_text(HEADER, TEXTS, TEXTS[:9]), ("row 3", "9 cells", "cut off")),
        (csv_text(HEADER, [*TEXTS[:-1], '"No']), ("line", "quote")),
        (csv_text(HEADER[:-1], TEXTS[:-1]), ("lacks Churn",)),
        (csv_text(HEADER, TEXTS, delimiter="|"), ("nothing like the header", "comma")),
        ("\n\n", ("empty",)),
        (csv_text(HEADER, TEXTS) + "\0", ("zero bytes",)),
    ],
)
def test_bad_csv(tmp_path, text, words):
    refused(write_csv(tmp_path / "book.csv", text), *words)


def test_undecodable_csv(tmp_path):
    path = write_csv(tmp_path / "book.csv", csv_text(HEADER, TEXTS))
    path.write_bytes(path.read_bytes() + b"\x81\xff")
    refused(path, "Windows-1252", "CSV UTF-8")


def test_a_csv_has_no_sheets(tmp_path):
    refused(write_csv(tmp_path / "book.csv", csv_text(HEADER, TEXTS)), "--sheet", sheet="Data")


# --- files that are no workbook ------------------------------------------------------------------


def test_no_file(tmp_path):
    refused(tmp_path / "none.xlsx", "There is no file", str(tmp_path))
    (tmp_path / "folder.xlsx").mkdir()
    refused(tmp_path / "folder.xlsx", "is a folder")
    (tmp_path / "book.pdf").write_text("x")
    refused(tmp_path / "book.pdf", ".xlsx, .xls, .csv")


@pytest.mark.parametrize("name", ["book.xlsx", "book.xls", "book.csv"])
def test_an_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    refused(tmp_path / name, "empty")


def test_text_named_as_a_workbook(tmp_path):
    refused(write_csv(tmp_path / "book.xlsx", csv_text(HEADER, TEXTS)), "plain text", ".csv")
    (tmp_path / "noise.xls").write_bytes(bytes(range(256)) * 20)
    refused(tmp_path / "noise.xls", "not an Excel file")


def test_content_counts_more_than_the_name(tmp_path):
    xlsx = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(2)})
    xls = write_xls(tmp_path / "old.xls", sheet_rows(2))
    for source, name in ((xlsx, "a.xls"), (xlsx, "b.csv"), (xls, "c.xlsx"), (xls, "d.csv")):
        renamed = tmp_path / name
        renamed.write_bytes(source.read_bytes())
        assert numbers(read(renamed)) == [2, 3], name


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("suffix", ["xlsx", "xls"])
def test_a_truncated_file(tmp_path, suffix, share):
    rows = sheet_rows(200)
    path = tmp_path / f"book.{suffix}"
    if suffix == "xlsx":
        write_xlsx(path, {"Data": rows})
    else:
        write_xls(path, rows)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "again")


def test_a_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "book.xlsx"
    write_xlsx(path, {"Data": sheet_rows(5)})
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    path.write_bytes(path.read_bytes().replace(b"<v>29.85</v>", b"<v>99.85</v>", 1))
    refused(path, "damaged", "checksum", "sheet1.xml")


def test_broken_xml_is_no_partial_result(tmp_path):
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(50)})
    change_part(path, "xl/worksheets/sheet1.xml", lambda xml: xml[: len(xml) // 2])
    refused(path, "damaged", "sheet1.xml")


def test_an_error_value_the_reader_does_not_know(tmp_path):
    cell = '<c r="A2" t="e"><v>#SPILL!</v></c>'
    path = write_raw_xlsx(tmp_path / "book.xlsx", text_row(1, HEADER) + raw_row(2, [cell]))
    refused(path, "#SPILL!", "'Data'", "Find")


def test_other_archives_and_office_files(tmp_path):
    for name, part, word in (
        ("a.xlsx", "x.txt", "zip archive"),
        ("b.xlsx", "xl/workbook.bin", ".xlsb"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(part, "x")
        refused(tmp_path / name, word, "save it as .xlsx")
    refused(write_ole(tmp_path / "letter.xls", {"WordDocument": b"x"}), "not a workbook")


def test_encrypted_xlsx(tmp_path):
    plain = write_xlsx(tmp_path / "plain.xlsx", {"Data": sheet_rows(2)})
    path = tmp_path / "secret.xlsx"
    with plain.open("rb") as source, path.open("wb") as target:
        msoffcrypto.format.ooxml.OOXMLFile(source).encrypt("password", target)
    refused(path, "password", "Protect Workbook")


def test_encrypted_xls(tmp_path):
    # the record INTERFACEHDR becomes FILEPASS, which only encrypted workbooks have
    content = xls_stream(tmp_path).replace(bytes.fromhex("E1000200"), bytes.fromhex("2F000200"), 1)
    refused(write_ole(tmp_path / "secret.xls", {"Workbook": content}), "password")


def test_a_zip_bomb(tmp_path):
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(2)})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/zeros.bin", bytes(130 * 1024**2))
    refused(path, "zeros.bin", "unpack")


def test_nothing_but_unusable_comes_out_of_noise(tmp_path):
    """Bytes changed all over a workbook: it is read, or it is refused."""
    whole = write_xls(tmp_path / "book.xls", sheet_rows(20)).read_bytes()
    path = tmp_path / "noise.xls"
    for place in range(520, len(whole), 997):
        path.write_bytes(whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :])
        try:
            assert read(path).table.num_rows
        except InvalidInputError as fault:
            assert "noise.xls" in str(fault)


def test_other_columns_are_first_to_be_given_the_headers_of_the_model_if_they_are_scored(tmp_path):
    table = [["a", "b", "c"], ["1", "2", "3"]]
    text = "\n".join(",".join(row) for row in table)
    for path in (
        write_xlsx(tmp_path / "book.xlsx", {"Data": table}),
        write_csv(tmp_path / "book.csv", text),
    ):
        with pytest.raises(InvalidInputError) as raised:
            read_extract(path, None, lambda _: None, labelled=False)
        hint = raised.value.hint
        assert hint.startswith("name a workbook of the kind that the model was trained on")
        assert 0 < hint.index("customerID, gender") < hint.index("`churn init WORKBOOK`")
        assert "Churn" not in hint


@pytest.mark.parametrize("has_label", [True, False])
def test_customers_to_be_scored_need_no_label(tmp_path, has_label):
    rows = sheet_rows() if has_label else [row[:-1] for row in sheet_rows()]
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": rows})
    extract = read_extract(path, None, lambda _: None, labelled=False)
    assert extract.table["customerID"].to_pylist() == ["0001-ABCDE", "0002-ABCDE"]
    assert "Churn" not in extract.table.column_names
    assert extras(extract) == [{"Churn": "No"} if has_label else {}] * 2
