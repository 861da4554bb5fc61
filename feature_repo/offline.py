"""The offline store: Feast's own for Spark, with one state of a table for the whole of a query.

Feast's point-in-time query reads a table several times, and each time Spark looks for the table's
files anew. With a publish in between, the rows of a date were of one extract here and of another
there; the query joins such rows to none and answered with the features of the date before. Here
the files are looked up once, and the query reads those.
"""

from copy import copy
from typing import Any, Literal
from uuid import uuid4

from feast import FeatureView
from feast.infra.offline_stores.contrib.spark_offline_store.spark import (
    SparkOfflineStore,
    SparkOfflineStoreConfig,
    get_spark_session_or_start_new_with_repoconfig,
)
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.repo_config import RepoConfig
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.types import StructType

# Stands in the folders' names, not in the files.
PARTITION = "extract_date"


class OneStateOfflineStoreConfig(SparkOfflineStoreConfig):
    """As Feast's for Spark; Feast finds the store by the name of this class."""

    type: Literal["feature_repo.offline.OneStateOfflineStore"] = (
        "feature_repo.offline.OneStateOfflineStore"
    )


class OneStateOfflineStore(SparkOfflineStore):
    """Reads training sets from the files that a table has at the start of the query."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig, feature_views: list[FeatureView], *arguments: Any, **options: Any
    ) -> RetrievalJob:
        spark = get_spark_session_or_start_new_with_repoconfig(config.offline_store)
        return SparkOfflineStore.get_historical_features(
            config, [_pinned(spark, view) for view in feature_views], *arguments, **options
        )


def _pinned(spark: SparkSession, view: FeatureView) -> FeatureView:
    """The feature view over the files that its table has now."""
    source = view.batch_source
    table = spark.table(source.table)
    files = table.inputFiles()
    if not files:
        return view
    name = f"{view.name}_{uuid4().hex}"
    # The table's columns: files of before a column was added lack it.
    columns = [field for field in table.schema if field.name != PARTITION]
    spark.read.schema(StructType(columns)).parquet(*files).createOrReplaceTempView(name)
    pinned = copy(view)
    pinned.batch_source = SparkSource(
        name=source.name,
        table=name,
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
    )
    return pinned
