"""Describe what a materialization reads and writes, for lineage."""

from feature_repo.feature_definitions import VIEW, read_feature_columns
from feature_repo.project import PROJECT_NAME
from lakehouse import online_store
from lakehouse.lineage import Dataset, StepIO, table
from lakehouse.settings import Settings

GOLD, PUBLICATIONS = "gold.customer_features", "gold.publications"
KEY = "customer_id"


def materialize_io(settings: Settings, written: bool) -> StepIO:
    """Return the lineage from gold to the online store; each feature is copied unchanged."""
    gold = table(settings, GOLD)
    inputs = [gold, table(settings, PUBLICATIONS)]
    if not written or (online := _online(settings)) is None:
        return StepIO(inputs)
    names = [KEY, *(feature.name for feature in read_feature_columns())]
    sources = {name: [(gold, name)] for name in names}
    return StepIO(inputs, [Dataset(*online, columns=names, sources=sources)])


def _online(settings: Settings) -> tuple[str, str] | None:
    address = online_store.find(settings)
    if address is None:
        return None
    scheme = "rediss" if address.tls else "redis"
    # OpenLineage has no naming rule for Redis: the address of the server, then database, project
    # and view.
    name = f"{address.database}/{PROJECT_NAME}/{VIEW}"
    return f"{scheme}://{address.host}:{address.port}", name
