"""Apply the declarations, and materialize the latest published extract."""

import json
from dataclasses import dataclass
from typing import Literal

from feast.feature_view import DUMMY_ENTITY_NAME
from feast.infra.registry.base_registry import BaseRegistry
from pyspark.sql.connect.session import SparkSession

from feature_repo.entities import customer
from feature_repo.feast_compat import restore_regex_columns, suppress_feast_output
from feature_repo.feature_services import churn
from feature_repo.features import customer_features
from feature_repo.online.engine import Order
from feature_repo.online.redis_layout import MARKER
from feature_repo.online.row_digests import DigestStore
from feature_repo.online.store import Replaced
from feature_repo.project import PROJECT_NAME
from feature_repo.publications import Publication, latest_publication_or_error
from feature_repo.store import writing_store
from lakehouse import online_store
from lakehouse.file_copy import Advance
from lakehouse.process import Say
from lakehouse.settings import Settings


def apply(settings: Settings, say: Say) -> None:
    """Register entity, view and service, and unregister objects that are no longer declared."""
    declared = [customer, customer_features, churn]
    with writing_store(settings, say, anew=True) as feature_store, suppress_feast_output():
        feature_store.apply(declared)
        _unregister_others(feature_store.registry, {each.name for each in declared})


def _unregister_others(registry: BaseRegistry, declared: set[str]) -> None:
    """Unregister objects that are not declared.

    Call it after the declared ones are registered, so that a concurrent reader finds those.
    """
    kinds = (
        (registry.list_feature_services, registry.delete_feature_service),
        (registry.list_feature_views, registry.delete_feature_view),
        (registry.list_entities, registry.delete_entity),
    )
    for registered, delete in kinds:
        for each in registered(PROJECT_NAME):
            # Feast's own entity, for views without an entity
            if each.name not in declared | {DUMMY_ENTITY_NAME}:
                delete(each.name, PROJECT_NAME)


Write = Literal["new", "changed", "all"]


@dataclass(frozen=True)
class Online:
    """Contents of the online store; `written` states whether this call wrote them."""

    customers: int
    written: bool


def materialize(
    settings: Settings,
    spark: SparkSession,
    say: Say,
    write: Write = "new",
    advance: Advance = lambda done, total, what: None,
) -> Online:
    """Make the online store contain exactly the customers of the latest published extract.

    An older extract that is published late changes nothing online.

    Args:
        settings: Settings of the checkout.
        spark: Session on the Spark server.
        say: Callback for progress messages.
        write: `new` writes nothing if the store contains this extract according to its marker;
            `changed` writes the customers whose features differ from what was written last, and all
            of them if that is not known for certain; `all` writes all of them.
        advance: Callback for the number of customers done.

    Raises:
        InvalidInputError: Nothing has been published yet.
    """
    publication = latest_publication_or_error(spark)
    address = online_store.ensure(settings, say)
    with address.client() as client:
        is_there = client.get(MARKER) == marker(publication) and DigestStore(client).is_intact()
        if is_there and write == "new":
            say("the online store holds the latest extract already")
            return Online(publication.customers, written=False)
        client.delete(MARKER)
        say(f"bringing {publication.customers:,} customers online")
        order = Order(
            write == "all", lambda done: advance(done, publication.customers, "customers")
        )
        done = _written(settings, spark, publication, order, say)
        say(_in_words(done))
        client.set(MARKER, marker(publication))
    return Online(done.customers, written=True)


def _written(
    settings: Settings, spark: SparkSession, publication: Publication, order: Order, say: Say
) -> Replaced:
    with (
        writing_store(settings, say) as feature_store,
        suppress_feast_output(),
        restore_regex_columns(spark),
    ):
        feature_store.config.batch_engine_config["order"] = order
        feature_store.materialize(
            start_date=publication.event_timestamp,
            end_date=publication.event_timestamp,
            feature_views=[customer_features.name],
        )
    assert order.done is not None
    return order.done


def _in_words(done: Replaced) -> str:
    same = done.customers - done.written - done.resumed
    parts = [f"wrote {done.written:,} customers", f"{same:,} were there with the same features"]
    if done.resumed:
        parts.append(f"{done.resumed:,} were written before it was interrupted")
    if done.removed:
        parts.append(f"removed {done.removed:,} who are not in the extract")
    return "; ".join(parts)


def marker(publication: Publication) -> bytes:
    """Return the marker of an extract, which identifies its load and features."""
    return json.dumps(
        {
            "batch_id": publication.batch_id,
            "extract_date": publication.extract_date.isoformat(),
            "customers": publication.customers,
            "features": [field.name for field in customer_features.features],
        }
    ).encode()
