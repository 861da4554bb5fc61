"""Read every customer back from the online store and compare every value with gold."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pyarrow as pa
from feast import FeatureStore
from pyspark.sql.connect.session import SparkSession

from feature_repo.feature_definitions import read_features
from feature_repo.feature_services import churn
from feature_repo.features import customer_features
from feature_repo.offline import SnapshotOfflineStore
from feature_repo.online.redis_protocol import RespEncoder
from feature_repo.online.row_digests import DigestBatch, DigestIndex, DigestStore, chunk
from feature_repo.online.store import ahead, customers_there
from feature_repo.online.stream import Stream, streaming
from feature_repo.publications import latest_publication_or_error
from feature_repo.store import store
from lakehouse import online_store
from lakehouse.file_copy import Advance
from lakehouse.process import Say
from lakehouse.settings import Settings

# Enough to see the pattern; a list of an extract's every difference would not help.
MOST_DIFFERENCES = 20


@dataclass(frozen=True)
class Verification:
    """Result of the comparison; `differences` contains only the first ones."""

    customers: int
    features: int
    differences: list[dict[str, Any]]


def verify(
    settings: Settings,
    spark: SparkSession,
    say: Say,
    advance: Advance = lambda done, total, what: None,
) -> Verification:
    """Compare the online store with the latest published extract, value by value.

    Values must be equal in type and to the last bit. Customers who are online and not in gold are
    differences too. If there are any, the next materialization writes all customers. Memory: one or
    two batches of rows, and about 100 bytes for each customer.
    """
    publication = latest_publication_or_error(spark)
    features = [feature.name for feature in read_features()]
    feature_store = store(settings, say)
    extract = SnapshotOfflineStore.latest_extract(
        feature_store.config,
        customer_features,
        publication.event_timestamp,
        publication.event_timestamp,
    )
    done = 0
    gold: list[DigestBatch] = []
    found: list[dict[str, Any]] = []
    with online_store.ensure(settings, say).client() as client, streaming(client) as stream:
        comparison = _Comparison(feature_store, stream, features, publication.event_timestamp)
        for rows in ahead(extract.batches()):
            found += islice(comparison.differences(rows), MOST_DIFFERENCES - len(found))
            gold.append(chunk(rows, []))
            done += rows.num_rows
            advance(done, publication.customers, "customers")
        found += islice(_strangers(client, DigestIndex(gold)), MOST_DIFFERENCES)
        if done != publication.customers:
            # Compare the files with the count that was recorded when they were published.
            found.insert(0, _difference("(all)", "customers", publication.customers, done))
        if found:
            DigestStore(client).void()
    return Verification(done, len(features), found[:MOST_DIFFERENCES])


class _Comparison:
    """Comparison of rows in gold with the answers of the online store.

    The answers are compared as bytes. Rows that differ in a byte, and the first rows of all, are
    read again through Feast's own interface.
    """

    def __init__(
        self, feature_store: FeatureStore, stream: Stream, features: list[str], as_of: datetime
    ) -> None:
        self._feature_store, self._stream = feature_store, stream
        self._features, self._as_of = features, as_of
        self._wire = RespEncoder(features)
        self._is_first = True

    def differences(self, rows: pa.RecordBatch) -> Iterator[dict[str, Any]]:
        """Yield the differences between the store and the rows, value by value."""
        for block in self._wire.read_back(rows):
            is_same = block.is_answered_by(self._stream.ask(block.commands), self._as_of)
            if self._is_first or not is_same:
                yield from self._told_by_feast(block.rows)
                self._is_first = False

    def _told_by_feast(self, rows: pa.RecordBatch) -> Iterator[dict[str, Any]]:
        customers = rows["customer_id"].to_pylist()
        answer = self._feature_store.get_online_features(
            features=self._feature_store.get_feature_service(churn.name),
            entity_rows=[{"customer_id": each} for each in customers],
        )
        online = answer.to_dict()
        absent = [
            customer_id
            for customer_id, *values in zip(
                customers, *(online[each] for each in self._features), strict=True
            )
            if all(value is None for value in values)
        ]
        for customer_id in absent:
            yield _difference(customer_id, "customer_id", customer_id, None)
        for feature in self._features:
            ours, theirs = rows[feature].to_pylist(), online[feature]
            for customer_id, offline, there in zip(customers, ours, theirs, strict=True):
                is_same = offline == there and type(offline) is type(there)
                if not is_same and customer_id not in absent:
                    yield _difference(customer_id, feature, offline, there)
        as_of = f"{self._as_of:%Y-%m-%d}"
        for customer_id, stamp in zip(
            customers, answer.proto.results[-1].event_timestamps, strict=True
        ):
            if stamp.ToDatetime(UTC) > self._as_of:
                stands = f"{stamp.ToDatetime(UTC):%Y-%m-%d}"
                yield _difference(customer_id, "event_timestamp", as_of, stands)


def _strangers(client: online_store.Client, gold: DigestIndex) -> Iterator[dict[str, Any]]:
    """Yield the customers who are online and not in gold."""
    for customer_ids, theirs in customers_there(client):
        for each in customer_ids.filter(pa.array(~gold.hold(theirs))).to_pylist():
            yield _difference(each, "customer_id", None, each)


def _difference(customer_id: str, feature: str, gold: Any, online: Any) -> dict[str, Any]:
    return {"customer_id": customer_id, "feature": feature, "gold": gold, "online": online}
