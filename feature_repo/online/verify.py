"""Read every customer back from the online store and compare every value with gold."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pyarrow as pa
from feast import FeatureStore
from pyspark.sql.connect.session import SparkSession

from feature_repo.feature_definitions import read_feature_columns
from feature_repo.feature_services import churn
from feature_repo.feature_store import open_store
from feature_repo.features import customer_features
from feature_repo.offline import SnapshotOfflineStore
from feature_repo.online.redis_protocol import RespEncoder
from feature_repo.online.row_digests import DigestBatch, DigestIndex, DigestStore, digest_rows
from feature_repo.online.store import prefetch, scan_customers
from feature_repo.online.stream import Stream, open_stream
from feature_repo.publications import latest_publication_or_error
from lakehouse import online_store
from lakehouse.file_copy import ProgressCallback
from lakehouse.process import Log
from lakehouse.settings import Settings

# Enough to see the pattern; a list of an extract's every difference would not help.
MAX_DIFFERENCES = 20


@dataclass(frozen=True)
class Verification:
    """Result of the comparison; `differences` contains only the first ones."""

    customers: int
    features: int
    differences: list[dict[str, Any]]


def verify(
    settings: Settings,
    spark: SparkSession,
    log: Log,
    advance: ProgressCallback = lambda done, total, what: None,
) -> Verification:
    """Compare the online store with the latest published extract, value by value.

    Values must be equal in type and to the last bit. Customers who are online and not in gold are
    differences too. If there are any, the next materialization writes all customers. Memory: one or
    two batches of rows, and about 100 bytes for each customer.
    """
    publication = latest_publication_or_error(spark)
    features = [feature.name for feature in read_feature_columns()]
    feature_store = open_store(settings, log)
    extract = SnapshotOfflineStore.latest_extract(
        feature_store.config,
        customer_features,
        publication.event_timestamp,
        publication.event_timestamp,
    )
    compared = 0
    gold: list[DigestBatch] = []
    differences: list[dict[str, Any]] = []
    address = online_store.ensure_running(settings, log)
    with address.client() as client, open_stream(client) as stream:
        comparison = _Comparison(feature_store, stream, features, publication.event_timestamp)
        for rows in prefetch(extract.batches()):
            differences += islice(comparison.differences(rows), MAX_DIFFERENCES - len(differences))
            gold.append(digest_rows(rows, []))
            compared += rows.num_rows
            advance(compared, publication.customers, "customers")
        differences += islice(_unexpected_customers(client, DigestIndex(gold)), MAX_DIFFERENCES)
        if compared != publication.customers:
            # Compare the files with the count that was recorded when they were published.
            counts = _difference("(all)", "customers", publication.customers, compared)
            differences.insert(0, counts)
        if differences:
            DigestStore(client).invalidate()
    return Verification(compared, len(features), differences[:MAX_DIFFERENCES])


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
        self._encoder = RespEncoder(features)
        self._is_first = True

    def differences(self, rows: pa.RecordBatch) -> Iterator[dict[str, Any]]:
        """Yield the differences between the store and the rows, value by value."""
        for block in self._encoder.encode_reads(rows):
            is_same = block.matches(self._stream.ask(block.commands), self._as_of)
            if self._is_first or not is_same:
                yield from self._compare_through_feast(block.rows)
                self._is_first = False

    def _compare_through_feast(self, rows: pa.RecordBatch) -> Iterator[dict[str, Any]]:
        customers = rows["customer_id"].to_pylist()
        answer = self._feature_store.get_online_features(
            features=self._feature_store.get_feature_service(churn.name),
            entity_rows=[{"customer_id": customer_id} for customer_id in customers],
        )
        online = answer.to_dict()
        absent = [
            customer_id
            for customer_id, *values in zip(
                customers, *(online[feature] for feature in self._features), strict=True
            )
            if all(value is None for value in values)
        ]
        for customer_id in absent:
            yield _difference(customer_id, "customer_id", customer_id, None)
        for feature in self._features:
            ours, theirs = rows[feature].to_pylist(), online[feature]
            for customer_id, offline, stored in zip(customers, ours, theirs, strict=True):
                is_same = offline == stored and type(offline) is type(stored)
                if not is_same and customer_id not in absent:
                    yield _difference(customer_id, feature, offline, stored)
        as_of = f"{self._as_of:%Y-%m-%d}"
        for customer_id, stamp in zip(
            customers, answer.proto.results[-1].event_timestamps, strict=True
        ):
            if stamp.ToDatetime(UTC) > self._as_of:
                stored_date = f"{stamp.ToDatetime(UTC):%Y-%m-%d}"
                yield _difference(customer_id, "event_timestamp", as_of, stored_date)


def _unexpected_customers(
    client: online_store.Client, gold: DigestIndex
) -> Iterator[dict[str, Any]]:
    """Yield the customers who are online and not in gold."""
    for customer_ids, theirs in scan_customers(client):
        for customer_id in customer_ids.filter(pa.array(~gold.contains(theirs))).to_pylist():
            yield _difference(customer_id, "customer_id", None, customer_id)


def _difference(customer_id: str, feature: str, gold: Any, online: Any) -> dict[str, Any]:
    return {"customer_id": customer_id, "feature": feature, "gold": gold, "online": online}
