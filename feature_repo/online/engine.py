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

from feature_repo.offline import BATCH_ROWS, PublishedExtract
from feature_repo.online.store import Extract, OnProgress, ReplaceResult
from feature_repo.project import KEY_VERSION


@dataclass
class MaterializeRequest:
    """Request for a materialization and its result, which Feast's interface can't express.

    Attributes:
        rewrite_all: Passed to StreamedRedisOnlineStore.replace.
        on_progress: Passed to StreamedRedisOnlineStore.replace.
        result: The result, which the engine sets.
    """

    rewrite_all: bool = False
    on_progress: OnProgress = lambda done: None
    result: ReplaceResult | None = None


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

    def __init__(self, *, order: MaterializeRequest | None = None, **options: Any) -> None:
        """Create the engine; the default request writes only the changed customers."""
        super().__init__(**options)
        self._order = order or MaterializeRequest()

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
        request = self._order
        request.result = self.online_store.replace(
            self.repo_config, extract, request.rewrite_all, request.on_progress
        )
        name = f"{view.name}-{task.start_time}-{task.end_time}"
        return LocalMaterializationJob(name, MaterializationJobStatus.SUCCEEDED)


def _identity(published: PublishedExtract) -> bytes:
    """Return a hash that distinguishes these rows from others.

    Each publish writes files of its own, so the file names distinguish its rows.
    """
    parts = [*published.files, *published.features, BATCH_ROWS, KEY_VERSION]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest().encode()
