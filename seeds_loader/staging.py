"""Stage rows for the Spark server: as a Parquet file in the lake, which the server reads itself.

Through Spark Connect the same rows take seven times as long: every value becomes a Java object
there, in one thread of the driver.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.settings import Settings
from lakehouse.storage import Storage

FOLDER = "_staged"


@contextmanager
def stage_rows(settings: Settings, parts: Iterator[pa.Table]) -> Iterator[str]:
    """Write the rows part by part, and yield their address, valid until the body ends.

    Files left by a process that died meanwhile are removed as well: the run lock admits one process
    at a time.
    """
    folder = settings.lake.join(FOLDER)
    _remove(folder)
    # A unique name: a file that the server still reads for a dead client must not become these
    # rows.
    name = f"{uuid.uuid4()}.parquet"
    file = folder.join(name)
    file.prepare_file()
    try:
        first = next(parts)
        with pq.ParquetWriter(file.root, first.schema, filesystem=file.files) as writer:
            for each in chain([first], parts):
                writer.write_table(each)
        yield file.address
    finally:
        _remove(folder)


def _remove(folder: Storage) -> None:
    if folder.exists():
        folder.files.delete_dir(folder.root)
