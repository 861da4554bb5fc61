"""Where files lie, by the names that Spark gives them."""

import pytest

from lakehouse.storage import path_from_uri, spark_uri


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
