"""Commits of a Delta table: find versions by time, by run and by extract date."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, TypeVar

from pyspark.errors import PySparkException

from lakehouse.commit_metadata import parse_commit_metadata
from lakehouse.sql import query_if_exists

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

# Operations that write rows; the others (vacuum, a delete of leftovers) do not.
WRITE_OPERATIONS = ("WRITE", "CREATE TABLE AS SELECT", "CREATE OR REPLACE TABLE AS SELECT", "MERGE")
# Error classes with which Spark reports that a file no longer exists, and Delta that a version no
# longer exists or is older than the table's file retention, a week by default: its files are then
# not guaranteed to exist.
VACUUMED_ERRORS = (
    "FILE_NOT_EXIST",
    "DELTA_FILE_NOT_FOUND",
    "DELTA_LOG_FILE_NOT_FOUND",
    "DELTA_TRUNCATED_TRANSACTION_LOG",
    "DELTA_UNSUPPORTED_TIME_TRAVEL_BEYOND_DELETED_FILE_RETENTION_DURATION",
    "DELTA_VERSION_NOT_FOUND",
)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Commit:
    """A version of a table.

    Attributes:
        version: Number of the version.
        moment: Time of the commit.
        writes: Whether the commit wrote rows.
        replaced: Condition for the rows that the commit replaced, "" if it has none.
        run_id: Run that wrote the version, None if not recorded.
    """

    version: int
    moment: datetime
    writes: bool
    replaced: str
    run_id: str | None = None


@dataclass(frozen=True)
class TableHistory:
    """The commits that the table's log still contains, the oldest first.

    The logs of the project's tables keep them for ten years. Methods return None for what the log
    no longer contains.
    """

    table: str
    commits: Sequence[Commit]

    @property
    def latest(self) -> int | None:
        """Return the current version."""
        return self.version_at(datetime.max.replace(tzinfo=UTC))

    def version_at(self, moment: datetime, run_id: str | None = None) -> int | None:
        """Return the version that was current at a time.

        If `run_id` is given, `moment` is a time at which that run had ended. The last version
        written by the run `run_id` takes precedence, if the run wrote one: clocks can be set back.
        """
        own = [commit.version for commit in self.commits if run_id and commit.run_id == run_id]
        before = (commit.version for commit in self.commits if commit.moment <= moment)
        return max(own or before, default=None)

    def as_of_clause(self, version: int) -> str:
        """Return the table as of a version, for a query.

        The current version is returned without a time travel clause, because Delta permits time
        travel for a week only, even to the current version.
        """
        return self.table if version == self.latest else f"{self.table} version as of {version}"

    def first_write_after(self, moment: datetime) -> int | None:
        """Return the first version that wrote rows at or after a time.

        There is a single writer, so it is the version of the write that was in progress at that
        time.
        """
        written = (
            commit.version for commit in self.commits if commit.writes and commit.moment >= moment
        )
        return min(written, default=None)

    def last_write_between(self, begin: datetime, end: datetime | None) -> int | None:
        """Return the last version that wrote rows from `begin` on and before `end`."""
        written = (
            commit.version
            for commit in self.commits
            if commit.writes and begin <= commit.moment and (end is None or commit.moment < end)
        )
        return max(written, default=None)

    def last_write_of_extract(self, extract_date: date, until: int | None = None) -> int | None:
        """Return the last version, up to `until`, that wrote the rows of an extract date."""
        written = (
            commit.version
            for commit in self.commits
            if commit.writes
            and (until is None or commit.version <= until)
            and (not commit.replaced or extract_date.isoformat() in commit.replaced)
        )
        return max(written, default=None)


def table_history(spark: "SparkSession", table: str) -> TableHistory:
    """Return the commits of a Delta table, or none if the table does not exist."""
    rows = query_if_exists(spark, table, f"describe history {table}")
    return TableHistory(
        table,
        [
            Commit(
                row["version"],
                row["timestamp"],
                row["operation"] in WRITE_OPERATIONS,
                dict(row["operationParameters"]).get("predicate", ""),
                parse_commit_metadata(row["userMetadata"])[0],
            )
            for row in reversed(rows)
        ],
    )


def none_if_vacuumed(ask: Callable[[], Result]) -> Result | None:
    """Return the result of a query of an earlier state, or None if its files were vacuumed."""
    try:
        return ask()
    except PySparkException as error:
        if any(words in str(error) for words in VACUUMED_ERRORS):
            return None
        raise
