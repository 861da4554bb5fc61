"""The offline store: Feast's own for Spark, with one state of a table for the whole of a query.

Feast's point-in-time query reads a table several times, and each time Spark looks for the table's
files anew. With a publish in between, the rows of a date were of one extract here and of another
there; the query joins such rows to none and answered with the features of the date before. Here
the files are looked up once, and the query reads those.

Feast also asks for the first and the last time of the rows, to read no features from beyond. Its
answer is a time of this machine's zone that it takes for one in UTC: west of Greenwich the features
of the last date were left out. Here it is in UTC.
"""

from copy import copy
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from feast import FeatureView
from feast.infra.offline_stores.contrib.spark_offline_store import spark as feast_spark
from feast.infra.offline_stores.contrib.spark_offline_store.spark import (
    SparkOfflineStore,
    SparkOfflineStoreConfig,
    get_spark_session_or_start_new_with_repoconfig,
)
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.repo_config import RepoConfig
from pydantic import Field
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.types import StructType

from lakehouse.storage import address_of

# Stands in the folders' names, not in the files.
PARTITION = "extract_date"


class OneStateOfflineStoreConfig(SparkOfflineStoreConfig):
    """As Feast's for Spark; Feast finds the store by the name of this class.

    `states`: tables that are to be read in an earlier state, with the names that `pinned` gave.
    """

    type: Literal["feature_repo.offline.OneStateOfflineStore"] = (
        "feature_repo.offline.OneStateOfflineStore"
    )
    states: dict[str, str] = Field(default_factory=dict)


class OneStateOfflineStore(SparkOfflineStore):
    """Reads training sets from the files that a table has at the start of the query."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig, feature_views: list[FeatureView], *arguments: Any, **options: Any
    ) -> RetrievalJob:
        spark = get_spark_session_or_start_new_with_repoconfig(config.offline_store)
        states = config.offline_store.states
        views = []
        for view in feature_views:
            table = view.batch_source.table
            views.append(_over(view, states.get(table) or pinned(spark, table)))
        return SparkOfflineStore.get_historical_features(config, views, *arguments, **options)


def pinned(spark: SparkSession, table: str) -> str:
    """A name, in this session, for the table as its files are now; without the partition column.

    An empty table has no files and is what it is.
    """
    current = spark.table(table)
    files = [address_of(each) for each in current.inputFiles()]
    if not files:
        return table
    name = f"{table.replace('.', '_')}_{uuid4().hex}"
    # The table's columns: files of before a column was added lack it.
    columns = [field for field in current.schema if field.name != PARTITION]
    spark.read.schema(StructType(columns)).parquet(*files).createOrReplaceTempView(name)
    return name


def _over(view: FeatureView, table: str) -> FeatureView:
    """The feature view over another table."""
    source = view.batch_source
    moved = copy(view)
    moved.batch_source = SparkSource(
        name=source.name,
        table=table,
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
    )
    return moved


_feasts_own = feast_spark._get_entity_df_event_timestamp_range


def _asked_between(rows: Any, column: str, spark: SparkSession) -> tuple[datetime, datetime]:
    """The first and the last time that is asked for, in UTC; as Feast's function of that place."""
    if not isinstance(rows, DataFrame):
        return _feasts_own(rows, column, spark)
    found = rows.selectExpr(f"min({column}) as first", f"max({column}) as last").toArrow()
    times = found.to_pylist()[0]
    return times["first"].astimezone(UTC), times["last"].astimezone(UTC)


feast_spark._get_entity_df_event_timestamp_range = _asked_between
