"""Folders and prefixes of an object store, and the names that Spark gives to files."""

from pathlib import Path

import pytest

from lakehouse.errors import InvalidInputError
from lakehouse.settings import Settings, read_settings
from lakehouse.storage import Storage, path_from_uri, resolve_address, spark_uri

BUCKET = Storage("s3a://bucket/a prefix/")


def test_a_folder_is_used_with_nothing_else(tmp_path: Path) -> None:
    place = Storage(str(tmp_path / "lake"))
    place.prepare()
    assert place.folder == tmp_path / "lake" and place.folder.is_dir()
    assert (place.bucket, place.jar_purposes, place.spark_configuration) == (None, set(), {})
    file = place.join("gold", "table", "file")
    file.prepare_file()
    Path(file.address).write_text("rows")
    file.set_mtime(1_000_000_000)
    (found,) = place.list_files()
    assert (found.mtime_ns, place.relative_path(found.path)) == (1_000_000_000, "gold/table/file")
    assert place.locate(found) == file
    assert file.lineage_name == ("file", f"{tmp_path}/lake/gold/table/file")


def test_a_prefix_of_an_object_store_has_no_folder() -> None:
    file = BUCKET.join("gold", "file")
    assert file.address == "s3a://bucket/a prefix/gold/file"
    assert (file.folder, file.bucket, file.root) == (None, "bucket", "bucket/a prefix/gold/file")
    assert file.lineage_name == ("s3://bucket", "a prefix/gold/file")
    assert file.s3_address == "s3://bucket/a prefix/gold/file"
    assert file.jar_purposes == {"s3a"}
    assert not file.has_settable_mtime
    assert "spark.hadoop.fs.s3a.endpoint.region" in file.spark_configuration


def test_an_address_of_another_kind_is_refused_when_it_is_opened() -> None:
    with pytest.raises(InvalidInputError, match="neither a folder nor s3a://bucket/prefix"):
        _ = Storage("gs://bucket/prefix").files


def test_locations_below_share_the_file_system(tmp_path: Path) -> None:
    place = Storage(str(tmp_path))
    assert place.join("a").files is place.files is place.join("b").join("c").files


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("lake/../other", "/project/other"),
        ("/a//lake/", "/a/lake"),
        ("~/lake", str(Path.home() / "lake")),
        ("s3a://bucket/a/../b/", "s3a://bucket/a/../b/"),
    ],
)
def test_a_setting_names_an_absolute_place(text: str, address: str) -> None:
    assert resolve_address(Path("/project"), text) == address
    settings = read_settings({"CHURN_LAKE_URI": text, "CHURN_LANDING": text}, Path("/project"))
    assert (settings.lake.address, settings.landing_zone.address) == (address, address)
    assert settings.for_dbt()["CHURN_LAKE_URI"] == address


def test_a_lake_is_opened_with_the_settings_keys() -> None:
    settings = Settings(Path("/p"), Path("/h"), "s3a://a/b", "", aws={"AWS_REGION": "nowhere"})
    assert settings.lake.spark_configuration["spark.hadoop.fs.s3a.endpoint.region"] == "nowhere"


@pytest.mark.parametrize(
    ("uri", "scheme", "path"),
    [
        ("file:///a%20lake/50%25/x.parquet", "file", "/a lake/50%/x.parquet"),
        ("s3a://bucket/a%20lake/x.parquet", "s3a", "bucket/a lake/x.parquet"),
    ],
)
def test_a_file_that_spark_names_is_found(uri: str, scheme: str, path: str) -> None:
    assert path_from_uri(uri) == path
    assert spark_uri(uri) == f"{scheme}://{path}"
