"""OpenLineage facets of runs and datasets, shared by all emitters."""

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
class RunReference:
    """A run and its job, as child runs refer to them."""

    namespace: str
    job: str
    run: str


def parent_facet(parent: RunReference, root: RunReference) -> parent_run.ParentRunFacet:
    """Return the facet with which a child run refers to its parent and root runs."""
    return parent_run.ParentRunFacet(
        run=parent_run.Run(runId=parent.run),
        job=parent_run.Job(parent.namespace, parent.job),
        root=parent_run.Root(
            run=parent_run.RootRun(runId=root.run),
            job=parent_run.RootJob(root.namespace, root.job),
        ),
    )


def dataset_facets(settings: Settings, dataset: Dataset) -> dict[str, Any]:
    """Return the facets that describe a dataset: its table name and its columns.

    The address of the dataset is not part of them.
    """
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
    """Return the facet with the source columns of each column of an output."""
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
