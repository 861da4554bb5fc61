"""Gold into Redis by Feast as it comes: the last step of the pipeline of scripts.

python -m benchmarks.peers.feast_push OUT         PEER_REDIS has Feast's connection string
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.repo_config import RepoConfig
from feast.types import Float64, Int32

from feature_repo.feature_definitions import read_features

TYPES = {"double": Float64, "int": Int32}


def main(out: Path) -> None:
    """Declare the view over gold's files and write the latest values of all customers."""
    store = FeatureStore(
        config=RepoConfig(
            project="peer",
            provider="local",
            registry=str(out / "registry.db"),
            online_store={"type": "redis", "connection_string": os.environ["PEER_REDIS"]},
            entity_key_serialization_version=3,
        )
    )
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name="customer_features",
        entities=[customer],
        ttl=timedelta(days=366),
        schema=[Field(name=each.name, dtype=TYPES[each.data_type]) for each in read_features()],
        source=FileSource(
            path=str(out / "gold" / "customer_features"),
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
        ),
    )
    store.apply([customer, view])
    store.materialize(datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
