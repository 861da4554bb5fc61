"""Answer a question in SQL: only queries, the first rows of a result, and short errors."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.plan import SQL
from pyspark.sql.connect.session import SparkSession
from sqlglot import tokenize
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from lakehouse.errors import InvalidInputError
from lakehouse.near_matches import require_file
from lakehouse.sql_errors import SourceFile, format_sql_error

STDIN = "-"
# The keywords of statements with a result of rows.
SELECTS = ("SELECT", "WITH", "VALUES", "TABLE", "(")
LISTS = ("SHOW", "DESCRIBE", "DESC", "EXPLAIN")
# The keywords that follow one that writes; without one of them it is a name, such as of a column.
WRITES = {
    "INSERT": ("INTO", "OVERWRITE"),
    "MERGE": ("INTO", "WITH"),
    "DELETE": ("FROM",),
}
READ_ONLY = (
    "`churn sql` only reads: SELECT, WITH, VALUES, SHOW, DESCRIBE or EXPLAIN; a table or view of "
    "your own is a dbt model"
)


@dataclass(frozen=True)
class Query:
    """A statement that only reads.

    Attributes:
        text: The statement, without the semicolon at its end.
        source: The file that contains it, if there is one.
        is_select: Whether its rows can be limited and counted, unlike those of SHOW.
    """

    text: str
    source: SourceFile | None
    is_select: bool


@dataclass(frozen=True)
class QueryResult:
    """The rows of a query, and how many more there are."""

    rows: pa.Table
    left_out: int = 0


def read_query(argument: str) -> Query:
    """Return the query that an argument is, or that the file or the standard input contains.

    Args:
        argument: The statement; a path that ends with `.sql`; or `-` for the standard input.

    Raises:
        InvalidInputError: If it is not exactly one query.
    """
    source = None
    if argument == STDIN:
        text = sys.stdin.read()
    elif argument.endswith(".sql") and not any(map(str.isspace, argument)):
        require_file(Path(argument), [".sql"])
        text = Path(argument).read_text(encoding="utf-8")
        source = SourceFile(argument, text)
    else:
        text = argument
    return parse_query(text, source)


def parse_query(text: str, source: SourceFile | None = None) -> Query:
    """Check that a text is exactly one query.

    Raises:
        InvalidInputError: If it is empty, several statements, or one that can write.
    """
    where = source.name if source else "churn sql"
    try:
        tokens = tokenize(text, read="spark")
    except SqlglotError as error:
        raise InvalidInputError(
            "The statement ends inside a quoted text, a name or a comment",
            where=where,
            hint="close it, then repeat the command",
        ) from error
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        text = text[: tokens.pop().start]
    if not tokens:
        raise InvalidInputError(
            "There is no statement", where=where, hint='for example `churn sql "show schemas"`'
        )
    if any(token.token_type == TokenType.SEMICOLON for token in tokens):
        raise InvalidInputError(
            "There are several statements", where=where, hint="call the command once for each"
        )
    first = tokens[0].text.upper()
    writing = first if first not in SELECTS + LISTS else _find_write(tokens)
    if writing is not None:
        raise InvalidInputError(
            f"{writing} is not a query, and was not executed", where=where, hint=READ_ONLY
        )
    return Query(text, source, first in SELECTS)


def _find_write(tokens: list[Token]) -> str | None:
    """Return the keyword that writes, as in `with … insert into …`; None if there is none."""
    if tokens[0].text.upper() != "WITH":
        return None
    plain = [
        "" if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER) else token.text.upper()
        for token in tokens
    ]
    for before, word, after in zip(plain, plain[1:], [*plain[2:], ""], strict=False):
        if after in WRITES.get(word, ()) or (before == ")" and word == "UPDATE"):
            return word
    return None


def run_query(spark: SparkSession, query: Query, limit: int | None = None) -> QueryResult:
    """Run a query and return its rows, or the first ones and the number of the others.

    Raises:
        InvalidInputError: If the statement is wrong: message, line, caret and suggestion.
    """
    with _shorten_errors(spark, query):
        frame = DataFrame(SQL(query.text), spark)
        if limit is None or not query.is_select:
            rows = frame.toArrow()
            left_out = 0 if limit is None else max(0, rows.num_rows - limit)
        else:
            rows = frame.limit(limit + 1).toArrow()
            left_out = frame.count() - limit if rows.num_rows > limit else 0
        return QueryResult(rows if limit is None else rows.slice(0, limit), left_out)


def format_count(result: QueryResult) -> str:
    """Format how many rows there are, and how to get those that are left out."""
    count = result.rows.num_rows
    if not result.left_out:
        return "1 row" if count == 1 else f"{count:,} rows"
    return (
        f"{count:,} of {count + result.left_out:,} rows, {result.left_out:,} left out; "
        "--limit N prints more, --csv or --json all"
    )


@contextmanager
def _shorten_errors(spark: SparkSession, query: Query) -> Iterator[None]:
    # Spark's client logs every error with the stack of the server.
    PySparkLogger.getLogger("SQLQueryContextLogger").disabled = True
    try:
        yield
    except PySparkException as error:
        text = format_sql_error(
            str(error), query.text, query.source, lambda schema: _list_tables(spark, schema)
        )
        if text is None:
            raise
        raise InvalidInputError(
            text,
            where=query.source.name if query.source else "churn sql",
            hint='correct the statement; `churn sql "show tables in gold"` lists tables, and '
            '`churn sql "describe gold.NAME"` columns',
        ) from error


def _list_tables(spark: SparkSession, schema: str) -> list[str]:
    try:
        rows = DataFrame(SQL(f"show tables in `{schema}`"), spark).toArrow().to_pylist()
    except PySparkException:
        return []
    return [row["tableName"] for row in rows]
