"""Keeps Feast's side effects within its own calls."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from pyspark.sql.connect.session import SparkSession

REGEX_COLUMNS = "spark.sql.parser.quotedRegexColumnNames"


@contextmanager
def suppress_feast_output() -> Iterator[None]:
    """Feast prints its progress to standard output, where a command's JSON belongs."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


@contextmanager
def restore_regex_columns(spark: SparkSession) -> Iterator[None]:
    """Feast makes quoted column names regular expressions in the session that it uses.

    Left on, Delta's own filters on quoted names fail there. A frame that Feast returns is text
    until it is computed, so compute it within.
    """
    try:
        yield
    finally:
        spark.conf.set(REGEX_COLUMNS, "false")
