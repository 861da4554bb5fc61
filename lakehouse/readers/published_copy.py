"""Copy what is published to the tables that readers have, without personal values.

Readers' statements never touch the tables of the pipeline: their server has another folder, and
would have no way to the pipeline's files even if it were operated by another user on another
machine (docs/decisions/0049-readers.md). A copy is replaced in one commit.
"""

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from pyspark.sql import functions as f
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.types import StructField

from lakehouse.atomic_write import generate_secret
from lakehouse.domain import read_domain
from lakehouse.lake_files import list_current_files, list_data_files
from lakehouse.process import Log
from lakehouse.readers import users
from lakehouse.readers.masks import Masks, mask_column, mask_reasons, read_masks
from lakehouse.settings import Settings
from lakehouse.storage import Storage

# A name with this first character is no table of the pipeline, for backups and all else.
FOLDER = "_readers"
# Not the candidates of the gate, which are not published.
TABLES = (
    "gold.customer_features",
    "gold.churn_labels",
    "gold.features_with_labels",
    "gold.publications",
    "gold.churn_scores",
    "gold.customers_current",
    "gold.scores_current",
    "gold.campaigns",
    "gold.campaign_members",
    "gold.campaign_results",
    "audit.gate_results",
    "audit.gate_rules",
    "audit.extract_profiles",
    "audit.load_metrics",
    "audit.load_verdicts",
)
SCORES, CURRENT_SCORES = "gold.churn_scores", "gold.scores_current"
REASON = "reason_"
# A query that began before a copy was replaced has this long to end.
GRACE_SECONDS = 3600
CONCURRENT = 2


def location(settings: Settings) -> Storage:
    """Return the location of the copies."""
    return settings.lake.join(FOLDER)


def locate_copy(settings: Settings, table: str) -> Storage:
    """Return the location of a table's copy."""
    return settings.lake.join(FOLDER, *table.split("."))


def list_copies(settings: Settings) -> list[str]:
    """Return the tables that have a copy."""
    return [table for table in TABLES if locate_copy(settings, table).exists()]


def is_needed(settings: Settings) -> bool:
    """Return whether there are readers."""
    return bool(users.names(settings))


def refresh(settings: Settings, spark: SparkSession, log: Log) -> int:
    """Replace the copies of all published tables; call it under the run lock.

    Returns:
        The number of tables.
    """
    log("copying what is published for the readers")
    masks = read_masks(read_domain())
    key = generate_secret(settings.home / "secrets" / "reader_pseudonyms")
    comments = _read_comments(settings)
    tables = [table for table in TABLES if spark.catalog.tableExists(table)]

    def copy(table: str) -> None:
        place = locate_copy(settings, table)
        rows = _mask(spark, table, masks, key, comments.get(table, {}))
        writer = rows.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
        writer.save(place.address)
        _remove_superseded(place)

    with ThreadPoolExecutor(CONCURRENT) as threads:
        list(threads.map(copy, tables))
    return len(tables)


def remove(settings: Settings) -> None:
    """Remove the copies; the next refresh writes them again."""
    place = location(settings)
    if place.exists():
        place.files.delete_dir(place.root)


def _mask(
    spark: SparkSession, table: str, masks: Masks, key: str, comments: Mapping[str, str]
) -> DataFrame:
    rows = spark.table(table)
    if table == CURRENT_SCORES:  # it has the texts of the reasons alone
        keys = ["customer_id", "extract_date", "model_version"]
        rows = rows.join(spark.table(SCORES).select(*keys, "reasons"), keys)
    columns = [
        f.expr(_expression(field, masks, key)).alias(
            field.name, metadata={"comment": comments.get(field.name, "")}
        )
        for field in spark.table(table).schema.fields
    ]
    return rows.select(*columns)


def _expression(field: StructField, masks: Masks, key: str) -> str:
    number = field.name.removeprefix(REASON)
    if field.name.startswith(REASON) and number.isdecimal():
        return f"try_element_at({mask_reasons(masks)}, {number}).text"
    return mask_column(masks, field.name, field.dataType.simpleString(), key)


def _read_comments(settings: Settings) -> dict[str, dict[str, str]]:
    """Return the descriptions of all columns by table, from what dbt wrote at its last build."""
    path = settings.home / "dbt" / "manifest.json"
    if not path.exists():
        return {}
    manifest = json.loads(path.read_text())
    return {
        f"{node['schema']}.{node.get('alias') or node['identifier']}": {
            name: " ".join(column["description"].split())
            for name, column in node["columns"].items()
        }
        for node in [*manifest["nodes"].values(), *manifest["sources"].values()]
        if node["resource_type"] in ("model", "source")
    }


def _remove_superseded(copy: Storage) -> None:
    """Remove the files of earlier copies that no running query reads."""
    current = list_current_files(copy)
    for info in list_data_files(copy):
        is_old = info.mtime is not None and time.time() - info.mtime.timestamp() > GRACE_SECONDS
        if is_old and copy.relative_path(info.path) not in current:
            copy.remove(info)
