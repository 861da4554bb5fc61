"""What a mutated file says, read by others than the reader: ElementTree, pandas, olefile.

Slow, strict and simple. None where these can't read it either; then nothing can be compared.
"""

import csv
import io
import re
import struct
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree

import olefile
import pandas as pd

# Records of an .xls stream.
EOF, CONTINUE, CODEPAGE, BOUNDSHEET, SST = 0x000A, 0x003C, 0x0042, 0x0085, 0x00FC
NUMBER, RK, MULRK, LABELSST = 0x0203, 0x027E, 0x00BD, 0x00FD
OTHER_CELLS = (0x0006, 0x00D6, 0x0204, 0x0205, 0x0207)
UTF_16 = b"\xb0\x04"

Cells = dict[tuple[int, int], str]


def cells_of(content: bytes, kind: str, sheet: str) -> Cells | None:
    """The texts of the cells by row and column from 1, blanks left out."""
    if kind == "xlsx":
        return _of_xlsx(content, sheet)
    return _of_csv(content) if kind == "csv" else _of_xls(content, sheet)


def same(read: str | None, said: str | None) -> bool:
    """Whether two readings agree: as numbers, or as texts but for white space around them."""
    if (read or "").strip() == (said or "").strip():
        return True
    try:
        first, second = float(read or ""), float(said or "")
    except ValueError:
        return _is_date(read) and said is not None
    return abs(first - second) <= 1e-9 * max(1, abs(first), abs(second))


def _is_date(text: str | None) -> bool:
    # which number is a date is a matter of styles, and the reference does not read those
    return bool(re.fullmatch(r"-?\d{4,}-\d\d-\d\d.*|\d+:\d\d:\d\d.*|[-+]?P.*", text or ""))


def _of_xlsx(content: bytes, sheet: str) -> Cells | None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = {name.lower(): name for name in archive.namelist()}

            def tree(name: str) -> ElementTree.Element:
                return ElementTree.fromstring(archive.read(names[name.lower()]))

            links = {
                link.get("Id"): link.get("Target", "").removeprefix("/").removeprefix("xl/")
                for link in tree("xl/_rels/workbook.xml.rels")
            }
            key = next(
                value
                for element in tree("xl/workbook.xml").iter()
                if element.tag.endswith("}sheet") and element.get("name") == sheet
                for name, value in element.items()
                if name.endswith("}id")
            )
            shared = []
            if "xl/sharedstrings.xml" in names:
                shared = [_text(item) for item in tree("xl/sharedStrings.xml") if _is(item, "si")]
            return _cells(tree(f"xl/{links[key]}"), shared)
    except (KeyError, StopIteration, ValueError, IndexError, ElementTree.ParseError):
        return None
    except zipfile.BadZipFile:
        return None


def _cells(root: ElementTree.Element, shared: list[str]) -> Cells:
    cells: Cells = {}
    row = 0
    for line in (line for data in root if _is(data, "sheetData") for line in data):
        row = int(line.get("r", row + 1))
        column = 0
        for cell in (cell for cell in line if _is(cell, "c")):
            column += 1
            place = (row, column)
            if reference := cell.get("r"):
                letters, digits = re.fullmatch(r"([A-Za-z]+)(\d+)", reference).groups()  # type: ignore[union-attr]
                column = 0
                for letter in letters.upper():
                    column = column * 26 + ord(letter) - 64
                place = (int(digits), column)
            cells[place] = _value(cell, shared)
    return {place: text for place, text in cells.items() if text.strip()}


def _value(cell: ElementTree.Element, shared: list[str]) -> str:
    kind = cell.get("t", "n")
    if inline := [child for child in cell if _is(child, "is")]:
        return "".join(_text(child) for child in inline)
    if kind not in ("n", "s", "b", "e", "str", "d", "inlineStr"):
        raise ValueError(kind)
    text = next(("".join(child.itertext()) for child in cell if _is(child, "v")), "")
    if kind == "s" and text:
        return shared[int(text)]
    if kind == "b" and text:
        return "FALSE" if text == "0" else "TRUE"
    return text


def _text(element: ElementTree.Element) -> str:
    return "".join(
        child.text or ""
        for child in element.iter()
        if _is(child, "t") and not any(_is(p, "rPh") and child in list(p) for p in element.iter())
    )


def _is(element: ElementTree.Element, name: str) -> bool:
    return element.tag.rpartition("}")[2] == name


def _of_xls(content: bytes, sheet: str) -> Cells | None:
    """As far as the seed needs it: numbers and shared texts that lie in one record."""
    try:
        with olefile.OleFileIO(content) as ole:
            stream = ole.openstream("Workbook").read()
        shared: list[str] = []
        place = None
        for kind, body in _records(stream):
            if kind == SST:
                shared = _sst(body)
            elif kind == BOUNDSHEET and _string(body[6:], "<B")[0] == sheet:
                place = place or struct.unpack_from("<I", body)[0]
            elif kind == CONTINUE or (kind == CODEPAGE and body != UTF_16):
                return None
        return _xls_cells(stream[place:], shared)
    except (OSError, IndexError, KeyError, ValueError, TypeError, AttributeError, struct.error):
        return None


def _xls_cells(stream: bytes, shared: list[str]) -> Cells | None:
    cells: Cells = {}
    for kind, body in _records(stream):
        if kind in OTHER_CELLS:
            return None
        if kind not in (NUMBER, RK, MULRK, LABELSST):
            continue
        row, column = struct.unpack_from("<HH", body)
        if kind == LABELSST:
            texts = [shared[struct.unpack_from("<I", body, 6)[0]]]
        elif kind == NUMBER:
            texts = [repr(struct.unpack_from("<d", body, 6)[0])]
        else:
            end = 10 if kind == RK else len(body) - 2
            texts = [repr(_rk(body[start : start + 4])) for start in range(6, end, 6)]
        for offset, text in enumerate(texts):
            cells[row + 1, column + offset + 1] = text
    return {place: text for place, text in cells.items() if text.strip()}


def _records(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of the records up to the end of the first section."""
    place, kind = 0, None
    while kind != EOF:
        kind, length = struct.unpack_from("<HH", stream, place)
        yield kind, stream[place + 4 : place + 4 + length]
        place += 4 + length


def _rk(body: bytes) -> float:
    (number,) = struct.unpack("<i", body)
    if number & 2:
        value = float(number >> 2)
    else:
        (value,) = struct.unpack("<d", struct.pack("<q", (number & ~3) << 32))
    return value / 100 if number & 1 else value


def _sst(body: bytes) -> list[str]:
    texts = []
    rest = body[8:]
    while rest:
        text, length = _string(rest, "<H")
        texts.append(text)
        rest = rest[length:]
    return texts


def _string(body: bytes, count: str) -> tuple[str, int]:
    """A text with its number of characters before it, and how many bytes it takes."""
    (characters,) = struct.unpack_from(count, body)
    start = struct.calcsize(count) + 1
    flags = body[start - 1]
    if flags & ~1:
        raise ValueError("rich text is not in the seed")
    end = start + characters * (2 if flags & 1 else 1)
    if end > len(body):
        raise ValueError("the text goes on elsewhere")
    return body[start:end].decode("utf-16-le" if flags & 1 else "latin-1"), end


def _of_csv(content: bytes) -> Cells | None:
    encodings = ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8", "cp1252")
    for encoding in encodings:
        try:
            text = content.decode(encoding).removeprefix("\ufeff")
            break
        except UnicodeDecodeError:
            continue
    else:
        return None
    delimiter = max(",;\t", key=text[:400].count)
    try:
        table = pd.read_csv(
            io.StringIO(text),
            sep=delimiter,
            header=None,
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            quoting=csv.QUOTE_MINIMAL,
            encoding=encoding,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError):
        return None
    return {
        (row + 1, column + 1): cell
        for row, line in enumerate(table.itertuples(index=False))
        for column, cell in enumerate(line)
        if isinstance(cell, str) and cell.strip()
    }
