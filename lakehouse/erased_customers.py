"""Registries of customers by keyed hashes of their ids, from which no id can be read.

CHURN_HOME/erased/customers.json contains the hashes of erased customers, objections.json those of
customers who object to being listed, CHURN_HOME/secrets/erasure_key the key of both. The loader and
`churn restore` leave out every erased customer, lists and campaigns everyone who objects. Without
the key, trying all ids does not reveal who is registered.
"""

import hashlib
import hmac
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lakehouse.atomic_write import generate_secret, write_secret
from lakehouse.errors import InvalidInputError
from lakehouse.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa


Kind = Literal["customers", "objections"]


@dataclass(frozen=True)
class ErasedCustomers:
    """The registered customers: time of the registration by keyed hash of the id."""

    key: bytes
    hashes: Mapping[str, str]

    def includes(self, customer_id: str) -> bool:
        """Return whether the customer is registered, however the id is padded or composed."""
        return bool(self.hashes) and hash_id(self.key, customer_id) in self.hashes

    def match(self, ids: "pa.ChunkedArray | pa.Array") -> "pa.Array":
        """Return, for each id, whether that customer is registered; false for a missing id."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values = pa.array([], pa.string())
        if self.hashes:
            known = [text for text in pc.unique(ids).to_pylist() if text and self.includes(text)]
            values = pa.array(known, pa.string())
        return pc.is_in(ids, value_set=values)


def registry_file(settings: Settings, kind: Kind = "customers") -> Path:
    """Return the path of a registry."""
    return settings.home / "erased" / f"{kind}.json"


def key_file(settings: Settings) -> Path:
    """Return the path of the key, without which the registry can't be used."""
    return settings.home / "secrets" / "erasure_key"


def normalise_id(text: str) -> str:
    """Return an id as silver has it: trimmed, and in Unicode's composed form."""
    return unicodedata.normalize("NFC", text.strip())


def hash_id(key: bytes, customer_id: str) -> str:
    """Return the keyed hash of an id."""
    return hmac.digest(key, normalise_id(customer_id).encode(), hashlib.sha256).hex()


def read_erased_customers(settings: Settings, kind: Kind = "customers") -> ErasedCustomers:
    """Return the registered customers.

    Raises:
        InvalidInputError: The registry's key is missing or another one: without it, erased
            customers would come back.
    """
    path = registry_file(settings, kind)
    if not path.exists():
        return ErasedCustomers(b"", {})
    stored = json.loads(path.read_text())
    secret = key_file(settings)
    key = secret.read_text().strip().encode() if secret.exists() else b""
    if _name_key(key) != stored["key"]:
        raise InvalidInputError(
            f"{secret.name} is not the key of {path.name}: erased customers can't be recognised",
            where=str(secret),
            hint="copy the key from the CHURN_HOME in which the customers were erased",
        )
    return ErasedCustomers(key, stored["customers"])


def register_customers(
    settings: Settings, customer_ids: Iterable[str], kind: Kind = "customers"
) -> ErasedCustomers:
    """Add customers to a registry, and return the registered customers.

    Raises:
        InvalidInputError: The registry's key is missing or another one.
    """
    before = read_erased_customers(settings, kind)
    key = generate_secret(key_file(settings)).encode()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    added = {hash_id(key, customer_id): now for customer_id in customer_ids}
    customers = {**added, **before.hashes}
    content = {"key": _name_key(key), "customers": customers}
    write_secret(registry_file(settings, kind), json.dumps(content, indent=1) + "\n")
    return ErasedCustomers(key, customers)


def _name_key(key: bytes) -> str:
    return hashlib.sha256(b"name of the erasure key" + key).hexdigest()[:16]
