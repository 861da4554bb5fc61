"""The online store: Feast's own for Redis, which also takes a whole extract as a stream.

Feast writes an extract as lists of messages, one Python object for each value. Here the rows stay
columns until they are bytes (wire.py), and a row that is there as it should be is not written at
all (ledger.py). Each customer lies there as Feast would have written it, and Feast reads it.

A customer's own timestamp is that of the extract which brought its features: to confirm them month
by month would be a write for each customer. The extract that confirmed them all stands in the
ledger, and readers are told the later of the two.
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

from feature_repo.online.redis_layout import AS_OF, LEDGER, encode_timestamp, latest_timestamp
from feature_repo.online.redis_protocol import RespEncoder, customer_id, keys
from feature_repo.online.row_digests import (
    NEXT,
    DigestBatch,
    DigestIndex,
    DigestStore,
    Words,
    chunk,
    identified,
)
from feature_repo.online.stream import Stream, command, streaming
from feature_repo.project import PROJECT_NAME
from lakehouse.online_store import Client

SCAN_COUNT = 5000
Item = TypeVar("Item")


class StreamedRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """As Feast's for Redis, one server; Feast finds the store by the name of this class."""

    type: Literal["feature_repo.online.store.StreamedRedisOnlineStore"] = (  # type: ignore[assignment]
        "feature_repo.online.store.StreamedRedisOnlineStore"
    )


@dataclass(frozen=True)
class Extract:
    """All rows that the online store is to hold.

    `batches`: customer_id, event_timestamp and the `features`, in an order that is the same each
    time; `identity` tells them from other rows and from other orders.
    """

    identity: bytes
    event_timestamp: datetime
    features: Sequence[str]
    batches: Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Replaced:
    """Customers who are online now, and what that took.

    `written`: rows that the store did not hold so, `removed`: customers who are not in the extract,
    `resumed`: rows that an interrupted call had done already.
    """

    customers: int
    written: int
    removed: int
    resumed: int


# Hears how many rows are done.
Told = Callable[[int], None]


class StreamedRedisOnlineStore(RedisOnlineStore):  # type: ignore[misc]
    """Takes an extract as a stream; reads and single writes are Feast's own."""

    def replace(self, config: RepoConfig, extract: Extract, anew: bool, told: Told) -> Replaced:
        """Make the store hold exactly these rows, and write those only that differ.

        Interrupted, it goes on where it was when it is called again for the same rows. In memory: a
        batch or two, and some 100 bytes for each customer. One caller at a time.

        Args:
            anew: write all of them, whatever is known of the store.

        Raises:
            redis.RedisError: the store refuses a command, or does not answer.
        """
        return _Replacement(self._get_client(config.online_store), extract, anew).run(told)

    def online_write_batch(self, config: RepoConfig, *arguments: Any, **options: Any) -> None:
        """Feast's own; the ledger knows nothing of it, so the next extract is written whole."""
        DigestStore(self._get_client(config.online_store)).void()
        super().online_write_batch(config, *arguments, **options)

    def _read_hash_fields(
        self, config: RepoConfig, commands: list[tuple[bytes, list[str | bytes]]]
    ) -> list[list[Any]]:
        """Feast's reading of fields, the timestamp last in each row: the later one, see above."""
        *rows, (as_of,) = super()._read_hash_fields(config, [*commands, (LEDGER, [AS_OF])])
        for row in rows:
            if row[-1] is not None:
                row[-1] = latest_timestamp(row[-1], as_of)
        return rows


class _Replacement:
    """An extract on its way into the store."""

    def __init__(self, client: Client, extract: Extract, anew: bool) -> None:
        self._client, self._extract = client, extract
        self._wire = RespEncoder(extract.features)
        self._ledgers = DigestStore(client)
        stamp = encode_timestamp(extract.event_timestamp)
        self._finished = self._ledgers.begin(extract.identity, stamp, anew)
        self._before = self._ledgers.digests()

    def run(self, told: Told) -> Replaced:
        done = written = resumed = stayed = 0
        now: list[DigestBatch] = []
        with streaming(self._client) as stream:
            for number, (rows, made, alike) in enumerate(ahead(self._digested())):
                changed = rows
                if self._before is not None:
                    there, same = self._before.look_up(made, alike)
                    changed = rows.filter(pa.array(~same))
                    stayed += int(there.sum())
                if number < len(self._finished) and made.equals(self._finished[number]):
                    resumed += rows.num_rows
                else:
                    self._write(stream, changed)
                    written += changed.num_rows
                    # After the rows: a chunk that is there says that they are.
                    stream.send(command(b"HSET", NEXT, b"%d" % number, made.serialised()))
                now.append(made)
                done += rows.num_rows
                told(done)
            removed = 0
            if self._before is None or stayed != self._before.customers:
                removed = self._remove_others(stream, DigestIndex(now))
        self._ledgers.finish()
        return Replaced(done, written, removed, resumed)

    def _digested(self) -> Iterator[tuple[pa.RecordBatch, DigestBatch, DigestBatch | None]]:
        """Batches with their digests, and with what the store may hold of the same customers."""
        for number, rows in enumerate(self._extract.batches):
            alike = None if self._before is None else self._before.alike(number)
            yield rows, chunk(rows, self._extract.features, alike), alike

    def _write(self, stream: Stream, rows: pa.RecordBatch) -> None:
        if rows.num_rows:
            for count, commands in self._wire.written(rows):
                stream.send(commands, count)

    def _remove_others(self, stream: Stream, now: DigestIndex) -> int:
        removed = 0
        if self._before is None:
            there = customers_there(self._client)
        else:
            there = ((each.customer_ids, each.identities) for each in self._before.chunks)
        for customer_ids, identities in there:
            gone = customer_ids.filter(pa.array(~now.hold(identities)))
            if len(gone):
                stream.send(command(b"UNLINK", *keys(gone)))
                removed += len(gone)
        return removed


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items; the next one is made while one is used."""
    left = iter(items)
    with ThreadPoolExecutor(1) as maker:
        upcoming = maker.submit(next, left, None)
        while (item := upcoming.result()) is not None:
            upcoming = maker.submit(next, left, None)
            yield item


def customers_there(client: Client) -> Iterator[tuple[pa.Array, Words]]:
    """Ids, and their digests, of all customers that the store holds, some at a time.

    One may come twice.
    """
    found = client.scan_iter(match=b"*" + PROJECT_NAME.encode(), count=SCAN_COUNT)
    while some := [customer_id(key) for key in islice(found, SCAN_COUNT)]:
        customer_ids = pa.array(some, pa.string())
        yield customer_ids, identified(customer_ids)
