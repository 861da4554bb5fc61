"""Encode a customer in the online store as a hash, in the layout of Feast's own Redis store.

The key consists of Feast's entity key and the project's name. The name of a field is the hash of
view and feature, its value is Feast's message `Value`. One more field contains the event timestamp.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache

import mmh3
from google.protobuf.timestamp_pb2 import Timestamp

from feature_repo.feature_definitions import VIEW
from feature_repo.online.feast_messages import Value
from feature_repo.project import JOIN_KEY, PROJECT_NAME

TIMESTAMP_FIELD = f"_ts:{VIEW}".encode()
# Identifies the extract in the online store. Written last and deleted first, so that it never
# claims more than the store contains. Its end differs from that of entity keys, so that no scan
# mistakes it for a customer.
MARKER = b"churn:published-online"
# Digests of the extract for which the store was last complete; stays while the next extract is
# written. A hash, see row_digests.py.
DIGESTS = b"churn:online-ledger"
# Field of that hash with the extract's event timestamp, in the same encoding as a customer's.
AS_OF = b"as of"
# Number of the type of a text in Feast's entity keys.
STRING_TYPE = 2
# Cache size for values that repeat: flags, counts, prices.
CACHED_VALUES = 1 << 16


@dataclass(frozen=True)
class OnlineRow:
    """A customer's values in the online store; the event timestamp is in UTC."""

    event_timestamp: datetime
    features: dict[str, int | float | None]


def redis_key(customer_id: str) -> bytes:
    """Return the key of a customer's hash: Feast's entity key, version 3, and the project."""
    name, value = JOIN_KEY.encode(), customer_id.encode()
    return (
        struct.pack("<III", 1, STRING_TYPE, len(name))
        + name
        + struct.pack("<II", STRING_TYPE, len(value))
        + value
        + PROJECT_NAME.encode()
    )


@cache
def field(feature: str) -> bytes:
    """Return the field of the hash that contains a feature."""
    return struct.pack("<I", mmh3.hash(f"{VIEW}:{feature}", signed=False))


def encode_timestamp(moment: datetime) -> bytes:
    """Return an event timestamp in the store's encoding."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return bytes(stamp.SerializeToString())


@lru_cache(CACHED_VALUES)
def decode_timestamp(stamp: bytes) -> datetime:
    """Return the event timestamp, in UTC, of the store's encoding."""
    moment: datetime = Timestamp.FromString(stamp).ToDatetime(UTC)
    return moment


def latest_timestamp(stamp: bytes, as_of: bytes | None) -> bytes:
    """Return a customer's event timestamp in the store's encoding.

    It is the customer's own, or the later one (`as_of`) of an extract that confirmed all customers.
    """
    return stamp if as_of is None or decode_timestamp(stamp) > decode_timestamp(as_of) else as_of


def read_row(
    names: Sequence[str], stored: Mapping[bytes, bytes], as_of: bytes | None
) -> OnlineRow | None:
    """Return the features `names` of a customer's hash, or None if there is no such customer.

    A feature that is null or missing from the hash is None. `as_of` is the field AS_OF of the
    digest hash.

    Raises:
        DecodeError, TypeError: A value is not one of Feast's messages, or not a finite number.
    """
    stamp = stored.get(TIMESTAMP_FIELD)
    if stamp is None:
        return None
    features = {name: _decode_value(stored.get(field(name), b"")) for name in names}
    return OnlineRow(decode_timestamp(latest_timestamp(stamp, as_of)), features)


@lru_cache(CACHED_VALUES)
def _decode_value(stored: bytes) -> int | float | None:
    if not stored:
        return None
    value = Value.FromString(stored)
    number = getattr(value, value.WhichOneof("val"))
    if not isinstance(number, int | float) or not math.isfinite(number):
        raise TypeError("no number")
    return number
