"""Restore a backup to an empty lake and CHURN_HOME.

The metastore's entries are created from scratch, so that the lake's location and the kind of the
metastore's database may differ from the original; the online store is filled from gold. An
interrupted restore can be repeated: a file names the backup that is being restored, no other
writer gets the lake meanwhile, and files that were copied already are kept.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

from pyarrow.fs import FileInfo
from pyspark.sql.connect.session import SparkSession

from churn.operations.backup_format import (
    HOME_FOLDERS,
    INTERNAL_PREFIX,
    NAMED,
    Backup,
    Signature,
    address_of,
    locations,
)
from churn.operations.backup_reader import check_contents, read_backup
from churn.operations.backup_signature import key_file
from churn.operations.forget import erase_restored
from churn.pipeline.context import writer_session
from churn.pipeline.mlflow_sync import sync_registry
from churn.pipeline.steps import verify_online
from lakehouse import metastore_snapshot
from lakehouse.amounts import format_number
from lakehouse.atomic_write import atomic_write
from lakehouse.dbt_runner import make_views
from lakehouse.errors import ChurnError, InvalidInputError
from lakehouse.file_copy import FileCopy, copy_file, is_complete, run_concurrently
from lakehouse.progress import Step, Steps, format_bytes
from lakehouse.run_lock import run_lock
from lakehouse.run_lock_file import restoring_file
from lakehouse.settings import Settings
from lakehouse.storage import Storage
from trainer import registry

STEPS = 9
# Folders of CHURN_HOME that must be empty.
FILLED = (*HOME_FOLDERS, "registry")


@dataclass(frozen=True)
class Restored:
    """Result of a restore.

    `online` is the number of customers in the online store; None if nothing was published.
    """

    backup: Backup
    online: int | None
    champion: str | None


def restore(
    settings: Settings, source: str, steps: Steps, require_signature: bool = False
) -> Restored:
    """Restore the backup at `source`.

    Args:
        settings: The settings of this CHURN_HOME.
        source: The address of the backup.
        steps: Progress display with `STEPS` steps.
        require_signature: Whether to refuse a backup that the key of this CHURN_HOME has not
            signed.

    Raises:
        lakehouse.errors.InvalidInputError: The address has no valid backup, or lake, CHURN_HOME or
            metastore are not empty; nothing was changed.
        lakehouse.errors.ChurnError: The restored data differs from the backup.
    """
    backup = _check_backup(settings, address_of(source), steps, require_signature)
    purpose = f"churn restore {backup.address}"
    with run_lock(settings, purpose, steps.log, restores=True):
        goes_on = _goes_on(settings, backup, steps)
        if not goes_on:
            _refuse_filled([*_files_there(settings)])
        with writer_session(settings, purpose, steps) as spark:
            if not goes_on:
                _refuse_filled(_known_there(settings, spark))
                _begin(settings, backup)
            restored = _restore_tables(settings, spark, backup, steps)
        restoring_file(settings).unlink()
    return restored


def _check_backup(
    settings: Settings, address: str, steps: Steps, require_signature: bool
) -> Backup:
    """Read and check the whole backup, without writing anything."""
    with steps.step("check") as step, _readable(address):
        backup = read_backup(settings, address)
        if backup.signature is not Signature.OWN:
            if require_signature:
                raise InvalidInputError(
                    f"The backup is {backup.signature}",
                    where=f"{address}/backup.json",
                    hint=f"copy the key of the CHURN_HOME that made it to {key_file(settings)}; or "
                    "leave --require-signature out, if no other user can write to that place",
                )
            step.log(f"warning: the backup is {backup.signature}")
        check_contents(backup, step.advance)
        step.outcome = f"{format_number(len(backup.files), 'file')}, {backup.signature}"
    return backup


@contextmanager
def _readable(address: str) -> Iterator[None]:
    """Report files of the backup that belong to another user."""
    try:
        yield
    except PermissionError as error:
        raise InvalidInputError(
            f"User {os.geteuid()} may not read all of the backup: {error}",
            where=address,
            hint="give its files to this user, or run the command as their owner",
        ) from error


def _goes_on(settings: Settings, backup: Backup, steps: Steps) -> bool:
    """Return whether a previous restore of this backup was interrupted here."""
    path = restoring_file(settings)
    if not path.exists():
        return False
    begun = json.loads(path.read_text())["backup"]
    if begun != backup.address:
        raise InvalidInputError(
            f"A restore of another backup was interrupted here: {begun}",
            where=str(path),
            hint=f"repeat `churn restore {begun}`; or give that one up, as docs/backup.md says",
        )
    steps.log("a restore of this backup was interrupted here; continuing it")
    return True


def _begin(settings: Settings, backup: Backup) -> None:
    with atomic_write(restoring_file(settings)) as draft:
        draft.write_text(json.dumps({"backup": backup.address}))


def _files_there(settings: Settings) -> Iterator[str]:
    """Yield the existing files and folders that prevent a restore; empty folders do not."""
    for name in FILLED:
        if settings.storage(settings.home / name).list_children():
            yield str(settings.home / name)
    place = settings.lake
    for each in place.list_children():
        if each.is_file:
            if not each.base_name.startswith(INTERNAL_PREFIX):
                yield place.locate(each).address
            continue
        for below in place.list_under(each):
            yield place.locate(below).address


def _known_there(settings: Settings, spark: SparkSession) -> list[str]:
    """Return what the metastore has already, of this lake or another."""
    schemas = metastore_snapshot.list_schemas_outside_lake(spark, settings.lake)
    return [
        *(f"metastore: {name}" for name in metastore_snapshot.list_tables(spark)),
        *(f"metastore: schema {name}, which lies in another lake" for name in schemas),
    ]


def _refuse_filled(there: list[str]) -> None:
    if there:
        more = f" and {len(there) - NAMED} more" if len(there) > NAMED else ""
        raise InvalidInputError(
            "A backup needs an empty lake and CHURN_HOME, and something is there already",
            where=f"{', '.join(there[:NAMED])}{more}",
            hint="name an empty CHURN_HOME (and CHURN_LAKE_URI, CHURN_METASTORE_URL where they "
            "are set); or move away what is there",
        )


def _restore_tables(
    settings: Settings, spark: SparkSession, backup: Backup, steps: Steps
) -> Restored:
    with steps.step("copy") as step:
        copied = _copy_back(settings, backup, step)
        erased = erase_restored(settings, step.log)
        step.outcome = f"{format_number(copied, 'file')}, {format_bytes(backup.manifest.bytes)}"
    with steps.step("tables") as step:
        metastore_snapshot.create_missing(spark, backup.metastore, settings.lake)
        left_out = [
            each.name
            for each in backup.metastore.tables
            if each.provider not in (*metastore_snapshot.CREATABLE, metastore_snapshot.VIEW)
        ]
        for name in left_out:
            step.log(f"warning: {name} is to be made by hand: its format has options of its own")
        _require_complete(spark, backup, left_out, erased)
        champion = registry.champion(settings)
        rows = backup.manifest.rows
        left = f", without {sum(erased.values()):,} of erased customers" if erased else ""
        step.outcome = (
            f"{format_number(len(rows), 'table')}, "
            f"{format_number(sum(rows.values()), 'row')} as in the backup{left}"
        )
    _make_views(settings, backup, steps)
    online = _online(settings, spark, backup, steps)
    sync_registry(settings, steps)
    return Restored(backup, online, champion.version if champion else None)


def _copy_back(settings: Settings, backup: Backup, step: Step) -> int:
    """Copy the files that are not complete at the target; return their number."""
    versions = {
        PurePosixPath(each.path).parts[2]
        for each in backup.files
        if each.path.startswith("home/models/") and each.path.endswith("/record.json")
    }
    targets = locations(settings, versions)
    there = {
        (part, info.path): info for part, place in targets.items() for info in place.list_files()
    }

    def copy(file: FileCopy) -> bool:
        part = _part(file, targets)
        target = targets[part].join(file.path.removeprefix(f"{part}/"))
        found: FileInfo | None = there.get((part, target.root))
        if found is not None and is_complete(found, target, file):
            return False
        _, sha256 = copy_file(backup.place.join(file.path), target)
        if sha256 != file.sha256:
            raise ChurnError(
                f"{file.path} is not what was backed up: its SHA-256 is {sha256}",
                where=backup.address,
                hint="replace the file and repeat the command; or give this restore up, as "
                "docs/backup.md says, and restore another backup",
            )
        target.set_mtime(file.mtime_ns)
        return True

    return sum(run_concurrently(copy, backup.files, step.advance, "copying"))


def _part(file: FileCopy, targets: dict[str, Storage]) -> str:
    """Return the innermost part that the file belongs to."""
    return max((each for each in targets if file.path.startswith(f"{each}/")), key=len)


def _make_views(settings: Settings, backup: Backup, steps: Steps) -> None:
    """Create the project's views from its own declarations; warn of views not declared there."""
    known = {
        each.name for each in backup.metastore.tables if each.provider == metastore_snapshot.VIEW
    }
    with steps.step("views") as step:
        try:
            made = make_views(settings) if known else []
        except ChurnError as error:
            step.log(f"warning: the next `churn build` makes the views: {error.message}")
            step.outcome = "none"
            return
        for name in sorted(known - set(made)):
            step.log(
                f"warning: {name} is no view of the project; the backup's metastore.json has its "
                "text: read it before you make it again"
            )
        step.outcome = f"{len(made)} views, as the project declares them"


def _require_complete(
    spark: SparkSession, backup: Backup, left_out: Sequence[str], erased: Mapping[str, int]
) -> None:
    expected_rows = {
        table: rows - erased.get(table, 0)
        for table, rows in backup.manifest.rows.items()
        if table not in left_out
    }
    rows = metastore_snapshot.count_rows(spark, list(expected_rows))
    for table, expected in expected_rows.items():
        if rows[table] != expected:
            raise ChurnError(
                f"{table} has {format_number(rows[table], 'row')}; when it was "
                f"backed up it had {expected:,}",
                where=backup.address,
                hint="do not use what was restored; restore another backup, and report this",
            )


def _online(settings: Settings, spark: SparkSession, backup: Backup, steps: Steps) -> int | None:
    """Fill feature store and online store from gold; return None if nothing was published."""
    from feature_repo.online.materialize import apply, materialize
    from feature_repo.publications import find_latest_publication
    from feature_repo.registry_snapshot import diff_registries, read_registry

    with steps.step("apply") as step:
        apply(settings, step.log)
        changed = (
            diff_registries(backup.registry, read_registry(settings)) if backup.registry else []
        )
        for name in changed:
            step.log(f"warning: declared otherwise than when it was backed up: {name}")
        step.outcome = "with changes since the backup" if changed else "as in the backup"
    if find_latest_publication(spark) is None:
        steps.log("nothing had been published: the online store stays empty")
        return None
    with steps.step("materialize") as step:
        written = materialize(settings, spark, step.log, "all", step.advance)
        step.outcome = f"{format_number(written.customers, 'customer')} online"
    with steps.step("verify") as step:
        customers, _ = verify_online(settings, spark, step, repair=False)
    return customers


def format_result(settings: Settings, restored: Restored) -> str:
    """Format the result of a restore for the terminal."""
    seal = restored.backup.manifest
    moved = "" if seal.lake == settings.lake.address else f", which was {seal.lake}"
    online = "nothing" if restored.online is None else format_number(restored.online, "customer")
    return "\n".join(
        [
            f"restored the backup of {seal.time}, made by version {seal.project}, "
            f"{restored.backup.signature}",
            f"lake {settings.lake.address}{moved}: {format_number(len(seal.rows), 'table')}, "
            f"{format_number(sum(seal.rows.values()), 'row')}",
            f"{online} online; champion: {restored.champion or 'none'}",
        ]
    )
