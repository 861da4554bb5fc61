"""Rows on their way to the Spark server: as a Parquet file in the lake, which it reads by itself.

Through Connect the same rows take seven times as long: every value becomes a Java object there, in
one thread of the driver.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.settings import Settings
from lakehouse.storage import Storage, is_folder, storage

FOLDER = "_staged"


@contextmanager
def staged(settings: Settings, parts: Iterator[pa.Table]) -> Iterator[str]:
    """The address of the rows, written part by part, for as long as the body runs.

    What a process left that died meanwhile is removed as well: the run lock lets in one at a time.
    """
    folder = storage(settings, settings.lake_uri).at(FOLDER)
    _remove(folder)
    if is_folder(settings.lake_uri):
        folder.files.create_dir(folder.root)
    name = f"{uuid.uuid4()}.parquet"
    try:
        first = next(parts)
        with pq.ParquetWriter(folder.at(name).root, first.schema, filesystem=folder.files) as file:
            file.write_table(first)
            for each in parts:
                file.write_table(each)
        scheme = "file://" if is_folder(settings.lake_uri) else ""
        yield f"{scheme}{settings.lake_uri}/{FOLDER}/{name}"
    finally:
        _remove(folder)


def _remove(folder: Storage) -> None:
    if folder.is_there():
        folder.files.delete_dir(folder.root)
