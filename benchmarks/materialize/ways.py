"""The ways to bring the latest published extract online, each called in a process of its own."""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from feast import FeatureStore, FeatureView, FileSource
from feast.infra.offline_stores.dask import DaskOfflineStoreConfig
from feast.infra.online_stores.redis import RedisOnlineStoreConfig
from feast.repo_config import MaterializationConfig, RegistryConfig, RepoConfig

from feature_repo.entities import customer
from feature_repo.feature_definitions import read_features
from feature_repo.features import TTL, customer_features
from feature_repo.offline import PublishedExtract, SnapshotOfflineStore
from feature_repo.online.materialize import materialize
from feature_repo.online.redis_protocol import RespEncoder
from feature_repo.online.stream import streaming
from feature_repo.online.verify import verify
from feature_repo.project import KEY_VERSION, PROJECT_NAME
from feature_repo.publications import latest_publication_or_error
from feature_repo.store import _connection_string, store
from lakehouse import online_store, spark_server
from lakehouse.settings import Settings, read_settings
from lakehouse.storage import path_from_uri

# Rows that Feast's default engine is to write at a time.
BATCH = 10_000
Way = Callable[[Settings], tuple[float, dict[str, Any]]]


def say(text: str) -> None:
    print(text, file=sys.stderr)


def by_the_project(settings: Settings) -> tuple[float, dict[str, Any]]:
    told: list[str] = []
    with spark_server.session(settings) as spark:
        start = time.monotonic()
        materialize(settings, spark, told.append)
        seconds = time.monotonic() - start
    say(str(told))
    return seconds, {}


def read_back(settings: Settings) -> tuple[float, dict[str, Any]]:
    with spark_server.session(settings) as spark:
        start = time.monotonic()
        found = verify(settings, spark, say)
        seconds = time.monotonic() - start
    return seconds, {"customers": found.customers, "differences": len(found.differences)}


def by_feast(settings: Settings) -> tuple[float, dict[str, Any]]:
    """The same files, the same server; Feast's own store and engine, its batch size set."""
    extract = published(settings)
    folder = str(Path(path_from_uri(extract.files[0])).parent)
    source = FileSource(
        name="files",
        path=folder,
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    view = FeatureView(
        name=customer_features.name,
        entities=[customer],
        ttl=TTL,
        schema=customer_features.schema,
        source=source,
    )
    address = online_store.ensure(settings, say)
    with tempfile.TemporaryDirectory() as registry:
        feasts = FeatureStore(
            config=RepoConfig(
                project=PROJECT_NAME,
                provider="local",
                registry=RegistryConfig(path=f"{registry}/registry.db"),
                offline_store=DaskOfflineStoreConfig(),
                online_store=RedisOnlineStoreConfig(
                    connection_string=_connection_string(address), skip_dedup=True
                ),
                batch_engine="local",
                materialization=MaterializationConfig(online_write_batch_size=BATCH),
                entity_key_serialization_version=KEY_VERSION,
            )
        )
        feasts.apply([customer, view])
        start = time.monotonic()
        feasts.materialize(extract.event_timestamp, extract.event_timestamp, [view.name])
        return time.monotonic() - start, {}


def by_mass_insertion(settings: Settings) -> tuple[float, dict[str, Any]]:
    """The server's own limit: the bytes are made before the clock runs."""
    extract = published(settings)
    wire = RespEncoder([each.name for each in read_features()])
    address = online_store.ensure(settings, say)
    with tempfile.TemporaryFile() as made, address.client() as client:
        blocks = []
        for rows in extract.batches():
            for count, commands in wire.written(rows):
                made.write(commands)
                blocks.append((count, len(commands)))
        made.seek(0)
        start = time.monotonic()
        with streaming(client) as stream:
            for count, size in blocks:
                stream.send(made.read(size), count)
        seconds = time.monotonic() - start
    return seconds, {"bytes": sum(size for _, size in blocks)}


def published(settings: Settings) -> PublishedExtract:
    with spark_server.session(settings) as spark:
        moment = latest_publication_or_error(spark).event_timestamp
        config = store(settings).config
        return SnapshotOfflineStore.latest_extract(config, customer_features, moment, moment)


WAYS: dict[str, Way] = {
    "materialize": by_the_project,
    "verify": read_back,
    "feast": by_feast,
    "insert": by_mass_insertion,
}


if __name__ == "__main__":
    seconds, told = WAYS[sys.argv[1]](read_settings())
    # Kibibytes on Linux.
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "mebibytes": mebibytes, "told": told}))
