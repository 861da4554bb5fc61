"""Define the format of a backup, for its writer and its reader.

lake/…           files of the tables, in the layout of the lake
home/<part>/…    folders of CHURN_HOME that cannot be recreated
metastore.json   schemas, tables, views, partitions
registry.pb      Feast's registry
files.json       every file above, with size, time and SHA-256
backup.json      hashes of the three, signed with the key of CHURN_HOME; written last: a folder
                 without it is not a backup
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from lakehouse.file_copy import FileCopy
from lakehouse.metastore_snapshot import MetastoreSnapshot
from lakehouse.settings import Settings
from lakehouse.storage import Storage
from trainer import registry

METASTORE, REGISTRY, FILES, MANIFEST = "metastore.json", "registry.pb", "files.json", "backup.json"
LAKE = "lake"
# Prefix of the lake's own entries that belong to no table: the run lock, and models (which are
# backed up by version).
INTERNAL_PREFIX = "_"
# Folders of CHURN_HOME. All else there is secret, belongs to a server, or can be recreated.
HOME_FOLDERS = ("landed", "lineage", "marks", "models", "runs")
FORMAT = 2
# Format 1 has SQL statements in metastore.json and no signature.
READABLE = (1, FORMAT)
NAMED = 5


class Signature(StrEnum):
    """Result of checking whether a backup is unchanged since this CHURN_HOME wrote it."""

    OWN = "signed by this home"
    OTHER = "signed by another home: who may have changed it can't be told here"
    NONE = "not signed: an earlier version made it, or the signature was removed"


@dataclass(frozen=True)
class BackupManifest:
    """Content of backup.json: time (UTC), lake, version of the project, row count by table.

    `contents` maps each file beside backup.json to its SHA-256, so that `hmac`, made with the key
    whose name is `key`, covers the whole backup. Backups of format 1 lack these three fields.
    """

    format: int
    time: str
    lake: str
    project: str
    rows: dict[str, int]
    files: int
    bytes: int
    contents: dict[str, str] = field(default_factory=dict)
    key: str = ""
    hmac: str = ""


@dataclass(frozen=True)
class Backup:
    """Complete backup, as read from its location."""

    address: str
    place: Storage
    manifest: BackupManifest
    files: tuple[FileCopy, ...]
    metastore: MetastoreSnapshot
    registry: bytes
    signature: Signature


def address_of(given: str) -> str:
    """Return an address from the command line, made absolute if it is a folder."""
    folder = Storage(given).folder
    return str(folder.expanduser().resolve()) if folder else given.rstrip("/")


def locations(settings: Settings, versions: Iterable[str]) -> dict[str, Storage]:
    """Return the locations that a backup copies from and a restore writes to.

    Args:
        settings: The settings of this CHURN_HOME.
        versions: Versions of the model. If the lake is in an object store, their pipelines are
            stored there; a backup always has them with their records, so that it can be restored
            to any lake.

    Returns:
        The storage location of each folder, by its name in the backup.
    """
    found = {LAKE: settings.lake}
    for name in HOME_FOLDERS:
        found[f"home/{name}"] = settings.storage(settings.home / name)
    if not settings.lake.folder:
        for version in versions:
            place = settings.storage(registry.pipeline(settings, version))
            found[f"home/models/{version}/model"] = place
    return found


def write_small(place: Storage, name: str, content: bytes) -> None:
    """Write a small file directly below a location."""
    with place.join(name).files.open_output_stream(place.join(name).root) as target:
        target.write(content)


def encode_json(value: Any) -> bytes:
    """Return a dataclass instance, or a sequence of them, as JSON."""
    plain = [asdict(each) for each in value] if isinstance(value, Sequence) else asdict(value)
    return f"{json.dumps(plain, indent=1)}\n".encode()


def list_backups(place: Storage) -> tuple[list[str], list[str]]:
    """Return the names of backups and of incomplete backups directly below a location."""
    whole, broken = [], []
    for folder in place.list_folders():
        names = {each.base_name for each in place.list_under(folder)}
        if MANIFEST in names:
            whole.append(folder.base_name)
        elif names and names <= {LAKE, "home", METASTORE, REGISTRY, FILES}:
            broken.append(folder.base_name)
    return whole, broken
