"""OpenLineage events of a dbt call, from dbt's own integration with the project's table names."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attr
from openlineage.client.event_v2 import RunEvent
from openlineage.common.provider.dbt.facets import ParentRunMetadata
from openlineage.common.provider.dbt.local import DbtLocalArtifactProcessor

from lakehouse.dbt_project import project_folder
from lakehouse.lineage import Dataset, DbtArtifacts, table
from lakehouse.lineage_columns import sources
from lakehouse.lineage_facets import NAMESPACE, PRODUCER, RunReference, column_facet, dataset_facets
from lakehouse.project_files import PROJECT
from lakehouse.settings import Settings


class Artifacts(DbtLocalArtifactProcessor):  # type: ignore[misc]
    """Processor of one dbt call's artifacts that names tables by the location of their files.

    The base class would name them after the Thrift endpoint, whose port is specific to the
    machine.
    """

    def __init__(self, settings: Settings, work: DbtArtifacts) -> None:
        """Create the processor for the artifacts of one dbt call."""
        super().__init__(
            project_dir=str(project_folder(settings.home)),
            producer=PRODUCER,
            job_namespace=NAMESPACE,
        )
        self._settings = settings
        self._work = work

    def get_dbt_metadata(self) -> tuple[Any, Any, Any, None]:
        """Return the manifest, the run results, the profile's target and no catalog."""
        profile = self.load_yaml_with_jinja(str(PROJECT / "profiles.yml"))
        target = profile[self.profile_name]
        return (
            {**self._work.manifest, "parent_map": _parent_tables(self._work.manifest)},
            self._work.results,
            target["outputs"][target["target"]],
            None,
        )

    def extract_dataset_data(self, node: Any, *arguments: Any, **options: Any) -> Any:
        """Return namespace, name and facets of a node, addressed by its files' location."""
        _, name, facets, others = super().extract_dataset_data(node, *arguments, **options)
        dataset = table(self._settings, name)
        facets["symlinks"] = dataset_facets(self._settings, dataset)["symlinks"]
        facets.pop("dataSource", None)  # would give the Thrift endpoint as the location
        return dataset.namespace, dataset.name, facets, others

    def get_column_lineage(self, namespace: str, compiled_sql: str) -> Any:
        """Return the column lineage facet of a model's SQL, or None if it has no sources."""
        columns_by_name = sources(compiled_sql, self._documented_columns())
        if not columns_by_name:
            return None
        datasets_by_name = {
            name: [(table(self._settings, table_name), column) for table_name, column in columns]
            for name, columns in columns_by_name.items()
        }
        return column_facet(Dataset(namespace, "", sources=datasets_by_name))

    def _documented_columns(self) -> dict[str, dict[str, list[str]]]:
        """Return the documented columns of all models and sources, by schema and table."""
        documented: dict[str, dict[str, list[str]]] = {}
        for node in (*self.manifest["nodes"].values(), *self.manifest["sources"].values()):
            if node["resource_type"] in ("model", "source"):
                name = node.get("alias") or node["name"]
                documented.setdefault(node["schema"], {})[name] = list(node["columns"])
        return documented


def _parent_tables(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the parents of each node; for an ephemeral model, which is no table, its parents."""

    def parents(node: str) -> Iterator[str]:
        for parent in manifest["parent_map"][node]:
            config = manifest["nodes"].get(parent, {}).get("config", {})
            yield from parents(parent) if config.get("materialized") == "ephemeral" else [parent]

    return {node: list(dict.fromkeys(parents(node))) for node in manifest["parent_map"]}


def dbt_events(
    settings: Settings, work: DbtArtifacts, parent: RunReference, root: RunReference
) -> Sequence[RunEvent]:
    """Return the start and end events of the models and tests, as children of `parent`.

    The list is empty for dbt commands that neither build nor test.
    """
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
    # The inputs and outputs of a node are emitted once, with its end event.
    starts = [attr.evolve(event, inputs=[], outputs=[]) for event in parsed.starts]
    return sorted([*starts, *parsed.completes, *parsed.fails], key=lambda event: event.eventTime)
