"""What a mutated file says, read by others than the reader: ElementTree, pandas.

Slow, strict and simple. None where these can't read it either; then nothing can be compared.
"""

import csv
import io
import re
import zipfile
from xml.etree import ElementTree

import pandas as pd

Cells = dict[tuple[int, int], str]


def cells_of(content: bytes, kind: str, sheet: str) -> Cells | None:
    """The texts of the cells by row and column from 1, blanks left out."""
    if kind == "xlsx":
        return _of_xlsx(content, sheet)
    if kind == "csv":
        return _of_csv(content)
    return None


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
    if kind == "inlineStr":
        return "".join(_text(child) for child in cell if _is(child, "is"))
    if kind not in ("n", "s", "b", "e", "str", "d"):
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
