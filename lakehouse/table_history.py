"""The commits of a Delta table: which version brought something, which one stood at a moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, TypeVar

from pyspark.errors import PySparkException

from lakehouse.commit_metadata import parse_commit_metadata
from lakehouse.sql import query_if_exists

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

# What puts rows into a table; the others (vacuum, a delete of leftovers) do not.
WRITING = ("WRITE", "CREATE TABLE AS SELECT", "CREATE OR REPLACE TABLE AS SELECT", "MERGE")
# How Spark says that a file is not there any more, and Delta that a version is not, or that it is
# older than the table's retention of files, a week by default: then nobody vouches for them.
GONE = (
    "FILE_NOT_EXIST",
    "DELTA_FILE_NOT_FOUND",
    "DELTA_LOG_FILE_NOT_FOUND",
    "DELTA_TRUNCATED_TRANSACTION_LOG",
    "DELTA_UNSUPPORTED_TIME_TRAVEL_BEYOND_DELETED_FILE_RETENTION_DURATION",
    "DELTA_VERSION_NOT_FOUND",
)
Found = TypeVar("Found")


@dataclass(frozen=True)
class Commit:
    """A version of a table; `replaced` is the condition for the rows that it replaced, "" where it
    names none, `run_id` the run that signed it, if one did."""

    version: int
    moment: datetime
    writes: bool
    replaced: str
    run_id: str | None = None


@dataclass(frozen=True)
class TableHistory:
    """The commits that the table's log still has, the oldest first.

    The log of a table of ours keeps them for ten years; what nobody knows any more is None.
    """

    table: str
    commits: Sequence[Commit]

    @property
    def latest(self) -> int | None:
        """The version that stands."""
        return self.at(datetime.max.replace(tzinfo=UTC))

    def at(self, moment: datetime, run_id: str | None = None) -> int | None:
        """The version that stood at the moment, at which that run had ended, if one is named.

        The last one that the run itself wrote, if it wrote one: clocks can be set back.
        """
        own = [each.version for each in self.commits if run_id and each.run_id == run_id]
        before = (each.version for each in self.commits if each.moment <= moment)
        return max(own or before, default=None)

    def stood(self, version: int) -> str:
        """The table as of a version, for a query: plainly where it still stands, since Delta
        travels for a week only, even to that one."""
        return self.table if version == self.latest else f"{self.table} version as of {version}"

    def first_since(self, moment: datetime) -> int | None:
        """The version that a write made which had begun at the moment: there is one writer."""
        written = (each.version for each in self.commits if each.writes and each.moment >= moment)
        return min(written, default=None)

    def wrote_between(self, begin: datetime, end: datetime | None) -> int | None:
        """The last version that wrote rows from `begin` on and before `end`."""
        written = (
            each.version
            for each in self.commits
            if each.writes and begin <= each.moment and (end is None or each.moment < end)
        )
        return max(written, default=None)

    def wrote_extract(self, extract_date: date, until: int | None = None) -> int | None:
        """The last version, up to `until`, that wrote the rows of an extract date."""
        written = (
            each.version
            for each in self.commits
            if each.writes
            and (until is None or each.version <= until)
            and (not each.replaced or extract_date.isoformat() in each.replaced)
        )
        return max(written, default=None)


def table_history(spark: "SparkSession", table: str) -> TableHistory:
    """The commits of a Delta table; none where no build has made it yet."""
    rows = query_if_exists(spark, table, f"describe history {table}")
    return TableHistory(
        table,
        [
            Commit(
                row["version"],
                row["timestamp"],
                row["operation"] in WRITING,
                dict(row["operationParameters"]).get("predicate", ""),
                parse_commit_metadata(row["userMetadata"])[0],
            )
            for row in reversed(rows)
        ],
    )


def unless_gone(ask: Callable[[], Found]) -> Found | None:
    """What a query of an earlier state answers; None where that state was tidied away."""
    try:
        return ask()
    except PySparkException as fault:
        if any(words in str(fault) for words in GONE):
            return None
        raise
