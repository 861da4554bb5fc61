"""The commits of a Delta table: which version brought something, which one stood at a moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pyspark.sql.connect.session import SparkSession

from lakehouse.sql import query_table

# What puts rows into a table; the others (vacuum, a delete of leftovers) do not.
WRITING = ("WRITE", "CREATE TABLE AS SELECT", "CREATE OR REPLACE TABLE AS SELECT", "MERGE")


@dataclass(frozen=True)
class Commit:
    """A version of a table; `replaced` is the condition for the rows that it replaced, "" where it
    names none."""

    version: int
    moment: datetime
    writes: bool
    replaced: str


@dataclass(frozen=True)
class TableHistory:
    """The commits that the table's log still has, the oldest first.

    Delta forgets commits a month after the next checkpoint; what nobody knows any more is None.
    """

    commits: Sequence[Commit]

    @property
    def latest(self) -> int | None:
        """The version that stands."""
        return self.at(datetime.max.replace(tzinfo=UTC))

    def at(self, moment: datetime) -> int | None:
        """The version that stood at the moment."""
        return max((each.version for each in self.commits if each.moment <= moment), default=None)

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


def table_history(spark: SparkSession, table: str) -> TableHistory:
    """The commits of a Delta table; none where no build has made it yet."""
    rows = query_table(spark, table, f"describe history {table}")
    return TableHistory(
        [
            Commit(
                row["version"],
                row["timestamp"],
                row["operation"] in WRITING,
                dict(row["operationParameters"]).get("predicate", ""),
            )
            for row in reversed(rows)
        ]
    )
