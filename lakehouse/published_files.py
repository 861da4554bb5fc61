"""Files of published tables: removes what no partition is made of any more.

A publish writes a partition's files into a folder of their own and then tells the metastore
(macros/publishing.sql). What it replaced, and what one that died half-way left, lies on until this
has run: under the run lock, after the publish.
"""

import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pyspark.sql.connect.session import SparkSession

from lakehouse.settings import Settings

TABLES = ("gold.customer_features", "gold.churn_labels")


def remove_superseded_files(settings: Settings, spark: SparkSession) -> int:
    """Leave just the published files in the folders of the published tables.

    Returns how many folders or files were removed. Call it as the only writer.
    """
    return sum(
        _remove(settings.lake.joinpath(*table.split(".")), _published_folders(spark, table))
        for table in TABLES
        if spark.catalog.tableExists(table)
    )


def _published_folders(spark: SparkSession, table: str) -> set[Path]:
    files = spark.table(table).inputFiles()
    return {Path(unquote(urlsplit(file).path)).parent for file in files}


def _remove(table_folder: Path, published: set[Path]) -> int:
    removed = 0
    for partition in table_folder.glob("*=*"):
        for each in partition.iterdir():
            if each.is_file() and partition not in published:
                each.unlink()
            elif each.is_dir() and each not in published:
                shutil.rmtree(each)
            else:
                continue
            removed += 1
        if not any(partition.iterdir()):
            partition.rmdir()
    return removed
