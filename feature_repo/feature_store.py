"""Create the Feast feature store with the settings of this checkout."""

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
from lakehouse.process import Log
from lakehouse.settings import Settings, read_settings

REGISTRY_CACHE_SECONDS = 60


def open_store(settings: Settings | None = None, log: Log = lambda text: None) -> FeatureStore:
    """Return the FeatureStore; start the embedded online store if it is not running.

    Offline reads use the Spark server through Spark Connect, online reads use Redis.

    Raises:
        lakehouse.errors.UnavailableError: The online store does not respond.
    """
    settings = settings or read_settings()
    return FeatureStore(config=configuration(settings, online_store.ensure_running(settings, log)))


@contextmanager
def open_writing_store(
    settings: Settings, log: Log, rewrite: bool = False
) -> Iterator[FeatureStore]:
    """Yield a FeatureStore whose registry file is replaced atomically after the body completes.

    Feast writes the registry's file in place: a process that dies during the write leaves a partial
    file. In a database, each object is written separately and atomically, and later calls repair an
    incomplete set. `rewrite` starts a file without the previously registered objects; a database
    keeps them for its readers.
    """
    address = online_store.ensure_running(settings, log)
    if settings.registry_url is not None:
        yield FeatureStore(config=configuration(settings, address))
        return
    registry = registry_file(settings)
    draft = registry.with_suffix(".new")
    draft.unlink(missing_ok=True)
    if registry.exists() and not rewrite:
        shutil.copyfile(registry, draft)
    yield FeatureStore(config=configuration(settings, address, draft))
    os.replace(draft, registry)


def registry_file(settings: Settings) -> Path:
    """Return the path of Feast's registry file."""
    return settings.home / "registry" / "registry.db"


def configuration(
    settings: Settings, address: online_store.Address, registry: Path | None = None
) -> RepoConfig:
    """Return Feast's configuration; it contains the password, so it stays in memory."""
    from feature_repo.offline import SnapshotOfflineStoreConfig  # imports Spark, unused by the API

    return RepoConfig(
        project=PROJECT_NAME,
        provider="local",
        registry=_registry_config(settings, registry),
        offline_store=SnapshotOfflineStoreConfig(
            spark_conf={"spark.remote": settings.connect_url}, settings=settings
        ),
        online_store={
            "type": "feature_repo.online.store.StreamedRedisOnlineStore",
            "connection_string": _connection_string(address),
            # A restatement keeps its event time, so the store would skip it as old. Writing it is
            # safe because materialize runs under the run lock, so there is one writer.
            "skip_dedup": True,
        },
        batch_engine={"type": "feature_repo.online.engine.StreamingEngine"},
        entity_key_serialization_version=KEY_VERSION,
    )


def _registry_config(settings: Settings, file: Path | None) -> RegistryConfig:
    """Return the registry's configuration: the database of the settings, else a file.

    `file` defaults to the usual registry file.
    """
    if settings.registry_url is not None:
        from feast.infra.registry.sql import SqlRegistryConfig  # slow, rarely used

        database_address = database(settings.registry_url, "CHURN_REGISTRY_URL")
        return SqlRegistryConfig(
            path=database_address.for_python,
            cache_ttl_seconds=REGISTRY_CACHE_SECONDS,
            # Otherwise every reader is refused while an extract is materialized, and after a
            # materialization that was killed. A customer's features are written in one command. In
            # a file, readers never see that state: the file is replaced when the work is complete.
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
        # Feast parses the value as JSON if it can: in quotes, a password of digits stays text.
        parts.append(f'password="{address.password}"')
    return ",".join(parts)
