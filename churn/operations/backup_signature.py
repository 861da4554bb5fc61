"""The signature of a backup: an HMAC over backup.json, which names the hash of everything else.

The key is the home's own and lies in no backup: who can write where backups are kept can't sign.
"""

import hashlib
import hmac
import json
from dataclasses import asdict, replace
from pathlib import Path

from churn.operations.backup_format import Seal, Signature
from lakehouse.atomic_write import generate_secret
from lakehouse.settings import Settings


def key_file(settings: Settings) -> Path:
    """Where the home's key is; another home verifies with a copy of it at the same place."""
    return settings.home / "secrets" / "backup_key"


def signed(settings: Settings, seal: Seal) -> Seal:
    """The seal with the home's signature; the home has a key from then on."""
    key = generate_secret(key_file(settings))
    named = replace(seal, key=_name(key))
    return replace(named, hmac=_hmac(key, named))


def signature_of(settings: Settings, seal: Seal) -> Signature | None:
    """What the signature says; None where it is the home's and does not fit: it was changed."""
    if not seal.hmac:
        return Signature.NONE
    key = key_file(settings).read_text().strip() if key_file(settings).exists() else None
    if key is None or not hmac.compare_digest(seal.key.encode(), _name(key).encode()):
        return Signature.OTHER
    fits = hmac.compare_digest(seal.hmac.encode(), _hmac(key, seal).encode())
    return Signature.OWN if fits else None


def _name(key: str) -> str:
    """What a key is called in a backup: it tells nothing of the key."""
    return hashlib.sha256(f"name of {key}".encode()).hexdigest()[:16]


def _hmac(key: str, seal: Seal) -> str:
    content = json.dumps(asdict(replace(seal, hmac="")), sort_keys=True).encode()
    return hmac.new(key.encode(), content, hashlib.sha256).hexdigest()
