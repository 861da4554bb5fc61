"""Files of published tables: removes what no partition is made of any more.

A publish writes a partition's files into a folder of their own and then tells the metastore
(macros/publishing.sql). What it replaced, and what one that died half-way left, lies on until this
has run: under the run lock, after the publish.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lakehouse.settings import Settings, read_settings

if TYPE_CHECKING:  # pyspark takes a second to import; dbt's plugin only looks at folders
    from pyspark.sql.connect.session import SparkSession

TABLES = ("gold.customer_features", "gold.churn_labels")


def has_superseded_files(settings: Settings) -> bool:
    """Whether a partition's folder holds more than the one folder of its last publish."""
    return any(len(list(partition.iterdir())) > 1 for partition in _partitions(settings))


def remove_superseded_files(settings: Settings, spark: "SparkSession") -> int:
    """Leave just the published files in the folders of the published tables.

    Returns how many folders or files were removed. Call it as the only writer.
    """
    published = {
        folder
        for table in TABLES
        if spark.catalog.tableExists(table)
        for folder in _published_folders(spark, table)
    }
    return sum(_remove(partition, published) for partition in list(_partitions(settings)))


def _partitions(settings: Settings) -> Iterator[Path]:
    for table in TABLES:
        yield from settings.lake.joinpath(*table.split(".")).glob("*=*")


def _published_folders(spark: "SparkSession", table: str) -> set[Path]:
    files = spark.table(table).inputFiles()
    return {Path(unquote(urlsplit(file).path)).parent for file in files}


def _remove(partition: Path, published: set[Path]) -> int:
    if partition in published:
        # Files right in the partition's folder: how gold was written before publishes had folders.
        return 0
    superseded = [each for each in partition.iterdir() if each not in published]
    for each in superseded:
        if each.is_dir():
            shutil.rmtree(each)
        else:
            each.unlink()
    if not any(partition.iterdir()):
        partition.rmdir()
    return len(superseded)


def main() -> None:
    """Remove them, as a command of its own for a caller that holds the run lock."""
    from lakehouse import spark_server

    settings = read_settings()
    with spark_server.session(settings) as spark:
        remove_superseded_files(settings, spark)


if __name__ == "__main__":
    main()
