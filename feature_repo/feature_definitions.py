"""Read the features that the dbt contract of gold.customer_features declares."""

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Template

from lakehouse.errors import ChurnError
from lakehouse.settings import PROJECT

CONTRACT = PROJECT / "models" / "gold" / "customer_features.yml"
BLOCK = re.compile(r"{% docs (\w+) %}(.*?){% enddocs %}", re.DOTALL)
# Name of the feature view. It is defined here, not beside the view, because code that only reads
# from Redis needs nothing else of it.
VIEW = "customer_features"
# Maximum age of a feature for a training row and for an online answer. Extracts come monthly; a
# customer who was absent for longer than a year has no features rather than stale ones.
TTL = timedelta(days=366)


@dataclass(frozen=True)
class Feature:
    """A feature column; `data_type` is the SQL type of the dbt contract."""

    name: str
    data_type: str
    description: str


def read_feature_columns(path: Path = CONTRACT) -> list[Feature]:
    """Return the columns that the contract marks with `meta.feature`, in the contract's order.

    Raises:
        ChurnError: The file declares no feature, or a feature has no `data_type`.
    """
    declared = yaml.safe_load(path.read_text())["models"][0]["columns"]
    features = [_feature(column) for column in declared if _is_feature(column)]
    if not features or not all(feature.data_type for feature in features):
        raise ChurnError(
            "The dbt contract declares no feature, or a feature without data_type",
            where=str(path),
            hint="mark each feature with config.meta.feature and give its data_type",
        )
    return features


def _is_feature(column: dict[str, Any]) -> bool:
    return bool(column.get("config", {}).get("meta", {}).get("feature"))


def _feature(column: dict[str, Any]) -> Feature:
    return Feature(
        name=column["name"],
        data_type=str(column.get("data_type", "")),
        description=_expand_description(str(column.get("description", ""))),
    )


def _expand_description(description: str) -> str:
    """Return the description with its references to doc blocks expanded, as dbt does it."""
    return " ".join(Template(description).render(doc=_read_doc_blocks().__getitem__).split())


@cache
def _read_doc_blocks() -> dict[str, str]:
    """Return the texts that descriptions share, by name."""
    pages = [page.read_text() for page in (PROJECT / "models").rglob("*.md")]
    return dict(BLOCK.findall("".join(pages)))
