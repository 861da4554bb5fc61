"""A manipulated backup is refused before anything is written."""

import json
import os
from pathlib import Path

import pytest
from hostile_backups import Change, changed_json, mutations, seal_again, snapshot, with_log
from test_backup_units import DATA, SEAL, TABLE, made, settings  # noqa: F401  fixtures

from churn.operations import backup_reader
from churn.operations.backup_format import Signature, encode_json
from churn.operations.backup_reader import check_contents, is_type, read_backup
from churn.operations.backup_signature import add_signature, key_file
from churn.operations.restore import restore
from lakehouse.errors import InvalidInputError
from lakehouse.metastore_snapshot import MetastoreSnapshot, create_statement
from lakehouse.progress import Steps
from lakehouse.settings import Settings

MUTATIONS = mutations()


@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize("is_sealed", [True, False], ids=["sealed-again", "as-it-is"])
def test_a_changed_backup_is_refused_and_nothing_is_written(
    settings: Settings,  # noqa: F811
    made: Path,  # noqa: F811
    tmp_path: Path,
    name: str,
    is_sealed: bool,
) -> None:
    change: Change = MUTATIONS[name]
    change(made)
    if is_sealed and json.loads((made / "backup.json").read_text()).get("format") == 2:
        seal_again(made)
    before = snapshot(tmp_path, made)
    with pytest.raises(InvalidInputError) as refusal:
        restore(settings, str(made), Steps(1))
    assert refusal.value.exit_code == 2
    # A terminal shows what is said.
    assert all(each.isprintable() or each == "\n" for each in str(refusal.value))
    assert snapshot(tmp_path, made) == before
    assert not settings.home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_backup_of_another_user_is_refused(settings: Settings, made: Path) -> None:  # noqa: F811
    read_backup(settings, str(made))  # imports what it needs
    made.chmod(0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(InvalidInputError, match="User 65534 may not read all of the backup"):
            restore(settings, str(made), Steps(1))
    finally:
        os.seteuid(0)
    assert not settings.home.exists()


def test_the_backup_that_is_mutated_is_a_good_one(settings: Settings, made: Path) -> None:  # noqa: F811
    backup = read_backup(settings, str(made))
    check_contents(backup, lambda *_: None)
    log = {"add": {"path": "extract_date=2025-01-01/part-0.parquet"}}
    inline = {"add": {"path": "x", "deletionVector": {"storageType": "i", "pathOrInlineDv": "/.x"}}}
    stored = {"storageType": "u", "pathOrInlineDv": f"ab{'-./:' * 5}"}
    described = {"metadata": {"comment": "what they reflect (in part)"}}
    comment = {"metaData": {"schemaString": json.dumps(described), "configuration": {}}}
    with_log(log, inline, {"add": {"path": "y", "deletionVector": stored}}, comment)(made)
    seal_again(made)
    check_contents(read_backup(settings, str(made)), lambda *_: None)


# --- the signature -------------------------------------------------------------------------------


def sign(settings: Settings, folder: Path) -> None:  # noqa: F811
    seal = read_backup(settings, str(folder)).manifest
    (folder / "backup.json").write_bytes(encode_json(add_signature(settings, seal)))


def test_the_home_knows_its_own_backup(settings: Settings, made: Path) -> None:  # noqa: F811
    assert read_backup(settings, str(made)).signature is Signature.NONE
    sign(settings, made)
    assert read_backup(settings, str(made)).signature is Signature.OWN
    assert key_file(settings).read_text() not in (made / "backup.json").read_text()
    key_file(settings).unlink()
    assert read_backup(settings, str(made)).signature is Signature.OTHER
    assert not key_file(settings).exists()
    key_file(settings).write_text("of another home")
    assert read_backup(settings, str(made)).signature is Signature.OTHER


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("time", "2027-01-01T00:00:00+00:00"), ("lake", "/other"), ("project", "0.2.0")),
        ("hmac", "0" * 64),
    ],
)
def test_a_change_of_what_was_signed_is_seen(
    settings: Settings,  # noqa: F811
    made: Path,  # noqa: F811
    field: str,
    value: str,
) -> None:
    sign(settings, made)
    changed_json(made, "backup.json", lambda seal: seal.update({field: value}))
    with pytest.raises(InvalidInputError, match="changed after this home had signed it"):
        read_backup(settings, str(made))


@pytest.mark.parametrize("how", ["seal again", "format 1"])
def test_who_takes_the_signature_away_is_not_taken_for_the_home(
    settings: Settings,  # noqa: F811
    made: Path,  # noqa: F811
    how: str,
) -> None:
    sign(settings, made)
    if how == "seal again":
        seal_again(made)
    else:
        as_format_1(made)
    assert read_backup(settings, str(made)).signature is Signature.NONE
    before = snapshot(settings.home, made)
    with pytest.raises(InvalidInputError, match="not signed") as refusal:
        restore(settings, str(made), Steps(1), require_signature=True)
    assert refusal.value.exit_code == 2
    assert snapshot(settings.home, made) == before


# --- backups of format 1 -------------------------------------------------------------------------

# As the version before wrote it, from what Spark had said of the table.
STATEMENT = """CREATE TABLE spark_catalog.gold.customer_features (
  n INT COMMENT 'it\\'s a number',
  extract_date DATE)
USING parquet
PARTITIONED BY (extract_date)"""


def as_format_1(folder: Path, statement: str = STATEMENT) -> None:
    fields = {
        "name": TABLE.name,
        "provider": "parquet",
        "create": statement,
        "place": TABLE.place,
    }
    partitions = [{"values": each.values, "place": each.place} for each in TABLE.partitions]
    view = {"name": "gold.v", "provider": "view", "create": "CREATE VIEW", "place": None}
    known = {
        "schemas": {"gold": "gold"},
        "tables": [{**fields, "partitions": partitions}, {**view, "partitions": []}],
        "elsewhere": [],
    }
    (folder / "metastore.json").write_text(json.dumps(known))
    seal = json.loads(encode_json(SEAL)) | {"format": 1}
    for name in ("contents", "key", "hmac"):
        del seal[name]
    (folder / "backup.json").write_text(json.dumps(seal))


def test_a_backup_of_the_version_before_is_read(settings: Settings, made: Path) -> None:  # noqa: F811
    as_format_1(made)
    backup = read_backup(settings, str(made))
    assert backup.signature is Signature.NONE
    assert backup.files == (DATA,)
    assert backup.metastore.tables[0] == TABLE
    assert backup.metastore.tables[1].provider == "view"


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ("n INT", "n INT) USING csv OPTIONS (path '/etc/passwd')--"),
        ("n INT", "n INT GENERATED ALWAYS AS (reflect('java.lang.System', 'exit', '1'))"),
        ("n INT", "n INT DEFAULT 1"),
        ("n INT", "`n``` INT"),
        ("n INT", "n EVIL"),
        ("'it\\'s a number'", "'it's a number'"),
        ("CREATE TABLE spark_catalog.gold.customer_features (", "DROP TABLE gold.other; --"),
        ("(extract_date)", "(years(extract_date))"),
        ("(extract_date)", "(other)"),
    ],
)
def test_a_statement_that_is_no_list_of_columns_is_refused(
    settings: Settings,  # noqa: F811
    made: Path,  # noqa: F811
    what: str,
    instead: str,
) -> None:
    as_format_1(made, STATEMENT.replace(what, instead))
    with pytest.raises(InvalidInputError, match=r"metastore\.json"):
        restore(settings, str(made), Steps(1))
    assert not settings.home.exists()


def test_what_follows_the_columns_is_not_taken_over(settings: Settings, made: Path) -> None:  # noqa: F811
    as_format_1(made, f"{STATEMENT}\nLOCATION '/etc'\nTBLPROPERTIES ('x' = 'y')")
    table = read_backup(settings, str(made)).metastore.tables[0]
    assert create_statement(table) == (
        r"create table gold.customer_features (`n` int comment 'it\'s a number', "
        "`extract_date` date) using parquet partitioned by (`extract_date`)"
    )


@pytest.mark.parametrize(
    "text",
    [
        *("int", "string", "decimal(10,2)", "array<string>", "map<string,array<int>>"),
        *("struct<a:int,b:struct<c:decimal(3,1)>>", "timestamp", "timestamp_ntz", "binary"),
    ],
)
def test_a_type_is_one(text: str) -> None:
    assert is_type(text)


def test_a_checkpoint_is_looked_at_too(made: Path) -> None:  # noqa: F811
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path, passes in (("part-0.parquet", True), ("/etc/passwd", False)):
        file = made / "checkpoint.parquet"
        pq.write_table(pa.table({"add": [{"path": path}, None]}), file)
        if passes:
            backup_reader.check_log(file.name, file.read_bytes())
            continue
        with pytest.raises(ValueError, match="outside of its table"):
            backup_reader.check_log(file.name, file.read_bytes())
    with pytest.raises(ValueError, match="is no checkpoint"):
        backup_reader.check_log("x.parquet", b"PAR1")


def test_the_catalogue_has_a_place_for_every_field() -> None:
    known = MetastoreSnapshot({"gold": "gold"}, (TABLE,))
    assert backup_reader._read_tables(encode_json(known)) == known
