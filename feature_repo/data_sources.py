"""Define the Feast data source: the published table, read through the Spark server."""

from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

from feature_repo.project import GOLD_TAGS

customer_features_source = SparkSource(
    name="gold_customer_features",
    table="gold.customer_features",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
    description="Published features, a row for every customer and extract date.",
    tags=GOLD_TAGS,
)
