"""Training sets of published tables, and parameters that train quickly."""

from datetime import date

from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession

from feature_repo.feature_definitions import read_feature_columns
from feature_repo.labels import WORKBOOK, Label
from feature_repo.training import TrainingSet
from trainer.parameters import read_parameters

FEATURES = [feature.name for feature in read_feature_columns()]
EXTRACT_DATE = date(2025, 12, 3)
# The model type that wins on this workbook, and little of the other: it takes most of the time.
QUICK = read_parameters().with_settings("gradient_boosted_trees", max_iter=1)


def ignore(_: str) -> None:
    """Discard progress messages."""


def gold_rows(spark: SparkSession) -> DataFrame:
    """Features and labels of the one extract, as Feast retrieves them."""
    labels = spark.table("gold.churn_labels").select("customer_id", "churned")
    return spark.table("gold.customer_features").join(labels, "customer_id")


def a_training_set(frame: DataFrame, signature: str) -> TrainingSet:
    columns = frame.select("customer_id", "event_timestamp", *FEATURES, "churned")
    label = Label(WORKBOOK, "of one extract", 1, [], 7043, 1869)
    return TrainingSet(columns.localCheckpoint, FEATURES, EXTRACT_DATE, signature, label)
