"""Append to the audit log: which user traced a customer, exported rows, or decided something.

`$CHURN_HOME/audit/audit.jsonl` has one JSON object per line: time, user, action, and the facts of
that action. A customer is named by a keyed hash, so that the log alone reveals no id, and the owner
of CHURN_HOME can find a customer's entries (docs/decisions/0051-metrics-and-audit.md).
"""

import fcntl
import hashlib
import hmac
import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from lakehouse import commit_metadata
from lakehouse.atomic_write import generate_secret
from lakehouse.errors import ChurnError
from lakehouse.settings import Settings

HASH_LENGTH = 32


class Action(StrEnum):
    """The actions that are logged."""

    TRACE = "trace"
    SHOW = "show"
    LIST = "list"
    EXPORT = "export"
    KEY_CREATED = "key created"
    KEY_REVOKED = "key revoked"
    PROMOTION = "promotion"
    APPROVAL = "approval"
    ERASURE = "erasure"


def audit_file(settings: Settings) -> Path:
    """Return the path of the log."""
    return settings.home / "audit" / "audit.jsonl"


def hash_customer(settings: Settings, customer_id: str) -> str:
    """Return the keyed hash that names a customer in the log."""
    key = generate_secret(settings.home / "secrets" / "audit_key").encode()
    return hmac.new(key, customer_id.encode(), hashlib.sha256).hexdigest()[:HASH_LENGTH]


def append(
    settings: Settings,
    action: Action,
    customers: Iterable[str] = (),
    **facts: str | int | None,
) -> None:
    """Append an entry; call it before the action, which must not happen without its entry.

    Args:
        settings: The settings of this CHURN_HOME.
        action: The action.
        customers: Ids of the customers concerned; their hashes are stored.
        **facts: What else describes the action: file, run, version, number of rows.

    Raises:
        ChurnError: The entry can't be written.
    """
    entry: dict[str, str | int | list[str] | None] = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "user": commit_metadata.user(),
        "action": str(action),
        **facts,
    }
    try:
        if hashes := [hash_customer(settings, each) for each in customers]:
            entry["customers"] = hashes
        _write_line(audit_file(settings), json.dumps(entry))
    except OSError as error:
        raise ChurnError(
            f"The audit log can't be written: {error.strerror}",
            where=str(audit_file(settings)),
            hint="make it writable for this user; nothing is shown or changed without an entry",
        ) from error


def _write_line(path: Path, line: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, f"{line}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
