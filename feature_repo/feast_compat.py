"""Contain Feast's side effects within the calls that cause them."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from pyspark.sql.connect.session import SparkSession

REGEX_COLUMNS = "spark.sql.parser.quotedRegexColumnNames"


@contextmanager
def suppress_feast_output() -> Iterator[None]:
    """Suppress what Feast prints within the context.

    Feast prints its progress to standard output, which is reserved for a command's JSON.
    """
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


@contextmanager
def restore_regex_columns(spark: SparkSession) -> Iterator[None]:
    """Turn off the regex column names that Feast enables in the Spark session.

    Feast makes quoted column names regular expressions in the session that it uses. If the option
    stays on, Delta's own filters on quoted names fail there. A frame that Feast returns is only
    query text until it is computed, so compute it within this context.
    """
    try:
        yield
    finally:
        spark.conf.set(REGEX_COLUMNS, "false")
