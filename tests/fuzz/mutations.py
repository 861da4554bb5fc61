"""Small workbooks and ways to break them; a number makes the same mutation on every machine."""

import io
import random
import re
import struct
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

import olefile
import xlwt
from openpyxl import Workbook

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from workbooks import HEADER, customer, share_texts, text_row, write_raw_xlsx

ROWS = 200
# Records of an .xls stream that hold one cell.
XLS_CELLS = (0x00FD, 0x0203, 0x027E)
Broken = tuple[bytes, str, int | None]
# Parts that say what stands in a cell; a mutation elsewhere must not change any value.
VALUE_PARTS = ("sheet1.xml", "sharedStrings.xml", "styles.xml", "workbook.xml", "workbook.xml.rels")


class Mutation(NamedTuple):
    """A broken file: its bytes, what was done to it, and how many cells that may change.

    None where that can't be told from the outside.
    """

    seed: str
    content: bytes
    what: str
    may_change: int | None


def mutation(number: int) -> Mutation:
    chance = random.Random(number)
    name, content = chance.choice(list(seeds().items()))
    change: Callable[[bytes, random.Random], Broken]
    if name.endswith(".xlsx"):
        change = chance.choices((_zip_bytes, _zip_entries, _zip_xml), (1, 2, 6))[0]
    elif name.endswith(".xls"):
        change = chance.choices((_plain_bytes, _ole_records), (1, 3))[0]
    else:
        change = _text_bytes
    return Mutation(name, *change(content, chance))


@cache
def seeds() -> dict[str, bytes]:
    """Files of some hundred rows, as programs write them, by a name that ends as the file does."""
    header = [*HEADER, "Region", "Since", "Sum"]
    rows = [
        [*customer(number), f"Région {number % 7}", datetime(2024, 1, 1 + number % 28), number / 7]
        for number in range(1, ROWS + 1)
    ]
    texts = [[str(cell) for cell in row] for row in rows]
    lines = [",".join(row) for row in ([*header], *texts)]
    quoted = ["\t".join(f'"{cell}"' for cell in row) for row in ([*header], *texts)]
    return {
        "shared.xlsx": _xlsx(header, rows),
        "inline.xlsx": _inline_xlsx(header, texts),
        "old.xls": _xls(header, texts, rows),
        "commas.csv": "\n".join(lines).encode(),
        "tabs.csv": "\r\n".join(quoted).encode("utf-16"),
    }


def _xlsx(header: list[str], rows: list[list[object]]) -> bytes:
    book = Workbook()
    sheet = book.active
    sheet.title = "Data"
    sheet.append(header)
    for row in rows:
        sheet.append(row)
    sheet["T5"] = " "
    book.create_sheet("Notes").append(["made for the fuzz"])
    file = io.BytesIO()
    book.save(file)
    return _packed(share_texts(_unpacked(file.getvalue())))


def _inline_xlsx(header: list[str], texts: list[list[str]]) -> bytes:
    rows = [text_row(1, header)]
    for number, row in enumerate(texts, 2):
        xml = text_row(number, row[:18])
        cells = (
            f'<c r="S{number}"><v>{row[18]}</v></c>',
            f'<c r="T{number}"><f>F{number}*S{number}</f><v>{row[19]}</v></c>',
            f'<c r="U{number}" t="str"><v>{row[20]}</v></c>',
            f'<c r="V{number}" t="b"><v>{number % 2}</v></c>',
            f'<c r="W{number}" t="e"><v>#N/A</v></c>' if number % 5 == 0 else "",
        )
        rows.append(xml.replace("</row>", "".join(cells) + "</row>"))
    with tempfile.TemporaryDirectory() as folder:
        return write_raw_xlsx(Path(folder) / "inline.xlsx", "".join(rows)).read_bytes()


def _xls(header: list[str], texts: list[list[str]], rows: list[list[object]]) -> bytes:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Data")
    for column, title in enumerate(header):
        sheet.write(0, column, title)
    for index, row in enumerate(rows, 1):
        for column, value in enumerate(row):
            sheet.write(index, column, texts[index - 1][column] if column == 22 else value)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


# --- bytes ---------------------------------------------------------------------------------------


def _plain_bytes(content: bytes, chance: random.Random) -> Broken:
    if chance.random() < 0.3:
        end = chance.randrange(len(content))
        return content[:end], f"cut off at {end}", None
    return _flipped(content, chance), "bytes changed", None


def _flipped(content: bytes, chance: random.Random) -> bytes:
    broken = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        place = chance.randrange(len(broken))
        if chance.random() < 0.5:
            broken[place] ^= 1 << chance.randrange(8)
        else:
            broken[place] = chance.choice(b"\0\xff\x7f019<>\"'&;,\n A")
    return bytes(broken)


def _text_bytes(content: bytes, chance: random.Random) -> Broken:
    if chance.random() < 0.4:
        return _plain_bytes(content, chance)
    start = chance.randrange(len(content))
    end = min(len(content), start + chance.choice((0, 1, 2, 40, 400)))
    put = chance.choice((b"", b'"', b"\n", b"\r", b"\0", b",", b'""', content[start:end] * 2, b"="))
    return content[:start] + put + content[end:], f"bytes {start} to {end} replaced", None


# --- xlsx ----------------------------------------------------------------------------------------


def _zip_bytes(content: bytes, chance: random.Random) -> Broken:
    broken, what, _ = _plain_bytes(content, chance)
    # each part has its checksum: what is read after this is what was written
    return broken, what, 0


def _zip_entries(content: bytes, chance: random.Random) -> Broken:
    parts = _unpacked(content)
    chosen, other = chance.randrange(len(parts)), chance.randrange(len(parts))
    name, body = parts[chosen]
    kind = chance.choice(("dropped", "doubled", "renamed", "swapped", "emptied", "moved"))
    if kind == "dropped":
        del parts[chosen]
    elif kind == "doubled":
        parts.append((name, parts[other][1]))
    elif kind == "renamed":
        parts[chosen] = (chance.choice((name.upper(), name + "x", "xl/" + name)), body)
    elif kind == "swapped":
        parts[chosen], parts[other] = (name, parts[other][1]), (parts[other][0], body)
    elif kind == "emptied":
        parts[chosen] = (name, b"")
    else:
        parts.append(parts.pop(chosen))
    # one of two sheets may be gone, or its place taken: the values that stay are what they were
    return _packed(parts), f"{name} {kind}", 0 if kind == "moved" else None


def _zip_xml(content: bytes, chance: random.Random) -> Broken:
    parts = _unpacked(content)
    weights = [6 if name.endswith(VALUE_PARTS) else 1 for name, _ in parts]
    chosen = chance.choices(range(len(parts)), weights)[0]
    name, body = parts[chosen]
    edit = chance.choice((_flipped, _spans, _numbers, _references, _snippets, _elements))
    parts[chosen] = (name, edit(body, chance))
    what = f"{name}: {edit.__name__.strip('_')}"
    return _packed(parts), what, None if name.endswith(VALUE_PARTS) else 0


def _spans(body: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(body))
    end = start + chance.choice((1, 5, 30, 200, 3000))
    return body[:start] + chance.choice((b"", body[start:end] * 2)) + body[end:]


def _numbers(body: bytes, chance: random.Random) -> bytes:
    new = chance.choice((b"0", b"-1", b"1e308", b"4294967296", b"99999999999999999999", b"x", b""))
    return _one(rb"(?<=[\">])\d+(?=[\"<])", body, chance, lambda _: new)


def _references(body: bytes, chance: random.Random) -> bytes:
    new = chance.choice(
        (b"A1", b"XFD1048576", b"A1048577", b"U7", b"ZZZZ9", b"B0", b"C", b"U1048576")
    )
    return _one(rb'(?<= r=")\w+(?=")', body, chance, lambda _: new)


def _snippets(body: bytes, chance: random.Random) -> bytes:
    entity = b'<!DOCTYPE a [<!ENTITY b "cccc">]>'
    new = chance.choice((entity, b"&b;", b"<!-- -->", b"<![CDATA[9]]>", b"<c/>", b"\xff", b"&#0;"))
    return _one(rb"(?<=>)", body, chance, lambda _: new)


def _elements(body: bytes, chance: random.Random) -> bytes:
    """An element, or a start of one, away, twice, or with another attribute."""
    change = chance.choice(
        (
            lambda found: b"",
            lambda found: found * 2,
            lambda found: found.replace(b't="s"', b't="str"').replace(b't="n"', b't="b"'),
            lambda found: found.replace(b' r="', b' x="'),
        )
    )
    return _one(chance.choice((rb"<(\w+)\b[^<>]*>[^<>]*</\1>", rb"<[^<>]+>")), body, chance, change)


def _one(
    pattern: bytes, body: bytes, chance: random.Random, change: Callable[[bytes], bytes]
) -> bytes:
    found = list(re.finditer(pattern, body))
    if not found:
        return _flipped(body, chance)
    match = chance.choice(found)
    return body[: match.start()] + change(match[0]) + body[match.end() :]


def _unpacked(content: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def _packed(parts: list[tuple[str, bytes]]) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")
        for name, body in parts:
            archive.writestr(name, body)
    return file.getvalue()


# --- xls -----------------------------------------------------------------------------------------


def _ole_records(content: bytes, chance: random.Random) -> Broken:
    """One record of the Workbook stream with another type, length or content."""
    with olefile.OleFileIO(content) as ole:
        stream = ole.openstream("Workbook").read()
    start = content.index(stream[:512])
    assert content[start : start + len(stream)] == stream
    places = []
    place = 0
    while place + 4 <= len(stream):
        places.append(place)
        place += 4 + struct.unpack_from("<H", stream, place + 2)[0]
    broken = bytearray(stream)
    # cells are most of the records; the others are met as often here
    kinds: dict[int, list[int]] = {}
    for place in places:
        kinds.setdefault(struct.unpack_from("<H", stream, place)[0], []).append(place)
    place = chance.choice(kinds[chance.choice(list(kinds))])
    kind, length = struct.unpack_from("<HH", stream, place)
    field = chance.choice(("type", "length", "content", "content", "content", "twice"))
    word = struct.pack(
        "<H", chance.choice((0, 1, 255, 256, 0x7FFF, 0xFFFF, chance.randrange(65536)))
    )
    if field == "type":
        broken[place : place + 2] = word
    elif field == "length":
        broken[place + 2 : place + 4] = word
    elif length >= 2:
        for _ in range(2 if field == "twice" else 1):
            at = place + 4 + chance.randrange(min(length - 1, 24))
            broken[at : at + 2] = word
    # a cell that moves is gone from where it was, and hides another where it goes
    one_cell = kind in XLS_CELLS and field == "content"
    what = f"record {kind:#06x} at {place}: {field}"
    return (
        content[:start] + bytes(broken) + content[start + len(stream) :],
        what,
        (2 if one_cell else None),
    )
