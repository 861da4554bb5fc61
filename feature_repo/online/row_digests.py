"""What was written online: a digest of each customer, kept in the online store itself.

It lies beside what it describes, so that both are lost, restored and moved together. A ledger is a
hash: which rows it was written for, their event timestamp, and a chunk of digests for every batch,
in the order of the rows. The ledger of the extract that is being written grows beside that of the
extract before and takes its place at the end; the chunks that it has already are the batches that
need not be written again after an interruption.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feature_repo.online.redis_layout import AS_OF, LEDGER, MARKER, decode_timestamp
from lakehouse.online_store import Client

NEXT = LEDGER + b":next"
TARGET, OTHER_KEYS = b"written for", b"other keys"
Words = NDArray[np.uint64]
# Odd, with its bits well spread: Fibonacci hashing's (Knuth, TAOCP 3, 6.4).
FACTOR, SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)
# Stands for null, which is not zero.
NULL = np.uint64(0xA5A5A5A5A5A5A5A5)


@dataclass(frozen=True)
class DigestBatch:
    """A batch of customers: `identities` are digests of the ids, `digests` of ids and features.

    Of 64 bits each: that two of a million customers share one is a matter of 1 in 37 million.
    """

    customer_ids: pa.Array
    identities: Words
    digests: Words

    def equals(self, other: "DigestBatch") -> bool:
        """Whether both are of the same rows in the same order."""
        return np.array_equal(self.digests, other.digests)

    def serialised(self) -> bytes:
        """The chunk as an Arrow stream."""
        batch = pa.record_batch(
            [self.customer_ids, pa.array(self.identities), pa.array(self.digests)],
            names=["customer_id", "identity", "digest"],
        )
        written = io.BytesIO()
        with pa.ipc.new_stream(written, batch.schema) as stream:
            stream.write_batch(batch)
        return written.getvalue()

    @staticmethod
    def read(serialised: bytes) -> "DigestBatch":
        """The chunk that was serialised so."""
        batch = pa.ipc.open_stream(serialised).read_next_batch()
        identities, digests = batch["identity"].to_numpy(), batch["digest"].to_numpy()
        return DigestBatch(batch["customer_id"], identities, digests)


def chunk(
    rows: pa.RecordBatch, features: Sequence[str], alike: DigestBatch | None = None
) -> DigestBatch:
    """The digests of rows: customer_id and `features`, whatever else there is.

    `alike`: a chunk that may well be of the same customers in the same order; if it is, the two
    share their `identities`.
    """
    customer_ids = rows["customer_id"]
    if alike is not None and alike.customer_ids.equals(customer_ids):
        identities = alike.identities
    else:
        identities = identified(customer_ids)
    digests = identities.copy()
    for name in features:
        digests ^= _words(rows[name])
        digests *= FACTOR
        digests ^= digests >> SHIFT
    return DigestBatch(customer_ids, identities, digests)


def identified(customer_ids: pa.Array) -> Words:
    """Digests of ids."""
    texts = np.array(customer_ids.to_pylist(), object)
    hashed: Words = pd.util.hash_array(texts, categorize=False)
    return hashed


def _words(values: pa.Array) -> Words:
    kind = "f8" if pa.types.is_floating(values.type) else "i8"
    if not values.null_count:
        return values.to_numpy().astype(kind, copy=False).view(np.uint64)
    numbers = pc.fill_null(values, 0).to_numpy().astype(kind, copy=False)
    there = values.is_valid().to_numpy(zero_copy_only=False)
    return np.where(there, numbers.view(np.uint64), NULL)


class DigestIndex:
    """The digests of an extract's customers, to be asked for many at a time."""

    def __init__(self, chunks: Sequence[DigestBatch]) -> None:
        self.chunks = chunks
        self.customers = sum(len(each.digests) for each in chunks)

    def alike(self, number: int) -> DigestBatch | None:
        """The chunk of that number: as a rule an extract has its customers in the same order."""
        return self.chunks[number] if number < len(self.chunks) else None

    def hold(self, identities: Words) -> NDArray[np.bool_]:
        """For each, whether there is such a customer."""
        index, _ = self._by_identity
        places: NDArray[np.intp] = index.get_indexer(identities)
        return places >= 0

    def look_up(
        self, asked: DigestBatch, alike: DigestBatch | None
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """For each customer, whether it is there, and whether with the same features."""
        if alike is not None and alike.identities is asked.identities:
            return np.ones(len(asked.digests), np.bool_), alike.digests == asked.digests
        index, digests = self._by_identity
        places: NDArray[np.intp] = index.get_indexer(asked.identities)
        there = places >= 0
        same = there.copy()
        same[there] = digests[places[there]] == asked.digests[there]
        return there, same

    @cached_property
    def _by_identity(self) -> tuple[pd.Index, Words]:
        none = np.zeros(0, np.uint64)
        index = pd.Index(np.concatenate([each.identities for each in self.chunks] or [none]))
        digests = np.concatenate([each.digests for each in self.chunks] or [none])
        if index.is_unique:
            return index, digests
        # Who shares an identity is taken for changed, and written each time.
        kept = ~index.duplicated()
        return index[kept], digests[kept]


class DigestStore:
    """The two ledgers of an online store, see above; for one writer at a time."""

    def __init__(self, client: Client) -> None:
        # Redis-py's commands on hashes are typed for text alone.
        self._client: Any = client

    def begin(self, target: bytes, as_of: bytes, anew: bool) -> list[DigestBatch]:
        """Start an extract's ledger; returns what an interrupted start of the same has finished.

        `target` tells these rows and their order from others, `as_of` is their event timestamp.
        Where others were interrupted, or all is to be written `anew`, nobody knows any more what
        the store holds: the ledger of the extract before is void.
        """
        interrupted = self._client.hget(NEXT, TARGET)
        if interrupted == target and not anew:
            return list(self._chunks(NEXT))
        if interrupted is not None or anew or not self.is_intact():
            self.void()
        confirmed = self._client.hget(LEDGER, AS_OF)
        if confirmed is not None and decode_timestamp(confirmed) > decode_timestamp(as_of):
            # A restored lake of before: what takes the place of what is there is no fresher.
            self._client.hset(LEDGER, AS_OF, as_of)
        self._client.unlink(NEXT)
        self._client.hset(NEXT, mapping={TARGET: target, AS_OF: as_of})
        return []

    def is_intact(self) -> bool:
        """Whether the database has as many keys as when the last extract had been written."""
        return self._client.hget(LEDGER, OTHER_KEYS) == self._other_keys()

    def void(self) -> None:
        """Say that nobody knows what the store holds: the next extract is written whole."""
        self._client.hdel(LEDGER, TARGET)

    def digests(self) -> DigestIndex | None:
        """Of the extract that was written last; None where nobody knows what the store holds."""
        if not self._client.hexists(LEDGER, TARGET):
            return None
        return DigestIndex(list(self._chunks(LEDGER)))

    def finish(self) -> None:
        """The extract is online; its ledger takes the place of the other."""
        self._client.hset(NEXT, OTHER_KEYS, self._other_keys())
        self._client.rename(NEXT, LEDGER)

    def _other_keys(self) -> bytes:
        """How many keys there are, customers among them, beside those that come and go here."""
        return b"%d" % (self._client.dbsize() - self._client.exists(MARKER, LEDGER, NEXT))

    def _chunks(self, ledger: bytes) -> Iterator[DigestBatch]:
        number = 0
        while (serialised := self._client.hget(ledger, str(number))) is not None:
            yield DigestBatch.read(serialised)
            number += 1
