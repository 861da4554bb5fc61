"""Read rows of the lake's tables from their files, without a Spark server."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.fs import FileInfo

from lakehouse.parquet_rewrite import Selector, read_columns
from lakehouse.storage import Storage

LOG = "_delta_log"
COMMIT = re.compile(r"\d{20}\.json")


@dataclass(frozen=True)
class StoredRow:
    """A row in a file of a table; `is_current`: whether it is in the table's current version."""

    file: str
    is_current: bool
    values: dict[str, Any]


def find_tables(lake: Storage) -> Iterator[str]:
    """Yield the names of the lake's tables, `<schema>.<table>`."""
    for schema in lake.list_folders():
        if not schema.base_name.startswith(("_", ".")):
            for table in lake.list_under(schema):
                if not table.is_file:
                    yield f"{schema.base_name}.{table.base_name}"


def locate_table(lake: Storage, table: str) -> Storage:
    """Return the location of a table."""
    return lake.join(*table.split("."))


def is_delta(table: Storage) -> bool:
    """Return whether a location contains a Delta table."""
    return table.join(LOG).exists()


def list_data_files(table: Storage) -> list[FileInfo]:
    """Return a table's Parquet files of all versions, without those of Delta's log."""
    prefix = f"{table.root}/{LOG}/"
    return [
        info
        for info in table.list_files()
        if info.path.endswith(".parquet") and not info.path.startswith(prefix)
    ]


def list_current_files(table: Storage) -> set[str]:
    """Return the names of the files in a table's current version.

    All files of a table that is not a Delta table count as current.
    """
    if not is_delta(table):
        return {table.relative_path(info.path) for info in list_data_files(table)}
    current: set[str] = set()
    for action in _read_log(table):
        if action.get("add"):
            current.add(unquote(action["add"]["path"]))
        if action.get("remove"):
            current.discard(unquote(action["remove"]["path"]))
    return current


def read_rows(
    table: Storage, key: str, select: Selector, current_only: bool = False
) -> list[StoredRow]:
    """Return the rows whose key is selected, by default of all versions.

    A partition's value is in its folder's name, and is added as text.
    """
    current = list_current_files(table)
    rows = []
    for info in list_data_files(table):
        name = table.relative_path(info.path)
        if current_only and name not in current:
            continue
        with table.files.open_input_file(info.path) as source:
            found = _read_selected(pq.ParquetFile(source), key, select)
        partition = dict(re.findall(r"([^/=]+)=([^/]+)/", name))
        rows += [StoredRow(name, name in current, {**row, **partition}) for row in found]
    return rows


def read_current_rows(lake: Storage, table: str, key: str) -> list[dict[str, Any]] | None:
    """Return all rows of a Delta table's current version; None if there is no such table."""
    place = locate_table(lake, table)
    if not is_delta(place):
        return None
    return [row.values for row in read_rows(place, key, match_all, current_only=True)]


def _read_selected(file: pq.ParquetFile, key: str, select: Selector) -> list[dict[str, Any]]:
    if key not in file.schema_arrow.names or not file.metadata.num_rows:
        return []
    chosen = select(read_columns(file, [key]).column(0))
    if not pc.any(chosen).as_py():
        return []
    return list(read_columns(file).filter(chosen).to_pylist())


def _read_log(table: Storage) -> Iterator[dict[str, Any]]:
    """Yield the actions of a table: of the last checkpoint that is needed, then of the commits."""
    children = table.list_children(LOG)
    commits = [info for info in children if COMMIT.fullmatch(info.base_name)]
    versions = [int(info.base_name[:20]) for info in commits]
    start = -1
    if versions != list(range(len(versions))):
        checkpoints = [
            info
            for info in children
            if re.fullmatch(r"\d{20}\.checkpoint.*\.parquet", info.base_name)
        ]
        start = max((int(info.base_name[:20]) for info in checkpoints), default=-1)
        for info in checkpoints:
            if int(info.base_name[:20]) == start:
                yield from _read_checkpoint(table, info)
    for info, version in zip(commits, versions, strict=True):
        if version > start:
            with table.files.open_input_stream(info.path) as source:
                yield from map(json.loads, filter(bytes.strip, source.read().splitlines()))


def _read_checkpoint(table: Storage, info: FileInfo) -> list[dict[str, Any]]:
    with table.files.open_input_file(info.path) as source:
        return list(pq.read_table(source, columns=["add"]).to_pylist())


def match_all(values: pa.ChunkedArray) -> pa.Array:
    """Select every row."""
    return pa.array([True] * len(values))
