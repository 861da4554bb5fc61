"""Extend Feast's Redis online store to accept a whole extract as a stream.

Feast writes an extract as lists of messages, one Python object for each value. Here the rows stay
columns until they are encoded as bytes (redis_protocol.py), and a row that is already stored with
the same values is not written (row_digests.py). Each customer is stored as Feast would have written
it, and Feast reads it.

A customer's own timestamp is that of the extract which introduced its features: confirming them
every month would need a write for each customer. The extract that confirmed all of them is stored
in the digest hash, and readers get the later of the two timestamps.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal, TypeVar

import pyarrow as pa
from feast import RepoConfig
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig

from feature_repo.online.redis_layout import AS_OF, DIGESTS, encode_timestamp, latest_timestamp
from feature_repo.online.redis_protocol import RespEncoder, decode_customer_id, encode_keys
from feature_repo.online.row_digests import (
    NEXT,
    DigestBatch,
    DigestIndex,
    DigestStore,
    HashInput,
    digest_rows,
    hash_customer_ids,
)
from feature_repo.online.stream import Stream, encode_command, open_stream
from feature_repo.project import PROJECT_NAME
from lakehouse.online_store import Client

SCAN_COUNT = 5000
Item = TypeVar("Item")


class StreamedRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Configuration of StreamedRedisOnlineStore, which extends Feast's for one Redis server.

    Feast finds the store by the name of this class.
    """

    type: Literal["feature_repo.online.store.StreamedRedisOnlineStore"] = (  # type: ignore[assignment]
        "feature_repo.online.store.StreamedRedisOnlineStore"
    )


@dataclass(frozen=True)
class Extract:
    """All rows that the online store is to contain.

    Attributes:
        identity: Distinguishes the rows and their order from others.
        event_timestamp: Event timestamp of the rows.
        features: Names of the features.
        batches: customer_id, event_timestamp and the `features`, in the same order each time.
    """

    identity: bytes
    event_timestamp: datetime
    features: Sequence[str]
    batches: Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class ReplaceResult:
    """Result of a replacement.

    Attributes:
        customers: Number of customers who are online now.
        written: Number of rows that were missing from the store or different there.
        removed: Number of customers removed because they are not in the extract.
        resumed: Number of rows that an interrupted call had already written.
    """

    customers: int
    written: int
    removed: int
    resumed: int


# Callback that receives the number of rows done.
OnProgress = Callable[[int], None]


class StreamedRedisOnlineStore(RedisOnlineStore):  # type: ignore[misc]
    """Online store that accepts an extract as a stream; reads and single writes are Feast's."""

    def replace(
        self, config: RepoConfig, extract: Extract, rewrite_all: bool, on_progress: OnProgress
    ) -> ReplaceResult:
        """Make the store contain exactly these rows, and write only those that differ.

        After an interruption, a call for the same rows continues where the previous one stopped.
        Memory: one or two batches, and about 100 bytes for each customer. Only one caller at a
        time.

        Args:
            config: Feast's configuration.
            extract: The rows.
            rewrite_all: Whether to write all of them, whatever is known of the store.
            on_progress: Callback for the number of rows done.

        Raises:
            redis.RedisError: The store refuses a command or does not respond.
        """
        client = self._get_client(config.online_store)
        return _Replacement(client, extract, rewrite_all).run(on_progress)

    def online_write_batch(self, config: RepoConfig, *arguments: Any, **options: Any) -> None:
        """Write rows as Feast does, and invalidate the digests.

        The digests do not cover these rows, so the next extract is written completely.
        """
        DigestStore(self._get_client(config.online_store)).invalidate()
        super().online_write_batch(config, *arguments, **options)

    def _read_hash_fields(
        self, config: RepoConfig, commands: list[tuple[bytes, list[str | bytes]]]
    ) -> list[list[Any]]:
        """Read fields as Feast does.

        The timestamp, which is last in each row, is the later one of the two that the module
        describes.
        """
        *rows, (as_of,) = super()._read_hash_fields(config, [*commands, (DIGESTS, [AS_OF])])
        for row in rows:
            if row[-1] is not None:
                row[-1] = latest_timestamp(row[-1], as_of)
        return rows


class _Replacement:
    """Replacement of the store's contents by an extract."""

    def __init__(self, client: Client, extract: Extract, rewrite_all: bool) -> None:
        self._client, self._extract = client, extract
        self._wire = RespEncoder(extract.features)
        self._digest_store = DigestStore(client)
        stamp = encode_timestamp(extract.event_timestamp)
        self._finished = self._digest_store.begin(extract.identity, stamp, rewrite_all)
        self._before = self._digest_store.read_digests()

    def run(self, on_progress: OnProgress) -> ReplaceResult:
        done = written = resumed = stayed = 0
        now: list[DigestBatch] = []
        with open_stream(self._client) as stream:
            for number, (rows, made, alike) in enumerate(prefetch(self._digest_rows())):
                changed = rows
                if self._before is not None:
                    there, same = self._before.find_digests(made, alike)
                    changed = rows.filter(pa.array(~same))
                    stayed += int(there.sum())
                if number < len(self._finished) and made.equals(self._finished[number]):
                    resumed += rows.num_rows
                else:
                    self._write(stream, changed)
                    written += changed.num_rows
                    # Sent after the rows: a stored batch of digests implies that its rows are
                    # stored.
                    stream.send(encode_command(b"HSET", NEXT, b"%d" % number, made.serialize()))
                now.append(made)
                done += rows.num_rows
                on_progress(done)
            removed = 0
            if self._before is None or stayed != self._before.customers:
                removed = self._remove_others(stream, DigestIndex(now))
        self._digest_store.finish()
        return ReplaceResult(done, written, removed, resumed)

    def _digest_rows(self) -> Iterator[tuple[pa.RecordBatch, DigestBatch, DigestBatch | None]]:
        """Yield batches, their digests, and the stored digests of probably the same customers."""
        for number, rows in enumerate(self._extract.batches):
            alike = None if self._before is None else self._before.same_position(number)
            yield rows, digest_rows(rows, self._extract.features, alike), alike

    def _write(self, stream: Stream, rows: pa.RecordBatch) -> None:
        if rows.num_rows:
            for count, commands in self._wire.encode_writes(rows):
                stream.send(commands, count)

    def _remove_others(self, stream: Stream, now: DigestIndex) -> int:
        removed = 0
        if self._before is None:
            there = scan_customers(self._client)
        else:
            there = ((batch.customer_ids, batch.identities) for batch in self._before.chunks)
        for customer_ids, identities in there:
            gone = customer_ids.filter(pa.array(~now.contains(identities)))
            if len(gone):
                stream.send(encode_command(b"UNLINK", *encode_keys(gone)))
                removed += len(gone)
        return removed


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items; a thread computes the next item while the caller uses one."""
    left = iter(items)
    with ThreadPoolExecutor(1) as maker:
        queue = maker.submit(next, left, None)
        while (item := queue.result()) is not None:
            queue = maker.submit(next, left, None)
            yield item


def scan_customers(client: Client) -> Iterator[tuple[pa.Array, HashInput]]:
    """Yield the ids of all customers in the store with their digests, in batches.

    A customer may occur twice.
    """
    keys = client.scan_iter(match=b"*" + PROJECT_NAME.encode(), count=SCAN_COUNT)
    while some := [decode_customer_id(key) for key in islice(keys, SCAN_COUNT)]:
        customer_ids = pa.array(some, pa.string())
        yield customer_ids, hash_customer_ids(customer_ids)
