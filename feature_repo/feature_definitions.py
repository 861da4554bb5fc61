"""Read the features that the domain declares, which are the columns of gold.customer_features."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lakehouse.dbt_project import declared_columns
from lakehouse.domain import read_domain

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


def read_feature_columns(domain: Path | None = None) -> list[Feature]:
    """Return the features of a domain, by default of the selected one, in gold's order.

    Raises:
        ChurnError: The domain's files can't be used.
    """
    return [
        Feature(column["name"], column["data_type"], " ".join(column["description"].split()))
        for column in declared_columns("features", read_domain(domain).variables)
    ]
