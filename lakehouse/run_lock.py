"""The run lock: one writer of a lake at a time.

A file lock in the lake's folder; in CHURN_HOME where the lake is in an object store. The kernel
gives it back when its holder dies, however it dies, so a dead holder never blocks anyone. The
file's text says who holds it. A holder whose work came to its end empties the text; a text left
behind tells the next holder that the Spark server may still be at work for somebody who is gone,
and a fresh server is started (docs/decisions/0006-after-a-fault.md).
"""

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from lakehouse.errors import ChurnError, InvalidInputError, UnavailableError
from lakehouse.file_locks import lock_within, try_lock
from lakehouse.local_folders import refused_folder
from lakehouse.orphaned_tables import remove_uncommitted_tables
from lakehouse.process import Say
from lakehouse.settings import Settings
from lakehouse.storage import is_folder, storage

# A process that works for the holder (dbt below `churn run`) finds the lock's number here.
HELD = "CHURN_RUN_LOCK"


@contextmanager
def run_lock(settings: Settings, purpose: str, say: Say, restores: bool = False) -> Iterator[None]:
    """Hold the lake for writing; a caller whose parent holds it goes on at once.

    `restores`: the caller may take a lake that a restore has left half done.

    Raises:
        UnavailableError: another process holds it and did not end within `lock_wait`.
        InvalidInputError: a restore broke off here and has to come to its end first.
    """
    if _held_by_family(settings):
        yield
        return
    lock = acquire(settings, purpose, say, restores)
    os.environ[HELD] = _token(settings)
    came_to_its_end = False
    try:
        yield
        came_to_its_end = True
    except ChurnError as fault:
        came_to_its_end = not fault.shakes_server
        raise
    finally:
        os.environ.pop(HELD, None)
        if came_to_its_end:
            release(lock)
        else:
            lock.close()


def acquire(settings: Settings, purpose: str, say: Say, restores: bool = False) -> IO[str]:
    """Take the lock and return the open file that holds it, to be given to `release`.

    Closing the file gives the lock back as well, and says that the work broke off. Raises what
    `run_lock` raises.
    """
    path = lock_file(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        lock = path.open("r+")
    except OSError as error:
        raise refused_folder(settings, error) or error from error
    try:
        if not lock_within(
            lock, path, settings.lock_wait, lambda: say(f"waiting for {holder(path)}")
        ):
            raise _held(path)
        if not restores:
            _refuse_half_restored(settings)
        _take_over(settings, lock, purpose, say)
    except BaseException:
        lock.close()
        raise
    return lock


def _take_over(settings: Settings, lock: IO[str], purpose: str, say: Say) -> None:
    """Write the holder's name, and end what an earlier holder left running."""
    left_behind = lock.read()
    # Over the old text, then cut: the file is never empty in between, and a full disk has room.
    lock.seek(0)
    json.dump({"pid": os.getpid(), "purpose": purpose, "since": _now()}, lock)
    lock.truncate()
    lock.flush()
    if left_behind.strip():
        # Imported here: `churn status` and most calls of dbt have no need of Spark's client.
        from lakehouse import spark_server

        spark_server.restart(settings, say)
        remove_uncommitted_tables(storage(settings, settings.lake_uri), say)


def restoring_file(settings: Settings) -> Path:
    """Names the backup that is being restored; it is there until that has come to its end."""
    return settings.home / "restoring.json"


def _refuse_half_restored(settings: Settings) -> None:
    """Who built on a half of the tables would make the other half wrong as well."""
    path = restoring_file(settings)
    if path.exists():
        backup = json.loads(path.read_text())["backup"]
        raise InvalidInputError(
            f"A restore broke off here: lake and home hold a part of {backup}",
            where=str(path),
            remedy=f"repeat `churn restore {backup}`, which goes on where it stopped; or give it "
            "up, as docs/backup.md says",
        )


def release(lock: IO[str]) -> None:
    """Give the lock back after work that came to its end."""
    lock.seek(0)
    lock.truncate()
    lock.close()


def lock_file(settings: Settings) -> Path:
    """Where the lock lies: beside the tables it protects, where that is a folder."""
    folder = Path(settings.lake_uri) if is_folder(settings.lake_uri) else settings.home
    return folder / "_run.lock"


def holder(path: Path) -> str:
    """Who holds the lock, in words."""
    try:
        held = json.loads(path.read_text())
        return f"{held['purpose']} (process {held['pid']}, since {held['since']})"
    except (OSError, ValueError, KeyError):
        return "another run"


def acquire_for_dbt(settings: Settings, purpose: str) -> IO[str] | None:
    """The lock for a dbt call; None where the process that called dbt holds it."""
    if _held_by_family(settings):
        return None
    return acquire(settings, purpose, lambda text: print(text, file=sys.stderr))


def _held(path: Path) -> UnavailableError:
    return UnavailableError(
        f"The lake is held by {holder(path)}",
        where=str(path),
        remedy="wait for it to end, or end that process, then repeat the command",
    )


def _held_by_family(settings: Settings) -> bool:
    return os.environ.get(HELD) == _token(settings)


def _token(settings: Settings) -> str:
    return str(lock_file(settings))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def current_holder(settings: Settings) -> str | None:
    """Who holds the lake at this moment, in words; None where nobody does."""
    path = lock_file(settings)
    if not path.exists():
        return None
    with path.open() as lock:
        return None if try_lock(lock, path, fcntl.LOCK_SH) else holder(path)
