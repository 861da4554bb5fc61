"""Backup and restore, as far as no server is needed."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from feast.protos.feast.core.Registry_pb2 import Registry
from hostile_backups import seal_again

from churn.operations.backup import backup
from churn.operations.backup_format import (
    FORMAT,
    BackupManifest,
    address_of,
    encode_json,
    locations,
)
from churn.operations.backup_reader import read_backup
from churn.operations.restore import _files_there, _known_there, restore
from feature_repo.registry_snapshot import diff_registries
from lakehouse.errors import InvalidInputError
from lakehouse.file_copy import FileCopy, copy_file, is_complete
from lakehouse.metastore_snapshot import Column, MetastoreSnapshot, Partition, Table
from lakehouse.progress import Steps, format_bytes
from lakehouse.run_lock import acquire, release
from lakehouse.run_lock_file import restoring_file
from lakehouse.settings import Settings, read_settings
from lakehouse.storage import Storage, path_from_describe

DATA = FileCopy(
    "lake/bronze/loads/part.parquet",
    4,
    1_700_000_000_123_456_789,
    hashlib.sha256(b"data").hexdigest(),
)
TABLE = Table(
    "gold.customer_features",
    "parquet",
    "gold/customer_features",
    (Column("n", "int", "it's a number"), Column("extract_date", "date")),
    ("extract_date",),
    (Partition({"extract_date": "2025-01-01"}, "gold/customer_features/extract_date=x/y"),),
)
ROWS = {"gold.customer_features": 1}
SEAL = BackupManifest(FORMAT, "2026-01-01T00:00:00+00:00", "/lake", "0.1.0", ROWS, 1, 4)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"CHURN_HOME": str(tmp_path / "home")})


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A backup of one file, not signed."""
    folder = tmp_path / "backups" / "20260101T000000Z"
    file = folder / DATA.path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"data")
    (folder / "files.json").write_bytes(encode_json([DATA]))
    (folder / "metastore.json").write_bytes(
        encode_json(MetastoreSnapshot({"gold": "gold"}, (TABLE,)))
    )
    (folder / "registry.pb").write_bytes(b"")
    (folder / "backup.json").write_bytes(encode_json(SEAL))
    seal_again(folder)
    return folder


def local(path: Path) -> Storage:
    return Storage(str(path))


def test_what_was_written_is_read(settings: Settings, made: Path) -> None:
    read = read_backup(settings, str(made))
    assert replace(read.manifest, contents={}) == SEAL
    assert read.files == (DATA,)
    assert read.metastore == MetastoreSnapshot({"gold": "gold"}, (TABLE,))


def test_a_folder_without_its_seal_is_no_backup(settings: Settings, made: Path) -> None:
    (made / "backup.json").unlink()
    with pytest.raises(InvalidInputError, match=r"has no backup\.json"):
        read_backup(settings, str(made))


def test_of_a_folder_of_backups_the_latest_is_named(settings: Settings, made: Path) -> None:
    later = made.with_name("20260201T000000Z")
    made.rename(later)
    with pytest.raises(InvalidInputError, match=f"the latest there is {later}"):
        read_backup(settings, str(later.parent))


@pytest.mark.parametrize("name", ["files.json", "metastore.json", "backup.json"])
def test_a_damaged_part_is_named(settings: Settings, made: Path, name: str) -> None:
    (made / name).write_text('{"cut')
    if name != "backup.json":
        seal_again(made)
    with pytest.raises(InvalidInputError, match=f"damaged, {name}"):
        read_backup(settings, str(made))


def test_another_format_is_refused_with_the_version_that_reads_it(
    settings: Settings, made: Path
) -> None:
    (made / "backup.json").write_bytes(encode_json(replace(SEAL, format=FORMAT + 1, project="9.9")))
    with pytest.raises(InvalidInputError, match=r"format 3[\s\S]*9\.9"):
        read_backup(settings, str(made))


@pytest.mark.parametrize("content", [None, b"dat"])
def test_a_file_that_is_missing_or_cut_is_named(
    settings: Settings, made: Path, content: bytes | None
) -> None:
    file = made / DATA.path
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(InvalidInputError, match=f"1 of 1 files .*{DATA.path}"):
        read_backup(settings, str(made))


@pytest.mark.parametrize("inside", ["home/lake", "home/lake/gold", "home/runs/old"])
def test_a_backup_is_not_laid_into_what_it_copies(
    settings: Settings, tmp_path: Path, inside: str
) -> None:
    with pytest.raises(InvalidInputError, match="is inside what is backed up"):
        backup(settings, str(tmp_path / inside), Steps(1))
    assert not settings.home.exists()


def test_a_target_that_can_not_be_made_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match=r"can't be created[\s\S]*file/backups"):
        backup(settings, str(tmp_path / "file" / "backups"), Steps(1))


def test_a_copy_has_content_and_time_of_the_original(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"data")
    target = local(tmp_path / "below" / "two")
    size, sha256 = copy_file(local(tmp_path / "one"), target)
    copy = FileCopy("two", size, DATA.mtime_ns, sha256)
    assert sha256 == hashlib.sha256(b"data").hexdigest()
    found = target.files.get_file_info(target.root)
    # Until it has the time, it may be a half.
    assert not is_complete(found, target, copy)
    target.set_mtime(copy.mtime_ns)
    assert is_complete(target.files.get_file_info(target.root), target, copy)
    assert (tmp_path / "below" / "two").read_bytes() == b"data"


def test_models_beside_an_object_store_lie_with_their_records(settings: Settings) -> None:
    stored = replace(settings, lake_uri="s3a://lake/churn")
    kept = {"landed", "lineage", "marks", "models", "runs"}
    assert set(locations(settings, ["v1"])) == {"lake", *(f"home/{each}" for each in kept)}
    assert (
        locations(stored, ["v1"])["home/models/v1/model"].address == "s3a://lake/churn/_models/v1"
    )


def test_an_address_is_absolute() -> None:
    assert address_of("s3a://bucket/prefix/") == "s3a://bucket/prefix"
    assert address_of("backups") == str(Path.cwd() / "backups")


def test_who_writes_waits_for_a_restore_that_broke_off(settings: Settings) -> None:
    settings.home.mkdir()
    restoring_file(settings).write_text(json.dumps({"backup": "/backups/one"}))
    with pytest.raises(InvalidInputError, match="repeat `churn restore /backups/one`"):
        acquire(settings, "churn run", lambda _: None)
    release(acquire(settings, "churn restore", lambda _: None, restores=True))


def test_another_backup_does_not_go_on_with_it(settings: Settings, made: Path) -> None:
    settings.home.mkdir()
    restoring_file(settings).write_text(json.dumps({"backup": "/backups/one"}))
    with pytest.raises(
        InvalidInputError, match="another backup was interrupted here: /backups/one"
    ):
        restore(settings, str(made), Steps(1))


@pytest.mark.parametrize(
    "there",
    [
        *("home/models/v1/record.json", "home/runs/r1", "home/registry/registry.db"),
        *("home/landed/k.json", "home/lake/bronze/loads/_delta_log/0.json", "home/lake/file"),
    ],
)
def test_what_is_in_the_way_is_named_and_stays(
    settings: Settings, made: Path, tmp_path: Path, there: str
) -> None:
    path = tmp_path / there
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(InvalidInputError, match="something is there already") as refusal:
        restore(settings, str(made), Steps(1))
    assert str(path).startswith(refusal.value.where)
    assert path.exists()
    assert not restoring_file(settings).exists()
    assert not (settings.home / "spark").exists()


def test_what_a_server_left_is_not_in_the_way(settings: Settings) -> None:
    for folder in ("lake/bronze", "lake/gold", "registry", "spark/metastore", "logs", "secrets"):
        (settings.home / folder).mkdir(parents=True)
    for file in ("lake/_run.lock", "logs/spark.log", "secrets/redis_password"):
        (settings.home / file).touch()
    assert list(_files_there(settings)) == []


def test_what_the_metastore_knows_is_in_the_way(settings: Settings) -> None:
    def schema(name: str, place: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, locationUri=f"file:{place}/{name}")

    lake = settings.lake_uri
    there = [schema("bronze", lake), schema("gold", "/old%20lake"), schema("default", "/old")]
    tables = {"bronze": [SimpleNamespace(name="loads", isTemporary=False)]}
    catalog = SimpleNamespace(
        listDatabases=lambda: there,
        getDatabase=lambda name: next(each for each in there if each.name == name),
        listTables=lambda name: tables.get(name, []),
    )
    assert _known_there(settings, SimpleNamespace(catalog=catalog)) == [
        "metastore: bronze.loads",
        "metastore: schema gold, which lies in another lake",
    ]


def test_registries_differ_by_what_is_declared_not_by_when() -> None:
    def registry(description: str, seconds: int) -> bytes:
        made = Registry(version_id=str(seconds))
        view = made.feature_views.add()
        view.spec.name, view.spec.description = "customer_features", description
        for meta in (view.meta, view.spec.batch_source.meta):
            meta.created_timestamp.seconds = seconds
        made.entities.add().spec.name = "customer"
        return made.SerializeToString()

    assert diff_registries(registry("one", 1), registry("one", 2)) == []
    changed = ["feature_views: customer_features"]
    assert diff_registries(registry("one", 1), registry("other", 1)) == changed
    assert diff_registries(registry("one", 1), b"") == ["entities: customer", *changed]


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ("file:/a b/%41/gold", "/a b/%41/gold"),
        ("file:///lake/gold", "/lake/gold"),
        ("s3a://bucket/prefix/gold", "bucket/prefix/gold"),
    ],
)
def test_a_place_that_spark_tells_is_taken_as_it_stands(told: str, path: str) -> None:
    assert path_from_describe(told) == path


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (2_540_000, "2.5 MB")],
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert format_bytes(size) == words
