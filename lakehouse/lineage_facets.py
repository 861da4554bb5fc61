"""What OpenLineage's events say of a run and of a dataset, whoever tells them."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    parent_run,
    schema_dataset,
    symlinks_dataset,
)

from lakehouse.lineage import Dataset
from lakehouse.settings import Settings

NAMESPACE = "churn"
PRODUCER = f"urn:telco-churn:{version('telco-churn')}"


@dataclass(frozen=True)
class Named:
    """A run and its job, as children name them."""

    namespace: str
    job: str
    run: str


def parent_facet(parent: Named, root: Named) -> parent_run.ParentRunFacet:
    """What a child run says of its parent."""
    return parent_run.ParentRunFacet(
        run=parent_run.Run(runId=parent.run),
        job=parent_run.Job(parent.namespace, parent.job),
        root=parent_run.Root(
            run=parent_run.RootRun(runId=root.run),
            job=parent_run.RootJob(root.namespace, root.job),
        ),
    )


def dataset_facets(settings: Settings, dataset: Dataset) -> dict[str, Any]:
    """What is said of a dataset besides its address: its name as a table, its columns."""
    facets: dict[str, Any] = {}
    if dataset.table:
        server = f"spark://{settings.spark_host}:{settings.thrift_port}"
        identifier = symlinks_dataset.Identifier(server, dataset.table, "TABLE")
        facets["symlinks"] = symlinks_dataset.SymlinksDatasetFacet([identifier])
    if dataset.columns:
        fields = [schema_dataset.SchemaDatasetFacetFields(name) for name in dataset.columns]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields)
    return facets


def column_facet(dataset: Dataset) -> column_lineage_dataset.ColumnLineageDatasetFacet:
    """Which columns each column of an output was made of."""
    return column_lineage_dataset.ColumnLineageDatasetFacet(
        fields={
            column: column_lineage_dataset.Fields(
                [
                    column_lineage_dataset.InputField(source.namespace, source.name, name)
                    for source, name in sources
                ]
            )
            for column, sources in dataset.sources.items()
        }
    )
