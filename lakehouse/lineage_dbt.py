"""OpenLineage events of a dbt call: dbt's own integration on what dbt left, in our names."""

from collections.abc import Sequence
from typing import Any

import attr
from openlineage.client.event_v2 import RunEvent
from openlineage.common.provider.dbt.facets import ParentRunMetadata
from openlineage.common.provider.dbt.local import DbtLocalArtifactProcessor

from lakehouse.lineage import Dataset, DbtArtifacts, table
from lakehouse.lineage_columns import sources
from lakehouse.lineage_facets import NAMESPACE, PRODUCER, Named, column_facet, dataset_facets
from lakehouse.settings import Settings


class Artifacts(DbtLocalArtifactProcessor):  # type: ignore[misc]
    """Reads what one dbt call left, and calls tables by the place of their files.

    By itself it would call them after the Thrift door, whose port is this machine's affair.
    """

    def __init__(self, settings: Settings, work: DbtArtifacts) -> None:
        super().__init__(
            project_dir=str(settings.project), producer=PRODUCER, job_namespace=NAMESPACE
        )
        self._settings = settings
        self._work = work

    def get_dbt_metadata(self) -> tuple[Any, Any, Any, None]:
        profile = self.load_yaml_with_jinja(str(self._settings.project / "profiles.yml"))
        target = profile[self.profile_name]
        return (
            self._work.manifest,
            self._work.results,
            target["outputs"][target["target"]],
            None,
        )

    def extract_dataset_data(self, node: Any, *arguments: Any, **options: Any) -> Any:
        _, name, facets, others = super().extract_dataset_data(node, *arguments, **options)
        dataset = table(self._settings, name)
        facets["symlinks"] = dataset_facets(self._settings, dataset)["symlinks"]
        facets.pop("dataSource", None)  # would name the door as the place
        return dataset.namespace, dataset.name, facets, others

    def get_column_lineage(self, namespace: str, compiled_sql: str) -> Any:
        found = sources(compiled_sql, self._known())
        if not found:
            return None
        read = {
            name: [(table(self._settings, place), column) for place, column in columns]
            for name, columns in found.items()
        }
        return column_facet(Dataset(namespace, "", sources=read))

    def _known(self) -> dict[str, dict[str, list[str]]]:
        """The described columns of all that a model may read."""
        known: dict[str, dict[str, list[str]]] = {}
        for node in (*self.manifest["nodes"].values(), *self.manifest["sources"].values()):
            if node["resource_type"] in ("model", "source"):
                name = node.get("alias") or node["name"]
                known.setdefault(node["schema"], {})[name] = list(node["columns"])
        return known


def dbt_events(
    settings: Settings, work: DbtArtifacts, parent: Named, root: Named
) -> Sequence[RunEvent]:
    """Starts and ends of the models and tests, children of `parent`; none of other dbt calls."""
    artifacts = Artifacts(settings, work)
    artifacts.should_raise_on_unsupported_command = False
    artifacts.dbt_run_metadata = ParentRunMetadata(
        run_id=parent.run,
        job_name=parent.job,
        job_namespace=parent.namespace,
        root_parent_job_name=root.job,
        root_parent_job_namespace=root.namespace,
        root_parent_run_id=root.run,
    )
    parsed = artifacts.parse()
    # What a node reads and writes is told once, at its end.
    starts = [attr.evolve(each, inputs=[], outputs=[]) for each in parsed.starts]
    return sorted([*starts, *parsed.completes, *parsed.fails], key=lambda each: each.eventTime)
