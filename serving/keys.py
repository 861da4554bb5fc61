"""Manage the API's keys, whose hashes are stored below `$CHURN_HOME/secrets/api-keys`."""

from pathlib import Path

from lakehouse import audit_log
from lakehouse.audit_log import Action
from lakehouse.key_store import KeyStore
from lakehouse.settings import Settings


def folder(settings: Settings) -> Path:
    """Return the folder of the hashes."""
    return settings.home / "secrets" / "api-keys"


def _store(settings: Settings) -> KeyStore:
    return KeyStore(folder(settings), "churn api-key revoke")


def new(settings: Settings, name: str) -> str:
    """Create a key for `name` and return it; it can't be read afterwards.

    Raises:
        lakehouse.errors.InvalidInputError: The name is not valid, or has a key.
    """
    store = _store(settings)
    store.require_new(name)
    audit_log.append(settings, Action.KEY_CREATED, key=name)
    return store.create(name)


def names(settings: Settings) -> list[str]:
    """Return the names of all API-key holders."""
    return _store(settings).names()


def revoke(settings: Settings, name: str) -> None:
    """Remove the key of `name`; the API refuses it from then on.

    Raises:
        lakehouse.errors.InvalidInputError: There is no such key.
    """
    store = _store(settings)
    store.require_known(name)
    audit_log.append(settings, Action.KEY_REVOKED, key=name)
    store.revoke(name)
