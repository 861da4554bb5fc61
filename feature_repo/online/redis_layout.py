"""Encode a customer in the online store as a hash, in the layout of Feast's own Redis store.

The key consists of Feast's entity key and the project's name. The name of a field is the hash of
view and feature, its value is Feast's message `Value`. One more field contains the event timestamp.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache

from feast.infra.online_stores.helpers import _mmh3, _redis_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from feature_repo.entities import customer
from feature_repo.feature_definitions import VIEW
from feature_repo.project import KEY_VERSION, PROJECT_NAME

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
# Cache size for values that repeat: flags, counts, prices.
CACHED_VALUES = 1 << 16


@dataclass(frozen=True)
class OnlineRow:
    """A customer's values in the online store; the event timestamp is in UTC."""

    event_timestamp: datetime
    features: dict[str, int | float | None]


def redis_key(customer_id: str) -> bytes:
    """Return the key of a customer's hash."""
    entity = EntityKey(join_keys=[customer.join_key], entity_values=[Value(string_val=customer_id)])
    return bytes(_redis_key(PROJECT_NAME, entity, entity_key_serialization_version=KEY_VERSION))


@cache
def field(feature: str) -> bytes:
    """Return the field of the hash that contains a feature."""
    return bytes(_mmh3(f"{VIEW}:{feature}"))


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
