"""Search every file below a folder for a text, in whatever way a file stores it.

Independent of the code that erases a customer: it knows file formats, not the project's places.
"""

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

# The type byte with which a dump of Redis introduces a compressed string.
LZF = 0xC3
# Nested archives are decoded to this depth.
DEPTH = 4


def find_text(folder: Path, text: str) -> dict[str, int]:
    """Return the number of occurrences by file, relative to the folder, without files of none.

    Names of files and folders count as well.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        count = name.count(text)
        if path.is_file() and not path.is_symlink():
            count += count_text(path.read_bytes(), text)
        if count:
            found[name] = count
    return found


def count_text(content: bytes, text: str) -> int:
    """Return the number of occurrences in a file's content, decoded in every way that applies."""
    return sum(_count(part, text) for part in _decode(content, DEPTH))


def _count(content: bytes, text: str) -> int:
    # The second one is how .xls files and some text files store it.
    return content.count(text.encode()) + content.count(text.encode("utf-16-le"))


def _decode(content: bytes, depth: int) -> Iterator[bytes]:
    """Yield the content itself, then what it contains in compressed or escaped form."""
    yield content
    if not depth:
        return
    if content[:4] == b"PAR1":
        yield from _decode_parquet(content)
    elif content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield from _decode(archive.read(name), depth - 1)
    elif content[:2] == b"\x1f\x8b":
        yield from _decode(gzip.decompress(content), depth - 1)
    elif content[:5] in (b"REDIS", b"VALKE"):
        yield from _decode_dump(content)
    elif content[:1] in (b"{", b"["):
        yield from _decode_json(content)


def _decode_parquet(content: bytes) -> Iterator[bytes]:
    file = pq.ParquetFile(io.BytesIO(content))
    yield str(file.metadata.metadata).encode()
    for group in range(file.num_row_groups):
        for column in range(file.metadata.num_columns):
            statistics = file.metadata.row_group(group).column(column).statistics
            if statistics is not None and statistics.has_min_max:
                yield f"{statistics.min} {statistics.max}".encode()
        yield str(file.read_row_group(group).to_pylist()).encode()


def _decode_json(content: bytes) -> Iterator[bytes]:
    """Yield the texts of JSON lines whose escapes hide characters."""
    if b"\\" not in content:
        return
    for line in content.splitlines():
        try:
            yield json.dumps(json.loads(line), ensure_ascii=False).encode()
        except ValueError:
            return


def _decode_dump(content: bytes) -> Iterator[bytes]:
    """Yield what may be a compressed string of a Redis dump, decompressed."""
    position = content.find(LZF)
    while position >= 0:
        try:
            packed, start = _read_length(content, position + 1)
            size, start = _read_length(content, start)
            yield _decompress(content[start : start + packed], size)
        except (IndexError, ValueError):
            pass
        position = content.find(LZF, position + 1)


def _read_length(content: bytes, position: int) -> tuple[int, int]:
    first = content[position]
    if first < 0x40:
        return first, position + 1
    if first < 0x80:
        return (first & 0x3F) << 8 | content[position + 1], position + 2
    if first == 0x80:
        return int.from_bytes(content[position + 1 : position + 5], "big"), position + 5
    raise ValueError("not a length")


def _decompress(packed: bytes, size: int) -> bytes:
    """Return the content of a block compressed by LZF."""
    out = bytearray()
    position = 0
    while position < len(packed):
        control = packed[position]
        position += 1
        if control < 32:
            out += packed[position : position + control + 1]
            position += control + 1
            continue
        length, offset = control >> 5, (control & 31) << 8
        if length == 7:
            length += packed[position]
            position += 1
        begin = len(out) - offset - packed[position] - 1
        position += 1
        if begin < 0:
            raise ValueError("not a block")
        for index in range(length + 2):
            out.append(out[begin + index])
    if len(out) != size:
        raise ValueError("not a block")
    return bytes(out)
