"""Sign and verify backups: an HMAC over backup.json, which has the hashes of all other files.

The key belongs to CHURN_HOME and is part of no backup: write access to the backups' location is
not enough to sign one.
"""

import hashlib
import hmac
import json
from dataclasses import asdict, replace
from pathlib import Path

from churn.operations.backup_format import BackupManifest, Signature
from lakehouse.atomic_write import generate_secret
from lakehouse.settings import Settings


def key_file(settings: Settings) -> Path:
    """Return the path of the signing key; a copy of it lets another CHURN_HOME verify backups."""
    return settings.home / "secrets" / "backup_key"


def add_signature(settings: Settings, manifest: BackupManifest) -> BackupManifest:
    """Return the seal with a signature; generate this CHURN_HOME's key if it has none."""
    key = generate_secret(key_file(settings))
    named = replace(manifest, key=_derive_key_name(key))
    return replace(named, hmac=_compute_hmac(key, named))


def check_signature(settings: Settings, manifest: BackupManifest) -> Signature | None:
    """Check the signature of a backup.

    Returns:
        The result of the check, or None if the backup was changed: the signature names the key of
        this CHURN_HOME and does not match.
    """
    if not manifest.hmac:
        return Signature.NONE
    key = key_file(settings).read_text().strip() if key_file(settings).exists() else None
    if key is None or not hmac.compare_digest(
        manifest.key.encode(), _derive_key_name(key).encode()
    ):
        return Signature.OTHER
    fits = hmac.compare_digest(manifest.hmac.encode(), _compute_hmac(key, manifest).encode())
    return Signature.OWN if fits else None


def _derive_key_name(key: str) -> str:
    """Return the name of a key in a backup, which reveals nothing about the key."""
    return hashlib.sha256(f"name of {key}".encode()).hexdigest()[:16]


def _compute_hmac(key: str, manifest: BackupManifest) -> str:
    content = json.dumps(asdict(replace(manifest, hmac="")), sort_keys=True).encode()
    return hmac.new(key.encode(), content, hashlib.sha256).hexdigest()
