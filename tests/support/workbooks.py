"""Workbooks for the loader's tests, made on the spot."""

import re
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from openpyxl import Workbook

HEADER = [
    "customerID",
    "gender",
    "SeniorCitizen",
    "Partner",
    "Dependents",
    "tenure",
    "PhoneService",
    "MultipleLines",
    "InternetService",
    *("OnlineSecurity", "OnlineBackup", "DeviceProtection"),
    *("TechSupport", "StreamingTV", "StreamingMovies"),
    "Contract",
    "PaperlessBilling",
    "PaymentMethod",
    "MonthlyCharges",
    "TotalCharges",
    "Churn",
]


def customer(number: int = 1) -> list[object]:
    """The cells of a customer, in the order of HEADER."""
    add_ons = ["No"] * 6
    return [
        *(f"{number:04}-ABCDE", "Female", 0, "Yes", "No", 12, "Yes", "No", "DSL"),
        *add_ons,
        *("One year", "No", "Mailed check", 29.85, 358.2, "No"),
    ]


def sheet_rows(count: int = 2) -> list[Sequence[object]]:
    return [HEADER, *(customer(number) for number in range(1, count + 1))]


def write_xlsx(path: Path, sheets: Mapping[str, Iterable[Sequence[object]]]) -> Path:
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def write_raw_xlsx(path: Path, rows: str) -> Path:
    """A workbook whose sheet `Data` holds this XML of rows, for what openpyxl doesn't write."""
    write_xlsx(path, {"Data": [["x"]]})

    def with_rows(xml: str) -> str:
        before, rest = xml.split("<sheetData>")
        return f"{before}<sheetData>{rows}</sheetData>{rest.split('</sheetData>')[1]}"

    return change_part(path, "xl/worksheets/sheet1.xml", with_rows)


def change_part(path: Path, part: str, change: Callable[[str], str]) -> Path:
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents[part] = change(contents[part].decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def raw_row(number: int, cells: Iterable[str]) -> str:
    return f'<row r="{number}">{"".join(cells)}</row>'


def text_row(number: int, texts: Iterable[str | None]) -> str:
    return raw_row(
        number,
        (
            f'<c r="{letters(index)}{number}" t="inlineStr">'
            f'<is><t xml:space="preserve">{text}</t></is></c>'
            for index, text in enumerate(texts)
            if text is not None
        ),
    )


def letters(index: int) -> str:
    return chr(65 + index) if index < 26 else "A" + chr(39 + index)


def write_ole(path: Path, streams: Mapping[str, bytes]) -> Path:
    """A compound file with these streams, each padded to the size that needs no mini stream."""
    sector = 512
    entries, bodies, chains, start = [], [], [], 2
    for name, content in streams.items():
        size = max(4096, -(-len(content) // sector) * sector)
        count = size // sector
        bodies.append(content.ljust(size, b"\0"))
        chains += [*range(start + 1, start + count), 0xFFFFFFFE]
        entries.append(_ole_entry(name, 2, start, size, child=None))
        start += count
    fat = [0xFFFFFFFD, 0xFFFFFFFE, *chains]
    assert len(fat) <= 128 and len(streams) <= 3
    fat += [0xFFFFFFFF] * (128 - len(fat))
    directory = _ole_entry("Root Entry", 5, 0xFFFFFFFE, 0, child=1)
    for index, entry in enumerate(entries):
        # siblings hang in one chain to the right
        right = index + 2 if index + 1 < len(entries) else 0xFFFFFFFF
        directory += entry[:72] + struct.pack("<I", right) + entry[76:]
    header = struct.pack(
        "<8s16sHHHHHHIIIIIIIIII",
        *(bytes.fromhex("D0CF11E0A1B11AE1"), b"", 0x3E, 3, 0xFFFE, 9, 6, 0, 0),
        *(0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0),
    )
    header = header.ljust(76, b"\0") + struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    path.write_bytes(
        header + struct.pack("<128I", *fat) + directory.ljust(sector, b"\0") + b"".join(bodies)
    )
    return path


def _ole_entry(name: str, kind: int, start: int, size: int, child: int | None) -> bytes:
    encoded = name.encode("utf-16-le") + b"\0\0"
    no_link = 0xFFFFFFFF
    return struct.pack(
        "<64sHBBIII16sIQQIII",
        *(encoded, len(encoded), kind, 1, no_link, no_link, no_link if child is None else child),
        *(b"", 0, 0, 0, start, size, 0),
    )


def summary(saved: datetime) -> bytes:
    """A SummaryInformation stream that holds the time of the last save, in UTC."""
    ticks = int((saved.replace(tzinfo=None) - datetime(1601, 1, 1)).total_seconds()) * 10**7
    section = struct.pack("<IIIIIQ", 28, 1, 13, 16, 64, ticks)
    name = bytes.fromhex("E0859FF2F94F6810AB9108002B27B3D9")
    return struct.pack("<HHI16sI16sI", 0xFFFE, 0, 0, b"", 1, name, 48) + section


def share_texts(parts: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The parts as Excel writes them, texts in a part of their own; openpyxl writes them inline."""
    texts: dict[bytes, int] = {}

    def share(match: re.Match[bytes]) -> bytes:
        return b't="s"><v>%d</v></c>' % texts.setdefault(match[1], len(texts))

    inline = rb't="inlineStr"><is>(<t[^>]*>[^<]*</t>)</is></c>'
    changed = {
        name: re.sub(inline, share, body)
        for name, body in parts
        if name.startswith("xl/worksheets/sheet")
    }
    items = b"".join(b"<si>%s</si>" % text for text in texts)
    namespace = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    shared = b'<sst %s uniqueCount="%d">%s</sst>' % (namespace, len(texts), items)
    link = (
        b'<Relationship Id="rId9" Target="sharedStrings.xml" Type="http://schemas.openxmlformats'
        b'.org/officeDocument/2006/relationships/sharedStrings"/></Relationships>'
    )
    links = "xl/_rels/workbook.xml.rels"
    changed[links] = dict(parts)[links].replace(b"</Relationships>", link)
    whole = [(name, changed.get(name, body)) for name, body in parts]
    return [*whole, ("xl/sharedStrings.xml", shared)]
