"""Manage keys of clients: created here, handed out once, and stored as hashes.

A key is 256 random bits, so a plain SHA-256 of it can't be reversed by guessing, and needs no salt;
a slow hash, which passwords need, would cost every request its time. Each hash is stored in a file
of its own, so that creating or revoking one key never affects another.
"""

import hashlib
import hmac
import json
import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lakehouse.atomic_write import write_secret
from lakehouse.errors import InvalidInputError
from lakehouse.near_matches import format_suggestion

PREFIX = "churn_"
# Nanoseconds; a file system's clock may have ticks as long as this.
TICK = 50_000_000
UNSETTLED = -1
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True)
class KeyStore:
    """The keys of one purpose.

    Attributes:
        folder: Folder of the hashes.
        remove: Command that removes the key of a name, for messages.
    """

    folder: Path
    remove: str

    def require_new(self, name: str) -> None:
        """Check that a key can be created for a name.

        Raises:
            InvalidInputError: The name is not valid, or has a key.
        """
        if not NAME.fullmatch(name):
            raise InvalidInputError(
                f"{name!r} is not a valid name",
                where="the command line",
                hint="use at most 40 small letters, digits and hyphens, such as retention-team",
            )
        if name in self.names():
            raise InvalidInputError(
                f"{name} has a key already",
                where=str(self.folder),
                hint=f"`{self.remove} {name}` first, or choose another name",
            )

    def create(self, name: str) -> str:
        """Create a key for a new name and return it; it can't be read afterwards."""
        key = PREFIX + secrets.token_urlsafe(32)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        content = {"sha256": hash_key(key), "created": created}
        write_secret(self._file(name), json.dumps(content) + "\n")
        return key

    def names(self) -> list[str]:
        """Return the names of all holders of a key."""
        return sorted(each.stem for each in self.folder.glob("*.json"))

    def require_known(self, name: str) -> None:
        """Check that a name has a key.

        Raises:
            InvalidInputError: There is no such key.
        """
        if name not in self.names():
            raise InvalidInputError(
                f"{name!r} has no key",
                where=str(self.folder),
                hint=f"{format_suggestion(name, self.names())}name one that has a key: "
                f"{', '.join(self.names()) or 'there is none yet'}",
            )

    def revoke(self, name: str) -> None:
        """Remove the key of a known name."""
        self._file(name).unlink()

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def hash_key(key: str) -> str:
    """Return the hash that is stored for a key, in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


class Keys:
    """The currently valid keys: read again when one was created or revoked."""

    def __init__(self, folder: Path) -> None:
        """Create the collection; the first lookup reads the keys in the folder."""
        self._folder = folder
        self._seen: int | None = None
        self._hashes: dict[bytes, str] = {}

    def owner(self, key: bytes) -> str | None:
        """Return the name that a key belongs to, or None if it is not valid.

        It is compared with all keys, each in constant time: the duration reveals nothing.
        """
        self._reload()
        given = hashlib.sha256(key).hexdigest().encode()
        found = None
        for stored, name in self._hashes.items():
            if hmac.compare_digest(stored, given):
                found = name
        return found

    def _reload(self) -> None:
        try:
            seen = self._folder.stat().st_mtime_ns
        except OSError:
            seen = None
        if seen != self._seen:
            self._hashes = dict(_read(self._folder))
            # A second change within a tick leaves the time unchanged, so a recent change is read
            # again.
            settled = seen is None or time.time_ns() - seen > TICK
            self._seen = seen if settled else UNSETTLED


def _read(place: Path) -> list[tuple[bytes, str]]:
    """Return hashes and names; a file that can't be read is a key that is not valid."""
    found = []
    for file in place.glob("*.json"):
        try:
            found.append((str(json.loads(file.read_text())["sha256"]).encode(), file.stem))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found
