"""Registry of erased customers: keyed hashes of their ids, from which no id can be read.

CHURN_HOME/erased/customers.json contains the hashes, CHURN_HOME/secrets/erasure_key the key. The
loader and `churn restore` leave out every customer whose hash is registered. Whoever has only the
registry can't find out who is in it, not even by trying all ids.
"""

import hashlib
import hmac
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.atomic_write import generate_secret, write_secret
from lakehouse.errors import InvalidInputError
from lakehouse.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ErasedCustomers:
    """The registered customers: time of the erasure by keyed hash of the id."""

    key: bytes
    hashes: Mapping[str, str]

    def includes(self, customer_id: str) -> bool:
        """Return whether the customer was erased, however the id is padded or composed."""
        return hash_id(self.key, customer_id) in self.hashes

    def match(self, ids: "pa.ChunkedArray | pa.Array") -> "pa.Array":
        """Return, for each id, whether that customer was erased; false for a missing id."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values = pa.array([], pa.string())
        if self.hashes:
            known = [text for text in pc.unique(ids).to_pylist() if text and self.includes(text)]
            values = pa.array(known, pa.string())
        return pc.is_in(ids, value_set=values)


def registry_file(settings: Settings) -> Path:
    """Return the path of the registry."""
    return settings.home / "erased" / "customers.json"


def key_file(settings: Settings) -> Path:
    """Return the path of the key, without which the registry can't be used."""
    return settings.home / "secrets" / "erasure_key"


def normalise_id(text: str) -> str:
    """Return an id as silver has it: trimmed, and in Unicode's composed form."""
    return unicodedata.normalize("NFC", text.strip())


def hash_id(key: bytes, customer_id: str) -> str:
    """Return the keyed hash of an id."""
    return hmac.digest(key, normalise_id(customer_id).encode(), hashlib.sha256).hex()


def read_erased_customers(settings: Settings) -> ErasedCustomers:
    """Return the registered customers.

    Raises:
        InvalidInputError: The registry's key is missing or another one: without it, erased
            customers would come back.
    """
    path = registry_file(settings)
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


def register_customers(settings: Settings, customer_ids: Iterable[str]) -> ErasedCustomers:
    """Add customers to the registry, and return the registered customers.

    Raises:
        InvalidInputError: The registry's key is missing or another one.
    """
    before = read_erased_customers(settings)
    key = generate_secret(key_file(settings)).encode()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    added = {hash_id(key, customer_id): now for customer_id in customer_ids}
    customers = {**added, **before.hashes}
    content = {"key": _name_key(key), "customers": customers}
    write_secret(registry_file(settings), json.dumps(content, indent=1) + "\n")
    return ErasedCustomers(key, customers)


def _name_key(key: bytes) -> str:
    return hashlib.sha256(b"name of the erasure key" + key).hexdigest()[:16]
