"""Numbers, ids and encodings in other notations: read right, or refused, never another value."""

import random
import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pytest
import xlwt
from hypothesis import given, settings
from hypothesis import strategies as st
from workbooks import HEADER, customer, sheet_rows, write_xlsx

from lakehouse.errors import InvalidInputError
from lakehouse.settings import PROJECT
from seeds_loader.reader.extract import Extract, read_extract
from seeds_loader.reader.notation import PLAIN, NumberColumn, read_numbers
from seeds_loader.source_format import SourceFormat

CASES = PROJECT.parent / "shared" / "cases"
MONTHLY, TOTAL = HEADER.index("MonthlyCharges"), HEADER.index("TotalCharges")
ROWS = 40
Spelling = Callable[[Decimal], str]


def read(path: Path, decimal: str | None = None, encoding: str | None = None) -> Extract:
    return read_extract(path, None, lambda _: None, SourceFormat(decimal, encoding))


def refusal(
    path: Path, *words: str, decimal: str | None = None, encoding: str | None = None
) -> str:
    """Reading fails, with a message that has all of these words."""
    with pytest.raises(InvalidInputError) as caught:
        read(path, decimal, encoding)
    message = str(caught.value)
    assert not [word for word in words if word not in message], message
    return message


def case(name: str) -> Path:
    path = CASES / name
    if not path.exists():
        pytest.skip("needs the field cases")
    return path


def customers(**columns: list[object]) -> list[list[object]]:
    """A header and customers, with other cells in these columns."""
    rows = [customer(number) for number in range(1, len(next(iter(columns.values()))) + 1)]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[HEADER.index(name)] = value
    return [list(HEADER), *rows]


def write(path: Path, rows: list[list[object]]) -> Path:
    """A table as .csv (semicolons), .xlsx or .xls, by the name."""
    if path.suffix == ".csv":
        path.write_text("".join(";".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in rows:
            book.worksheets[0].append(row)
        book.save(path)
    else:
        sheet = (old := xlwt.Workbook()).add_sheet("Data")
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                sheet.write(i, j, value)
        old.save(str(path))
    return path


FORMATS = pytest.mark.parametrize("name", ["book.csv", "book.xlsx", "book.xls"])


# --- amounts --------------------------------------------------------------------------------------


def grouped(thousands: str, decimal: str, places: int | None = 2) -> Spelling:
    """12345.6 as 12.345,60; without `places` as many as the amount has."""

    def spell(amount: Decimal) -> str:
        text = f"{amount:,f}" if places is None else f"{amount:,.{places}f}"
        return text.translate(str.maketrans({",": thousands, ".": decimal}))

    return spell


def whole(thousands: str) -> Spelling:
    return lambda amount: f"{int(amount):,}".replace(",", thousands)


def wrapped(before: str, spelling: Spelling, after: str) -> Spelling:
    return lambda amount: f"{before}{spelling(amount)}{after}"


def in_digits(zero: int, spelling: Spelling) -> Spelling:
    return lambda amount: re.sub("[0-9]", lambda d: chr(zero + int(d[0])), spelling(amount))


COMMA = [
    *(grouped(each, ",") for each in ("", ".", " ", "\u00a0", "\u202f", "’", "'")),
    *(grouped(".", ",", places) for places in (None, 1, 3)),
    *(wrapped(before, grouped(".", ","), after) for before, after in (("R$ ", ""), ("", " €"))),
]
POINT = [
    *(grouped(each, ".") for each in (",", " ", "\u00a0", "'", "’")),
    *(wrapped(before, grouped(",", "."), "") for before in ("$", "US$ ", "CHF ")),
    grouped("", ".", 3),
]
WHOLE_COMMA, WHOLE_POINT = whole("."), whole(",")
# What is read under no decimal sign, or rejected.
NEVER = [
    wrapped("", grouped("", "."), "-"),
    wrapped("(", grouped(",", "."), ")"),
    wrapped("", grouped("", "."), " %"),
    wrapped("", grouped("", ","), "%"),
    wrapped("", grouped("", "."), " k€"),
    wrapped("", grouped("", "."), "d"),
    in_digits(0x660, grouped("", ".")),
    in_digits(0xFF10, grouped("", ".")),
    in_digits(0x966, grouped(",", ".")),
]
# The first examples import and compile.
untimed = settings(deadline=None)
AMOUNTS = st.decimals(0, 999_999, places=2)


def numbers(texts: list[str], decimal: str | None) -> list[Decimal | None] | None:
    """What silver gets of a column of text cells: None for a reject, or for all where refused."""
    cells = pa.chunked_array([pa.array(texts, pa.string())])
    column = NumberColumn(
        "MonthlyCharges",
        cells,
        np.arange(2, len(texts) + 2, dtype=np.int32),
        lambda: np.zeros(len(texts), dtype=bool),
        "book.csv",
    )
    try:
        read = read_numbers(column, decimal).to_pylist()
    except InvalidInputError:
        return None
    return [Decimal(text.strip()) if re.match(PLAIN, text.strip()) else None for text in read]


def test_silver_takes_the_same_for_a_number() -> None:
    sql = (PROJECT / "macros" / "contract.sql").read_text()
    assert PLAIN in sql


@untimed
@given(st.lists(AMOUNTS, min_size=1, max_size=40), st.sampled_from([*COMMA, *POINT, *NEVER]))
def test_without_a_stated_sign_a_number_is_the_amount_or_none(
    amounts: list[Decimal], spelling: Spelling
) -> None:
    found = numbers([spelling(amount) for amount in amounts], None)
    for amount, number in zip(amounts, found or [], strict=bool(found)):
        assert number in (None, amount)


@untimed
@given(st.lists(st.integers(0, 999_999), min_size=1, max_size=40), st.sampled_from([".", ","]))
def test_whole_amounts_with_thousands_are_not_read_as_decimals(
    amounts: list[int], thousands: str
) -> None:
    spelled = [whole(thousands)(Decimal(amount)) for amount in amounts]
    found = numbers(spelled, None)
    assert found is None or all(n in (None, a) for n, a in zip(found, amounts, strict=True))
    stated = numbers(spelled, "," if thousands == "." else ".")
    assert stated == amounts


@untimed
@given(
    st.lists(st.decimals(1, 999, places=2), min_size=30, max_size=60),
    st.integers(1000, 999_999),
    st.sampled_from([*COMMA, *POINT, *NEVER, WHOLE_COMMA, WHOLE_POINT]),
)
def test_an_odd_value_among_plain_ones_is_the_amount_or_none(
    amounts: list[Decimal], odd: int, spelling: Spelling
) -> None:
    found = numbers([*map(str, amounts), spelling(Decimal(odd))], None)
    assert found is None or (found[:-1] == amounts and found[-1] in (None, odd))


@untimed
@given(
    st.lists(AMOUNTS, min_size=1, max_size=40),
    st.one_of(
        st.tuples(st.just(","), st.sampled_from(COMMA)),
        st.tuples(st.just("."), st.sampled_from(POINT)),
    ),
)
def test_with_the_stated_sign_the_amount_is_read(
    amounts: list[Decimal], notation: tuple[str, Spelling]
) -> None:
    decimal, spelling = notation
    places = 1 if spelling is COMMA[8] else 2
    amounts = [round(amount, places) for amount in amounts]
    assert numbers([spelling(amount) for amount in amounts], decimal) == amounts


@untimed
@given(
    st.lists(AMOUNTS, min_size=1, max_size=40),
    st.sampled_from(NEVER),
    st.sampled_from([",", "."]),
)
def test_what_is_no_plain_amount_is_read_under_no_sign(
    amounts: list[Decimal], spelling: Spelling, decimal: str
) -> None:
    found = numbers([spelling(amount) for amount in amounts], decimal)
    assert found is None or set(found) == {None}


@pytest.mark.parametrize("value", ["74.15", "1.5", "12.", ".5", "1.5E+03", "0.150", "1234.567"])
def test_a_point_that_separates_no_thousands_contradicts_the_comma(value: str) -> None:
    assert numbers([*["74,15"] * ROWS, value], ",") is None


def test_amounts_in_two_currencies_are_refused() -> None:
    assert numbers(["5 €", "6 $"], ".") is None
    assert numbers(["5 €", "6", "7 €"], ".") == [5, 6, 7]


@pytest.mark.parametrize(
    ("spelling", "words"),
    [
        (COMMA[0], ("decimal comma", "`--decimal ,`")),
        (COMMA[1], ("decimal comma", "`--decimal ,`")),
        (COMMA[-1], ("decimal comma", "`--decimal ,`")),
        (POINT[0], ("decimal point", "`--decimal .`")),
        (POINT[-2], ("decimal point", "`--decimal .`")),
        (whole(","), ("look like amounts", "`--decimal ,`", "`--decimal .`")),
        (NEVER[2], ("percentages",)),
        (NEVER[0], ("not written as plain numbers", "plain amounts", "as numbers")),
        (NEVER[6], ("not written as plain numbers",)),
        (whole("."), ("exactly three digits", "`--decimal .`", "`--decimal ,`", "1.234")),
        (lambda amount: f"{amount:.2E}", ("powers of ten", "`--decimal .`")),
    ],
)
@FORMATS
def test_a_column_in_another_notation_is_refused_with_the_remedy(
    tmp_path: Path, name: str, spelling: Spelling, words: tuple[str, ...]
) -> None:
    amounts = [Decimal("1234.56") if n == 0 else Decimal(n * 100 + 24) for n in range(ROWS)]
    rows = customers(TotalCharges=[spelling(Decimal(amount)) for amount in amounts])
    refusal(write(tmp_path / name, rows), "TotalCharges", "row 2", *words)


@FORMATS
def test_a_few_odd_amounts_are_rows_for_the_rejects(tmp_path: Path, name: str) -> None:
    values = ["74,15", "$5", "5 %", *["74.15"] * ROWS]
    table = read(write(tmp_path / name, customers(MonthlyCharges=values))).table
    assert table["MonthlyCharges"].to_pylist() == values


@pytest.mark.parametrize("name", ["book.xlsx", "book.xls"])
@pytest.mark.parametrize("decimal", [None, ",", "."])
def test_number_cells_are_never_ambiguous(tmp_path: Path, name: str, decimal: str | None) -> None:
    amounts = [0.125 + n for n in range(ROWS)]
    path = write(tmp_path / name, customers(MonthlyCharges=amounts, TotalCharges=amounts))
    found = read(path, decimal).table
    assert [float(text) for text in found["MonthlyCharges"].to_pylist()] == amounts


@pytest.mark.parametrize("name", ["book.xlsx", "book.xls"])
def test_number_cells_beside_texts_keep_their_value(tmp_path: Path, name: str) -> None:
    values = [74.125, "74.150", 1.5, "1.234,50", 12, "12"]
    rows = [[None, *row] for row in customers(MonthlyCharges=values)]
    extract = read(write(tmp_path / name, [["Export"], [], *rows]), ",")
    found = extract.table["MonthlyCharges"].to_pylist()
    assert found == ["74.125", "74150", "1.5", "1234.50", "12", "12"]
    kept = [dict(each) for each in extract.table["_extra"].to_pylist()]
    as_read = "MonthlyCharges as read"
    assert kept == [{}, {as_read: "74.150"}, {}, {as_read: "1.234,50"}, {}, {}]


def test_the_contract_may_state_the_format(tmp_path: Path, monkeypatch) -> None:
    from seeds_loader.reader import extract

    monkeypatch.setattr(extract, "read_source_format", lambda: SourceFormat(","))
    amounts: list[object] = ["74,15"] * ROWS
    rows = customers(MonthlyCharges=amounts, TotalCharges=amounts)
    path = write(tmp_path / "book.csv", rows)
    assert set(read(path).table["MonthlyCharges"].to_pylist()) == {"74.15"}
    refusal(path, "`--decimal ,`", decimal=".")


@pytest.mark.parametrize("decimal", [None, ".", ","])
def test_brazil(decimal: str | None) -> None:
    path = case("01-decimal-comma/brazil_text.xlsx")
    if decimal == ",":
        sheet = openpyxl.load_workbook(path).worksheets[0]
        for place, name in ((MONTHLY, "MonthlyCharges"), (TOTAL, "TotalCharges")):
            cells = [
                (row[place] or "").strip() or "0"
                for row in sheet.iter_rows(min_row=2, values_only=True)
            ]
            expected = [float(each.replace(".", "").replace(",", ".")) for each in cells]
            found = [
                float((each or "").strip() or 0)
                for each in read(path, decimal).table[name].to_pylist()
            ]
            assert found == expected
    else:
        refusal(path, "decimal comma", "--decimal ,", decimal=decimal)


def test_chile() -> None:
    path = case("01-decimal-comma/chile_pesos_short.csv")
    refusal(path, "three digits", "74.150", "74,150", "--decimal")
    assert read(path, ".").table["MonthlyCharges"][0].as_py() == "74.150"
    assert read(path, ",").table["MonthlyCharges"][0].as_py() == "74150"


# --- ids ------------------------------------------------------------------------------------------


@FORMATS
def test_ids_are_composed_and_kept_as_read(tmp_path: Path, name: str) -> None:
    composed = ["Zo\u00eb-1", "Zo\u00eb-2", "\u00c5ngstr\u00f6m", "0003-ABCDE", "\uac01-2"]
    written = [
        unicodedata.normalize("NFC" if place in (1, 3) else "NFD", text)
        for place, text in enumerate(composed)
    ]
    table = read(write(tmp_path / name, customers(customerID=written))).table
    assert table["customerID"].to_pylist() == composed
    kept = [dict(each).get("customerID as read") for each in table["_extra"].to_pylist()]
    assert kept == [written[0], None, written[2], None, written[4]]


@pytest.mark.parametrize(
    "spell",
    [
        lambda n: f"{2.34803e15 + n:.5E}",
        lambda n: f"{2.34803e15 + n * 1e12:.5E}".replace(".", ","),
        lambda n: f"{n + 1}E+{n + 12}",
        lambda n: f"{23480312345678900 + n * 100}",
        lambda n: f"{2348031234567890000 + n * 10_000}",
        lambda n: str(int(float(f"2.3480{n:02}12345678E+18"))),
    ],
)
@FORMATS
def test_ids_that_excel_made_numbers_of(
    tmp_path: Path, name: str, spell: Callable[[int], str]
) -> None:
    ids: list[object] = [spell(n) for n in range(9)]
    words = ("customerID", "look as if Excel had turned them into numbers")
    refusal(write(tmp_path / name, customers(customerID=ids)), *words)


@pytest.mark.parametrize("name", ["book.xlsx", "book.xls"])
def test_number_cells_with_more_digits_than_excel_keeps(tmp_path: Path, name: str) -> None:
    ids: list[object] = [float(f"2.34803123456{789 + n}E18") for n in range(9)]
    words = ("look as if Excel had turned them into numbers",)
    refusal(write(tmp_path / name, customers(customerID=ids)), *words)


@FORMATS
def test_ids_of_many_digits_are_read(tmp_path: Path, name: str) -> None:
    draw = random.Random(1)
    ids: list[object] = [
        *(str(draw.randrange(10**17, 10**18)) for _ in range(9)),
        *("12E5", "1E-5", "2.3E+15", "123456789012345", "00000000000000000001"),
    ]
    table = read(write(tmp_path / name, customers(customerID=ids))).table
    assert table["customerID"].to_pylist() == ids


def test_ids_of_the_field() -> None:
    refusal(case("09-ids/id_sci.csv"), "look as if Excel had turned them into numbers")


# --- encodings ------------------------------------------------------------------------------------

WORDS = {
    "shift_jis": "東京都 大阪市 カタカナ ひらがな 株式会社",
    "euc_jp": "東京都 大阪市 カタカナ ひらがな 株式会社",
    "gbk": "北京 上海市 客户 深圳 广州",
    "big5": "臺北 高雄市 客戶 新竹",
    "euc_kr": "서울 부산 대구 인천",
    "cp1251": "Москва Казань Киев Пермь",
    "koi8_r": "Москва Казань Киев Пермь",
    "cp866": "Москва Казань Киев Пермь",
    "cp1253": "Αθήνα Πάτρα",
    "cp1255": "ירושלים חיפה",
    "cp1256": "القاهرة الرياض",
    "cp874": "กรุงเทพ เชียงใหม่",
    "cp1250": "Łódź Gdańsk Dvořák Győr Brăila",
    "iso8859_2": "Łódź Gdańsk Dvořák Győr",
    "cp1254": "İstanbul Beşiktaş Iğdır",
    "cp1257": "Šiauliai Panevėžys Jēkabpils",
    "mac_roman": "Zürich Málaga Orléans Köln",
    "cp850": "Zürich Málaga Orléans Köln",
}
WESTERN = (
    "Zürich Málaga Orléans São-Paulo Malmö Køge Besançon Straße Saint-Étienne l’Île Ærø Nîmes "
    "Muñoz Conceição cœur où più Noël naïve Håkan ÉCOLE CÁDIZ Övre 25€ 20°C n°5 50m² Nº12 “so” "
    "«bon» ¿Qué? John’s £20 1–2"
)


def with_cities(path: Path, words: str, encoding: str) -> Path:
    rows = customers(customerID=[f"{n:04}-ABCDE" for n in range(len(words.split()))])
    cities = ["City", *words.split()]
    text = "".join(";".join(map(str, [*r, c])) + "\n" for r, c in zip(rows, cities, strict=True))
    path.write_bytes(text.encode(encoding))
    return path


def cities_of(extract: Extract) -> list[str]:
    return [dict(each)["City"] for each in extract.table["_extra"].to_pylist()]


@pytest.mark.parametrize("encoding", WORDS)
def test_text_in_another_encoding_is_refused_or_read_as_stated(
    tmp_path: Path, encoding: str
) -> None:
    path = with_cities(tmp_path / "book.csv", WORDS[encoding], encoding)
    refusal(path, "not UTF-8", "--encoding", "CSV UTF-8")
    assert cities_of(read(path, encoding=encoding)) == WORDS[encoding].split()


@pytest.mark.parametrize(
    ("encoding", "name"), [("shift_jis", "Shift-JIS"), ("cp1251", "Windows-1251"), ("gbk", "GBK")]
)
def test_the_likely_encoding_is_named(tmp_path: Path, encoding: str, name: str) -> None:
    refusal(with_cities(tmp_path / "book.csv", WORDS[encoding], encoding), f"looks like {name}")


@pytest.mark.parametrize(("encoding", "word"), [("gbk", "北京"), ("cp866", "ав")])
def test_signs_alone_are_no_western_text(tmp_path: Path, encoding: str, word: str) -> None:
    assert not re.search("[A-Za-zÀ-ÿ]", word.encode(encoding).decode("cp1252"))
    refusal(with_cities(tmp_path / "book.csv", word, encoding), "not UTF-8")


def test_western_text_is_read(tmp_path: Path) -> None:
    for words in (*WESTERN.split(), WESTERN):
        path = with_cities(tmp_path / "book.csv", words, "cp1252")
        assert cities_of(read(path)) == words.split()


SCRIPTS = {
    "shift_jis": (0x3041, 0x3094, 0x4E00, 0x9FA5),
    "gbk": (0x4E00, 0x9FA5),
    "big5": (0x4E00, 0x9FA5),
    "euc_kr": (0xAC00, 0xD7A3),
    "cp1251": (0x410, 0x450),
    "koi8_r": (0x410, 0x450),
}


@pytest.mark.parametrize("encoding", SCRIPTS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_no_drawn_words_of_another_script_pass_for_western(encoding: str, seed: int) -> None:
    from seeds_loader.reader import encodings

    draw = random.Random(seed)
    first, last = draw.choice(list(zip(*[iter(SCRIPTS[encoding])] * 2, strict=True)))
    words = ("".join(chr(draw.randrange(first, last)) for _ in range(3)) for _ in range(60))
    encoded = [word.encode(encoding, "ignore") for word in words]
    lines = [each.decode("cp1252", "replace") for each in encoded if len(each) > 2]
    assert not all("\ufffd" not in line and encodings._is_western_line(line) for line in lines)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_named(tmp_path: Path, encoding: str) -> None:
    path = with_cities(tmp_path / "book.csv", "Zürich", encoding)
    refusal(path, "zero bytes", f"--encoding {encoding}")
    assert cities_of(read(path, encoding=encoding)) == ["Zürich"]


def test_utf32_with_its_mark_is_read(tmp_path: Path) -> None:
    assert cities_of(read(with_cities(tmp_path / "book.csv", "東京", "utf-32"))) == ["東京"]


def test_a_stated_encoding_has_to_fit(tmp_path: Path) -> None:
    path = with_cities(tmp_path / "book.csv", WORDS["shift_jis"], "shift_jis")
    refusal(path, "is not written in utf-8", "Shift-JIS", encoding="utf-8")
    for name in ("no-such", "hex", "rot13"):
        refusal(path, f"no text encoding '{name}'", encoding=name)
    book = write(tmp_path / "book.xlsx", customers(MonthlyCharges=[1]))
    refusal(book, "--encoding", "CSV", encoding="utf-8")


def test_shift_jis_of_the_field() -> None:
    path = case("10-csv-dialects/shift_jis.csv")
    refusal(path, "not UTF-8", "Shift-JIS", "--encoding")
    assert set(read(path, encoding="shift_jis").table["_extra"].to_pylist()[0]) == {
        ("都市", "東京")
    }


# --- rows of a CSV file ---------------------------------------------------------------------------

SOUND = [str(cell) for cell in customer()]


def lines(*rows: list[str], end: str = "\n", last: str = "\n") -> str:
    return end.join(";".join(row) for row in rows) + last


def write_text(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("further", [1, 3])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_that_excel_leaves_out(tmp_path: Path, further: int, end: str) -> None:
    header = [*HEADER, *(f"Note {n}" for n in range(further))]
    full = [*SOUND, *("x" for _ in range(further))]
    rows = [header, *[full] * 3, *(SOUND + ["y"] * n for n in range(further)), SOUND]
    extract = read(write_text(tmp_path / "book.csv", lines(*rows, end=end, last=end)))
    found = [len(dict(each)) for each in extract.table["_extra"].to_pylist()]
    assert found == [further] * 3 + [*range(further), 0]


@pytest.mark.parametrize(
    "short",
    [
        SOUND[:3] + SOUND[4:],  # a cell is missing amid the row
        [*SOUND[:-2], "x"],
        SOUND[:-1],
        SOUND[:12],
    ],
)
def test_a_row_that_lacks_other_cells_is_refused(tmp_path: Path, short: list[str]) -> None:
    header, full = [*HEADER, "Note"], [*SOUND, "x"]
    text = lines(header, full, short, full)
    refusal(write_text(tmp_path / "book.csv", text), "row 3", f"{len(short)} cells", "22")


def test_a_file_that_was_cut_off_is_refused_wherever(tmp_path: Path) -> None:
    """A cut after the last delimiter leaves a complete row, so it can't be detected."""
    text = lines([*HEADER, "Note"], *[[*SOUND, "a note"]] * 3)
    last = text.rindex(";")
    for length in (*range(text.rindex("\n", 0, -1) + 2, last, 7), last):
        refusal(write_text(tmp_path / "book.csv", text[:length]), "row 4", "cut off")


@pytest.mark.parametrize(
    "footer",
    [
        [["Total: 1200"]],
        [["Source: CRM"]],
        [["Total", "1200"]],
        [[], ["Total: 2"], [], ["Source: CRM", "2024-01-31"]],
        [["", "", "Total", "2"]],
        [["© Telco 2024"]],
    ],
)
@pytest.mark.parametrize("last", ["\n", ""])
def test_a_footer_is_a_row_for_the_rejects(
    tmp_path: Path, footer: list[list[str]], last: str
) -> None:
    text = lines(HEADER, SOUND, SOUND, *footer, last=last)
    table = read(write_text(tmp_path / "book.csv", text)).table
    assert table.num_rows == 2 + len([row for row in footer if row])
    assert table["Churn"].to_pylist()[2:] == [None] * (table.num_rows - 2)


def test_a_note_among_the_customers_is_refused(tmp_path: Path) -> None:
    text = lines(HEADER, SOUND, ["Page 2: more"], SOUND)
    refusal(write_text(tmp_path / "book.csv", text), "row 3", "1 cells")


def test_trailing_delimiters_of_the_field() -> None:
    assert read(case("10-csv-dialects/trailing_delimiters_dropped.csv")).table.num_rows == 1200


# --- a file without the label ---------------------------------------------------------------------


@FORMATS
def test_a_file_without_the_label_is_for_scoring(tmp_path: Path, name: str) -> None:
    rows = [row[:-1] for row in customers(tenure=[1, 2])]
    path = write(tmp_path / name, rows)
    refusal(path, "lacks Churn", f"can be scored with `churn score {name}`")


def test_a_file_without_the_label_of_the_field() -> None:
    refusal(case("08-codes/no_churn_column.xlsx"), "can be scored with `churn score")


def test_a_tolerant_reading_warns_and_leaves_the_texts(tmp_path: Path) -> None:
    """What `churn ingest` does: the gate rejects the texts, none becomes another number."""
    rows = sheet_rows(30)
    place = HEADER.index("MonthlyCharges")
    path = tmp_path / "book.xlsx"
    commas = [[*row[:place], "74,15", *row[place + 1 :]] for row in rows[1:]]
    write_xlsx(path, {"Data": [rows[0], *commas]})
    warned: list[str] = []
    extract = read_extract(path, None, warned.append, tolerant=True)
    assert extract.table["MonthlyCharges"].to_pylist() == ["74,15"] * 30
    assert any("--decimal ," in text and "MonthlyCharges" in text for text in warned)
    with pytest.raises(InvalidInputError, match="decimal comma"):
        read_extract(path, None, warned.append)
