"""Detect a file's format by its content, whatever its name, and when it was saved."""

import codecs
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree
from xml.parsers import expat

import olefile

from lakehouse.errors import InvalidInputError
from lakehouse.near_matches import list_printable, require_file

Kind = Literal["xlsx", "xls", "csv"]

SUFFIXES = (".xlsx", ".xls", ".csv")
ZIP = b"PK"
OLE = bytes.fromhex("D0CF11E0A1B11AE1")
ENCODINGS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# A million customers unpack to 0.7 GB. Sheets compress to a tenth, blank rows to a fortieth.
MAX_UNPACKED_BYTES = 4 * 1024**3
MAX_RATIO = 100
FREE_UNPACKED_BYTES = 128 * 1024**2
CHUNK_BYTES = 1024**2
# The parts, besides the sheets, that fastexcel uses as they are.
XML_PARTS = ("workbook.xml", "workbook.xml.rels", "styles.xml", "sharedstrings.xml")
MAX_PROPERTIES_BYTES = 1024**2

# Records of the .xls stream: the one of an encrypted file, a sheet's first one, and cells.
BIFF_FILEPASS = 0x002F
BIFF_SHEET = 0x0809
BIFF_CELLS = frozenset(
    (0x0006, 0x00BD, 0x00BE, 0x00D6, 0x00FD, 0x0201, 0x0203, 0x0204, 0x0205, 0x027E)
)
# Each of these has a fixed length; a longer one hides the records that follow it.
BIFF_LENGTHS = {0x00FD: 10, 0x0203: 14, 0x0205: 8, 0x027E: 10}
BIFF_DIMENSIONS = 0x0200
XLS_ROWS, XLS_COLUMNS = 65_536, 256

_DCTERMS = "{http://purl.org/dc/terms/}"
_CREATOR = "{http://purl.org/dc/elements/1.1/}creator"
# The creator of generated workbooks, which Excel keeps when it saves one.
SAMPLE_CREATOR = "telco-churn sample"


def detect_format(path: Path) -> Kind:
    """Return the format by content, after checks that the file is complete and may be opened.

    Raises:
        InvalidInputError: The path is not a file, or the file is empty, damaged, encrypted, or in
            none of the formats.
    """
    kind = _read_kind(path)
    if kind == "xls":
        _validate_xls(path)
    elif kind == "xlsx":
        _validate_xlsx(path)
    return kind


def require_workbook(path: Path) -> None:
    """Check what can be checked at once: path, rights, and the first bytes.

    For commands, before they import what takes seconds. A name that can't be printed is left to the
    process that reads the file, whose messages escape it.

    Raises:
        InvalidInputError: The path is not a file, or the file is empty, can't be opened, or is in
            none of the formats.
    """
    if str(path).isprintable():
        _read_kind(path)


def _read_kind(path: Path) -> Kind:
    try:
        _require_file(path)
        with path.open("rb") as file:
            head = file.read(len(OLE))
    except OSError as error:
        raise unreadable_error(path, error) from error
    if head == OLE:
        return "xls"
    if head.startswith(ZIP):
        return "xlsx"
    if path.suffix.lower() != ".csv":
        raise _not_excel_error(path)
    return "csv"


def read_saved_date(path: Path, kind: Kind) -> datetime | None:
    """Return when the file was last saved, in UTC, as stored inside it; None if it does not say."""
    if kind == "xlsx":
        return _read_xlsx_saved_date(path)
    if kind == "xls":
        return _read_xls_saved_date(path)
    return None


def unreadable_error(path: Path, error: OSError) -> InvalidInputError:
    """Return the error for a file that the system does not let this process read."""
    return InvalidInputError(
        f"{path.name} can't be read: {error.strerror or error}",
        where=str(path),
        hint="check the path and the rights to the file; close it in Excel",
    )


def damaged_error(path: Path, detail: object) -> InvalidInputError:
    """Return the error for a file that is damaged or incomplete."""
    return InvalidInputError(
        f"{path.name} is damaged or incomplete: {detail}",
        where=str(path),
        hint="get the file again from where it came from, or open it in Excel and save it again",
    )


def _require_file(path: Path) -> None:
    if not path.is_dir():
        require_file(path, SUFFIXES)
    if path.is_dir():
        what, hint = f"{path.name or path} is a folder", _name_workbook_inside(path)
    elif not path.is_file():
        what, hint = f"{path.name} is not an ordinary file", "save the workbook as a file"
    elif path.suffix.lower() not in SUFFIXES:
        what = f"{path.name} does not end in {', '.join(SUFFIXES)}"
        hint = "save it in Excel as .xlsx, or as 'CSV UTF-8'"
    elif path.stat().st_size == 0:
        what, hint = f"{path.name} is empty (0 bytes)", "get the file again, or save it again"
    else:
        return
    raise InvalidInputError(what, where=str(path), hint=hint)


def _name_workbook_inside(folder: Path) -> str:
    names = [name for name in list_printable(folder) if Path(name).suffix.lower() in SUFFIXES]
    return "name the workbook inside it" + (f", such as {min(names)}" if names else "")


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the file as a zip archive.

    Raises:
        InvalidInputError: The archive is broken, also if the body of the `with` block finds it so.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except zipfile.BadZipFile as error:
        raise damaged_error(path, f"its table of contents is missing or wrong ({error})") from error
    except (zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise damaged_error(path, error) from error


def read_part(
    path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, is_xml: bool
) -> Iterator[bytes]:
    """Yield the bytes of a part; validate its checksum and, if it is XML, its grammar.

    fastexcel is lenient: it would silently lose cells. A document type, which is where entities are
    declared, is not allowed in any part.

    Raises:
        InvalidInputError: The part is broken or declares a document type.
    """
    parser = expat.ParserCreate() if is_xml else None
    if parser:
        parser.StartDoctypeDeclHandler = lambda *_: _refuse_document_type(path, entry.filename)
    try:
        with archive.open(entry) as file:
            while chunk := file.read(CHUNK_BYTES):
                if parser:
                    parser.Parse(chunk)
                yield chunk
        if parser:
            parser.Parse(b"", True)
    except zipfile.BadZipFile as error:
        raise damaged_error(path, f"the checksum of {entry.filename} is wrong") from error
    except expat.ExpatError as error:
        raise damaged_error(path, f"{entry.filename} is not proper XML ({error})") from error


def _is_sheet(name: str) -> bool:
    # By the folder that all programs use.
    return "worksheets/" in name.replace("\\", "/").lower() and name.lower().endswith(".xml")


def _refuse_document_type(path: Path, name: str) -> None:
    raise damaged_error(path, f"{name} declares a document type, which no workbook does")


def _validate_xlsx(path: Path) -> None:
    with open_archive(path) as archive:
        entries = archive.infolist()
        _require_reasonable_size(path, entries)
        _require_workbook(path, entries)
        for entry in entries:
            # A sheet is scanned later, when it is read.
            if not _is_sheet(entry.filename):
                is_xml = entry.filename.lower().endswith(XML_PARTS)
                for chunk in read_part(path, archive, entry, is_xml):
                    _require_stated_size(path, entry, chunk)


def _require_stated_size(path: Path, entry: zipfile.ZipInfo, chunk: bytes) -> None:
    """Raise InvalidInputError if a part declares more shared texts than it can contain.

    fastexcel allocates memory for all declared texts; the shortest is <si/>.
    """
    if not entry.filename.lower().endswith("sharedstrings.xml"):
        return
    claimed = re.search(rb"uniqueCount\s*=\s*[\"'](\d+)", chunk)
    if claimed and int(claimed[1]) > entry.file_size // len("<si/>"):
        raise damaged_error(path, f"{entry.filename} claims {int(claimed[1]):,} texts")


def _require_reasonable_size(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename.replace("\\", "/").lower() for entry in entries]
    if len(set(names)) < len(names):
        twin = next(name for index, name in enumerate(names) if name in names[:index])
        raise damaged_error(path, f"it holds the part {twin} twice")
    size = path.stat().st_size
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > min(MAX_UNPACKED_BYTES, max(FREE_UNPACKED_BYTES, MAX_RATIO * size)):
        largest = max(entries, key=lambda entry: entry.file_size)
        raise InvalidInputError(
            f"{path.name} would unpack to {unpacked / 1024**3:.1f} GiB, which no workbook does",
            where=f"{path}: {largest.filename}",
            hint="open it in Excel, delete the unused rows and columns, and save it again",
        )
    if sum(entry.compress_size for entry in entries) > size:
        raise damaged_error(path, "its parts overlap")


def _require_workbook(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    names = {entry.filename.lower() for entry in entries}
    if any(entry.flag_bits & 1 for entry in entries):
        raise _protected_error(path)
    if not any(name.endswith("workbook.xml") for name in names):
        binary = any(name.endswith("workbook.bin") for name in names)
        kind = "a binary workbook (.xlsb)" if binary else "a zip archive without a workbook in it"
        raise InvalidInputError(
            f"{path.name} is {kind}",
            where=str(path),
            hint="open it in Excel and save it as .xlsx",
        )


def _validate_xls(path: Path) -> None:
    _validate_records(path, read_xls_stream(path))


def read_xls_stream(path: Path) -> bytes:
    """Return the stream of records of an .xls file.

    Raises:
        InvalidInputError: The file is broken, encrypted or not a workbook.
    """
    try:
        with olefile.OleFileIO(path, raise_defects=olefile.DEFECT_INCORRECT) as ole:
            if ole.exists("EncryptedPackage"):
                raise _protected_error(path)
            name = next((name for name in ("Workbook", "Book") if ole.exists(name)), None)
            # Read to its end: a truncated stream fails here instead of losing rows.
            stream: bytes | None = ole.openstream(name).read() if name else None
    # On broken structures olefile raises the errors that its own code encounters.
    except (OSError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise damaged_error(path, error) from error
    if stream is None:
        raise InvalidInputError(
            f"{path.name} is an Office file, but not a workbook",
            where=str(path),
            hint="name the workbook; .xlsx, .xls and .csv are read",
        )
    return stream


def _validate_records(path: Path, stream: bytes) -> None:
    """Raise InvalidInputError for an encrypted stream and for misplaced cells.

    Misplaced cells are out of order or outside any sheet. fastexcel lays out all sheets at once,
    each from its first row to its last, and silently skips cells elsewhere. After the FILEPASS
    record everything is encrypted.
    """
    place = last_row = 0
    while place + 8 <= len(stream):
        record, length, row, column = struct.unpack_from("<4H", stream, place)
        if record == BIFF_FILEPASS:
            raise _protected_error(path)
        if record == BIFF_SHEET:
            last_row = 0
        elif record == BIFF_DIMENSIONS and length == 14 and place + 18 <= len(stream):
            # fastexcel allocates memory for the size declared here; older files have a shorter
            # record.
            first, rows, columns = struct.unpack_from("<II2xH", stream, place + 4)
            if not first <= rows <= XLS_ROWS or columns > XLS_COLUMNS:
                raise damaged_error(path, f"a sheet of {rows:,} rows and {columns:,} columns")
        elif record in BIFF_CELLS:
            if column >= XLS_COLUMNS:
                raise damaged_error(
                    path, f"a cell in column {column + 1}, where .xls ends at {XLS_COLUMNS}"
                )
            if length != BIFF_LENGTHS.get(record, length):
                raise damaged_error(path, f"a cell of row {row + 1} takes {length} bytes")
            if row < last_row:
                raise damaged_error(
                    path, f"a cell of row {row + 1} stands behind row {last_row + 1}"
                )
            last_row = row
        place += 4 + length


def _protected_error(path: Path) -> InvalidInputError:
    return InvalidInputError(
        f"{path.name} is protected by a password",
        where=str(path),
        hint="open it in Excel, remove the password (File, Info, Protect Workbook), and save it",
    )


def _not_excel_error(path: Path) -> InvalidInputError:
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(ENCODINGS) or b"\0" not in head:
        what = f"{path.name} is not an Excel file: it holds plain text"
        hint = "rename it to .csv if it is one, else save it in Excel as .xlsx"
    else:
        what = f"{path.name} is not an Excel file, or damaged from its first bytes on"
        hint = "get the file again, or open it in Excel and save it as .xlsx"
    return InvalidInputError(what, where=str(path), hint=hint)


def is_generated(path: Path, kind: Kind) -> bool:
    """Return whether the sampler wrote the workbook."""
    properties = _read_xlsx_properties(path) if kind == "xlsx" else None
    return properties is not None and properties.findtext(_CREATOR) == SAMPLE_CREATOR


def _read_xlsx_saved_date(path: Path) -> datetime | None:
    root = _read_xlsx_properties(path)
    if root is None:
        return None
    dates = (_parse_w3c_date(root.findtext(_DCTERMS + name)) for name in ("modified", "created"))
    return next(filter(None, dates), None)


def _read_xlsx_properties(path: Path) -> ElementTree.Element | None:
    """Return the root element of the workbook's core properties; None if they can't be read."""
    with zipfile.ZipFile(path) as archive:
        part = next(
            (
                entry
                for entry in archive.infolist()
                if entry.filename.lower() == "docprops/core.xml"
                or entry.filename.endswith(".psmdcp")
            ),
            None,
        )
        if part is None or part.file_size > MAX_PROPERTIES_BYTES:
            return None
        content = archive.read(part)
    try:
        text = content.decode("utf-8-sig")
        # Properties need no document type; without one there are no entities to expand.
        if "<!DOCTYPE" in text:
            return None
        return ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError):
        return None


def _parse_w3c_date(text: str | None) -> datetime | None:
    try:
        return _to_utc(datetime.fromisoformat((text or "").strip()))
    except (ValueError, OverflowError):
        return None


def _read_xls_saved_date(path: Path) -> datetime | None:
    try:
        with olefile.OleFileIO(path) as ole:
            properties = ole.get_metadata()
    # A broken summary is not a reason to refuse the rows.
    except (OSError, IndexError, ValueError, TypeError, AttributeError, OverflowError):
        return None
    for saved in (properties.last_saved_time, properties.create_time):
        if isinstance(saved, datetime):
            return _to_utc(saved)
    return None


def _to_utc(moment: datetime) -> datetime:
    # Both formats store UTC; a time without a zone merely does not state it.
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
