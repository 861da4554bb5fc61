"""Removal of files of published tables that no longer belong to any partition.

A publish writes the files of a partition into a new folder and then updates the metastore
(macros/publishing.sql). Replaced files, and files of an interrupted publish, remain until this
module removes them, under the run lock, after the publish.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lakehouse.settings import Settings, read_settings
from lakehouse.storage import Storage, path_from_uri

if TYPE_CHECKING:  # pyspark takes a second to import; dbt's plugin only lists folders
    from pyarrow.fs import FileInfo
    from pyspark.sql.connect.session import SparkSession

TABLES = ("gold.customer_features", "gold.churn_labels")


def has_superseded_files(settings: Settings) -> bool:
    """Return whether a partition's folder contains more than its last publish's folder."""
    lake = settings.lake
    return any(len(lake.list_under(partition)) > 1 for partition in _partitions(lake))


def remove_superseded_files(settings: Settings, spark: "SparkSession") -> int:
    """Remove all but the published files from the folders of the published tables.

    Call it as the only writer.

    Returns:
        The number of folders or files that were removed.
    """
    published = {
        folder
        for table in TABLES
        if spark.catalog.tableExists(table)
        for folder in _list_published_folders(spark, table)
    }
    lake = settings.lake
    return sum(_remove(lake, partition, published) for partition in list(_partitions(lake)))


def _partitions(lake: Storage) -> "Iterator[FileInfo]":
    for table in TABLES:
        yield from (
            folder for folder in lake.list_folders(*table.split(".")) if "=" in folder.base_name
        )


def _list_published_folders(spark: "SparkSession", table: str) -> set[str]:
    return {path_from_uri(file).rpartition("/")[0] for file in spark.table(table).inputFiles()}


def _remove(lake: Storage, partition: "FileInfo", published: set[str]) -> int:
    if partition.path in published:
        # Files directly in the partition's folder: the layout before publishes had own folders.
        return 0
    superseded = [info for info in lake.list_under(partition) if info.path not in published]
    for info in superseded:
        lake.remove(info)
    if not lake.list_under(partition):
        lake.remove(partition)
    return len(superseded)


def main() -> None:
    """Remove superseded files as a standalone command, for a caller that holds the run lock."""
    from lakehouse import spark_session

    settings = read_settings()
    with spark_session.session(settings) as spark:
        remove_superseded_files(settings, spark)


if __name__ == "__main__":
    main()
