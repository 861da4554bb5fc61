"""The order of loads, verdicts and publications: a number that their tables store.

A clock can be set back, so times do not order anything. The writer, of which there is one, gives
new rows the next number of their table (docs/decisions/0027-stored-order.md). Rows that were
written before the tables had numbers have none: they come first, in the order of their times.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lakehouse.sql import Rows, Value, query

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession


@dataclass(frozen=True)
class Sequence:
    """A table whose rows are numbered, the column of the number, and the one of the time."""

    table: str
    number: str
    time: str

    @property
    def position(self) -> str:
        """SQL that sorts rows: the greatest is the latest. No number is less than any number."""
        return f"struct({self.number}, {self.time})"

    def next_number(self, relation: str) -> str:
        """SQL of the number for new rows; `relation` is what `numbered` returned."""
        return f"(select coalesce(max({self.number}), 0) + 1 from {relation})"

    def reached(self, numbers: Mapping[str, int], moment: datetime) -> str:
        """SQL condition for the rows that existed when `last_numbers` were these.

        Runs from before there were numbers have only the moment.
        """
        if self.number in numbers:
            return f"coalesce({self.number}, 0) <= {numbers[self.number]}"
        return f"{self.time} <= '{moment:%Y-%m-%d %H:%M:%S.%f}'"

    def has_reached(
        self, row: Mapping[str, Any], numbers: Mapping[str, int], moment: datetime
    ) -> bool:
        """Evaluate `reached` for a row; its time may have been renamed to lack the underscore."""
        if self.number in numbers:
            return (row[self.number] or 0) <= numbers[self.number]
        return bool(row[self.time if self.time in row else self.time.lstrip("_")] <= moment)


LOADS = Sequence("bronze.loads", "load_number", "_loaded_at")
VERDICTS = Sequence("audit.gate_results", "verdict_number", "judged_at")
PUBLICATIONS = Sequence("gold.publications", "publication_number", "published_at")
ALL = (LOADS, VERDICTS, PUBLICATIONS)


def numbered(spark: "SparkSession", sequence: Sequence, relation: str = "") -> str:
    """Return SQL of the table, or of `relation`, an earlier state of it, with the number column.

    No build or load has added the column to a table of an earlier version yet.
    """
    relation = relation or sequence.table
    if sequence.number in spark.sql(f"select * from {relation}").columns:
        return relation
    return f"(select *, cast(null as bigint) as {sequence.number} from {relation})"


def query_sequence(spark: "SparkSession", sequence: Sequence, sql: str, **values: Value) -> Rows:
    """Return the rows of a query; `{rows}` stands for the table. No table, no rows."""
    if not spark.catalog.tableExists(sequence.table):
        return []
    return query(spark, sql.replace("{rows}", numbered(spark, sequence)), **values)


def last_number(spark: "SparkSession", sequence: Sequence) -> int:
    """Return the greatest number of a sequence, 0 where nothing is numbered yet."""
    sql = f"select coalesce(max({sequence.number}), 0) as number from {{rows}}"
    rows = query_sequence(spark, sequence, sql)
    return int(rows[0]["number"]) if rows else 0


def last_numbers(spark: "SparkSession") -> dict[str, int]:
    """Return the greatest number of each sequence."""
    numbers = dict.fromkeys((each.number for each in ALL), 0)
    parts = [
        f"select '{each.number}' as name, max({each.number}) as number from {numbered(spark, each)}"
        for each in ALL
        if spark.catalog.tableExists(each.table)
    ]
    rows = query(spark, " union all ".join(parts)) if parts else []
    return numbers | {row["name"]: row["number"] or 0 for row in rows}
