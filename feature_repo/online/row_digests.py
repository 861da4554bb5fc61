"""Store a digest of each customer that was written online, in the online store itself.

The digests are stored beside the data that they describe, so that both are lost, restored and moved
together. A digest hash is a Redis hash: an identity of the rows that it was written for, their
event timestamp, and a serialised DigestBatch for every batch, in the order of the rows. The digest
hash of the extract that is being written grows beside that of the extract before and replaces it at
the end; the batches that it already contains need not be written again after an interruption.
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

from feature_repo.online.redis_layout import AS_OF, DIGESTS, MARKER, decode_timestamp
from lakehouse.online_store import Client

NEXT = DIGESTS + b":next"
TARGET, OTHER_KEYS = b"written for", b"other keys"
HashInput = NDArray[np.uint64]
# An odd factor whose bits are well spread: Fibonacci hashing's (Knuth, TAOCP 3, 6.4).
FACTOR, SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)
# Represents null, which is distinct from zero.
NULL = np.uint64(0xA5A5A5A5A5A5A5A5)


@dataclass(frozen=True)
class DigestBatch:
    """Digests of a batch of customers.

    A digest has 64 bits: the probability that two of a million customers share one is 1 in 37
    million.

    Attributes:
        customer_ids: The customers' ids.
        identities: Digests of the ids.
        digests: Digests of ids and features.
    """

    customer_ids: pa.Array
    identities: HashInput
    digests: HashInput

    def equals(self, other: "DigestBatch") -> bool:
        """Return whether both batches are of the same rows in the same order."""
        return np.array_equal(self.digests, other.digests)

    def serialize(self) -> bytes:
        """Return the batch as an Arrow stream."""
        batch = pa.record_batch(
            [self.customer_ids, pa.array(self.identities), pa.array(self.digests)],
            names=["customer_id", "identity", "digest"],
        )
        written = io.BytesIO()
        with pa.ipc.new_stream(written, batch.schema) as stream:
            stream.write_batch(batch)
        return written.getvalue()

    @staticmethod
    def deserialize(serialised: bytes) -> "DigestBatch":
        """Return the batch that `serialised` encoded."""
        batch = pa.ipc.open_stream(serialised).read_next_batch()
        identities, digests = batch["identity"].to_numpy(), batch["digest"].to_numpy()
        return DigestBatch(batch["customer_id"], identities, digests)


def digest_rows(
    rows: pa.RecordBatch, features: Sequence[str], same_position: DigestBatch | None = None
) -> DigestBatch:
    """Return the digests of rows, from customer_id and `features`; other columns are ignored.

    `alike` is a batch that probably has the same customers in the same order; if it does, the two
    share their `identities`.
    """
    customer_ids = rows["customer_id"]
    if same_position is not None and same_position.customer_ids.equals(customer_ids):
        identities = same_position.identities
    else:
        identities = hash_customer_ids(customer_ids)
    digests = identities.copy()
    for name in features:
        digests ^= _to_hash_input(rows[name])
        digests *= FACTOR
        digests ^= digests >> SHIFT
    return DigestBatch(customer_ids, identities, digests)


def hash_customer_ids(customer_ids: pa.Array) -> HashInput:
    """Return the digests of ids."""
    texts = np.array(customer_ids.to_pylist(), object)
    hashed: HashInput = pd.util.hash_array(texts, categorize=False)
    return hashed


def _to_hash_input(values: pa.Array) -> HashInput:
    kind = "f8" if pa.types.is_floating(values.type) else "i8"
    if not values.null_count:
        return values.to_numpy().astype(kind, copy=False).view(np.uint64)
    numbers = pc.fill_null(values, 0).to_numpy().astype(kind, copy=False)
    there = values.is_valid().to_numpy(zero_copy_only=False)
    return np.where(there, numbers.view(np.uint64), NULL)


class DigestIndex:
    """Index of the digests of an extract's customers, for bulk lookups."""

    def __init__(self, chunks: Sequence[DigestBatch]) -> None:
        """Create the index over all batches of an extract."""
        self.chunks = chunks
        self.customers = sum(len(batch.digests) for batch in chunks)

    def same_position(self, number: int) -> DigestBatch | None:
        """Return the batch with this number, or None if there is none.

        An extract usually has its customers in the same order as the extract before.
        """
        return self.chunks[number] if number < len(self.chunks) else None

    def contains(self, identities: HashInput) -> NDArray[np.bool_]:
        """Return, for each identity, whether there is such a customer."""
        index, _ = self._sort_by_identity
        places: NDArray[np.intp] = index.get_indexer(identities)
        return places >= 0

    def find_digests(
        self, asked: DigestBatch, alike: DigestBatch | None
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return, for each customer, whether it exists, and whether it has the same features.

        `alike` is the batch whose `identities` may be shared with `asked`; if they are, no index is
        needed.
        """
        if alike is not None and alike.identities is asked.identities:
            return np.ones(len(asked.digests), np.bool_), alike.digests == asked.digests
        index, digests = self._sort_by_identity
        places: NDArray[np.intp] = index.get_indexer(asked.identities)
        there = places >= 0
        same = there.copy()
        same[there] = digests[places[there]] == asked.digests[there]
        return there, same

    @cached_property
    def _sort_by_identity(self) -> tuple[pd.Index, HashInput]:
        none = np.zeros(0, np.uint64)
        index = pd.Index(np.concatenate([batch.identities for batch in self.chunks] or [none]))
        digests = np.concatenate([batch.digests for batch in self.chunks] or [none])
        if index.is_unique:
            return index, digests
        # Customers who share an identity are treated as changed, and written each time.
        kept = ~index.duplicated()
        return index[kept], digests[kept]


class DigestStore:
    """The two digest hashes of an online store (see the module), for one writer at a time."""

    def __init__(self, client: Client) -> None:
        """Create the digest store on a Redis client."""
        # redis-py's commands on hashes are typed for text only.
        self._client: Any = client

    def begin(self, target: bytes, as_of: bytes, rewrite_all: bool) -> list[DigestBatch]:
        """Start the digest hash of an extract.

        If the writing of another extract was interrupted, or all rows are to be written, the
        contents of the store are unknown: the digests of the extract before are invalidated.

        Args:
            target: Distinguishes these rows and their order from others.
            as_of: Event timestamp of the rows.
            rewrite_all: Whether all rows are to be written.

        Returns:
            The batches that an interrupted call for the same rows has finished.
        """
        interrupted = self._client.hget(NEXT, TARGET)
        if interrupted == target and not rewrite_all:
            return list(self._read_batches(NEXT))
        if interrupted is not None or rewrite_all or not self.is_intact():
            self.invalidate()
        confirmed = self._client.hget(DIGESTS, AS_OF)
        if confirmed is not None and decode_timestamp(confirmed) > decode_timestamp(as_of):
            # A lake restored to an earlier state: the replacement is not newer than the stored
            # data.
            self._client.hset(DIGESTS, AS_OF, as_of)
        self._client.unlink(NEXT)
        self._client.hset(NEXT, mapping={TARGET: target, AS_OF: as_of})
        return []

    def is_intact(self) -> bool:
        """Return whether the database has as many keys as after the last complete extract."""
        return self._client.hget(DIGESTS, OTHER_KEYS) == self._find_other_keys()

    def invalidate(self) -> None:
        """Mark the contents of the store as unknown: the next extract is written completely."""
        self._client.hdel(DIGESTS, TARGET)

    def read_digests(self) -> DigestIndex | None:
        """Return the digests of the extract that was written last.

        Return None if the contents of the store are unknown.
        """
        if not self._client.hexists(DIGESTS, TARGET):
            return None
        return DigestIndex(list(self._read_batches(DIGESTS)))

    def finish(self) -> None:
        """Replace the previous digest hash with that of the extract that is now online."""
        self._client.hset(NEXT, OTHER_KEYS, self._find_other_keys())
        self._client.rename(NEXT, DIGESTS)

    def _find_other_keys(self) -> bytes:
        """Count the keys, customers among them, except the temporary ones of this package."""
        return b"%d" % (self._client.dbsize() - self._client.exists(MARKER, DIGESTS, NEXT))

    def _read_batches(self, key: bytes) -> Iterator[DigestBatch]:
        number = 0
        while (serialised := self._client.hget(key, str(number))) is not None:
            yield DigestBatch.deserialize(serialised)
            number += 1
