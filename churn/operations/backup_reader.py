"""Read a backup as untrusted input.

Everything is checked before anything is written: each path stays below its part, each name and
type is valid, files.json lists every file and no other, and each file has its hash. A backup has
no SQL statements; those of backups of format 1 are parsed, and anything that is not plainly a
column is refused (docs/decisions/0030-sites-and-backups.md).
"""

import hashlib
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import msgspec
from google.protobuf.message import DecodeError

from churn.operations.backup_format import (
    FILES,
    FORMAT,
    HOME_FOLDERS,
    INTERNAL_PREFIX,
    LAKE,
    MANIFEST,
    METASTORE,
    NAMED,
    READABLE,
    REGISTRY,
    Backup,
    BackupManifest,
    list_backups,
)
from churn.operations.backup_signature import check_signature
from lakehouse.errors import InvalidInputError
from lakehouse.file_copy import CHUNK_BYTES, FileCopy, ProgressCallback, run_concurrently
from lakehouse.metastore_snapshot import DELTA, VIEW, Column, MetastoreSnapshot, Table
from lakehouse.settings import Settings
from lakehouse.storage import Storage

Kind = TypeVar("Kind")
BESIDE = (METASTORE, REGISTRY, FILES)
# Maximum bytes of such a file; a list of a million files has about 250 MB.
LARGEST = 2**30
LONGEST_PATH, LONGEST_NAME, LONGEST_TEXT = 2000, 255, 1000
LATEST_NS = 2**63
# Length of a UUID in Delta's own encoding.
UUID_LENGTH = 20
SHA256 = re.compile(r"[0-9a-f]{64}")
IDENTIFIER = re.compile(r"[A-Za-z0-9_]{1,128}")
PRIMITIVE = re.compile(
    r"boolean|tinyint|byte|smallint|short|int|integer|bigint|long|float|real|double|date|timestamp"
    r"|timestamp_ntz|timestamp_ltz|binary|string|decimal\([0-9]{1,2}, ?-?[0-9]{1,2}\)"
)
# Line of the output of `show create table`, in a backup of format 1.
OLD_COLUMN = re.compile(
    r"  (?P<quote>`?)(?P<name>[A-Za-z0-9_]+)(?P=quote) "
    r"(?P<type>[A-Za-z0-9_<>:,() ]+?)(?: COLLATE UTF8_BINARY)?"
    r"(?: COMMENT '(?P<comment>(?:[^'\\]|\\.)*)')?(?P<end>,|\))?"
)
OLD_PARTITIONS = re.compile(r"PARTITIONED BY \(([A-Za-z0-9_`, ]+)\)")
# Functions through which an expression can call Java.
CALLS = re.compile(r"\b(reflect|try_reflect|java_method)`?\s*(/\*.*?\*/\s*)?\(", re.IGNORECASE)


class InvalidBackupError(ValueError):
    """Error about an invalid value in a backup."""


def read_backup(settings: Settings, address: str) -> Backup:
    """Read and check a backup's metadata; file contents are not checked yet.

    Raises:
        InvalidInputError: There is no backup at the address, or it is incomplete or invalid.
        lakehouse.errors.UnavailableError: The object store does not respond.
    """
    place = settings.storage(address)
    seal, beside = _read_manifest(place, address), {}
    for name in BESIDE:
        beside[name] = _bytes(place, address, name)
        if seal.format == FORMAT and _sha256(beside[name]) != seal.contents.get(name):
            raise _damaged_error(address, name, "its SHA-256 is not that of backup.json")
    signature = check_signature(settings, seal)
    if signature is None:
        raise _damaged_error(address, MANIFEST, "it was changed after this home had signed it")
    read_tables = _read_tables if seal.format == FORMAT else _old_tables
    backup = Backup(
        address=address,
        place=place,
        manifest=seal,
        files=tuple(_read(address, FILES, beside, lambda text: _decode(text, list[FileCopy]))),
        metastore=_read(address, METASTORE, beside, read_tables),
        registry=beside[REGISTRY],
        signature=signature,
    )
    _read(address, FILES, beside, lambda _: check_files(backup.files))
    _read(address, METASTORE, beside, lambda _: check_catalogue(backup.metastore, seal))
    _read(address, REGISTRY, beside, _check_registry)
    _require_whole(backup)
    return backup


def check_contents(backup: Backup, advance: ProgressCallback) -> None:
    """Compare every file with its hash, and check the references in Delta's logs.

    Args:
        backup: The backup, as returned by `read_backup`.
        advance: Progress callback.

    Raises:
        InvalidInputError: A file differs from its entry in files.json, or a log refers to a file
            outside its table.
    """

    def check(file: FileCopy) -> None:
        log = is_log(file.path)
        digest, kept = hashlib.sha256(), bytearray()
        with backup.place.files.open_input_stream(backup.place.join(file.path).root) as source:
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
                if log:
                    kept += chunk
        if digest.hexdigest() != file.sha256:
            raise _damaged_error(
                backup.address, file.path, f"is not what was backed up: {digest.hexdigest()}"
            )
        if log:
            try:
                check_log(file.path, bytes(kept))
            except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
                raise _damaged_error(backup.address, file.path, str(error)) from error

    run_concurrently(check, backup.files, advance, "checking")


# --- files ---------------------------------------------------------------------------------------


def check_files(files: Sequence[FileCopy]) -> None:
    """Check that every path stays below its part, and that no two paths name the same file.

    Paths are compared as a case-insensitive, Unicode-normalizing file system would.

    Raises:
        InvalidBackupError: A path, size, time or hash is invalid, or a path occurs twice.
    """
    folders: set[str] = set()
    for file in files:
        _check_path(file.path)
        if not 0 <= file.size < LATEST_NS or not 0 <= file.mtime_ns < LATEST_NS:
            raise InvalidBackupError(f"{_escape(file.path)} has no such size or time")
        if not SHA256.fullmatch(file.sha256):
            raise InvalidBackupError(f"{_escape(file.path)} has no SHA-256")
        folders |= {_fold_case(str(each)) for each in PurePosixPath(file.path).parents}
    names = Counter(_fold_case(each.path) for each in files)
    for file in files:
        if names[_fold_case(file.path)] > 1:
            raise InvalidBackupError(
                f"{_escape(file.path)} is there twice, as far as some file systems can tell"
            )
        if _fold_case(file.path) in folders:
            raise InvalidBackupError(f"{_escape(file.path)} is a file and a folder")


def _check_path(path: str) -> None:
    steps = path.split("/")
    wrong = (
        len(path) > LONGEST_PATH
        or "\\" in path
        or not path.isprintable()
        or any(each in ("", ".", "..") or len(each.encode()) > LONGEST_NAME for each in steps)
    )
    part = LAKE if steps[0] == LAKE else "/".join(steps[:2])
    if wrong or part not in (LAKE, *(f"home/{each}" for each in HOME_FOLDERS)) or path == part:
        raise InvalidBackupError(f"{_escape(path)} is no path of a backup")
    # The lake's lock and drafts: `churn backup` copies none, and a restore must not overwrite them.
    if path.removeprefix(f"{part}/").startswith(INTERNAL_PREFIX if part == LAKE else "."):
        raise InvalidBackupError(f"{_escape(path)} is not a file that a backup contains")


def _fold_case(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _escape(text: str) -> str:
    """Return text from a backup in a form that is safe to print to a terminal."""
    return ascii(text[:LONGEST_TEXT])


def _require_whole(backup: Backup) -> None:
    """Raise unless exactly the listed files exist, in their sizes; contents are checked later."""
    if backup.place.folder:
        _refuse_odd_entries(backup.address)
    found = {backup.place.relative_path(each.path): each.size for each in backup.place.list_files()}
    for name in (*BESIDE, MANIFEST):
        found.pop(name, None)
    wrong = [each.path for each in backup.files if found.get(each.path) != each.size]
    if wrong:
        raise InvalidInputError(
            f"The backup is incomplete: {len(wrong)} of {len(backup.files)} files are missing or "
            f"have another size ({', '.join(wrong[:NAMED])})",
            where=backup.address,
            hint="restore another backup",
        )
    surplus = sorted(set(found) - {each.path for each in backup.files})
    if surplus:
        raise InvalidInputError(
            f"{len(surplus)} files in the backup are not in {FILES} "
            f"({', '.join(map(_escape, surplus[:NAMED]))})",
            where=backup.address,
            hint="find out who put them there; remove them, or restore another backup",
        )
    total = (len(backup.files), sum(each.size for each in backup.files))
    if total != (backup.manifest.files, backup.manifest.bytes):
        raise _damaged_error(backup.address, MANIFEST, "it counts other files than there are")


def _refuse_odd_entries(folder: str) -> None:
    """Raise if the folder has links or devices, whose targets are not part of the backup."""
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            entry = Path(above, name)
            found = entry.lstat()
            plain = stat.S_ISDIR(found.st_mode) or (
                stat.S_ISREG(found.st_mode) and found.st_nlink == 1
            )
            if not plain:
                raise InvalidInputError(
                    f"{_escape(name)} is a link or a device, and no file of the backup's own",
                    where=ascii(str(entry)),
                    hint="copy the backup, links followed, if you trust them (cp -rL); or "
                    "restore another one",
                )


# --- tables --------------------------------------------------------------------------------------


def check_catalogue(catalogue: MetastoreSnapshot, seal: BackupManifest) -> None:
    """Check that all names, types and locations are valid and all locations are in the lake.

    Args:
        catalogue: The content of metastore.json.
        seal: The content of backup.json, whose row counts must be of the same tables.

    Raises:
        InvalidBackupError: A value is invalid.
    """
    for schema, place in catalogue.schemas.items():
        _check_identifier(schema)
        _check_place(place)
    for table in catalogue.tables:
        names = table.name.split(".")
        if len(names) != 2 or names[0] not in catalogue.schemas:
            raise InvalidBackupError(f"{_escape(table.name)} is no table of the backup's schemas")
        _check_identifier(names[1])
        _check_table(table)
    if len({each.name for each in catalogue.tables}) != len(catalogue.tables):
        raise InvalidBackupError("a table is there twice")
    if set(seal.rows) != set(catalogue.table_names) or min(seal.rows.values(), default=0) < 0:
        raise InvalidBackupError(f"{MANIFEST} counts the rows of other tables")


def _check_table(table: Table) -> None:
    if (table.place is None) != (table.provider == VIEW):
        raise InvalidBackupError(f"{table.name} has no place, or is a view with one")
    if table.place is not None:
        _check_identifier(table.provider)
        _check_place(table.place)
    if bool(table.columns) != (table.provider not in (DELTA, VIEW)):
        raise InvalidBackupError(f"{table.name} has no columns, or ones that its files know")
    names = [each.name for each in table.columns]
    for column in table.columns:
        _check_identifier(column.name)
        if not is_type(column.type):
            raise InvalidBackupError(
                f"{table.name}.{column.name} has no type: {_escape(column.type)}"
            )
        _check_text(column.comment)
    if len(set(names)) != len(names) or not set(table.partitioned_by) <= set(names):
        raise InvalidBackupError(
            f"{table.name} has a column twice, or is partitioned by one that is not there"
        )
    for partition in table.partitions:
        if set(partition.values) != set(table.partitioned_by):
            raise InvalidBackupError(f"{table.name} has a partition by other columns")
        for value in partition.values.values():
            _check_text(value)
        _check_place(partition.place)
        if not partition.place.startswith(f"{table.place}/"):
            raise InvalidBackupError(f"{table.name} has a partition outside of its folder")


def _check_identifier(name: str) -> None:
    if not IDENTIFIER.fullmatch(name):
        raise InvalidBackupError(f"{_escape(name)} is no name")


def _check_place(place: str) -> None:
    """Raise an error unless the location is a folder of the lake; "" is the lake itself."""
    steps = place.split("/")
    if place and any(each in ("", ".", "..") for each in steps):
        raise InvalidBackupError(f"{_escape(place)} is no folder of the lake")
    _check_text(place)
    if (
        "\\" in place
        or not place.isprintable()
        or place.startswith(INTERNAL_PREFIX)
        or ":" in steps[0]
    ):
        raise InvalidBackupError(f"{_escape(place)} is no folder of the lake")


def _check_text(text: str) -> None:
    """Raise an error on overlong text, control characters, or variables that Spark substitutes."""
    if (
        len(text) > LONGEST_TEXT
        or "${" in text
        or not all(each.isprintable() or each in "\n\t" for each in text)
    ):
        raise InvalidBackupError(f"{_escape(text)} is no plain text")


def is_type(text: str) -> bool:
    """Return whether the text is a type in SQL notation and nothing else."""
    if PRIMITIVE.fullmatch(text):
        return True
    match = re.fullmatch(r"(array|map|struct)<(.*)>", text)
    if match is None:
        return False
    inner = list(_split(match[2]))
    if match[1] == "struct":
        pairs = [each.partition(":") for each in inner]
        return all(IDENTIFIER.fullmatch(name) and is_type(kind) for name, _, kind in pairs)
    return len(inner) == {"array": 1, "map": 2}[match[1]] and all(map(is_type, inner))


def _split(text: str) -> Iterator[str]:
    """Yield the parts of the text between commas, except commas within brackets."""
    depth, start = 0, 0
    for place, each in enumerate(text):
        depth += (each in "<(") - (each in ">)")
        if each == "," and depth == 0:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def _read_tables(content: bytes) -> MetastoreSnapshot:
    return _decode(content, MetastoreSnapshot)


def _old_tables(content: bytes) -> MetastoreSnapshot:
    """Read tables in format 1, which has a statement per table; no statement is executed."""
    known: dict[str, Any] = _decode(content, dict[str, Any])
    tables = [_old_table(each) for each in known["tables"]]
    plain = {"schemas": known["schemas"], "elsewhere": known["elsewhere"], "tables": []}
    return replace(msgspec.convert(plain, MetastoreSnapshot), tables=tuple(tables))


def _old_table(fields: dict[str, Any]) -> Table:
    create = str(fields.pop("create"))
    table = msgspec.convert(fields, Table)
    if table.provider == VIEW:
        return replace(table, definition=create)
    if table.provider == DELTA:
        return table
    head, _, lines = create.partition("\n")
    if not head.endswith("("):
        raise InvalidBackupError(f"{table.name}: {_escape(create)} is not understood")
    columns = []
    for line in lines.split("\n"):
        match = OLD_COLUMN.fullmatch(line)
        if match is None:
            raise InvalidBackupError(f"{table.name}: {_escape(line)} is not understood as a column")
        comment = re.sub(r"\\(.)", r"\1", match["comment"] or "")
        columns.append(Column(match["name"], match["type"].lower(), comment))
        if match["end"] != ",":
            break
    by = OLD_PARTITIONS.search(create)
    names = tuple(by[1].replace("`", "").split(", ")) if by else ()
    return replace(table, columns=tuple(columns), partitioned_by=names)


# --- Delta's logs --------------------------------------------------------------------------------


def is_log(path: str) -> bool:
    """Return whether a file is one of Delta's logs, which list the files of a table."""
    name = PurePosixPath(path)
    return (
        "_delta_log" in name.parts
        and not name.name.startswith(".")
        and (name.suffix in (".json", ".parquet"))
    )


def check_log(path: str, content: bytes) -> None:
    """Check that a log refers only to files of its own table and calls no Java.

    Delta accepts absolute paths in a log, and evaluates the expressions of constraints, defaults
    and generated columns when it writes.

    Raises:
        ValueError: The log is invalid, refers to a file outside its table, or calls Java.
    """
    for action in _actions(path, content):
        for kind, fields in action.items():
            if not isinstance(fields, dict):
                continue
            if kind in ("add", "remove", "cdc", "sidecar"):
                _check_log_path(fields.get("path"))
                vector = fields.get("deletionVector")
                if isinstance(vector, dict):
                    _check_vector(vector)
            if kind == "metaData" and any(map(CALLS.search, _expressions(fields))):
                raise InvalidBackupError("has an expression that calls Java")


def _check_log_path(path: Any) -> None:
    steps = (
        str(path)
        .replace("%2F", "/")
        .replace("%2f", "/")
        .replace("%2E", ".")
        .replace("%2e", ".")
        .split("/")
    )
    if path is not None and (not steps[0] or ":" in steps[0] or ".." in steps):
        raise InvalidBackupError("points at a file outside of its table")


def _expressions(fields: dict[str, Any]) -> Iterator[str]:
    """Yield metadata values that may be expressions: settings of the table and its columns."""
    yield from map(str, dict(fields.get("configuration") or {}).values())
    left: list[Any] = [msgspec.json.decode(str(fields.get("schemaString") or "null"))]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            settings = value.get("metadata")
            if isinstance(settings, dict):
                yield from (str(text) for name, text in settings.items() if name != "comment")
            left += value.values()
        elif isinstance(value, list):
            left += value


def _check_vector(vector: dict[str, Any]) -> None:
    """Raise InvalidBackupError unless a deletion vector is inline or below its table.

    In its path only a plain name may precede the UUID.
    """
    place = str(vector.get("pathOrInlineDv"))
    above = vector.get("storageType") == "u" and place[:-UUID_LENGTH]
    if vector.get("storageType") not in ("u", "i") or (above and not above.isalnum()):
        raise InvalidBackupError("points at a file outside of its table")


def _actions(path: str, content: bytes) -> Iterator[dict[str, Any]]:
    if path.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            for batch in pq.ParquetFile(pa.BufferReader(content)).iter_batches():
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise InvalidBackupError("is no checkpoint") from error
        return
    for line in content.splitlines():
        if line.strip():
            yield _decode(line, dict[str, Any])


# --- reading -------------------------------------------------------------------------------------


def _read_manifest(place: Storage, address: str) -> BackupManifest:
    if MANIFEST not in {each.base_name for each in place.list_children()}:
        below, _ = list_backups(place)
        named = f"; the latest there is {address}/{below[-1]}" if below else ""
        raise InvalidInputError(
            f"This is not a backup, or it was interrupted: it has no {MANIFEST}",
            where=address,
            hint=f"name the folder of a complete backup{named}",
        )
    content = {MANIFEST: _bytes(place, address, MANIFEST)}
    fields = _read(address, MANIFEST, content, lambda text: _decode(text, dict[str, Any]))
    if fields.get("format") not in READABLE:
        raise InvalidInputError(
            f"The backup is of format {fields.get('format')}; this version of the project reads "
            f"formats {READABLE[0]} to {FORMAT}",
            where=f"{address}/{MANIFEST}",
            hint="restore it with the version of the project that made it: "
            f"{_escape(str(fields.get('project', 'which it does not name')))}",
        )
    seal: BackupManifest = _read(
        address, MANIFEST, content, lambda text: _decode(text, BackupManifest)
    )
    _read(address, MANIFEST, content, lambda _: _check_seal(seal))
    return seal


def _check_seal(seal: BackupManifest) -> None:
    for text in (seal.time, seal.lake, seal.project, seal.key, seal.hmac):
        _check_text(text)


def _bytes(place: Storage, address: str, name: str) -> bytes:
    try:
        with place.files.open_input_stream(place.join(name).root) as source:
            content: bytes = source.read(LARGEST)
    except OSError as error:
        raise _damaged_error(address, name, f"can't be read: {error}") from error
    return content


def _read(
    address: str, name: str, beside: dict[str, bytes], meaning: Callable[[bytes], Kind]
) -> Kind:
    try:
        return meaning(beside[name])
    except (ValueError, KeyError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise _damaged_error(address, name, f"can't be read: {error}") from error


def _decode(content: bytes, kind: type[Kind]) -> Kind:
    return msgspec.json.decode(content, type=kind)


def _check_registry(content: bytes) -> None:
    from feast.protos.feast.core.Registry_pb2 import Registry

    try:
        Registry.FromString(content)
    except DecodeError as error:
        raise InvalidBackupError("it is no registry of Feast's") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _damaged_error(address: str, name: str, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"The backup is damaged, {name} {why}",
        where=f"{address}/{name}",
        hint="restore another backup",
    )
