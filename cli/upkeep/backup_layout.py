"""What a backup looks like, for who writes one and who reads it.

lake/…           files of the tables, as they lie in the lake
home/<part>/…    what of CHURN_HOME can't be made again
metastore.json   schemas, tables, views, partitions
registry.pb      Feast's registry
files.json       every file above, with size, time and SHA-256
backup.json      written last: a folder without it is no backup
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lakehouse.catalogue import Catalogue, Partition, Table
from lakehouse.copies import FileCopy
from lakehouse.errors import Unusable
from lakehouse.settings import Settings
from lakehouse.storage import Storage, is_folder, storage
from trainer import registry

METASTORE, REGISTRY, FILES, SEAL = "metastore.json", "registry.pb", "files.json", "backup.json"
LAKE = "lake"
# Where the lake itself keeps what is no table's: the run lock, models (which come by versions).
PRIVATE = "_"
# Of CHURN_HOME, by folder. Everything else there is a secret, a server's own, or can be made again.
HOME = ("landed", "lineage", "models", "runs")
FORMAT = 1
NAMED = 5


@dataclass(frozen=True)
class Seal:
    """backup.json: when (UTC) and of which lake and version of the project; rows by table."""

    format: int
    time: str
    lake: str
    project: str
    rows: dict[str, int]
    files: int
    bytes: int


@dataclass(frozen=True)
class Backup:
    """A backup that was made."""

    address: str
    place: Storage
    seal: Seal
    files: tuple[FileCopy, ...]
    catalogue: Catalogue
    registry: bytes


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


def read_backup(settings: Settings, address: str) -> Backup:
    """The backup at an address.

    Raises:
        Unusable: there is none, or it is not whole.
        lakehouse.errors.Unavailable: the object store does not answer.
    """
    place = storage(settings, address)
    seal = Seal(**_sealed(place, address))
    known = _read(place, address, METASTORE, json.loads)
    backup = Backup(
        address=address,
        place=place,
        seal=seal,
        files=tuple(FileCopy(**each) for each in _read(place, address, FILES, json.loads)),
        catalogue=Catalogue(
            known["schemas"],
            tuple(_table(each) for each in known["tables"]),
            tuple(known["elsewhere"]),
        ),
        registry=_read(place, address, REGISTRY, bytes),
    )
    _hold_whole(backup)
    return backup


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


def _sealed(place: Storage, address: str) -> dict[str, Any]:
    if SEAL not in {each.base_name for each in place.children()}:
        below, _ = backups_below(place)
        named = f"; the latest there is {address}/{below[-1]}" if below else ""
        raise Unusable(
            f"This is no backup, or one that broke off: it has no {SEAL}",
            where=address,
            remedy=f"name a folder that `churn backup` wrote to its end{named}",
        )
    seal: dict[str, Any] = _read(place, address, SEAL, json.loads)
    if seal.get("format") != FORMAT:
        raise Unusable(
            f"The backup is of format {seal.get('format')}; this version of the project reads "
            f"format {FORMAT}",
            where=f"{address}/{SEAL}",
            remedy="restore it with the version of the project that made it: "
            f"{seal.get('project', 'which it does not name')}",
        )
    return seal


def _read(place: Storage, address: str, name: str, meaning: Callable[[bytes], Any]) -> Any:
    try:
        with place.files.open_input_stream(place.at(name).root) as source:
            return meaning(source.read())
    except (OSError, ValueError) as fault:
        raise Unusable(
            f"The backup is damaged, {name} can't be read: {fault}",
            where=f"{address}/{name}",
            remedy="restore another backup",
        ) from fault


def _table(fields: dict[str, Any]) -> Table:
    partitions = tuple(Partition(**each) for each in fields["partitions"])
    return Table(**{**fields, "partitions": partitions})


def _hold_whole(backup: Backup) -> None:
    """Every file is there, in its size; the content is looked at when it is copied."""
    found = {
        backup.place.name(each.path): each.size
        for folder in (LAKE, "home")
        for each in backup.place.at(folder).all_files()
    }
    wrong = [each.path for each in backup.files if found.get(each.path) != each.size]
    if wrong:
        raise Unusable(
            f"The backup is not whole: {len(wrong)} of {len(backup.files)} files are missing or "
            f"have another size ({', '.join(wrong[:NAMED])})",
            where=backup.address,
            remedy="restore another backup",
        )
