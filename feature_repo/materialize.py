"""Apply the declarations, and bring the latest published extract online."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from feast.feature_view import DUMMY_ENTITY_NAME
from feast.infra.registry.base_registry import BaseRegistry
from pyspark.sql.connect.session import SparkSession

from feature_repo.entities import customer
from feature_repo.feature_services import churn
from feature_repo.features import customer_features
from feature_repo.guests import own_sql_dialect, quietly
from feature_repo.layout import MARKER, PROJECT_NAME, redis_key
from feature_repo.published import Publication, latest_publication
from feature_repo.store import writing_store
from lakehouse import online_store
from lakehouse.errors import GateRefused
from lakehouse.service import Say
from lakehouse.settings import Settings
from lakehouse.sql import statement

SCAN_COUNT = 5000


def apply(settings: Settings, say: Say) -> None:
    """Register entity, view and service, and nothing that was declared once and is no more."""
    declared = [customer, customer_features, churn]
    with writing_store(settings, say, anew=True) as feature_store, quietly():
        feature_store.apply(declared)
        _unregister_others(feature_store.registry, {each.name for each in declared})


def _unregister_others(registry: BaseRegistry, declared: set[str]) -> None:
    """After the declared ones are there, so that a reader meanwhile finds them."""
    kinds = (
        (registry.list_feature_services, registry.delete_feature_service),
        (registry.list_feature_views, registry.delete_feature_view),
        (registry.list_entities, registry.delete_entity),
    )
    for registered, delete in kinds:
        for each in registered(PROJECT_NAME):
            # Feast's own entity, of views that have none
            if each.name not in declared | {DUMMY_ENTITY_NAME}:
                delete(each.name, PROJECT_NAME)


@dataclass(frozen=True)
class Online:
    """What the online store holds now; `written` says whether this call wrote it."""

    customers: int
    written: bool


def materialize(settings: Settings, spark: SparkSession, say: Say, anew: bool = False) -> Online:
    """Make the online store hold exactly the customers of the latest published extract.

    Writes nothing where they are there already, unless it is to be written `anew`: an older
    extract that was published late changes nothing online.

    Raises:
        GateRefused: nothing was published yet.
    """
    publication = required_publication(spark)
    address = online_store.ensure(settings, say)
    with address.client() as client:
        if not anew and client.get(MARKER) == marker(publication):
            say("the online store holds the latest extract already")
            return Online(publication.customers, written=False)
        client.delete(MARKER)
        say(f"writing {publication.customers:,} customers to the online store")
        with writing_store(settings, say) as feature_store, quietly(), own_sql_dialect(spark):
            feature_store.materialize(
                start_date=publication.event_timestamp,
                end_date=publication.event_timestamp,
                feature_views=[customer_features.name],
            )
        removed = _remove_others(client, spark, publication)
        if removed:
            say(f"removed {removed:,} customers who are not in the latest extract")
        client.set(MARKER, marker(publication))
    return Online(publication.customers, written=True)


def required_publication(spark: SparkSession) -> Publication:
    """The latest publication.

    Raises:
        GateRefused: nothing was published yet.
    """
    publication = latest_publication(spark)
    if publication is None:
        raise GateRefused(
            "No extract has been published yet",
            where="gold.publications",
            remedy="load a workbook that passes the gate: `churn run WORKBOOK`",
        )
    return publication


def marker(publication: Publication) -> bytes:
    """What the marker says of an extract: which load, and which features."""
    return json.dumps(
        {
            "batch_id": publication.batch_id,
            "extract_date": publication.extract_date.isoformat(),
            "customers": publication.customers,
            "features": [field.name for field in customer_features.features],
        }
    ).encode()


def customer_keys(client: online_store.Client) -> Iterator[bytes]:
    """Keys of all customers that the online store holds."""
    yield from client.scan_iter(match=b"*" + PROJECT_NAME.encode(), count=SCAN_COUNT)


def _remove_others(
    client: online_store.Client, spark: SparkSession, publication: Publication
) -> int:
    published = statement(
        spark,
        "select customer_id from gold.customer_features where extract_date = :extract_date",
        extract_date=publication.extract_date,
    ).toArrow()
    wanted = {redis_key(each) for each in published["customer_id"].to_pylist()}
    surplus = [key for key in customer_keys(client) if key not in wanted]
    for start in range(0, len(surplus), SCAN_COUNT):
        client.unlink(*surplus[start : start + SCAN_COUNT])
    return len(surplus)
