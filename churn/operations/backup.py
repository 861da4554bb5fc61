"""Copy data that cannot be recreated to another location, while no other process writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version

from pyarrow.fs import FileInfo
from pyspark.sql.connect.session import SparkSession

from churn.operations.backup_format import (
    FILES,
    FORMAT,
    INTERNAL_PREFIX,
    LAKE,
    MANIFEST,
    METASTORE,
    REGISTRY,
    BackupManifest,
    address_of,
    encode_json,
    list_backups,
    locations,
    write_small,
)
from churn.operations.backup_record import record_backup
from churn.operations.backup_signature import add_signature
from churn.pipeline.context import writer_session
from lakehouse import audit_log, metastore_snapshot
from lakehouse.amounts import format_number
from lakehouse.audit_log import Action
from lakehouse.error_translation import FULL
from lakehouse.errors import InvalidInputError, disk_full_error
from lakehouse.file_copy import FileCopy, copy_file, run_concurrently
from lakehouse.progress import Step, Steps, format_bytes
from lakehouse.settings import Settings
from lakehouse.storage import Storage
from trainer import registry

STEPS = 4


@dataclass(frozen=True)
class SourceFile:
    """File to copy: the part of the backup that it belongs to, and its location."""

    part: str
    place: Storage
    info: FileInfo

    @property
    def path(self) -> str:
        """Return the path in the backup."""
        return f"{self.part}/{self.place.relative_path(self.info.path)}"


def backup(settings: Settings, target: str, steps: Steps) -> tuple[str, BackupManifest]:
    """Write a backup below the target, and return its address and the content of backup.json.

    `target` is a folder or an object store URI; the backup is a new folder below it. Readers are
    not affected; writers wait for the run lock.

    Raises:
        InvalidInputError: The target is unusable; nothing was written.
        UnavailableError: A service does not respond, or another run has the lock of the lake.
    """
    address = address_of(target)
    above = _create_target(settings, address)
    for broken in list_backups(above)[1]:
        steps.log(f"{address}/{broken} has no {MANIFEST}: unless it is being written, remove it")
    with (
        writer_session(settings, f"churn backup {target}", steps) as spark,
        _translate_disk_full(address),
    ):
        sources = locations(settings, registry.versions(settings))
        now = datetime.now(UTC)
        place = above.join(name := f"{now:%Y%m%dT%H%M%SZ}")
        with steps.step("metastore") as step:
            known, rows = _read_tables(spark, sources[LAKE], step)
        with steps.step("copy") as step:
            files = _copy_files(sources, place, step)
            size = sum(each.size for each in files)
            step.outcome = f"{format_number(len(files), 'file')}, {format_bytes(size)}"
        with steps.step("seal") as step:
            plain = BackupManifest(
                format=FORMAT,
                time=now.isoformat(timespec="seconds"),
                lake=settings.lake.address,
                project=version("telco-churn"),
                rows=rows,
                files=len(files),
                bytes=size,
            )
            seal = _write_metadata(settings, place, known, files, plain)
            step.outcome = f"{address}/{name}"
    return f"{address}/{name}", seal


def _read_tables(
    spark: SparkSession, lake: Storage, step: Step
) -> tuple[metastore_snapshot.MetastoreSnapshot, dict[str, int]]:
    """Read the metastore's definitions and the row count of each table."""
    known = metastore_snapshot.read(spark, lake)
    rows = metastore_snapshot.count_rows(spark, known.table_names)
    for table in known.elsewhere:
        step.log(f"warning: {table} does not lie in the lake and is left out")
    step.outcome = (
        f"{format_number(len(rows), 'table')}, {format_number(sum(rows.values()), 'row')}"
    )
    return known, rows


@contextmanager
def _translate_disk_full(address: str) -> Iterator[None]:
    """Translate a full disk into an error that names the target."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full_error(address) from error
        raise


def _create_target(settings: Settings, address: str) -> Storage:
    """Create the target, which must not be inside a folder that is copied, log it and return it."""
    place = settings.storage(address)
    for part, source in locations(settings, versions=()).items():
        if f"{place.root}/".startswith(f"{source.root}/"):
            raise InvalidInputError(
                f"The target is inside what is backed up, {part}",
                where=address,
                hint="name a place outside the lake and CHURN_HOME, preferably on another disk",
            )
    try:
        place.prepare()
    except OSError as error:
        raise InvalidInputError(
            f"The target can't be created: {error.strerror}",
            where=address,
            hint="name a folder that may be written to",
        ) from error
    audit_log.append(settings, Action.EXPORT, what="backup", file=address)
    return place


def _copy_files(sources: dict[str, Storage], target: Storage, step: Step) -> list[FileCopy]:
    originals = [
        SourceFile(part, place, info)
        for part, place in sources.items()
        for info in place.list_files()
        if _is_included(part, place.relative_path(info.path))
    ]
    if not originals:
        raise InvalidInputError(
            "There is nothing to back up",
            where=", ".join(place.root for place in sources.values()),
            hint="check CHURN_HOME and CHURN_LAKE_URI; `churn run WORKBOOK` creates a lake",
        )

    def copy(original: SourceFile) -> FileCopy | None:
        source = original.place.locate(original.info)
        copied = target.join(original.path)
        try:
            size, sha256 = copy_file(source, copied)
        except FileNotFoundError:
            if original.part == LAKE:
                raise
            # The run lock does not cover the landing zone: a draft there may have been renamed.
            return None
        copied.set_mtime(original.info.mtime_ns)
        return FileCopy(original.path, size, original.info.mtime_ns, sha256)

    copies = run_concurrently(copy, originals, step.advance, "copying")
    return [each for each in copies if each is not None]


def _write_metadata(
    settings: Settings,
    place: Storage,
    known: metastore_snapshot.MetastoreSnapshot,
    files: list[FileCopy],
    seal: BackupManifest,
) -> BackupManifest:
    """Write the files that are not copies; backup.json, signed, comes last and completes it."""
    from feature_repo.registry_snapshot import read_registry

    beside = {
        METASTORE: encode_json(known),
        REGISTRY: read_registry(settings),
        FILES: encode_json(files),
    }
    for name, content in beside.items():
        write_small(place, name, content)
    hashes = {name: sha256(content).hexdigest() for name, content in beside.items()}
    sealed = add_signature(settings, replace(seal, contents=hashes))
    write_small(place, MANIFEST, encode_json(sealed))
    record_backup(settings, place.address)
    return sealed


def _is_included(part: str, name: str) -> bool:
    """Return whether to copy a file: no lock and, in CHURN_HOME, no draft (hidden name)."""
    return not name.startswith(INTERNAL_PREFIX if part == LAKE else ".")
