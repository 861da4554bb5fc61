"""Record where backups were made, so that an erasure can name them."""

import json
from datetime import UTC, datetime
from pathlib import Path

from churn.operations.backup_format import MANIFEST
from lakehouse.atomic_write import write_secret
from lakehouse.errors import ChurnError
from lakehouse.settings import Settings


def _record_file(settings: Settings) -> Path:
    return settings.home / "backups.json"


def record_backup(settings: Settings, address: str) -> None:
    """Add a backup to the record."""
    made = {**_read(settings), address: datetime.now(UTC).isoformat(timespec="seconds")}
    write_secret(_record_file(settings), json.dumps(made, indent=1) + "\n")


def list_recorded_backups(settings: Settings) -> list[str]:
    """Return the addresses of the backups made from this CHURN_HOME that exist."""
    return [address for address in _read(settings) if _exists(settings, address)]


def _read(settings: Settings) -> dict[str, str]:
    path = _record_file(settings)
    made: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return made


def _exists(settings: Settings, address: str) -> bool:
    """Return whether a backup exists; one whose store does not respond is taken to exist."""
    try:
        return settings.storage(address).join(MANIFEST).exists()
    except (ChurnError, OSError):
        return True
