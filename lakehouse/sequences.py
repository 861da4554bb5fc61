"""Order of loads, verdicts and publications by a number that is stored in their tables.

A clock can be set back, so timestamps do not define an order. The single writer assigns the next
number of the table to new rows (docs/decisions/0027-stored-order.md). Rows written before the
tables had numbers have none; they sort first, in the order of their timestamps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lakehouse.sql import Rows, Value, query, query_if_exists

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession


@dataclass(frozen=True)
class Sequence:
    """A table whose rows are numbered, with the columns of the number and of the timestamp."""

    table: str
    number: str
    time: str

    @property
    def position(self) -> str:
        """Return the SQL sort key of a row; the greatest is the latest.

        A missing number sorts before every number.
        """
        return f"struct({self.number}, {self.time})"

    def next_number(self, relation: str) -> str:
        """Return SQL of the number for new rows; `relation` is the result of `numbered`."""
        return f"(select coalesce(max({self.number}), 0) + 1 from {relation})"

    def existed_condition(self, numbers: Mapping[str, int], moment: datetime) -> str:
        """Return a SQL condition for the rows that existed when `numbers` were read.

        `numbers` is the result of `read_last_numbers`.

        Runs from before numbers were introduced have only the timestamp `moment`.
        """
        if self.number in numbers:
            return f"coalesce({self.number}, 0) <= {numbers[self.number]}"
        return f"{self.time} <= '{moment:%Y-%m-%d %H:%M:%S.%f}'"

    def is_included(
        self, row: Mapping[str, Any], numbers: Mapping[str, int], moment: datetime
    ) -> bool:
        """Evaluate `existed_condition` for a row.

        The row's timestamp column may have been renamed to omit the leading underscore.
        """
        if self.number in numbers:
            return (row[self.number] or 0) <= numbers[self.number]
        return bool(row[self.time if self.time in row else self.time.lstrip("_")] <= moment)


LOADS = Sequence("bronze.loads", "load_number", "_loaded_at")
VERDICTS = Sequence("audit.gate_results", "verdict_number", "judged_at")
PUBLICATIONS = Sequence("gold.publications", "publication_number", "published_at")
ALL = (LOADS, VERDICTS, PUBLICATIONS)


def add_number_column(spark: "SparkSession", sequence: Sequence, relation: str = "") -> str:
    """Return SQL of the table, or of an earlier state `relation`, that includes the number column.

    A table of an earlier version has no such column until a build or load has added it.
    """
    relation = relation or sequence.table
    if sequence.number in spark.sql(f"select * from {relation}").columns:
        return relation
    return f"(select *, cast(null as bigint) as {sequence.number} from {relation})"


def query_sequence(spark: "SparkSession", sequence: Sequence, sql: str, **values: Value) -> Rows:
    """Return the rows of a query in which `{rows}` is replaced by the table.

    The query names the number column. The result is empty if the table does not exist.
    """
    from pyspark.errors import AnalysisException

    try:
        return query_if_exists(
            spark, sequence.table, sql.replace("{rows}", sequence.table), **values
        )
    except AnalysisException as error:
        if not str(error.getCondition()).startswith("UNRESOLVED_COLUMN"):
            raise
        return query(spark, sql.replace("{rows}", add_number_column(spark, sequence)), **values)


def read_last_number(spark: "SparkSession", sequence: Sequence) -> int:
    """Return the greatest number of a sequence, or 0 if there is none."""
    sql = f"select coalesce(max({sequence.number}), 0) as number from {{rows}}"
    rows = query_sequence(spark, sequence, sql)
    return int(rows[0]["number"]) if rows else 0


def read_last_numbers(spark: "SparkSession") -> dict[str, int]:
    """Return the greatest number of each sequence by the name of its column, 0 if there is none."""
    return {sequence.number: read_last_number(spark, sequence) for sequence in ALL}
