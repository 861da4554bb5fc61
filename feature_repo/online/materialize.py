"""Apply the declarations, and materialize the latest published extract."""

import json
from dataclasses import dataclass
from typing import Literal

from feast.feature_view import DUMMY_ENTITY_NAME
from feast.infra.registry.base_registry import BaseRegistry
from feast.project import Project
from pyspark.sql.connect.session import SparkSession

from feature_repo.entities import customer
from feature_repo.feast_compat import restore_regex_columns, suppress_feast_output
from feature_repo.feature_services import churn
from feature_repo.feature_store import open_writing_store
from feature_repo.features import customer_features
from feature_repo.online.engine import MaterializeRequest
from feature_repo.online.redis_layout import MARKER
from feature_repo.online.row_digests import DigestStore
from feature_repo.online.store import ReplaceResult
from feature_repo.project import DESCRIPTION, PROJECT_NAME, TAGS
from feature_repo.publications import Publication, latest_publication_or_error
from lakehouse import online_store
from lakehouse.amounts import format_number
from lakehouse.file_copy import ProgressCallback
from lakehouse.process import Log
from lakehouse.settings import Settings


def apply(settings: Settings, log: Log) -> None:
    """Register entity, view and service, and unregister objects that are no longer declared."""
    declared = [customer, customer_features, churn]
    project = Project(name=PROJECT_NAME, description=DESCRIPTION, tags=TAGS)
    with open_writing_store(settings, log, rewrite=True) as feature_store, suppress_feast_output():
        feature_store.apply([project, *declared])
        _unregister_others(feature_store.registry, {declaration.name for declaration in declared})


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
        for declaration in registered(PROJECT_NAME):
            # Feast's own entity, for views without an entity
            if declaration.name not in declared | {DUMMY_ENTITY_NAME}:
                delete(declaration.name, PROJECT_NAME)


Write = Literal["new", "changed", "all"]


@dataclass(frozen=True)
class OnlineContents:
    """Contents of the online store; `written` states whether this call wrote them."""

    customers: int
    written: bool


def materialize(
    settings: Settings,
    spark: SparkSession,
    log: Log,
    write: Write = "new",
    advance: ProgressCallback = lambda done, total, what: None,
) -> OnlineContents:
    """Make the online store contain exactly the customers of the latest published extract.

    An older extract that is published late changes nothing online.

    Args:
        settings: Settings of the checkout.
        spark: Session on the Spark server.
        log: Callback for progress messages.
        write: `new` writes nothing if the store contains this extract according to its marker;
            `changed` writes the customers whose features differ from what was written last, and all
            of them if that is not known for certain; `all` writes all of them.
        advance: Callback for the number of customers done.

    Raises:
        InvalidInputError: Nothing has been published yet.
    """
    publication = latest_publication_or_error(spark)
    address = online_store.ensure_running(settings, log)
    with address.client() as client:
        is_marked = client.get(MARKER) == encode_marker(publication)
        if write == "new" and is_marked and DigestStore(client).is_intact():
            log("the online store holds the latest extract already")
            return OnlineContents(publication.customers, written=False)
        client.delete(MARKER)
        log(f"bringing {format_number(publication.customers, 'customer')} online")
        request = MaterializeRequest(
            write == "all", lambda done: advance(done, publication.customers, "customers")
        )
        replaced = _run_materialization(settings, spark, publication, request, log)
        log(format_replacement(replaced))
        client.set(MARKER, encode_marker(publication))
    return OnlineContents(replaced.customers, written=True)


def _run_materialization(
    settings: Settings,
    spark: SparkSession,
    publication: Publication,
    request: MaterializeRequest,
    log: Log,
) -> ReplaceResult:
    with (
        open_writing_store(settings, log) as feature_store,
        suppress_feast_output(),
        restore_regex_columns(spark),
    ):
        feature_store.config.batch_engine_config["order"] = request
        feature_store.materialize(
            start_date=publication.event_timestamp,
            end_date=publication.event_timestamp,
            feature_views=[customer_features.name],
        )
    assert request.result is not None
    return request.result


def format_replacement(replaced: ReplaceResult) -> str:
    """Return the counts of a materialization as text."""
    same = replaced.customers - replaced.written - replaced.resumed
    parts = [
        f"wrote {format_number(replaced.written, 'customer')}",
        f"{same:,} were there with the same features",
    ]
    if replaced.resumed:
        parts.append(f"{replaced.resumed:,} were written before it was interrupted")
    if replaced.removed:
        parts.append(f"removed {replaced.removed:,} who are not in the extract")
    return "; ".join(parts)


def encode_marker(publication: Publication) -> bytes:
    """Return the marker of an extract, which identifies its load and features."""
    return json.dumps(
        {
            "batch_id": publication.batch_id,
            "extract_date": publication.extract_date.isoformat(),
            "customers": publication.customers,
            "features": [field.name for field in customer_features.features],
        }
    ).encode()
