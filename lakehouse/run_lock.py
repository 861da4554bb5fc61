"""The run lock, which permits one writer of a lake at a time.

It is a file lock in the lake's folder, or in CHURN_HOME if the lake is in an object store. The
kernel releases it when the holder dies for any reason, so a dead holder never blocks other
processes. The content of the file describes the holder. A holder that completes its work empties
the file. Content left behind indicates to the next holder that the Spark server may still be
running statements of a process that has ended, and a fresh server is started
(docs/decisions/0006-after-a-fault.md).
"""

import fcntl
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from lakehouse.errors import ChurnError, InvalidInputError, UnavailableError
from lakehouse.file_locks import lock_within, try_lock
from lakehouse.local_folders import folder_refused_error
from lakehouse.orphaned_tables import remove_uncommitted_tables
from lakehouse.process import Log
from lakehouse.run_lock_file import erasing_file, lock_file, restoring_file
from lakehouse.settings import Settings

# Set for child processes of the holder (dbt below `churn run`); contains the lock file's path.
LOCK_VARIABLE = "CHURN_RUN_LOCK"
HOLDER = ("purpose", "pid", "since")


@dataclass
class HeldLock:
    """The lock while it is held.

    `has_left_work`: whether an earlier holder was interrupted, and the Spark server may still be
    running its statements.
    """

    has_left_work: bool = False

    def end_left_work(self, settings: Settings, log: Log) -> None:
        """End the work that an earlier holder left running, if there is any."""
        if self.has_left_work:
            _end_left_work(settings, log)
            self.has_left_work = False


@contextmanager
def run_lock(
    settings: Settings,
    purpose: str,
    log: Log,
    restores: bool = False,
    erases: bool = False,
    ends_left_work: bool = True,
) -> Iterator[HeldLock]:
    """Hold the lock on the lake for writing; do nothing if a parent process holds it.

    `restores`: whether the caller may lock a lake that an interrupted restore left incomplete;
    `erases`: likewise, an interrupted erasure. `ends_left_work`: whether the work of an interrupted
    holder is ended here; otherwise the caller does it before it writes. Until then the lock is
    never released as that of completed work.

    Raises:
        UnavailableError: If another process does not release the lock within `lock_wait`.
        InvalidInputError: If an interrupted restore or erasure must be completed first.
    """
    if _is_held_by_parent(settings):
        yield HeldLock()
        return
    lock, has_left_work = _acquire(settings, purpose, log, restores, erases, ends_left_work)
    held = HeldLock(has_left_work)
    os.environ[LOCK_VARIABLE] = _token(settings)
    is_completed = False
    try:
        yield held
        is_completed = True
    except ChurnError as error:
        is_completed = not error.requires_server_restart
        raise
    finally:
        os.environ.pop(LOCK_VARIABLE, None)
        if is_completed and not held.has_left_work:
            release(lock)
        else:
            lock.close()


def acquire(
    settings: Settings, purpose: str, log: Log, restores: bool = False, erases: bool = False
) -> IO[str]:
    """Acquire the lock and return the open lock file, to be passed to `release`.

    Closing the file instead also releases the lock, but marks the work as interrupted.

    Raises:
        UnavailableError: If another process does not release the lock within `lock_wait`.
        InvalidInputError: If an interrupted restore or erasure must be completed first, or the
            folder of the lock cannot be used.
    """
    return _acquire(settings, purpose, log, restores, erases, ends_left_work=True)[0]


def _acquire(
    settings: Settings, purpose: str, log: Log, restores: bool, erases: bool, ends_left_work: bool
) -> tuple[IO[str], bool]:
    """Acquire the lock; return its file, and whether work of an earlier holder may be running."""
    path = lock_file(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        lock = path.open("r+")
    except OSError as error:
        raise folder_refused_error(settings, error) or error from error
    try:
        if not lock_within(
            lock, path, settings.lock_wait, lambda: log(f"waiting for {describe_holder(path)}")
        ):
            raise _locked_error(path)
        if not restores:
            _refuse_incomplete_restore(settings)
        if not erases:
            _refuse_incomplete_erasure(settings)
        has_left_work = _write_holder(lock, purpose)
        if has_left_work and ends_left_work:
            _end_left_work(settings, log)
            has_left_work = False
    except BaseException:
        lock.close()
        raise
    return lock, has_left_work


def _write_holder(lock: IO[str], purpose: str) -> bool:
    """Write the holder's name; return whether an earlier holder was interrupted."""
    left_behind = lock.read()
    # Overwrite the old text, then truncate: the file is never empty in between, and this works
    # on a full disk.
    lock.seek(0)
    json.dump({"pid": os.getpid(), "purpose": purpose, "since": _format_now()}, lock)
    lock.truncate()
    lock.flush()
    return bool(left_behind.strip())


def _end_left_work(settings: Settings, log: Log) -> None:
    # Imported here because `churn status` and most dbt calls do not need Spark's client.
    from lakehouse import spark_server

    spark_server.restart(settings, log)
    remove_uncommitted_tables(settings.lake, log)


def _refuse_incomplete_restore(settings: Settings) -> None:
    """Raise an error if a restore is incomplete.

    A build on half of the tables would make the other half wrong as well.
    """
    path = restoring_file(settings)
    if path.exists():
        backup = json.loads(path.read_text())["backup"]
        raise InvalidInputError(
            f"A restore was interrupted here: the lake and CHURN_HOME contain a part of {backup}",
            where=str(path),
            hint=f"repeat `churn restore {backup}`, which continues where it stopped; or give it "
            "up, as docs/backup.md describes",
        )


def _refuse_incomplete_erasure(settings: Settings) -> None:
    """Raise an error if an erasure is incomplete: rows and counts may differ until it is."""
    path = erasing_file(settings)
    if path.exists():
        raise InvalidInputError(
            "An erasure of customers was interrupted here",
            where=str(path),
            hint="`churn forget` without an id completes it; then repeat the command",
        )


def release(lock: IO[str]) -> None:
    """Release the lock after completed work."""
    lock.seek(0)
    lock.truncate()
    lock.close()


def describe_holder(path: Path) -> str:
    """Return a description of the lock's holder."""
    return format_holder(_read_holder(path))


def format_holder(holder: Mapping[str, Any]) -> str:
    """Format the holder of a lock, as `read_holder` returns it."""
    if holder["purpose"] is None:
        return "another run"
    return f"{holder['purpose']} (process {holder['pid']}, since {holder['since']})"


def _read_holder(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
        return {name: content[name] for name in HOLDER}
    except (OSError, ValueError, KeyError, TypeError):
        return dict.fromkeys(HOLDER)


def acquire_for_dbt(settings: Settings, purpose: str) -> IO[str] | None:
    """Acquire the lock for a dbt call; return None if the process that called dbt holds it.

    Raises:
        UnavailableError: If another process does not release the lock within `lock_wait`.
        InvalidInputError: If an interrupted restore or erasure must be completed first, or the
            folder of the lock cannot be used.
    """
    if _is_held_by_parent(settings):
        return None
    return acquire(settings, purpose, lambda text: print(text, file=sys.stderr))


def _locked_error(path: Path) -> UnavailableError:
    return UnavailableError(
        f"The lake is held by {describe_holder(path)}",
        where=str(path),
        hint="wait for it to end, or end that process, then repeat the command",
    )


def _is_held_by_parent(settings: Settings) -> bool:
    return os.environ.get(LOCK_VARIABLE) == _token(settings)


def _token(settings: Settings) -> str:
    return str(lock_file(settings))


def _format_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def find_holder(settings: Settings) -> str | None:
    """Return a description of the current holder of the lock, or None if it is free."""
    holder = read_holder(settings)
    return format_holder(holder) if holder else None


def read_holder(settings: Settings) -> dict[str, Any] | None:
    """Return purpose, process and start of the lock's holder, or None if the lock is free."""
    path = lock_file(settings)
    if not path.exists():
        return None
    with path.open() as lock:
        return None if try_lock(lock, path, fcntl.LOCK_SH) else _read_holder(path)
