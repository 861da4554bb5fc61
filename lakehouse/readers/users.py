"""Manage the users who may only read: each has a key, whose hash is stored.

The key is the password at the Thrift endpoint and on the site, and the token of Connect.
"""

from pathlib import Path

from lakehouse import audit_log
from lakehouse.audit_log import Action
from lakehouse.key_store import Keys, KeyStore
from lakehouse.settings import Settings

ROLE = "reader"


def folder(settings: Settings) -> Path:
    """Return the folder of the hashes, which the readers' server reads as well."""
    return settings.home / "secrets" / "readers"


def _store(settings: Settings) -> KeyStore:
    return KeyStore(folder(settings), "churn user remove")


def add(settings: Settings, name: str) -> str:
    """Add a reader and return the key; it can't be read afterwards.

    Raises:
        lakehouse.errors.InvalidInputError: The name is not valid, or there is such a reader.
    """
    store = _store(settings)
    store.require_new(name)
    audit_log.append(settings, Action.USER_ADDED, name=name, role=ROLE)
    return store.create(name)


def names(settings: Settings) -> list[str]:
    """Return the names of all readers."""
    return _store(settings).names()


def remove(settings: Settings, name: str) -> None:
    """Remove a reader, who can't log in from then on; open connections stay open.

    Raises:
        lakehouse.errors.InvalidInputError: There is no such reader.
    """
    store = _store(settings)
    store.require_known(name)
    audit_log.append(settings, Action.USER_REMOVED, name=name, role=ROLE)
    store.revoke(name)


def is_reader(settings: Settings, name: str, key: str) -> bool:
    """Return whether this is the name and the key of a reader."""
    return Keys(folder(settings)).owner(key.encode()) == name
