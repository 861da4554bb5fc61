"""The features as the dbt contract of gold.customer_features declares them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Template

from lakehouse.errors import ChurnError
from lakehouse.settings import PROJECT
from lakehouse.variables import read_variables

CONTRACT = PROJECT / "models" / "gold" / "customer_features.yml"
BLOCK = re.compile(r"{% docs (\w+) %}(.*?){% enddocs %}", re.DOTALL)
# The name of the feature view, here and not with it: who only reads from Redis needs no more.
VIEW = "customer_features"
# How old a feature may be for a training row, and for an answer. Extracts come monthly; a customer
# who was absent for longer than a year has no features rather than stale ones.
TTL = timedelta(days=366)


@dataclass(frozen=True)
class Feature:
    """A feature column; `data_type` is the SQL type of the dbt contract."""

    name: str
    data_type: str
    description: str


def read_features(path: Path = CONTRACT) -> list[Feature]:
    """The columns that the contract marks with `meta.feature`, in its order.

    Raises:
        ChurnError: the file declares no feature, or a column lacks its type.
    """
    declared = declared_columns(yaml.safe_load(path.read_text())["models"][0])
    features = [_feature(column) for column in declared if _is_feature(column)]
    if not features or not all(feature.data_type for feature in features):
        raise ChurnError(
            "The dbt contract declares no feature, or a feature without data_type",
            where=str(path),
            remedy="mark each feature with config.meta.feature and give its data_type",
        )
    return features


def declared_columns(
    table: Mapping[str, Any], variables: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The columns of a model or source as its YAML declares them: one by one, or as a template.

    A template goes over the source contract, which is among the `variables` of the dbt project, by
    default those of this checkout. dbt renders it as this does.
    """
    columns: str | list[dict[str, Any]] = table.get("columns", [])
    if isinstance(columns, list):
        return columns
    rendered = Template(columns).render(
        var=(variables or read_variables()).__getitem__,
        fromyaml=lambda text: text,
        tojson=json.dumps,
        modules={"re": re},
    )
    found: list[dict[str, Any]] = yaml.safe_load(rendered)
    return found


def _is_feature(column: dict[str, Any]) -> bool:
    return bool(column.get("config", {}).get("meta", {}).get("feature"))


def _feature(column: dict[str, Any]) -> Feature:
    return Feature(
        name=column["name"],
        data_type=str(column.get("data_type", "")),
        description=_in_words(str(column.get("description", ""))),
    )


def _in_words(description: str) -> str:
    """A description with the blocks that it names put in, as dbt does it."""
    return " ".join(Template(description).render(doc=_blocks().__getitem__).split())


@cache
def _blocks() -> dict[str, str]:
    """The texts that descriptions share, by name."""
    pages = [page.read_text() for page in (PROJECT / "models").rglob("*.md")]
    return dict(BLOCK.findall("".join(pages)))
