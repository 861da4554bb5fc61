"""Training sets: labels joined, point in time, with the features the model was to know then."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession

from feature_repo.declared import read_features
from feature_repo.feature_services import churn
from feature_repo.guests import own_sql_dialect, quietly
from feature_repo.materialize import required_publication
from feature_repo.published import Publication
from feature_repo.store import store
from lakehouse.service import Say
from lakehouse.settings import Settings


@dataclass(frozen=True)
class TrainingSet:
    """Labelled rows of one extract, not read yet.

    `retrieve` computes them: customer_id, event_timestamp, the features and `churned`.
    `signature` changes with the published load and the features.
    """

    retrieve: Callable[[], DataFrame]
    features: list[str]
    extract_date: date
    signature: str


def training_set(settings: Settings, spark: SparkSession, say: Say) -> TrainingSet:
    """The labels of the latest published extract with their features, to be retrieved by Feast.

    Raises:
        lakehouse.errors.GateRefused: nothing was published yet.
    """
    publication = required_publication(spark)
    features = [feature.name for feature in read_features()]

    def retrieve() -> DataFrame:
        say("retrieving the training set from the feature store")
        return _retrieve(settings, spark, publication, features)

    identity = json.dumps([publication.batch_id, features])
    return TrainingSet(
        retrieve=retrieve,
        features=features,
        extract_date=publication.extract_date,
        signature=hashlib.sha256(identity.encode()).hexdigest(),
    )


def _retrieve(
    settings: Settings, spark: SparkSession, publication: Publication, features: list[str]
) -> DataFrame:
    labels = spark.table("gold.churn_labels").where(f"extract_date = '{publication.extract_date}'")
    feature_store = store(settings)
    with quietly(), own_sql_dialect(spark):
        retrieved = feature_store.get_historical_features(
            entity_df=labels.select("customer_id", "event_timestamp", "churned"),
            features=feature_store.get_feature_service(churn.name),
        ).to_spark_df()
        # Feast's column order varies from run to run
        named = retrieved.select("customer_id", "event_timestamp", *features, "churned")
        return named.localCheckpoint()
