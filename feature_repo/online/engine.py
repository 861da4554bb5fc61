"""Materialize an extract with Feast, as a stream from the published files."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from feast import Entity, FeatureView
from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.base import ComputeEngine
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel

from feature_repo.offline import BATCH, PublishedExtract
from feature_repo.online.store import Extract, Replaced, Told
from feature_repo.project import KEY_VERSION


@dataclass
class Order:
    """Request for a materialization and its result, which Feast's interface can't express.

    Attributes:
        anew: Passed to StreamedRedisOnlineStore.replace.
        told: Passed to StreamedRedisOnlineStore.replace.
        done: The result, which the engine sets.
    """

    anew: bool = False
    told: Told = lambda done: None
    done: Replaced | None = None


class StreamingEngineConfig(FeastConfigBaseModel):
    """Configuration of StreamingEngine; Feast finds it by the engine's name."""

    type: Literal["feature_repo.online.engine.StreamingEngine"] = (
        "feature_repo.online.engine.StreamingEngine"
    )
    order: Any = None


class StreamingEngine(ComputeEngine):  # type: ignore[misc]
    """Engine from the files of SnapshotOfflineStore into StreamedRedisOnlineStore.

    It supports no other stores.
    """

    def __init__(self, *, order: Order | None = None, **options: Any) -> None:
        """Create the engine; the default request writes only the changed customers."""
        super().__init__(**options)
        self._order = order or Order()

    def update(
        self,
        project: str,
        views_to_delete: Sequence[FeatureView],
        views_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
    ) -> None:
        """Do nothing: the engine needs no preparation."""

    def teardown_infra(
        self, project: str, fvs: Sequence[FeatureView], entities: Sequence[Entity]
    ) -> None:
        """Do nothing: the engine has no infrastructure to remove."""

    def _materialize_one(
        self, registry: BaseRegistry, task: MaterializationTask, **_: Any
    ) -> LocalMaterializationJob:
        view = task.feature_view
        published = self.offline_store.latest_extract(
            self.repo_config, view, task.start_time, task.end_time
        )
        extract = Extract(
            identity=_identity(published),
            event_timestamp=published.event_timestamp,
            features=published.features,
            batches=published.batches(),
        )
        order = self._order
        order.done = self.online_store.replace(self.repo_config, extract, order.anew, order.told)
        name = f"{view.name}-{task.start_time}-{task.end_time}"
        return LocalMaterializationJob(name, MaterializationJobStatus.SUCCEEDED)


def _identity(published: PublishedExtract) -> bytes:
    """Return a hash that distinguishes these rows from others.

    Each publish writes files of its own, so the file names distinguish its rows.
    """
    told = [*published.files, *published.features, BATCH, KEY_VERSION]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest().encode()
