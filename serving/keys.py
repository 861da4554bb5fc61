"""API keys: made here, handed out once, and kept as hashes.

A key is 256 random bits, so a plain SHA-256 of it can't be guessed back, and needs no salt; a slow
hash, which passwords want, would cost every request its time. Each lies in a file of its own below
`$CHURN_HOME/secrets/api-keys`, so that making and revoking one never touches another.
"""

import hashlib
import hmac
import json
import re
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

from lakehouse.atomic_write import write_secret
from lakehouse.errors import InvalidInputError
from lakehouse.settings import Settings

PREFIX = "churn_"
# Nanoseconds; a file system's clock may tick this slowly.
TICK = 50_000_000
UNSETTLED = -1
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def folder(settings: Settings) -> Path:
    """Where the hashes lie."""
    return settings.home / "secrets" / "api-keys"


def new(settings: Settings, name: str) -> str:
    """Make a key for `name` and return it; nobody can read it afterwards.

    Raises:
        InvalidInputError: the name is no name, or has a key.
    """
    if not NAME.fullmatch(name):
        raise InvalidInputError(
            f"{name!r} is no name for a key",
            where="the command line",
            remedy="use small letters, digits and hyphens, 40 at most: retention-team",
        )
    if name in names(settings):
        raise InvalidInputError(
            f"{name} has a key",
            where=str(folder(settings)),
            remedy=f"`churn api-key revoke {name}` first, or choose another name",
        )
    key = PREFIX + secrets.token_urlsafe(32)
    kept = {"sha256": hashed(key), "created": datetime.now(UTC).isoformat(timespec="seconds")}
    write_secret(_file(settings, name), json.dumps(kept) + "\n")
    return key


def names(settings: Settings) -> list[str]:
    """Who has a key."""
    return sorted(each.stem for each in folder(settings).glob("*.json"))


def revoke(settings: Settings, name: str) -> None:
    """Remove the key of `name`; the API refuses it from then on.

    Raises:
        InvalidInputError: there is no such key.
    """
    if name not in names(settings):
        raise InvalidInputError(
            f"{name!r} has no key",
            where=str(folder(settings)),
            remedy=f"there are: {', '.join(names(settings)) or 'none'}",
        )
    _file(settings, name).unlink()


def hashed(key: str) -> str:
    """What is kept of a key, in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def _file(settings: Settings, name: str) -> Path:
    return folder(settings) / f"{name}.json"


class Keys:
    """The keys that are good now: read again when one was made or revoked."""

    def __init__(self, settings: Settings) -> None:
        self._folder = folder(settings)
        self._seen: int | None = None
        self._hashes: dict[bytes, str] = {}

    def owner(self, key: bytes) -> str | None:
        """Whose key it is; None where it is nobody's.

        Compares with all of them, each in constant time: how long it takes says nothing.
        """
        self._look()
        given = hashlib.sha256(key).hexdigest().encode()
        found = None
        for stored, name in self._hashes.items():
            if hmac.compare_digest(stored, given):
                found = name
        return found

    def _look(self) -> None:
        try:
            seen = self._folder.stat().st_mtime_ns
        except OSError:
            seen = None
        if seen != self._seen:
            self._hashes = dict(_read(self._folder))
            # What changes again within a tick looks as before: what is fresh is read again.
            settled = seen is None or time.time_ns() - seen > TICK
            self._seen = seen if settled else UNSETTLED


def _read(place: Path) -> list[tuple[bytes, str]]:
    """Hashes and names; a file that can't be read is a key that is not good."""
    found = []
    for file in place.glob("*.json"):
        try:
            found.append((str(json.loads(file.read_text())["sha256"]).encode(), file.stem))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found
