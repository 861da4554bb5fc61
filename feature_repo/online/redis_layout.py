"""How a customer lies in the online store: a hash, laid out as Feast's own Redis store does it.

The key is Feast's entity key and the project's name; a field is the hash of view and feature, its
value Feast's message `Value`; one more field holds the event timestamp.
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
# What the online store holds: written last, deleted first, so that it never says more than is
# there. Ends otherwise than entity keys do, so that no scan takes it for a customer.
MARKER = b"churn:published-online"
# Of which the store was whole last: stays while the next extract is written. A hash, see ledger.py.
LEDGER = b"churn:online-ledger"
# Its field that holds the extract's event timestamp, in the same form as a customer's.
AS_OF = b"as of"
# Values that come again and again: flags, counts, prices.
KNOWN_VALUES = 1 << 16


@dataclass(frozen=True)
class OnlineRow:
    """What the online store holds of a customer; the event timestamp is in UTC."""

    event_timestamp: datetime
    features: dict[str, int | float | None]


def redis_key(customer_id: str) -> bytes:
    """The key of a customer's hash."""
    entity = EntityKey(join_keys=[customer.join_key], entity_values=[Value(string_val=customer_id)])
    return bytes(_redis_key(PROJECT_NAME, entity, entity_key_serialization_version=KEY_VERSION))


@cache
def field(feature: str) -> bytes:
    """The field of the hash that a feature lies in."""
    return bytes(_mmh3(f"{VIEW}:{feature}"))


def encode_timestamp(moment: datetime) -> bytes:
    """An event timestamp as it stands in the store."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return bytes(stamp.SerializeToString())


@lru_cache(KNOWN_VALUES)
def decode_timestamp(stamp: bytes) -> datetime:
    """The event timestamp, in UTC, that stands in the store so."""
    moment: datetime = Timestamp.FromString(stamp).ToDatetime(UTC)
    return moment


def latest_timestamp(stamp: bytes, as_of: bytes | None) -> bytes:
    """A customer's event timestamp: its own, or a later one of an extract that confirmed it all."""
    return stamp if as_of is None or decode_timestamp(stamp) > decode_timestamp(as_of) else as_of


def read_row(
    names: Sequence[str], stored: Mapping[bytes, bytes], as_of: bytes | None
) -> OnlineRow | None:
    """The features `names` of a customer's hash; None where there is no such customer.

    A feature that the hash lacks, or that is null, is None. `as_of` is the ledger's field AS_OF.

    Raises:
        DecodeError, TypeError: a value is none of Feast's, or no number that can be computed with.
    """
    stamp = stored.get(TIMESTAMP_FIELD)
    if stamp is None:
        return None
    features = {name: _value(stored.get(field(name), b"")) for name in names}
    return OnlineRow(decode_timestamp(latest_timestamp(stamp, as_of)), features)


@lru_cache(KNOWN_VALUES)
def _value(stored: bytes) -> int | float | None:
    if not stored:
        return None
    value = Value.FromString(stored)
    found = getattr(value, value.WhichOneof("val"))
    if not isinstance(found, int | float) or not math.isfinite(found):
        raise TypeError("no number")
    return found
