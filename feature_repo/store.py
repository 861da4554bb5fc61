"""The feature store with the settings of this checkout."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feast import FeatureStore
from feast.repo_config import RegistryConfig, RepoConfig

from feature_repo.project import KEY_VERSION, PROJECT_NAME
from lakehouse import online_store
from lakehouse.postgresql import database
from lakehouse.process import Say
from lakehouse.settings import Settings, read_settings

REGISTRY_CACHE_SECONDS = 60


def store(settings: Settings | None = None, say: Say = lambda text: None) -> FeatureStore:
    """The FeatureStore; starts the embedded online store where it is not running.

    Offline reads go through the Spark server over Connect, online ones to Redis.

    Raises:
        lakehouse.errors.UnavailableError: the online store does not answer.
    """
    settings = settings or read_settings()
    return FeatureStore(config=configuration(settings, online_store.ensure(settings, say)))


@contextmanager
def writing_store(settings: Settings, say: Say, anew: bool = False) -> Iterator[FeatureStore]:
    """A FeatureStore whose registry takes its place, in one step, when the body is done.

    Feast writes the registry's file in place: a process that dies meanwhile leaves half of it. In
    a database each object is written by itself, whole or not at all, and calls after this repair.
    `anew` starts a file without what was registered before; a database keeps it, for its readers.
    """
    address = online_store.ensure(settings, say)
    if settings.registry_url is not None:
        yield FeatureStore(config=configuration(settings, address))
        return
    registry = registry_file(settings)
    draft = registry.with_suffix(".new")
    draft.unlink(missing_ok=True)
    if registry.exists() and not anew:
        shutil.copyfile(registry, draft)
    yield FeatureStore(config=configuration(settings, address, draft))
    os.replace(draft, registry)


def registry_file(settings: Settings) -> Path:
    """Where Feast keeps what is registered."""
    return settings.home / "registry" / "registry.db"


def configuration(
    settings: Settings, address: online_store.Address, registry: Path | None = None
) -> RepoConfig:
    """Feast's configuration; it holds the password, so it stays in memory."""
    from feature_repo.offline import SnapshotOfflineStoreConfig  # Spark, which the API does without

    return RepoConfig(
        project=PROJECT_NAME,
        provider="local",
        registry=_registry(settings, registry),
        offline_store=SnapshotOfflineStoreConfig(
            spark_conf={"spark.remote": settings.connect_url}, settings=settings
        ),
        online_store={
            "type": "feature_repo.online.store.StreamedRedisOnlineStore",
            "connection_string": _connection_string(address),
            # A restatement keeps its event time; the store would skip it as old. Safe because
            # materialize runs under the run lock, so there is one writer.
            "skip_dedup": True,
        },
        batch_engine={"type": "feature_repo.online.engine.StreamingEngine"},
        entity_key_serialization_version=KEY_VERSION,
    )


def _registry(settings: Settings, file: Path | None) -> RegistryConfig:
    """Where it is kept: the database of the settings, else a file, the usual one or another."""
    if settings.registry_url is not None:
        from feast.infra.registry.sql import SqlRegistryConfig  # takes its time, for few

        place = database(settings.registry_url, "CHURN_REGISTRY_URL")
        return SqlRegistryConfig(
            path=place.for_python,
            cache_ttl_seconds=REGISTRY_CACHE_SECONDS,
            # Else every reader is refused while an extract is brought online, and after a
            # materialization that was killed. A customer's features are written all at once. In a
            # file nobody sees that state: it takes its place when the work is done.
            serve_features_while_materializing=True,
        )
    file = file or registry_file(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    return RegistryConfig(path=str(file), cache_ttl_seconds=REGISTRY_CACHE_SECONDS)


def _connection_string(address: online_store.Address) -> str:
    parts = [f"{address.host}:{address.port}", f"db={address.database}"]
    if address.tls:
        parts.append("ssl=true")
        if address.ca_bundle:
            parts.append(f"ssl_ca_certs={address.ca_bundle}")
    if address.password:
        # Feast reads the value as JSON where it can: quoted, a password of digits stays text.
        parts.append(f'password="{address.password}"')
    return ",".join(parts)
