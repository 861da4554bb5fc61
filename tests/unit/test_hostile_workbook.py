"""Files made to do harm: each is refused with a clear message, or read right, within bounds."""

import io
import json
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import xlwt
from workbooks import (
    HEADER,
    change_part,
    customer,
    raw_row,
    sheet_rows,
    text_row,
    write_raw_xlsx,
    write_xlsx,
)

from lakehouse.errors import InvalidInputError
from seeds_loader.reader import excel_reader
from seeds_loader.reader.extract import Extract, read_extract
from seeds_loader.reader.sandbox import _process_ended_error, printable, read_workbook

SHEET = "xl/worksheets/sheet1.xml"
TEXTS = [str(value) for value in customer()]
GIBIBYTE_IN_KIB = 1024**2


def read_here(path: Path) -> Extract:
    return read_extract(path, None, lambda _: None)


def refused(path: Path, *words: str, read: Callable[[Path], Extract] = read_here) -> str:
    """Reading fails in one short message that has all of these words."""
    with pytest.raises(InvalidInputError) as caught:
        read(path)
    message = str(caught.value)
    missing = [word for word in words if word not in message]
    assert not missing, f"{missing} not in: {message}"
    assert caught.value.hint
    assert len(message) < 4_000
    return message


def ids(path: Path) -> list[str | None]:
    return read_extract(path, None, lambda _: None).table["customerID"].to_pylist()


def with_rows(path: Path, xml: str) -> Path:
    """A workbook of two customers and these rows behind them."""
    write_xlsx(path, {"Data": sheet_rows(2)})
    return change_part(
        path, SHEET, lambda sheet: sheet.replace("</sheetData>", f"{xml}</sheetData>")
    )


def with_parts(path: Path, parts: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def read_within_bounds(path: Path) -> Extract:
    """Read in the reader's process, within a gibibyte and a minute of its core.

    The peak that Linux reports of a process begins with the memory of the one that started it.
    Therefore a small process starts the reader, not this one, which may have grown.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as small:
        result, seconds, kibibytes = small.submit(read_and_measure, path).result()
    assert seconds < 60
    assert kibibytes < GIBIBYTE_IN_KIB
    if isinstance(result, Extract):
        return result
    what, where, hint = result
    raise InvalidInputError(what, where=where, hint=hint)


def read_and_measure(path: Path) -> tuple[Extract | tuple[str, str, str], float, int]:
    """The extract or the parts of the error; CPU seconds and peak KiB of the reader's process."""
    result: Extract | tuple[str, str, str]
    try:
        result = read_workbook(path)
    except InvalidInputError as error:
        result = (error.message, error.where, error.hint)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return result, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def test_the_measure_does_not_count_the_memory_of_this_process(tmp_path):
    ballast = bytes(1) * 1_200 * 1024**2
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(2)})
    assert read_within_bounds(path).table.num_rows == 2
    assert ballast[-1] == 0


# --- archives ------------------------------------------------------------------------------------


def test_many_small_entries_that_unpack_to_much(tmp_path):
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(2)})
    zeros = bytes(1024**2)
    with_parts(path, {f"xl/media/{number}.bin": zeros for number in range(130)})
    refused(path, "would unpack to", "0.1 GiB")


def test_entries_that_share_their_bytes(tmp_path):
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(2)})
    noise = os.urandom(100_000)
    with_parts(path, {"xl/media/a.bin": noise, "xl/media/b.bin": b"b"})
    content = path.read_bytes()
    # the directory's line of b takes the place and the size of a
    line_a, line_b = (content.rindex(name) - 46 for name in (b"xl/media/a.bin", b"xl/media/b.bin"))
    fields = content[line_a + 16 : line_a + 28]
    broken = bytearray(content)
    broken[line_b + 16 : line_b + 28] = fields
    broken[line_b + 42 : line_b + 46] = content[line_a + 42 : line_a + 46]
    path.write_bytes(broken)
    refused(path, "damaged", "overlap")


def test_a_part_that_is_there_twice(tmp_path):
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(2)})
    refused(with_parts(path, {SHEET.upper(): b"<worksheet/>"}), "damaged", SHEET, "twice")


def test_shared_texts_that_unfold_in_the_cells(tmp_path):
    path = with_shared(tmp_path / "book.xlsx", ["x" * 32_000], "")
    cells = "".join(raw_row(number, ['<c t="s"><v>0</v></c>'] * 21) for number in range(2, 3_000))
    change_part(path, SHEET, lambda xml: xml.replace("</sheetData>", f"{cells}</sheetData>"))
    refused(path, "book.xlsx", "more memory", "Ctrl+End", read=read_within_bounds)


def test_a_count_of_shared_texts_that_lies(tmp_path):
    path = with_shared(tmp_path / "book.xlsx", ["x"], 'uniqueCount="99999999999"')
    refused(path, "damaged", "sharedStrings.xml claims 99,999,999,999 texts")


def with_shared(path: Path, texts: list[str], attributes: str) -> Path:
    write_raw_xlsx(path, text_row(1, HEADER))
    items = "".join(f"<si><t>{text}</t></si>" for text in texts)
    return with_parts(path, {"xl/sharedStrings.xml": f"<sst {attributes}>{items}</sst>".encode()})


@pytest.mark.parametrize("name", [SHEET, "xl/workbook.xml", "xl/styles.xml"])
def test_entities(tmp_path, name):
    """A billion laughs, and a file of the machine asked for."""
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    kind = f'<!DOCTYPE a [<!ENTITY a0 "ha">{laughs}<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(2)})
    change_part(path, name, lambda xml: kind + xml)
    refused(path, "damaged", name, "document type")


# --- sheets larger than what they hold -----------------------------------------------------------


def test_a_blank_tail_to_the_last_row(tmp_path):
    tail = "".join(
        f'<row r="{number}" s="1" customFormat="1"><c r="U{number}" s="1"/></row>'
        for number in range(4, 1_048_577)
    )
    path = with_rows(tmp_path / "book.xlsx", tail)
    assert read_within_bounds(path).table["_row_number"].to_pylist() == [2, 3]


@pytest.mark.parametrize("cell", ["XFD1048576", "U1048576", "XFD2000"])
def test_a_stray_cell(tmp_path, cell):
    number = cell.lstrip("XFDU")
    row = raw_row(int(number), [f'<c r="{cell}"><v>1</v></c>'])
    path = with_rows(tmp_path / "book.xlsx", row)
    refused(path, "'Data'", "A1", cell, "filled cells", "Ctrl+End", read=read_within_bounds)


def test_a_stray_cell_that_is_near_is_read(tmp_path):
    path = with_rows(tmp_path / "book.xlsx", raw_row(9_000, ['<c r="AZ9000"><v>1</v></c>']))
    extract = read_extract(path, None, lambda _: None)
    assert extract.table["_row_number"].to_pylist() == [2, 3, 9_000]
    assert dict(extract.table["_extra"].to_pylist()[2]) == {"column_AZ": "1"}


@pytest.mark.parametrize("size", ["A1", "A1:XFD1048576", "C9:A1", "A1:B2"])
def test_a_dimension_that_lies(tmp_path, size):
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(2)})
    change_part(path, SHEET, lambda xml: xml.replace('ref="A1:U3"', f'ref="{size}"'))
    assert f'ref="{size}"'.encode() in zipfile.ZipFile(path).read(SHEET)
    assert read_within_bounds(path).table["customerID"].to_pylist() == ["0001-ABCDE", "0002-ABCDE"]


def test_a_count_of_sectors_that_lies(tmp_path):
    """The reader's process dies of this: what is left is a message, not a core."""
    content = bytearray(xls_of(sheet_rows(2)))
    content[44:48] = b"\xf0\xff\xff\xff"
    path = tmp_path / "book.xls"
    path.write_bytes(content)
    refused(path, "book.xls", "claims far more than it holds", read=read_within_bounds)


@pytest.mark.parametrize(
    ("first", "rows", "told"), [(0, 0xFFFFFF00, "4,294,967,040 rows"), (9, 3, "3 rows")]
)
def test_dimensions_of_an_xls_that_lie(tmp_path, first, rows, told):
    content = xls_of(sheet_rows(2))
    record = struct.pack("<HHIIHH", 0x0200, 14, 0, 3, 0, 21)
    assert record in content
    path = tmp_path / "book.xls"
    path.write_bytes(
        content.replace(record, struct.pack("<HHIIHH", 0x0200, 14, first, rows, 0, 255))
    )
    refused(path, "damaged", f"a sheet of {told}")


def xls_of(rows: list) -> bytes:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Data")
    for row, cells in enumerate(rows):
        for column, value in enumerate(cells):
            sheet.write(row, column, value)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


# --- cells that are not where, or what, they should be -------------------------------------------


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        (raw_row(2, ['<c r="A2"><v>1</v></c>']), ("A2 stands behind U3",)),
        (raw_row(3, ['<c r="U3"><v>1</v></c>']), ("U3 stands behind U3",)),
        (raw_row(9, ['<c r="ABCDE9"><v>1</v></c>']), ("no place of a sheet", "ABCDE9")),
        (raw_row(9, ['<c r="A1048577"><v>1</v></c>']), ("no place of a sheet", "A1048577")),
        (raw_row(9, ['<c r="A9" t="s"><v>x</v></c>']), ("shared text",)),
        (raw_row(9, ["<c><f>A1</f></c>"]), ("formulas without a stored value",)),
        (raw_row(9, ['<c r="A9"><v><![CDATA[1]]></v></c>']), ("not plain text",)),
        (raw_row(9, ['<c r="A9"><v>&#0;</v></c>']), ("not proper XML",)),
        (raw_row(9, ['<c r="A9"><v>1</v></row>']), ("not proper XML",)),
    ],
)
def test_sheets_that_no_program_writes(tmp_path, xml, words):
    refused(with_rows(tmp_path / "book.xlsx", xml), "damaged", "save it again", *words)


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        (raw_row(2, ['<c r="A2"><v>1</v></c>']), ("A2 stands behind U3",)),
        (raw_row(9, ['<c r="A9" t="s"><v>x</v></c>']), ("shared text",)),
        (raw_row(9, ['<c r="A9"><v>1</v></row>']), ("not proper XML",)),
        (raw_row(9, ['<c r="A9"><f>1+1</f></c>']), ("a formula without a stored value", "A9")),
    ],
)
def test_a_large_file_is_looked_through_beside_the_reader(tmp_path, monkeypatch, xml, words):
    """And what the look says comes first, whether the reader minds or not."""
    monkeypatch.setattr(excel_reader, "SCAN_FIRST_BYTES", 0)
    refused(with_rows(tmp_path / "book.xlsx", xml), *words)


def test_cells_without_a_place_of_their_own(tmp_path):
    cells = ["<c><v>1</v></c>", '<c t="str"><v>b</v></c>', "<c/>", "<c><v>4</v></c>"]
    path = with_rows(tmp_path / "book.xlsx", f"<row>{''.join(cells)}</row>")
    extract = read_extract(path, None, lambda _: None)
    last = extract.table.to_pylist()[2]
    assert [last[name] for name in HEADER[:5]] == ["1", "b", None, "4", None]
    assert last["_row_number"] == 4


def test_prefixed_names(tmp_path):
    """Some programs write <x:c>; what is looked for must be found there too."""
    path = with_rows(tmp_path / "book.xlsx", "")
    far = '<x:row r="99999"><x:c r="XFD99999"><x:v>1</x:v></x:c></x:row>'
    change_part(path, SHEET, lambda xml: xml.replace("</sheetData>", f"{far}</sheetData>"))
    change_part(path, SHEET, lambda xml: xml.replace("<worksheet ", '<worksheet xmlns:x="x" '))
    refused(path, "XFD99999")


def test_an_xls_whose_rows_are_out_of_order(tmp_path):
    content = xls_of(sheet_rows(40))
    number = struct.pack("<HHHH", 0x027E, 10, 9, 2)
    assert content.count(number) == 1
    path = tmp_path / "book.xls"
    path.write_bytes(content.replace(number, struct.pack("<HHHH", 0x027E, 10, 2, 2)))
    refused(path, "damaged", "row 3 stands behind row 10")


@pytest.mark.parametrize(
    ("kind", "stored"), [("", ""), ("", "<v></v>"), (' t="n"', "<v/>"), (' t="str"', "")]
)
def test_formulas_without_a_stored_value(tmp_path, kind, stored):
    rows = text_row(1, HEADER) + "".join(
        text_row(number, TEXTS[:19]).replace(
            "</row>", f'<c r="T{number}"{kind}><f>F{number}*S{number}</f>{stored}</c></row>'
        )
        for number in range(2, 30)
    )
    path = write_raw_xlsx(tmp_path / "book.xlsx", rows)
    refused(path, "28 cells", "formula", "T2, T3", "and 20 more", "'Data'", "open it in Excel")


def test_formulas_with_a_stored_value_are_their_value(tmp_path):
    """Nothing is computed: what is stored counts, also where it is wrong, or blank."""
    stored = [
        "<f>1+1</f><v>3</v>",
        '<f>WEBSERVICE("http://127.0.0.1/")</f><v>4</v>',
        "<f>cmd|'/C calc'!A1</f><v>5</v>",
    ]
    rows = [
        raw_row(number, [f'<c r="A{number}">{xml}</c>']) for number, xml in enumerate(stored, 4)
    ]
    blank = '<c r="A7" t="str"><f>IF(1,"")</f><v></v></c><c r="B7"><v>1</v></c>'
    path = with_rows(tmp_path / "book.xlsx", "".join(rows) + raw_row(7, [blank]))
    # what asks to be computed, as openpyxl's workbooks do, has no blank that counts
    change_part(path, "xl/workbook.xml", lambda xml: xml.replace(' fullCalcOnLoad="1"', ""))
    assert ids(path)[2:] == ["3", "4", "5", None]


def test_a_formula_without_a_value_where_nobody_looks(tmp_path):
    rows = [[*row, "=1+1"] for row in sheet_rows(2)]
    rows[0] = [*HEADER, "Twice"]
    extract = read_extract(write_xlsx(tmp_path / "book.xlsx", {"Data": rows}), None, lambda _: None)
    assert extract.table["_extra"].to_pylist() == [[], []]


def test_merged_header_cells(tmp_path):
    """A title over several columns does no harm; a name over two columns leaves one without."""
    merged = '<mergeCells count="1"><mergeCell ref="A1:U1"/></mergeCells>'
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": [["All customers"], *sheet_rows(2)]})
    change_part(path, SHEET, lambda xml: xml.replace("</sheetData>", f"</sheetData>{merged}"))
    assert len(ids(path)) == 2
    header = [*HEADER[:4], None, *HEADER[5:]]
    refused(write_xlsx(path, {"Data": [header, customer()]}), "lacks Dependents")


def test_dates_in_number_columns(tmp_path):
    path = with_rows(tmp_path / "book.xlsx", "")
    formats = '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
    change_part(
        path,
        "xl/styles.xml",
        lambda xml: re.sub("<cellXfs.*</cellXfs>", formats, xml, flags=re.DOTALL),
    )
    values = ["45000", "-1", "4294967296", "1e300"]
    rows = [
        raw_row(number, [f'<c r="A{number}" s="1"><v>{value}</v></c>'])
        for number, value in enumerate(values, 4)
    ]
    change_part(
        path, SHEET, lambda xml: xml.replace("</sheetData>", f"{''.join(rows)}</sheetData>")
    )
    read = ids(path)[2:]
    assert read[0] == "2023-03-15 00:00:00"
    assert [float(text or "nan") for text in read[2:]] == [4294967296, 1e300]
    assert "DateTime" not in str(read)


TRICKS = [
    "\u00a0No\u00a0",
    "N\u200bo",
    "\ufeffNo",
    "１２",
    "عميل",
    "\u202eoN",
    "'; DROP TABLE bronze.loads; --",
    "{{ env_var('HOME') }}{% do run_query('x') %}",
    "=cmd|'/C calc'!A1",
    "@SUM(1)",
    "[red]bold[/red]",
    "_x0041_",
    "_xD800_",
    "\x1b[31m",
    "a\tb\nc",
]


def test_texts_are_kept_as_they_stand(tmp_path):
    texts = [text for text in TRICKS if "\x1b" not in text]
    rows = [HEADER, *([text, *TEXTS[1:]] for text in texts)]
    path = write_raw_xlsx(
        tmp_path / "book.xlsx", "".join(text_row(n, row) for n, row in enumerate(rows, 1))
    )
    # Excel's notation of a character that XML can't hold
    kept = [{"_x0041_": "A"}.get(text, text) for text in texts]
    assert ids(path) == kept
    lines = ['"' + '","'.join(row) + '"' for row in [HEADER, *([t, *TEXTS[1:]] for t in TRICKS)]]
    (tmp_path / "book.csv").write_text("\n".join(lines), newline="")
    assert ids(tmp_path / "book.csv") == TRICKS


def test_invisible_characters_in_a_header(tmp_path):
    header = [f"\u200b{name[:3]}\u00a0{name[3:]}\ufeff" for name in HEADER]
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": [header, customer()]})
    assert ids(path) == ["0001-ABCDE"]


def test_tricks_in_headers_are_names_and_nothing_more(tmp_path):
    header = [*HEADER, *TRICKS[6:11]]
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": [header, [*customer(), *"abcde"]]})
    extra = dict(read_extract(path, None, lambda _: None).table["_extra"].to_pylist()[0])
    # openpyxl writes the one that begins with = as a formula
    assert [extra.get(title) for title in TRICKS[6:11] if title[0] != "="] == ["a", "b", "d", "e"]


def test_a_cell_of_ten_megabytes(tmp_path):
    huge = "x" * 10 * 1024**2
    path = with_rows(tmp_path / "book.xlsx", text_row(4, [huge]))
    refused(path, "cell A4", "10,485,760 characters", "32,767", read=read_within_bounds)
    (tmp_path / "book.csv").write_text(",".join(HEADER) + f"\n{huge}\n")
    refused(tmp_path / "book.csv", "field limit", "quote", read=read_within_bounds)


def test_thousands_of_columns_of_one_name(tmp_path):
    header = [*HEADER, *["R"] * 5_000]
    start = time.process_time()
    path = tmp_path / "book.csv"
    path.write_text("\n".join((",".join(header), ",".join([*TEXTS, *"x" * 5_000]))))
    extra = dict(read_extract(path, None, lambda _: None).table["_extra"].to_pylist()[0])
    assert list(extra)[-1] == "R_5000"
    assert time.process_time() - start < 20


# --- what else a package may carry ---------------------------------------------------------------


def test_macros_and_external_links_are_left_alone(tmp_path):
    path = with_rows(
        tmp_path / "book.xlsx", raw_row(4, ['<c r="A4"><f>[1]Other!$A$1</f><v>7</v></c>'])
    )
    with_parts(
        path,
        {
            "xl/vbaProject.bin": b"\xd0\xcf\x11\xe0 macros",
            "xl/externalLinks/externalLink1.xml": b"<externalLink/>",
            "xl/externalLinks/_rels/externalLink1.xml.rels": b'<Relationships><Relationship Id="a"'
            b' Target="http://127.0.0.1:9/x.xlsx" TargetMode="External"/></Relationships>',
        },
    )
    macros = "application/vnd.ms-excel.sheet.macroEnabled.main+xml"
    plain = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    change_part(path, "[Content_Types].xml", lambda xml: xml.replace(plain, macros))
    assert ids(path) == ["0001-ABCDE", "0002-ABCDE", "7"]


# --- names and messages --------------------------------------------------------------------------

NAMES = ["-x", 'it\'s "two" words\nof [bold] \x1b[31m 日本']


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files(tmp_path, name):
    path = write_xlsx(tmp_path / f"{name}.xlsx", {"Data": sheet_rows(2)})
    lines: list[str] = []
    extract = read_workbook(path, progress=lines.append)
    assert (extract.path, extract.table.num_rows) == (path, 2)
    assert lines and all(line.isprintable() for line in lines)
    message = refused(write_xlsx(path, {"Data": [["x"]]}), read=read_workbook)
    assert all(line.isprintable() for line in message.split("\n"))
    assert message.count("\n") == 2


def test_a_name_that_is_not_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.xlsx")
    write_xlsx(path, {"Data": sheet_rows(2)})
    message = refused(path, "caf\\udce9.xlsx", "UTF-8", "rename", read=read_workbook)
    message.encode()


def test_what_is_quoted_from_a_file_is_short_and_harmless(tmp_path):
    name = "\x1b]0;gone\x07" + "A" * 50_000
    path = tmp_path / "book.csv"
    path.write_text(",".join([*HEADER, "Churn", f'"Churn{"_" * 50_000}"']) + "\n")
    refused(path, "3 columns stand for Churn", "Churn___")
    write_xlsx(tmp_path / "book.xlsx", {"Data": [["x"]]})
    long = "&#9;&#x202e;" + "S" * 50_000
    change_part(
        tmp_path / "book.xlsx",
        "xl/workbook.xml",
        lambda xml: xml.replace('name="Data"', f'name="{long}"'),
    )
    message = refused(tmp_path / "book.xlsx", "SSS", "\\u202e", read=read_workbook)
    assert all(line.isprintable() for line in message.split("\n"))
    assert len(printable(name)) < 1_100
    assert printable(name).isprintable()
    assert printable("Zürich – 日本 [x]") == "Zürich – 日本 [x]"


def test_a_folder_brings_no_code(tmp_path):
    """Modules where the command was called from, perhaps beside the workbook, are not imported."""
    for module in ("json", "numpy", "seeds_loader"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('executed')")
    path = write_xlsx(tmp_path / "book.xlsx", {"Data": sheet_rows(2)})
    code = (
        "import json, sys; from pathlib import Path;"
        "from seeds_loader.reader.sandbox import read_workbook;"
        "print(json.dumps(read_workbook(Path(sys.argv[1])).table.num_rows))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(path)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == 2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-signal.SIGXCPU, "takes longer"),
        (-signal.SIGABRT, "memory"),
        (-signal.SIGSEGV, "is interrupted"),
    ],
)
def test_what_is_said_of_a_reader_that_died(code, words):
    assert words in str(_process_ended_error(Path("book.xlsx"), code))


# --- CSV -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ((",".join(HEADER) + "\n" + "," * 1_000_000).encode(), ("1,000,001 cells", "16,384")),
        (("," * 1_000_000 + "\n").encode(), ("1,000,001 cells",)),
        (b"\n" * 1_000_000 + ",".join(HEADER).encode(), ("empty",)),
        ((",".join(HEADER) + '\n"' + "x,\n" * 100_000).encode(), ("field limit", "quote")),
        ((",".join(HEADER) + "\n" + "\0" * 100).encode("utf-16"), ("zero bytes",)),
        ((",".join(HEADER) + "\n").encode() + b"\xff\0\0", ("zero bytes",)),
        ((",".join(HEADER)).encode("utf-16")[:-1], ("no text",)),
        ((",".join(HEADER)).encode("utf-16") + b"\x00\xd8", ("no text",)),
    ],
)
def test_hostile_csv(tmp_path, content, words):
    path = tmp_path / "book.csv"
    path.write_bytes(content)
    start = time.process_time()
    refused(path, *words)
    assert time.process_time() - start < 20


def test_blank_lines_below_the_rows(tmp_path):
    path = tmp_path / "book.csv"
    path.write_text("\n".join((",".join(HEADER), ",".join(TEXTS), "\n" * 300_000)))
    assert read_within_bounds(path).table["_row_number"].to_pylist() == [2]


def test_quotes_around_everything_but_commas_between(tmp_path):
    """Quoted cells between semicolons are no broken comma file."""
    path = tmp_path / "book.csv"
    path.write_text("\n".join(";".join(f'"{cell}"' for cell in row) for row in (HEADER, TEXTS)))
    assert ids(path) == ["0001-ABCDE"]
