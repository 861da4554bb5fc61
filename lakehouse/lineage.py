"""Data model of lineage: the inputs and outputs of a step, with OpenLineage dataset names.

Each package describes its own steps with these classes. The command that ran the steps emits them
together after it has completed (lakehouse/lineage_events.py).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lakehouse.settings import Settings
from lakehouse.storage import Storage


@dataclass(frozen=True)
class Dataset:
    """A location that is read or written.

    Attributes:
        namespace: OpenLineage namespace; together with `name` it is the address.
        name: OpenLineage name within the namespace.
        table: Name of the table in the metastore, None if the dataset is not a table.
        columns: Known columns of the dataset.
        sources: For an output, the columns from which each column is derived, with their datasets.
    """

    namespace: str
    name: str
    table: str | None = None
    columns: Sequence[str] = ()
    sources: Mapping[str, Sequence[tuple["Dataset", str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class StepIO:
    """The inputs and outputs of a step; there are no outputs if all of them already existed."""

    inputs: Sequence[Dataset]
    outputs: Sequence[Dataset] = ()


@dataclass(frozen=True)
class DbtArtifacts:
    """Artifacts of a dbt call that built or tested: its manifest and run results, as JSON."""

    manifest: dict[str, Any]
    results: dict[str, Any]


@dataclass(frozen=True)
class StepRun:
    """A completed or failed step; its times are timezone-aware."""

    name: str
    started_at: datetime
    ended_at: datetime
    failed: bool
    io: Sequence[StepIO | DbtArtifacts]


def lineage_file(settings: Settings) -> Path:
    """Return the path of this CHURN_HOME's lineage file: one OpenLineage event per line."""
    return settings.home / "lineage" / "churn.openlineage.jsonl"


def file(path: Path | str) -> Dataset:
    """Return the dataset of a local file or folder."""
    return Dataset(*Storage(str(Path(path).absolute())).lineage_name)


def table(settings: Settings, name: str) -> Dataset:
    """Return the dataset of a table of the lake.

    It is addressed by the location of its files, which does not depend on the metastore.
    """
    return Dataset(*settings.lake.join(*name.split(".")).lineage_name, table=name)


def read_dbt(target: Path) -> DbtArtifacts | None:
    """Return the artifacts of the last dbt call in a target folder, or None if unreadable."""
    try:
        return DbtArtifacts(
            json.loads((target / "manifest.json").read_text()),
            json.loads((target / "run_results.json").read_text()),
        )
    except (OSError, ValueError):
        return None
