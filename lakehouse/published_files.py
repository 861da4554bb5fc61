"""Files of published tables: removes what no partition is made of any more.

A publish writes a partition's files into a folder of their own and then tells the metastore
(macros/publishing.sql). What it replaced, and what one that died half-way left, lies on until this
has run: under the run lock, after the publish.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lakehouse.settings import Settings, read_settings
from lakehouse.storage import Storage, path_from_uri, storage

if TYPE_CHECKING:  # pyspark takes a second to import; dbt's plugin only looks at folders
    from pyarrow.fs import FileInfo
    from pyspark.sql.connect.session import SparkSession

TABLES = ("gold.customer_features", "gold.churn_labels")


def has_superseded_files(settings: Settings) -> bool:
    """Whether a partition's folder holds more than the one folder of its last publish."""
    lake = storage(settings, settings.lake_uri)
    return any(len(lake.below(partition)) > 1 for partition in _partitions(lake))


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
    lake = storage(settings, settings.lake_uri)
    return sum(_remove(lake, partition, published) for partition in list(_partitions(lake)))


def _partitions(lake: Storage) -> "Iterator[FileInfo]":
    for table in TABLES:
        yield from (each for each in lake.folders(*table.split(".")) if "=" in each.base_name)


def _published_folders(spark: "SparkSession", table: str) -> set[str]:
    return {path_from_uri(file).rpartition("/")[0] for file in spark.table(table).inputFiles()}


def _remove(lake: Storage, partition: "FileInfo", published: set[str]) -> int:
    if partition.path in published:
        # Files right in the partition's folder: how gold was written before publishes had folders.
        return 0
    superseded = [each for each in lake.below(partition) if each.path not in published]
    for each in superseded:
        lake.remove(each)
    if not lake.below(partition):
        lake.remove(partition)
    return len(superseded)


def main() -> None:
    """Remove them, as a command of its own for a caller that holds the run lock."""
    from lakehouse import spark_server

    settings = read_settings()
    with spark_server.session(settings) as spark:
        remove_superseded_files(settings, spark)


if __name__ == "__main__":
    main()
