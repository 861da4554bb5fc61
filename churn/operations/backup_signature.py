"""Sign and verify backups: an HMAC over backup.json, which has the hashes of all other files.

The key belongs to CHURN_HOME and is part of no backup: write access to the backups' location is
not enough to sign one.
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
    """Return the path of the signing key; a copy of it lets another CHURN_HOME verify backups."""
    return settings.home / "secrets" / "backup_key"


def signed(settings: Settings, seal: Seal) -> Seal:
    """Return the seal with a signature; generate this CHURN_HOME's key if it has none."""
    key = generate_secret(key_file(settings))
    named = replace(seal, key=_name(key))
    return replace(named, hmac=_hmac(key, named))


def signature_of(settings: Settings, seal: Seal) -> Signature | None:
    """Check the signature of a backup.

    Returns:
        The result of the check, or None if the backup was changed: the signature names the key of
        this CHURN_HOME and does not match.
    """
    if not seal.hmac:
        return Signature.NONE
    key = key_file(settings).read_text().strip() if key_file(settings).exists() else None
    if key is None or not hmac.compare_digest(seal.key.encode(), _name(key).encode()):
        return Signature.OTHER
    fits = hmac.compare_digest(seal.hmac.encode(), _hmac(key, seal).encode())
    return Signature.OWN if fits else None


def _name(key: str) -> str:
    """Return the name of a key in a backup, which reveals nothing about the key."""
    return hashlib.sha256(f"name of {key}".encode()).hexdigest()[:16]


def _hmac(key: str, seal: Seal) -> str:
    content = json.dumps(asdict(replace(seal, hmac="")), sort_keys=True).encode()
    return hmac.new(key.encode(), content, hashlib.sha256).hexdigest()
