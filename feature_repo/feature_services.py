"""Define the feature service, which is the churn model's input contract."""

from feast import FeatureService

from feature_repo.features import customer_features
from feature_repo.project import TAGS

churn = FeatureService(
    name="churn",
    features=[customer_features],
    description="Input of the churn model, in training and in serving.",
    tags=TAGS,
)
