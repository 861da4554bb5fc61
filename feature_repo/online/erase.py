"""Erase customers from the online store: their features, their digests, and the store's files."""

import json
import time
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import redis

from feature_repo.online.redis_layout import DIGESTS, MARKER, redis_key
from feature_repo.online.row_digests import NEXT, OTHER_KEYS, DigestBatch, DigestStore
from lakehouse.online_store import Client

# The server writes its files in the background; for the customers of one extract in seconds.
WRITE_SECONDS = 120
POLL_SECONDS = 0.05


def erase_online(
    client: Client, customer_ids: Collection[str], customers: Mapping[str, int]
) -> int:
    """Remove customers from the online store, so that it is still known to be complete.

    Args:
        client: Client of the store.
        customer_ids: The customers.
        customers: Number of remaining customers by batch id, of the publications that they were in.

    Returns:
        The number of customers that the store had.
    """
    store = DigestStore(client)
    was_intact = store.is_intact()
    keys = [redis_key(customer_id) for customer_id in customer_ids]
    hashes: Any = client  # redis-py's commands on hashes are typed for text only
    removed = int(hashes.delete(*keys)) if keys else 0
    for name in (DIGESTS, NEXT):
        for field, content in hashes.hgetall(name).items():
            if field.isdigit() and (batch := _leave_out(content, customer_ids)) is not None:
                hashes.hset(name, field, batch)
    if was_intact and removed:
        hashes.hincrby(DIGESTS, OTHER_KEYS, -removed)
    _correct_marker(client, customers)
    return removed


def rewrite_store_files(client: Client) -> list[str]:
    """Make the server write its files again, from what it contains now.

    Returns:
        Warnings, if the server does not permit it: its operator has to do so.
    """
    try:
        info: Any = client.info("persistence")
        server: Any = client  # redis-py's commands of the server are not typed
        if info["aof_enabled"]:
            server.bgrewriteaof()
            _wait_for(client, "aof_rewrite_in_progress", "aof_rewrite_scheduled")
        settings: Any = client.config_get("save")
        if settings.get("save"):
            client.bgsave()
            _wait_for(client, "rdb_bgsave_in_progress")
    except redis.ResponseError as error:
        return [
            f"the online store does not permit to rewrite its files ({error}): its operator has "
            "to run BGREWRITEAOF and BGSAVE"
        ]
    return []


def _leave_out(content: bytes, customer_ids: Collection[str]) -> bytes | None:
    """Return a stored batch of digests without the customers; None if it has none of them."""
    batch = DigestBatch.deserialize(content)
    chosen = pc.is_in(batch.customer_ids, value_set=pa.array(list(customer_ids), pa.string()))
    if not pc.any(chosen).as_py():
        return None
    kept = ~chosen.to_numpy(zero_copy_only=False)
    ids = batch.customer_ids.filter(pa.array(kept))
    return DigestBatch(ids, batch.identities[kept], batch.digests[kept]).serialize()


def _correct_marker(client: Client, customers: Mapping[str, int]) -> None:
    """Adapt the number of customers in the marker, which is compared with the publication."""
    stored: Any = client.get(MARKER)
    if stored is None:
        return
    marker = json.loads(stored)
    if marker["batch_id"] in customers:
        marker["customers"] = customers[marker["batch_id"]]
        client.set(MARKER, json.dumps(marker).encode())


def _wait_for(client: Client, *states: str) -> None:
    """Wait until the server has completed what it does in the background."""
    deadline = time.monotonic() + WRITE_SECONDS
    while time.monotonic() < deadline:
        info: Any = client.info("persistence")
        if not any(info.get(state) for state in states):
            return
        time.sleep(POLL_SECONDS)
    raise redis.ResponseError(f"it has not completed this within {WRITE_SECONDS} s")
