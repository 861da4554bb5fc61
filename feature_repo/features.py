"""Define the feature view from the dbt contract of gold.customer_features."""

from feast import FeatureView, Field
from feast.types import Float64, Int32

from feature_repo.data_sources import customer_features_source
from feature_repo.entities import customer
from feature_repo.feature_definitions import TTL, VIEW, Feature, read_feature_columns
from feature_repo.project import GOLD_TAGS

# SQL types of the contract; the gold tables use no others.
FEAST_TYPES = {"int": Int32, "double": Float64}


def _field(feature: Feature) -> Field:
    return Field(
        name=feature.name,
        dtype=FEAST_TYPES[feature.data_type],
        description=feature.description,
    )


customer_features = FeatureView(
    name=VIEW,
    entities=[customer],
    ttl=TTL,
    schema=[_field(feature) for feature in read_feature_columns()],
    source=customer_features_source,
    online=True,
    description="What the churn model knows of a customer at an extract date.",
    tags=GOLD_TAGS,
)
