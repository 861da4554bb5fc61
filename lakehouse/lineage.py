"""What a step of the work reads and writes, by the names that OpenLineage gives to places.

A part of the project says it of its own steps in these words; the command that did the work tells
it, late and all at once (lakehouse/lineage_events.py).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lakehouse.settings import Settings
from lakehouse.storage import is_folder

LOCAL = "file"


@dataclass(frozen=True)
class Dataset:
    """A place that is read or written.

    `namespace` and `name` together are its address, `table` is how the metastore calls it,
    `columns` are those it is known to have. Of an output, `sources` has for a column the columns
    it was made of, each with its dataset.
    """

    namespace: str
    name: str
    table: str | None = None
    columns: Sequence[str] = ()
    sources: Mapping[str, Sequence[tuple["Dataset", str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class StepIO:
    """What a step read, and what it wrote: nothing where all of it was there already."""

    inputs: Sequence[Dataset]
    outputs: Sequence[Dataset] = ()


@dataclass(frozen=True)
class DbtArtifacts:
    """What dbt left of a call that built or tested: its manifest and its results, as JSON."""

    manifest: dict[str, Any]
    results: dict[str, Any]


@dataclass(frozen=True)
class StepRun:
    """A step that has ended; the times have a zone."""

    name: str
    begun: datetime
    ended: datetime
    failed: bool
    works: Sequence[StepIO | DbtArtifacts]


def lineage_file(settings: Settings) -> Path:
    """Where the lineage of this CHURN_HOME is written: an event of OpenLineage a line."""
    return settings.home / "lineage" / "churn.openlineage.jsonl"


def file(path: Path | str) -> Dataset:
    """A file or folder of this machine."""
    return Dataset(LOCAL, str(Path(path).absolute()))


def table(settings: Settings, name: str) -> Dataset:
    """A table of the lake, by the place of its files: what is true under any metastore."""
    path = f"{settings.lake_uri}/{name.replace('.', '/')}"
    if is_folder(path):
        return Dataset(LOCAL, path, table=name)
    place = urlsplit(path)
    # Whatever a file system calls its driver (`s3a`), the store is the same.
    return Dataset(f"s3://{place.netloc}", place.path.lstrip("/"), table=name)


def read_dbt(target: Path) -> DbtArtifacts | None:
    """What the last dbt call left in its target folder; None where that is not readable."""
    try:
        return DbtArtifacts(
            json.loads((target / "manifest.json").read_text()),
            json.loads((target / "run_results.json").read_text()),
        )
    except (OSError, ValueError):
        return None
