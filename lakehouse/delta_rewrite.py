"""Change rows of a Delta table in every version of it, at the level of files.

A DELETE would leave the rows in the earlier versions, and a VACUUM would remove these versions,
with everyone's history. Here the data files of all versions are rewritten, and the log refers to
the new files: every version has all of its other rows, its time, and its run. A file's statistics
in the log, which may name a removed row as its minimum or maximum, are reduced to the number of
rows.

The caller holds the run lock and has stopped the Spark server, which caches a table's log. If it
is interrupted at any moment, readers find in every version the old file or the new one, and the
next call completes the work (docs/decisions/0048-erasure.md).
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileInfo

from lakehouse.atomic_write import remove_drafts
from lakehouse.lake_files import COMMIT, LOG, list_data_files
from lakehouse.parquet_rewrite import RowChange, replace_file, rewrite_rows
from lakehouse.storage import Storage

# The name of a rewritten file is derived from that of the original, so that an interrupted call
# and its repetition give it the same one.
NAMES = uuid.UUID("6f3b8a52-3d0e-4d5c-9a76-0c5f0f8f3c11")
Action = dict[str, Any]
# Return whether a text is an erased id.
IsErased = Callable[[str], bool]


@dataclass(frozen=True)
class NewFile:
    """A rewritten data file: its path as the log writes it, size and number of rows."""

    path: str
    size: int
    rows: int


def change_delta_table(table: Storage, change: RowChange, is_erased: IsErased) -> int:
    """Change the rows of a table in all its versions.

    Args:
        table: The location of the table.
        change: The change.
        is_erased: Whether a text is an id that must not remain in the log.

    Returns:
        The number of data files that had such rows.
    """
    if table.folder:  # what an interrupted call wrote, which may have the rows
        remove_drafts(table.folder, is_exclusive=True)
    commits = _list_commits(table)
    referenced = {
        unquote(action["path"])
        for commit in commits
        for _, action in _read_file_actions(commit.actions)
    }
    renamed: dict[str, NewFile] = {}
    for info in list_data_files(table):
        name = table.relative_path(info.path)
        rewritten = rewrite_rows(table.join(name), change)
        if rewritten is None:
            continue
        content, rows = rewritten
        new = _derive_name(name)
        # The new name alone is referenced if a call was interrupted after it changed the commits.
        if not {name, new} & referenced:  # of an interrupted write, or removed from the log
            replace_file(table.join(name), content, info.mtime_ns)
            continue
        replace_file(table.join(new), content, info.mtime_ns)
        renamed[name] = NewFile(quote(new, safe="/=-_.!~*'()"), len(content), rows)
    _rewrite_log(table, commits, renamed, is_erased)
    for name in renamed:  # last: as long as it exists, a repeated call finds the work to complete
        _remove_file(table, name)
    return len(renamed)


@dataclass(frozen=True)
class _Commit:
    """A commit's file, its lines as actions, and its time."""

    name: str
    mtime_ns: int
    actions: Sequence[Action]


def _list_commits(table: Storage) -> list[_Commit]:
    return [
        _Commit(info.base_name, info.mtime_ns, _read_actions(table.join(LOG, info.base_name)))
        for info in table.list_children(LOG)
        if COMMIT.fullmatch(info.base_name)
    ]


def _read_actions(file: Storage) -> list[Action]:
    with file.files.open_input_stream(file.root) as source:
        return [json.loads(line) for line in source.read().splitlines() if line.strip()]


def _read_file_actions(actions: Sequence[Action]) -> Iterator[tuple[str, Action]]:
    for action in actions:
        for kind in ("add", "remove", "cdc"):
            if action.get(kind):
                yield kind, action[kind]


def _derive_name(name: str) -> str:
    folder, slash, _ = name.rpartition("/")
    return f"{folder}{slash}part-00000-{uuid.uuid5(NAMES, name)}.c000.snappy.parquet"


def _rewrite_log(
    table: Storage,
    commits: Sequence[_Commit],
    renamed: Mapping[str, NewFile],
    is_erased: IsErased,
) -> None:
    """Replace renamed files and erased ids in every commit, checkpoint and checksum."""
    # A removal counts for the new name before anything adds that name: no version ever has both
    # files. After that, each commit is switched in one step.
    both = [_Commit(each.name, each.mtime_ns, _remove_both(each, renamed)) for each in commits]
    switched = [
        _Commit(each.name, each.mtime_ns, _switch(each, renamed, is_erased)) for each in commits
    ]
    for before, commit in zip(commits, both, strict=True):
        _write_commit(table, before, commit)
    changed = [
        _write_commit(table, before, commit) or before.actions != found.actions
        for before, commit, found in zip(both, switched, commits, strict=True)
    ]
    if any(changed) or renamed:
        _refresh_derived_files(table, renamed, is_erased)


def _write_commit(table: Storage, before: _Commit, commit: _Commit) -> bool:
    if commit.actions == before.actions:
        return False
    lines = (json.dumps(action, separators=(",", ":")) for action in commit.actions)
    content = "".join(f"{line}\n" for line in lines).encode()
    # Delta takes a version's time from its file.
    replace_file(table.join(LOG, commit.name), content, commit.mtime_ns)
    return True


def _remove_both(commit: _Commit, renamed: Mapping[str, NewFile]) -> list[Action]:
    """Return the actions of a commit, with a removal of the new file after that of the old one."""
    actions = list(commit.actions)
    removed = {action["remove"]["path"] for action in actions if action.get("remove")}
    for action in commit.actions:
        removal = action.get("remove") or {}
        new = renamed.get(unquote(removal.get("path", "")))
        if new is not None and new.path not in removed:
            actions.append({**action, "remove": {**removal, "path": new.path}})
    return actions


def _switch(commit: _Commit, renamed: Mapping[str, NewFile], is_erased: IsErased) -> list[Action]:
    """Return the actions of a commit with the new files, without erased ids."""
    actions: list[Action] = []
    for action in commit.actions:
        kind = next((kind for kind, _ in _read_file_actions([action])), None)
        if kind is not None:
            action = {**action, kind: _switch_file(action[kind], renamed, is_erased)}
        elif action.get("commitInfo"):
            action = {**action, "commitInfo": _hide_ids(action["commitInfo"], is_erased)}
        if action not in actions:  # a removal of both files is now one of the same file
            actions.append(action)
    return actions


def _switch_file(file: Action, renamed: Mapping[str, NewFile], is_erased: IsErased) -> Action:
    new = renamed.get(unquote(file["path"]))
    if new is not None:
        changed = {**file, "path": new.path, "size": new.size}
        if file.get("stats"):
            changed["stats"] = _format_statistics(new.rows)
        return changed
    if file.get("stats") and _has_erased_bound(file["stats"], is_erased):
        rows = json.loads(file["stats"]).get("numRecords")
        return {**file, "stats": _format_statistics(rows)}
    return file


def _format_statistics(rows: int | None) -> str:
    return json.dumps({} if rows is None else {"numRecords": rows}, separators=(",", ":"))


def _has_erased_bound(statistics: str, is_erased: IsErased) -> bool:
    """Return whether the minimum or maximum of a column is an erased id."""
    stored = json.loads(statistics)
    return any(
        isinstance(bound, str) and is_erased(bound)
        for bounds in ("minValues", "maxValues")
        for bound in (stored.get(bounds) or {}).values()
    )


def _hide_ids(value: Any, is_erased: IsErased) -> Any:
    """Return a value of JSON in which ids that a statement quotes are replaced."""
    if isinstance(value, Mapping):
        return {key: _hide_ids(each, is_erased) for key, each in value.items()}
    if isinstance(value, list):
        return [_hide_ids(each, is_erased) for each in value]
    if not isinstance(value, str):
        return value
    return re.sub(
        r"""(['"])([^'"]{1,200})\1""",
        lambda found: f"{found[1]}erased{found[1]}" if is_erased(found[2]) else found[0],
        value,
    )


def _refresh_derived_files(
    table: Storage, renamed: Mapping[str, NewFile], is_erased: IsErased
) -> None:
    """Remove what Delta derives from the commits; rewrite checkpoints that replace commits."""
    children = table.list_children(LOG)
    versions = sorted(int(info.base_name[:20]) for info in children if _is_commit(info))
    is_whole = versions == list(range(len(versions)))
    # `_last_checkpoint` comes first: readers expect the checkpoint that it names.
    for info in sorted(children, key=lambda each: each.base_name, reverse=True):
        name = info.base_name
        if name.endswith(".crc") and not name.startswith("."):
            _remove_file(table, f"{LOG}/{name}")
        elif ".checkpoint" not in name and name != "_last_checkpoint":
            continue
        elif is_whole:
            _remove_file(table, f"{LOG}/{name}")
        elif name.endswith(".parquet"):
            _rewrite_checkpoint(table.join(LOG, name), info.mtime_ns, renamed, is_erased)


def _is_commit(info: FileInfo) -> bool:
    return bool(COMMIT.fullmatch(info.base_name))


def _rewrite_checkpoint(
    file: Storage, mtime_ns: int, renamed: Mapping[str, NewFile], is_erased: IsErased
) -> None:
    with file.files.open_input_file(file.root) as source:
        rows = pq.read_table(source)
    actions = []
    for row in rows.to_pylist():
        for kind, action in _read_file_actions([row]):
            # A column with the same statistics as struct: null means unknown.
            row = {**row, kind: {**_switch_file(action, renamed, is_erased), "stats_parsed": None}}
        actions.append(row)
    written = BytesIO()
    pq.write_table(pa.Table.from_pylist(actions, rows.schema), written, store_schema=False)
    replace_file(file, written.getvalue(), mtime_ns)


def _remove_file(table: Storage, name: str) -> None:
    """Remove a file and the checksum that Hadoop stores beside it."""
    file = table.join(name)
    if file.folder:
        file.folder.with_name(f".{file.folder.name}.crc").unlink(missing_ok=True)
        file.folder.unlink(missing_ok=True)
    elif file.exists():
        file.files.delete_file(file.root)
