"""Read every customer back from the online store and compare every value with gold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from feast import FeatureStore
from pyspark.sql.connect.session import SparkSession

from feature_repo.declared import read_features
from feature_repo.feature_services import churn
from feature_repo.materialize import customer_keys, required_publication
from feature_repo.store import store
from lakehouse import online_store
from lakehouse.service import Say
from lakehouse.settings import Settings

BATCH = 1000
# Enough to see the pattern; a whole extract of differences helps nobody.
MOST_DIFFERENCES = 20


@dataclass(frozen=True)
class Verification:
    """What the comparison found; `differences` holds the first ones only."""

    customers: int
    features: int
    differences: list[dict[str, Any]]


def verify(settings: Settings, spark: SparkSession, say: Say) -> Verification:
    """Compare the online store with the latest published extract, value by value.

    Values must be equal in type and to the last bit. Customers online who are not in gold are
    differences too.
    """
    publication = required_publication(spark)
    features = [feature.name for feature in read_features()]
    gold = spark.table("gold.customer_features").where(
        f"extract_date = '{publication.extract_date}'"
    )
    rows: pa.Table = gold.select("customer_id", "event_timestamp", *features).toArrow()
    feature_store = store(settings, say)
    differences: list[dict[str, Any]] = []
    for batch in rows.to_batches(max_chunksize=BATCH):
        differences += _differences(feature_store, pa.Table.from_batches([batch]), features)
    with online_store.ensure(settings, say).client() as client:
        online = sum(1 for _ in customer_keys(client))
    if online != rows.num_rows:
        differences.insert(0, _difference("(all)", "customers", rows.num_rows, online))
    return Verification(rows.num_rows, len(features), differences[:MOST_DIFFERENCES])


def _differences(
    feature_store: FeatureStore, gold: pa.Table, features: list[str]
) -> Iterator[dict[str, Any]]:
    customers = gold["customer_id"].to_pylist()
    online = feature_store.get_online_features(
        features=feature_store.get_feature_service(churn.name),
        entity_rows=[{"customer_id": each} for each in customers],
    ).to_dict()
    for feature in features:
        offline = gold[feature].to_pylist()
        if online[feature] == offline and _same_types(online[feature], offline):
            continue
        for customer_id, ours, theirs in zip(customers, offline, online[feature], strict=True):
            if ours != theirs or type(ours) is not type(theirs):
                yield _difference(customer_id, feature, ours, theirs)


def _same_types(left: list[Any], right: list[Any]) -> bool:
    return set(map(type, left)) == set(map(type, right))


def _difference(customer_id: str, feature: str, gold: Any, online: Any) -> dict[str, Any]:
    return {"customer_id": customer_id, "feature": feature, "gold": gold, "online": online}
