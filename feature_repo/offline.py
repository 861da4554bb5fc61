"""Extend Feast's Spark offline store to read one state of a table for a whole query.

Feast's point-in-time query reads a table several times, and Spark resolves the table's files again
for each read. With a publish in between, the rows of a date belonged to one extract in one read and
to another extract in the next; the query did not join such rows and returned the features of the
date before. This store resolves the files once, and the query reads those.

Feast also queries the first and the last timestamp of the rows, so that it reads no features
outside that range. It returns a time in this machine's time zone but interprets it as UTC: west of
Greenwich, the features of the last date were left out. This store returns UTC.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureView
from feast.infra.offline_stores.contrib.spark_offline_store import spark as feast_spark
from feast.infra.offline_stores.contrib.spark_offline_store.spark import (
    SparkOfflineStore,
    SparkOfflineStoreConfig,
)
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.repo_config import RepoConfig
from pydantic import Field
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.types import StructType

from feature_repo.publications import not_published_error
from lakehouse import spark_session
from lakehouse.settings import Settings, read_settings
from lakehouse.storage import escape_glob, path_from_uri, spark_uri

# Part of the folders' names; the files do not contain it.
PARTITION = "extract_date"
COLUMNS = ["customer_id", "event_timestamp"]
# Rows in memory at a time: about 60 MB on their way to the online store.
BATCH_ROWS = 1 << 16


@dataclass(frozen=True)
class PublishedExtract:
    """The rows of a published extract, which are read from its files on demand."""

    settings: Settings
    files: Sequence[str]
    features: Sequence[str]
    event_timestamp: datetime

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield customer_id, event_timestamp and features, up to BATCH_ROWS at a time, in order.

        A feature that was declared after the extract was published is null.
        """
        lake = self.settings.lake
        columns = [*COLUMNS, *self.features]
        for name in self.files:
            stream = lake.files.open_input_file(path_from_uri(name))
            with pq.ParquetFile(stream, pre_buffer=True) as file:
                existing = [column for column in columns if column in file.schema_arrow.names]
                for batch in file.iter_batches(BATCH_ROWS, columns=existing):
                    nulls = pa.nulls(batch.num_rows, pa.float64())
                    rows = [batch[column] if column in existing else nulls for column in columns]
                    yield pa.record_batch(rows, names=columns)


class SnapshotOfflineStoreConfig(SparkOfflineStoreConfig):
    """Configuration of SnapshotOfflineStore, which extends Feast's for Spark.

    Feast finds the store by the name of this class.

    Attributes:
        type: Import path of the store.
        states: Tables to read in an earlier state, with the names that `pinned` returned.
        settings: Settings of the checkout, for reading published files.
    """

    type: Literal["feature_repo.offline.SnapshotOfflineStore"] = (
        "feature_repo.offline.SnapshotOfflineStore"
    )
    states: dict[str, str] = Field(default_factory=dict)
    settings: Any = Field(default=None, repr=False)


class SnapshotOfflineStore(SparkOfflineStore):
    """Offline store that reads training sets from a table's files at the start of the query."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig, feature_views: list[FeatureView], *arguments: Any, **options: Any
    ) -> RetrievalJob:
        """Return Feast's retrieval job over a pinned state of each view's table."""
        spark = _session(config.offline_store)
        states = config.offline_store.states
        views = []
        for view in feature_views:
            table = view.batch_source.table
            views.append(_with_table(view, states.get(table) or snapshot_files(spark, table)))
        return SparkOfflineStore.get_historical_features(config, views, *arguments, **options)

    @staticmethod
    def latest_extract(
        config: RepoConfig, view: FeatureView, start: datetime, end: datetime
    ) -> PublishedExtract:
        """Return the latest extract from `start` to `end`, as it is published now.

        The gate has verified that no customer is in it twice, so no deduplication is needed.

        Raises:
            InvalidInputError: No extract is published in this period.
        """
        spark = _session(config.offline_store)
        table = view.batch_source.table
        dates = f"{PARTITION} between '{start:%Y-%m-%d}' and '{end:%Y-%m-%d}'"
        of_date: dict[str, list[str]] = {}
        for file in spark.table(table).where(dates).inputFiles():
            of_date.setdefault(_extract_date_of(file), []).append(file)
        if not of_date:
            raise not_published_error(f"between {start:%Y-%m-%d} and {end:%Y-%m-%d}", table)
        latest = max(of_date)
        return PublishedExtract(
            settings=config.offline_store.settings,
            files=sorted(of_date[latest]),
            features=[field.name for field in view.features],
            event_timestamp=datetime.fromisoformat(latest).replace(tzinfo=UTC),
        )


def _extract_date_of(file: str) -> str:
    """Return the extract date in a published file's path."""
    return file.partition(f"/{PARTITION}=")[2].partition("/")[0]


def snapshot_files(spark: SparkSession, table: str) -> str:
    """Create a view over the table's current files, and return its name in this session.

    The view lacks the partition column. For an empty table, which has no files, return the table's
    own name.
    """
    frame = spark.table(table)
    files = [escape_glob(spark_uri(file)) for file in frame.inputFiles()]
    if not files:
        return table
    name = f"{table.replace('.', '_')}_{uuid4().hex}"
    # Use the table's columns: files written before a column was added lack it.
    columns = [field for field in frame.schema if field.name != PARTITION]
    spark.read.schema(StructType(columns)).parquet(*files).createOrReplaceTempView(name)
    return name


def _with_table(view: FeatureView, table: str) -> FeatureView:
    """Return the feature view with another table as its source."""
    source = view.batch_source
    copied = copy(view)
    copied.batch_source = SparkSource(
        name=source.name,
        table=table,
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
    )
    return copied


_original_session = feast_spark.get_spark_session_or_start_new_with_repoconfig


def _session(store_config: SparkOfflineStoreConfig) -> SparkSession:
    """Return the active session, or one with the password, which Feast's own session would lack."""
    if SparkSession.getActiveSession() is None:
        spark_session.connect(getattr(store_config, "settings", None) or read_settings())
    return _original_session(store_config)


feast_spark.get_spark_session_or_start_new_with_repoconfig = _session
_original_range = feast_spark._get_entity_df_event_timestamp_range


def _requested_range(rows: Any, column: str, spark: SparkSession) -> tuple[datetime, datetime]:
    """Return the first and the last requested time in UTC.

    Replaces Feast's function of the same purpose.
    """
    if not isinstance(rows, DataFrame):
        return _original_range(rows, column, spark)
    bounds = rows.selectExpr(f"min({column}) as first", f"max({column}) as last").toArrow()
    times = bounds.to_pylist()[0]
    return times["first"].astimezone(UTC), times["last"].astimezone(UTC)


feast_spark._get_entity_df_event_timestamp_range = _requested_range
