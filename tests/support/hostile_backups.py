"""A small backup, and changes that an attacker with write access might make, by name."""

import hashlib
import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

Change = Callable[[Path], None]
LOG = "lake/bronze/loads/_delta_log/00000000000000000000.json"


def seal_again(folder: Path) -> None:
    """Update the hashes, which needs no key; the backup is then unsigned."""
    seal = json.loads((folder / "backup.json").read_text())
    seal["contents"] = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("metastore.json", "registry.pb", "files.json")
        if (folder / name).is_file()
    }
    seal["key"] = seal["hmac"] = ""
    (folder / "backup.json").write_text(json.dumps(seal))


def changed_json(folder: Path, name: str, change: Callable[[Any], object]) -> None:
    path = folder / name
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def with_file(path: str, content: bytes = b"data", at: str | None = None) -> Change:
    """One more file in the manifest, by that path; it lies `at`, else where its path says."""

    def change(folder: Path) -> None:
        entry = {
            "path": path,
            "size": len(content),
            "mtime_ns": 1,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        changed_json(folder, "files.json", lambda files: files.append(entry))
        place = Path(os.path.normpath(folder / (at or path.lstrip("/"))))
        # What leads out of the backup, or can't be on this disk, is not written by the test either.
        with suppress(OSError, ValueError, RecursionError):
            if place.is_relative_to(folder) and not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
        count(folder, len(content))

    return change


def count(folder: Path, size: int) -> None:
    def change(seal: Any) -> None:
        seal["files"] += 1
        seal["bytes"] += size

    changed_json(folder, "backup.json", change)


def with_log(*actions: Any) -> Change:
    """A log of a Delta table with those actions."""
    return with_file(LOG, b"\n".join(json.dumps(each).encode() for each in actions))


def in_manifest(**values: Any) -> Change:
    return lambda folder: changed_json(folder, "files.json", lambda files: files[0].update(values))


def in_seal(**values: Any) -> Change:
    return lambda folder: changed_json(folder, "backup.json", lambda seal: seal.update(values))


def in_table(**values: Any) -> Change:
    return lambda folder: changed_json(
        folder, "metastore.json", lambda known: known["tables"][0].update(values)
    )


def in_catalogue(**values: Any) -> Change:
    return lambda folder: changed_json(folder, "metastore.json", lambda known: known.update(values))


def in_place_of_a_file(make: Callable[[Path], None]) -> Change:
    def change(folder: Path) -> None:
        (file,) = (folder / "lake" / "bronze").rglob("part.parquet")
        file.unlink()
        make(file)

    return change


def outside(folder: Path) -> Path:
    path = folder.parent / "outside"
    path.write_bytes(b"data")
    return path


def linked_folder(folder: Path) -> None:
    (folder / "lake" / "bronze").rename(folder.parent / "elsewhere")
    (folder / "lake" / "bronze").symlink_to(folder.parent / "elsewhere")


def column(name: str = "n", type: str = "int", comment: str = "") -> Change:
    return in_table(
        columns=[
            {"name": name, "type": type, "comment": comment},
            {"name": "extract_date", "type": "date", "comment": ""},
        ]
    )


def partition(place: str, **values: Any) -> Change:
    return in_table(partitions=[{"values": values or {"extract_date": "x"}, "place": place}])


PATHS = [
    *("/etc/passwd", "../../planted", "lake/../../planted", "lake/../home/models/x", "lake//x"),
    *("lake/./x", "lake/", "lake", "home", "home/models", "home/planted", "home/secrets/planted"),
    *("home/airflow/dags/planted.py", "home/mlflow/planted", "home/../planted", "planted"),
    *("lake/_run.lock", "lake/_models/v1/x", "home/runs/.draft", "lake\\..\\..\\planted"),
    *(
        "lake/bronze\\x",
        "C:\\planted",
        "lake/bronze/new\nline",
        "lake/bronze/nul\0",
        "lake/\x1b[2J",
    ),
    *(
        "LAKE/bronze/x",
        "Home/models/x",
        "lake/bronze/" + "x" * 300,
        "lake/" + "x/" * 1500 + "x",
    ),
    *("lake/bronze/loads/PART.parquet", "lake/bronze/loads/part.parquet/below", "lake/bronze"),
    *("file:///etc/passwd", "s3a://bucket/x", "~/x", "backup.json", "metastore.json"),
    *("lake/bronze/x\u202ey", "lake/bronze/loads/part.parquet"),
]
TYPES = [
    *("int) using csv options (path '/etc/passwd'", "int, m int", "int comment 'x'", "", "text"),
    *("int generated always as (reflect('java.lang.System', 'exit', '1'))", "int;", "int--", "INT"),
    *("array<int", "array<int>>", "map<int>", "struct<a b>", "decimal(10)", "decimal(1,2", "`int`"),
]
NAMES = [
    *("gold.x; drop table gold.y", "gold.`x`", "gold", "x", "gold.x.y", ".x", "gold.", "other.x"),
    *("gold.x--", "gold.x y", "gold.x'", "gold.delta.`/etc`", "gold." + "x" * 200, "gold.ü"),
]
PLACES = [
    *("/etc", "../other", "gold/../../x", "gold//x", "gold/./x", "gold\\x", "_models", ".", ".."),
    *("file:/etc", "s3a://bucket", "gold/${env:HOME}", "gold/\n", "gold/\x1b[2J"),
]
REFLECT = "reflect('java.lang.Runtime', 'x')"
LOGS: list[Any] = [
    {"add": {"path": "/etc/passwd"}},
    {"add": {"path": "file:///etc/passwd"}},
    {"add": {"path": "s3a://bucket/x"}},
    {"add": {"path": "../customers/part.parquet"}},
    {"add": {"path": "x/%2E%2e/%2e%2E/y"}},
    {"remove": {"path": "../customers/part.parquet"}},
    {"cdc": {"path": "/etc/passwd"}},
    {"sidecar": {"path": "/etc/passwd"}},
    {"add": {"path": "x", "deletionVector": {"storageType": "p", "pathOrInlineDv": "/etc/x"}}},
    {
        "add": {
            "path": "x",
            "deletionVector": {"storageType": "u", "pathOrInlineDv": f"../{'x' * 20}"},
        }
    },
    {"metaData": {"configuration": {"delta.constraints.c": REFLECT}}},
    {"metaData": {"configuration": {"delta.constraints.c": "`Java_Method` /* */ ('x')"}}},
    {
        "metaData": {
            "schemaString": json.dumps({"fields": [{"metadata": {"CURRENT_DEFAULT": REFLECT}}]})
        }
    },
    {"metaData": {"schemaString": "[" * 100_000}},
    {"metaData": {"configuration": 1}},
    "no action",
]


def mutations() -> dict[str, Change]:  # long: a list, an entry a mutation
    """Every mutation by its name."""
    found: dict[str, Change] = {
        "manifest: a file is not there": lambda folder: (
            folder / "lake/bronze/loads/part.parquet"
        ).unlink(),
        "manifest: content changed": lambda folder: (
            (folder / "lake/bronze/loads/part.parquet").write_bytes(b"DATA") and None
        ),
        "manifest: a file more": lambda folder: (
            (folder / "lake/bronze/loads/more").write_bytes(b"") and None
        ),
        "manifest: a file more above": lambda folder: (folder / "more").write_bytes(b"") and None,
        "manifest: a file more in another part": lambda folder: (
            (folder / "home").mkdir() or ((folder / "home/x").write_bytes(b"") and None)
        ),
        "manifest: empty": lambda folder: (folder / "files.json").write_text("[]") and None,
        "manifest: no list": lambda folder: (folder / "files.json").write_text("{}") and None,
        "manifest: nested": lambda folder: (
            (folder / "files.json").write_text("[" * 100_000) and None
        ),
        "manifest: size": in_manifest(size=5),
        "manifest: negative size": in_manifest(size=-4),
        "manifest: size a text": in_manifest(size="4"),
        "manifest: size a fraction": in_manifest(size=4.5),
        "manifest: time": in_manifest(mtime_ns=2**70),
        "manifest: time before": in_manifest(mtime_ns=-1),
        "manifest: hash": in_manifest(sha256="0" * 64),
        "manifest: no hash": in_manifest(sha256=""),
        "manifest: hash in capitals": in_manifest(sha256="A" * 64),
        "manifest: path a number": in_manifest(path=1),
        "link: of a file": in_place_of_a_file(
            lambda file: file.symlink_to(outside(file.parents[3]))
        ),
        "link: hard": in_place_of_a_file(lambda file: os.link(outside(file.parents[3]), file)),
        "link: of a folder": linked_folder,
        "link: to nothing": in_place_of_a_file(lambda file: file.symlink_to("nothing")),
        "link: more": lambda folder: (folder / "lake" / "more").symlink_to("/etc"),
        "link: of the manifest": lambda folder: (
            (folder / "files.json").rename(folder.parent / "f")
            and (folder / "files.json").symlink_to(folder.parent / "f")
        ),
        "device: pipe": in_place_of_a_file(lambda file: os.mkfifo(file)),
        "device: folder": in_place_of_a_file(lambda file: file.mkdir()),
        "seal: format": in_seal(format=3),
        "seal: format a text": in_seal(format="2"),
        "seal: files": in_seal(files=7),
        "seal: bytes": in_seal(bytes=7),
        "seal: rows of another table": in_seal(rows={"gold.x": 1}),
        "seal: rows a statement": in_seal(rows={"gold.x union select 1": 1}),
        "seal: rows negative": in_seal(rows={"gold.customer_features": -1}),
        "seal: rows a text": in_seal(rows={"gold.customer_features": "1"}),
        "seal: escape in a text": in_seal(project="\x1b[2J"),
        "seal: time a number": in_seal(time=1),
        "registry": lambda folder: (folder / "registry.pb").write_bytes(b"\xff\xff") and None,
        "table: twice": lambda folder: changed_json(
            folder, "metastore.json", lambda known: known["tables"].append(known["tables"][0])
        ),
        "table: provider a statement": in_table(provider="parquet location '/etc'"),
        "table: a view with a place": in_table(provider="view"),
        "table: no place": in_table(place=None),
        "table: no columns": in_table(columns=[]),
        "table: delta with columns": in_table(provider="delta"),
        "table: a column twice": in_table(
            columns=[{"name": "n", "type": "int"}] * 2, partitioned_by=[], partitions=[]
        ),
        "table: partitioned by another": in_table(partitioned_by=["m"]),
        "table: statement in a column": column(name="n int, m"),
        "table: quote in a column": column(name="n`"),
        "table: variable in a comment": column(comment="${env:HOME}"),
        "table: escape in a comment": column(comment="\x1b[2J"),
        "table: partition by another": partition("gold/customer_features/x", n="1"),
        "table: partition with a variable": partition(
            "gold/customer_features/x", extract_date="${x}"
        ),
        "table: partition elsewhere": partition("gold/churn_labels/x"),
        "schema: statement": in_catalogue(schemas={"gold": "gold", "x; drop": "x"}),
        "schema: elsewhere": in_catalogue(schemas={"gold": "../x"}),
        "schema: none": in_catalogue(schemas={}),
        "catalogue: no object": lambda folder: (
            (folder / "metastore.json").write_text("[]") and None
        ),
        "catalogue: statement of format 1": in_table(create="create table x", columns=[]),
    }
    found |= {f"path: {each[:60]!r}": with_file(each) for each in PATHS}
    found |= {f"type: {each}": column(type=each) for each in TYPES}
    found |= {f"table: {each[:60]}": in_table(name=each) for each in NAMES}
    found |= {f"place: {each!r}": in_table(place=each, partitions=[]) for each in PLACES}
    found |= {f"partition: {each!r}": partition(each) for each in PLACES}
    found |= {f"log: {json.dumps(each)[:80]}": with_log(each) for each in LOGS}
    return found


def snapshot(folder: Path, without: Path) -> dict[str, Any]:
    """What lies below a folder: kinds, modes and contents; not below `without`."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_relative_to(without):
            continue
        mode = path.lstat().st_mode
        found[str(path)] = (mode, path.read_bytes() if stat.S_ISREG(mode) else None)
    return found
