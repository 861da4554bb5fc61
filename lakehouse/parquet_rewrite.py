"""Change rows of Parquet files in place: all other rows, and the file's types, stay as they are."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.atomic_write import atomic_write
from lakehouse.storage import Storage

# Given the values of the key column: which rows to change.
Selector: TypeAlias = "Callable[[pa.ChunkedArray], pa.Array]"
# Given the rows of a file and which of them to change: the rows that the file is to have.
Change: TypeAlias = "Callable[[pa.Table, pa.Array], pa.Table]"


def drop_rows(rows: pa.Table, chosen: pa.Array) -> pa.Table:
    """Return the rows without the chosen ones."""
    return rows.filter(pc.invert(chosen))


@dataclass(frozen=True)
class RowChange:
    """Change of the rows whose key is selected."""

    key: str
    select: Selector
    change: Change = drop_rows


def rewrite_rows(file: Storage, change: RowChange) -> tuple[bytes, int] | None:
    """Return the file's new content and its number of rows; None if nothing changes."""
    with file.files.open_input_file(file.root) as source:
        parquet = pq.ParquetFile(source, coerce_int96_timestamp_unit="us")
        if change.key not in parquet.schema_arrow.names or not parquet.metadata.num_rows:
            return None
        # Most files have none of the rows: only the key is read.
        if not _any(change.select(read_columns(parquet, [change.key]).column(0))):
            return None
        rows = read_columns(parquet)
        changed = change.change(rows, change.select(rows[change.key]))
        if changed.equals(rows):
            return None
        is_int96 = any(column.physical_type == "INT96" for column in parquet.schema)
    return _encode(changed, is_int96, parquet.metadata.metadata or {}), changed.num_rows


def read_columns(file: pq.ParquetFile, names: list[str] | None = None) -> pa.Table:
    """Return rows of a file, with the texts of other writers as Arrow's functions accept them."""
    rows = file.read(names)
    for place, field in enumerate(rows.schema):
        if pa.types.is_string_view(field.type):
            column = rows.column(place).cast(pa.string())
            rows = rows.set_column(place, field.with_type(pa.string()), column)
    return rows


def _encode(rows: pa.Table, is_int96: bool, metadata: dict[bytes, bytes]) -> bytes:
    """Return rows as a file with the types and the metadata of the original."""
    written = BytesIO()
    with pq.ParquetWriter(
        written,
        rows.schema,
        compression="snappy",
        # Spark reads a file's own metadata for its types; what pyarrow adds would be a second one.
        store_schema=False,
        use_deprecated_int96_timestamps=is_int96,
        coerce_timestamps=None if is_int96 else "us",
    ) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata(metadata)
    return written.getvalue()


def replace_file(file: Storage, content: bytes, mtime_ns: int | None = None) -> None:
    """Replace a file's content in one step, and remove the checksum that Hadoop stores beside it.

    Args:
        file: The file.
        content: Its new content.
        mtime_ns: Its new modification time, if the file system supports it; default: now.
    """
    if file.folder:
        # First the checksum: without it, Hadoop reads the file unchecked.
        file.folder.with_name(f".{file.folder.name}.crc").unlink(missing_ok=True)
        with atomic_write(file.folder) as draft:
            draft.write_bytes(content)
    else:
        with file.files.open_output_stream(file.root) as target:
            target.write(content)
    if mtime_ns is not None:
        file.set_mtime(mtime_ns)


def change_parquet_file(place: Storage, path: str, mtime_ns: int, change: RowChange) -> bool:
    """Change a file's rows in place; return whether it had any of them."""
    name = place.relative_path(path)
    rewritten = rewrite_rows(place.join(name), change)
    if rewritten is None:
        return False
    replace_file(place.join(name), rewritten[0], mtime_ns)
    return True


def change_parquet_files(place: Storage, change: RowChange) -> int:
    """Change the rows of all Parquet files below a location; return the number of files."""
    return sum(
        change_parquet_file(place, info.path, info.mtime_ns, change)
        for info in place.list_files()
        if info.path.endswith(".parquet")
    )


def _any(chosen: pa.Array) -> bool:
    return bool(pc.any(chosen).as_py())
