"""What a backup looks like, for who writes one and who reads it.

lake/…           files of the tables, as they lie in the lake
home/<part>/…    what of CHURN_HOME can't be made again
metastore.json   schemas, tables, views, partitions
registry.pb      Feast's registry
files.json       every file above, with size, time and SHA-256
backup.json      hashes of the three, signed by the home; written last: without it, no backup
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from lakehouse.file_copy import FileCopy
from lakehouse.metastore_snapshot import MetastoreSnapshot
from lakehouse.settings import Settings
from lakehouse.storage import Storage, is_folder, storage
from trainer import registry

METASTORE, REGISTRY, FILES, SEAL = "metastore.json", "registry.pb", "files.json", "backup.json"
LAKE = "lake"
# Where the lake itself keeps what is no table's: the run lock, models (which come by versions).
PRIVATE = "_"
# Of CHURN_HOME, by folder. Everything else there is a secret, a server's own, or can be made again.
HOME = ("landed", "lineage", "models", "runs")
FORMAT = 2
# Of the first, statements stood in metastore.json, and nothing was signed.
READABLE = (1, FORMAT)
NAMED = 5


class Signature(StrEnum):
    """Whether a backup is as this home wrote it, as far as can be known."""

    OWN = "signed by this home"
    OTHER = "signed by another home: who may have changed it can't be told here"
    NONE = "not signed: an earlier version made it, or the signature was removed"


@dataclass(frozen=True)
class Seal:
    """backup.json: when (UTC) and of which lake and version of the project; rows by table.

    `contents`: the SHA-256 of each file beside it, so that `hmac`, made with the key of that name,
    covers all of the backup. Backups of format 1 have none of the three.
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
    """A backup that was made."""

    address: str
    place: Storage
    seal: Seal
    files: tuple[FileCopy, ...]
    catalogue: MetastoreSnapshot
    registry: bytes
    signature: Signature


def address_of(given: str) -> str:
    """An address as it was given on the command line, made absolute where it is a folder."""
    if not is_folder(given):
        return given.rstrip("/")
    return str(Path(given).expanduser().resolve())


def parts(settings: Settings, versions: Iterable[str]) -> dict[str, Storage]:
    """Where the folders of a backup come from, and go back to, by their names in it.

    `versions`: of the model. Beside a lake in an object store their pipelines lie there; in a
    backup always with their records, so that it can be restored beside any lake.
    """
    found = {LAKE: storage(settings, settings.lake_uri)}
    for name in HOME:
        found[f"home/{name}"] = storage(settings, str(settings.home / name))
    if not is_folder(settings.lake_uri):
        for version in versions:
            place = storage(settings, registry.pipeline(settings, version))
            found[f"home/models/{version}/model"] = place
    return found


def write_small(place: Storage, name: str, content: bytes) -> None:
    """Write a file right below the place."""
    with place.at(name).files.open_output_stream(place.at(name).root) as target:
        target.write(content)


def as_json(value: Any) -> bytes:
    """A data object, or several, as JSON."""
    plain = [asdict(each) for each in value] if isinstance(value, Sequence) else asdict(value)
    return f"{json.dumps(plain, indent=1)}\n".encode()


def backups_below(place: Storage) -> tuple[list[str], list[str]]:
    """Names of the backups right below a place, and of folders that a broken one left."""
    whole, broken = [], []
    for folder in place.folders():
        names = {each.base_name for each in place.below(folder)}
        if SEAL in names:
            whole.append(folder.base_name)
        elif names and names <= {LAKE, "home", METASTORE, REGISTRY, FILES}:
            broken.append(folder.base_name)
    return whole, broken
