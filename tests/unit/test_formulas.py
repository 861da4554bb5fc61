"""Formulas without a computed value: every spelling is distinguished from computed ones."""

import re
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

import olefile
import pytest
import xlwt
from workbooks import (
    HEADER,
    change_part,
    customer,
    raw_row,
    sheet_rows,
    text_row,
    write_ole,
    write_raw_xlsx,
    write_xlsx,
)

from lakehouse.errors import InvalidInputError
from seeds_loader.reader import sheet_xml
from seeds_loader.reader.extract import read_extract

BOOK, SHEET = "xl/workbook.xml", "xl/worksheets/sheet1.xml"
TEXTS = [str(value) for value in customer()]
NOT_STORED = ("formula without a stored value", "open it in Excel", "save it")
NOT_COMPUTED = ("stored value is 0 or empty", "open it in Excel", "save it")


def totals(path: Path) -> list[str | None]:
    return read_extract(path, None, lambda _: None).table["TotalCharges"].to_pylist()


def refused(path: Path, *words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_extract(path, None, lambda _: None)
    message = str(caught.value)
    missing = [word for word in (path.name, *words) if word not in message]
    assert not missing, f"{missing} not in: {message}"


def with_total(path: Path, cell: str, *, recalculation: str = "", rows: int = 1) -> Path:
    """A workbook whose total of the second customer, cell T3, is this XML."""
    row = raw_row(3, [text_row(3, TEXTS[:19])[len('<row r="3">') : -len("</row>")], cell])
    write_raw_xlsx(path, text_row(1, HEADER) + text_row(2, TEXTS) + row)
    return ask(path, recalculation)


def ask(path: Path, properties: str) -> Path:
    """Gives a workbook these properties of its computation; openpyxl writes others."""
    return change_part(
        path, BOOK, lambda xml: re.sub("<calcPr[^>]*>", f"<calcPr {properties}/>", xml)
    )


F = "<f>F3*S3</f>"


@pytest.mark.parametrize(
    "cell",
    [
        f'<c r="T3">{F}</c>',
        f'<c r="T3">{F}<v/></c>',
        f'<c r="T3">{F}<v /></c>',
        f'<c r="T3">{F}<v\n\t/></c>',
        f'<c r="T3">{F}<v></v></c>',
        f'<c r="T3">{F}<v ></v ></c >',
        f'<c r="T3">{F}<v>  </v></c>',
        f'<c r="T3">{F}<v>\n</v></c>',
        f'<c r="T3">{F}<v xml:space="preserve"></v></c>',
        f'<c r="T3">{F}<v xml:space="preserve"/></c>',
        f"<c r='T3'>{F}<v></v></c>",
        f'<c t="n" r="T3">{F}<v></v></c>',
        f'<c s="0" r = "T3" t = "n" >{F}<v></v></c>',
        f'<c r="T3" t="str">{F}</c>',
        f'<c r="T3" t="b">{F}<v/></c>',
        f'<c r="T3" t="e">{F}<v></v></c>',
        f'<c r="T3" t="inlineStr">{F}<is/></c>',
        f'<c r="T3" t="inlineStr">{F}<is><t></t></is></c>',
        f'<c r="T3" t="inlineStr">{F}<is><t xml:space="preserve"/></is></c>',
        '<c r="T3"><f/></c>',
        '<c r="T3"><f t="shared" ref="T3:T9" si="0">F3*S3</f><v/></c>',
        '<c r="T3"><f t="shared" si="0"/><v></v></c>',
        '<c r="T3"><f t="array" ref="T3">F3*S3</f></c>',
        '<c r="T3"><f t="dataTable" ref="T3:T3" r1="A1"/><v/></c>',
        '<c r="T3"><f ca="1">F3&amp;S3</f><v/></c>',
        '<c r="T3"><f><![CDATA[IF(F3<c,"<v>1</v>",2)]]></f></c>',
        f'<c r="T3"><!-- <v>5</v> -->{F}</c>',
        f'<c r="T3">{F}<!-- <v>5</v> --></c>',
        '<x:c r="T3"><x:f>F3</x:f><x:v/></x:c>',
    ],
)
@pytest.mark.parametrize("in_pieces", [False, True])
def test_every_spelling_of_no_value(tmp_path, monkeypatch, cell, in_pieces):
    path = with_total(tmp_path / "book.xlsx", cell)
    change_part(path, SHEET, lambda xml: xml.replace("<worksheet ", '<worksheet xmlns:x="x" ', 1))
    if in_pieces:
        # read by a few bytes at a time, so that any place is where two pieces meet
        monkeypatch.setattr("seeds_loader.reader.file_format.CHUNK_BYTES", 7)
        assert [tuple(cell) for cell in sheet_xml.scan(path, "Data").uncached] == [(2, 19)]
    else:
        refused(path, "1 cells", *NOT_STORED, "'Data'", "T3")


@pytest.mark.parametrize(
    ("cell", "total"),
    [
        (f'<c r="T3">{F}<v>0</v></c>', "0"),
        (f'<c r="T3">{F}<v>358.2</v></c>', "358.2"),
        (f'<c r="T3" >{F}<v >358.2</v ></c>', "358.2"),
        (f"<c t='str' r='T3'>{F}<v>a</v></c>", "a"),
        (f'<c r="T3" t="str">{F}<v></v></c>', None),
        (f'<c t="str" r="T3">{F}<v/></c>', None),
        (f"<c r='T3' t='str' >{F}<v /></c>", None),
        (f'<c r="T3" t="str">{F}<v>a&amp;b</v></c>', "a&b"),
        (f'<c r="T3" t="inlineStr">{F}<is><t>a</t></is></c>', "a"),
        (f'<c r="T3" t="b">{F}<v>0</v></c>', "FALSE"),
        (f'<c r="T3" t="e">{F}<v>#N/A</v></c>', "#N/A"),
        ('<c r="T3"><f t="shared" si="0"/><v>7</v></c>', "7"),
        ('<c r="T3"><f t="array" ref="T3:T3">F3</f><v>7</v></c>', "7"),
        ('<c r="T3"><!-- <f>1</f> --><v>7</v></c>', "7"),
        ('<c r="T3"/>', None),
    ],
)
def test_a_value_that_is_stored_counts(tmp_path, cell, total):
    assert totals(with_total(tmp_path / "book.xlsx", cell))[1] == total


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        # the reader takes these for a blank, or for a part of the number
        (f'<c r="T3"><v>358.2</v>{F}</c>', "the end of its cell"),
        ('<c r="T3" t="inlineStr"><is><t>a</t></is><v>1</v></c>', "the end of its cell"),
        ('<c r="T3"><v>5</v><v/></c>', "the end of its cell"),
        ('<c r="T3"><v>358&#46;2</v></c>', "not written in digits"),
        (f'<c r="T3">{F}<v>&#51;</v></c>', "not written in digits"),
        (f'<c r="T3">{F}<v><![CDATA[358.2]]></v></c>', "not plain text"),
        (f'<c r="T3">{F}<v>358<!-- . -->2</v></c>', "not plain text"),
    ],
)
def test_values_that_the_reader_takes_for_others(tmp_path, cell, word):
    refused(with_total(tmp_path / "book.xlsx", cell), "damaged", word)


def test_a_sheet_in_utf16_is_named(tmp_path):
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(2)})
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    xml = '<?xml version="1.0" encoding="UTF-16"?>' + contents[SHEET].decode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, xml.encode("utf-16") if name == SHEET else content)
    refused(path, "damaged", "not UTF-8", "'Data'")


# --- formulas that fill several cells ------------------------------------------------------------


ARRAY = '<c r="T2"><f t="array" ref="T2:T4">F2:F4*S2:S4</f><v>358.2</v></c>'


def with_array(path: Path, third: str, fourth: str) -> Path:
    rows = [text_row(1, HEADER)]
    for number, cell in zip((2, 3, 4), (ARRAY, third, fourth), strict=True):
        rows.append(text_row(number, TEXTS[:19]).replace("</row>", f"{cell}</row>"))
    return ask(write_raw_xlsx(path, "".join(rows)), "")


def test_cells_that_an_array_formula_fills_need_values_too(tmp_path):
    path = tmp_path / "book.xlsx"
    third, fourth = '<c r="T3"><v>1</v></c>', '<c r="T4" t="str"><v></v></c>'
    assert totals(with_array(path, third, fourth)) == ["358.2", "1", None]
    refused(with_array(path, third, ""), "1 cells", "T4", *NOT_STORED)
    refused(with_array(path, '<c r="T3" s="0"/>', ""), "2 cells", "T3, T4", *NOT_STORED)


def test_zeros_that_an_array_formula_fills(tmp_path):
    """XlsxWriter pads what an array formula covers with zeros of their own."""
    zeros = [f'<c r="T{number}"><v>0</v></c>' for number in (3, 4)]
    path = with_array(tmp_path / "book.xlsx", *zeros)
    assert totals(path) == ["358.2", "0", "0"]
    refused(ask(path, 'fullCalcOnLoad="1"'), "2 cells", "T3, T4", *NOT_COMPUTED)


def test_an_array_formula_that_claims_the_whole_sheet(tmp_path):
    path = with_array(tmp_path / "book.xlsx", "", "")
    change_part(path, SHEET, lambda xml: xml.replace('"T2:T4"', '"A1:XFD1048576"'))
    refused(path, "book.xlsx")


# --- workbooks that ask to be computed -----------------------------------------------------------


ZEROS = [
    f'<c r="T3">{F}<v>0</v></c>',
    f"<c r='T3' t='n'>{F}<v>0.0</v></c>",
    f'<c r="T3">{F}<v > -0E0 </v></c>',
    f'<c r="T3" t="str">{F}<v></v></c>',
    '<c r="T3"><f t="shared" si="0"/><v>0</v></c>',
]


@pytest.mark.parametrize("cell", ZEROS)
@pytest.mark.parametrize(
    "properties",
    ['calcId="124519" fullCalcOnLoad="1"', "fullCalcOnLoad='true'", 'calcCompleted="0"'],
)
def test_zeros_that_nobody_computed(tmp_path, cell, properties):
    path = with_total(tmp_path / "book.xlsx", cell, recalculation=properties)
    refused(path, "1 cells", *NOT_COMPUTED, "'Data'", "T3")


@pytest.mark.parametrize("cell", ZEROS)
def test_a_sheet_may_ask_as_well(tmp_path, cell):
    path = with_total(tmp_path / "book.xlsx", cell)
    asks = '</sheetData><sheetCalcPr fullCalcOnLoad="1"/>'
    change_part(path, SHEET, lambda xml: xml.replace("</sheetData>", asks))
    refused(path, *NOT_COMPUTED, "T3")


@pytest.mark.parametrize("cell", ZEROS)
@pytest.mark.parametrize(
    "properties",
    ['calcId="191029"', 'fullCalcOnLoad="0"', 'calcCompleted="1"', 'forceFullCalc="1"', ""],
)
def test_zeros_that_excel_computed(tmp_path, cell, properties):
    path = with_total(tmp_path / "book.xlsx", cell, recalculation=properties)
    assert float(totals(path)[1] or 0) == 0


def test_values_but_zero_count_where_the_workbook_asks(tmp_path):
    cell = f'<c r="T3">{F}<v>358.2</v></c>'
    assert totals(with_total(tmp_path / "a.xlsx", cell, recalculation='fullCalcOnLoad="1"'))
    # a text that is the first of the shared ones, and a 0 that is no formula's
    rows = [[*row, "=1+1"] for row in sheet_rows(2)]
    rows[0][-1], rows[1][19] = "Further", 0
    path = write_xlsx(tmp_path / "b.xlsx", {"Data": rows})
    change_part(path, SHEET, lambda xml: re.sub(r"<v ?/>|<v></v>", "<v>0</v>", xml))
    assert b"fullCalcOnLoad" in zipfile.ZipFile(path).read(BOOK)
    assert totals(path) == ["0", "358.2"]


def test_formulas_on_other_sheets_and_above_the_header_do_no_harm(tmp_path):
    rows = [["Customers", "=1+1"], [], *sheet_rows(2)]
    sheets = {"KPI": [["rate"], *[["=A1*2", "=0"]] * 2_000], "Data": rows, "More": [["=1"] * 300]}
    assert totals(write_xlsx(tmp_path / "book.xlsx", sheets)) == ["358.2", "358.2"]


# --- .xls ----------------------------------------------------------------------------------------

STORED_TEXT = b"\x00\x00\x00\x00\x00\x00\xff\xff"
EMPTY = b"\x03\x00\x00\x00\x00\x00\xff\xff"
ZERO, SOME = struct.pack("<d", 0), struct.pack("<d", 358.2)
# The record that names the engine which computed a workbook, as Excel and LibreOffice write it.
ENGINE = struct.pack("<4HI", 0x01C1, 8, 0x01C1, 0, 191029)


def with_xls_total(
    path: Path, result: bytes = EMPTY, *, engine: bytes = b"", sheet: bytes = b"", text: bytes = b""
) -> Path:
    """An .xls whose total in T3 is a formula with this result, as the records say it."""
    book = xlwt.Workbook()
    page = book.add_sheet("Data")
    for row, values in enumerate(sheet_rows(2)):
        for column, value in enumerate(values):
            is_total = (row, column) == (2, 19)
            page.write(row, column, xlwt.Formula("F3*S3") if is_total else value)
    plain = path.with_suffix(".plain")
    book.save(str(plain))
    stream = stream_of(plain)
    formula = stream.index(EMPTY)
    end = formula - 10 + 4 + struct.unpack_from("<H", stream, formula - 8)[0]
    stream = stream[:formula] + result + stream[formula + 8 : end] + text + stream[end:]
    return write_ole(path, {"Workbook": with_records(stream, engine, sheet)})


def stream_of(path: Path) -> bytes:
    with olefile.OleFileIO(path) as ole:
        content: bytes = ole.openstream("Workbook").read()
    return content


def with_records(stream: bytes, in_globals: bytes, in_sheet: bytes) -> bytes:
    """The stream with these records behind the start of the workbook and of its sheet."""
    start = 4 + struct.unpack_from("<H", stream, 2)[0]
    place = stream.index(struct.pack("<2H", 0x0085, 4 + 2 + 2 + 4)) + 4
    at = struct.unpack_from("<I", stream, place)[0]
    behind = at + 4 + struct.unpack_from("<H", stream, at + 2)[0]
    moved = struct.pack("<I", at + len(in_globals))
    stream = stream[:behind] + in_sheet + stream[behind:]
    stream = stream[:place] + moved + stream[place + 4 :]
    return stream[:start] + in_globals + stream[start:]


@pytest.mark.parametrize("result", [EMPTY, ZERO, struct.pack("<d", -0.0)])
@pytest.mark.parametrize(
    ("engine", "sheet"),
    [
        (b"", b""),
        (struct.pack("<4HI", 0x01C1, 8, 0x01C1, 0, 0), b""),
        (ENGINE, struct.pack("<3H", 0x005E, 2, 0)),
    ],
)
def test_an_xls_that_nobody_computed(tmp_path, result, engine, sheet):
    """xlwt stores an empty text, others 0; neither names an engine."""
    path = with_xls_total(tmp_path / "book.xls", result, engine=engine, sheet=sheet)
    refused(path, "1 cells", *NOT_COMPUTED, "'Data'", "T3")


def test_a_text_that_is_missing_in_an_xls(tmp_path):
    path = with_xls_total(tmp_path / "book.xls", STORED_TEXT, engine=ENGINE)
    refused(path, "1 cells", *NOT_STORED, "T3")


@pytest.mark.parametrize(
    ("result", "text", "total"),
    [
        (ZERO, b"", "0"),
        (EMPTY, b"", None),
        (SOME, b"", "358.2"),
        (STORED_TEXT, struct.pack("<2HHB2s", 0x0207, 5, 2, 0, b"ab"), "ab"),
    ],
)
def test_an_xls_that_was_computed(tmp_path, result, text, total):
    path = with_xls_total(tmp_path / "book.xls", result, engine=ENGINE, text=text)
    assert totals(path) == ["358.2", total]


def test_values_but_zero_count_in_any_xls(tmp_path):
    assert totals(with_xls_total(tmp_path / "book.xls", SOME)) == ["358.2", "358.2"]


def test_formulas_of_an_xls_where_nobody_looks(tmp_path):
    book = xlwt.Workbook()
    first, page = book.add_sheet("KPI"), book.add_sheet("Data")
    first.write(3, 3, xlwt.Formula("1+1"))
    for row, values in enumerate(sheet_rows(2)):
        cells: Sequence[object] = [*values, xlwt.Formula("1+1")] if row else values
        for column, value in enumerate(cells):
            page.write(row, column, value)
    book.save(str(tmp_path / "book.xls"))
    assert totals(tmp_path / "book.xls") == ["358.2", "358.2"]
