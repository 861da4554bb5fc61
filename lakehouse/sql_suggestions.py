"""Suggest corrections of SQL that Spark does not: commas, FROM, functions of other engines."""

import difflib
from collections.abc import Iterator
from itertools import pairwise

from lakehouse.near_matches import find_near_matches

# Functions of DuckDB, PostgreSQL and BigQuery, and Spark's for the same purpose.
FUNCTIONS = {
    "strftime": "date_format",
    "strptime": "to_timestamp",
    "to_date_string": "date_format",
    "format_date": "date_format",
    "parse_date": "to_date",
    "date_sub_months": "add_months",
    "list": "collect_list",
    "array_agg_distinct": "collect_set",
    "string_agg": "listagg",
    "group_concat": "listagg",
    "safe_cast": "try_cast",
    "generate_series": "sequence",
    "generate_array": "sequence",
    "epoch": "unix_timestamp",
    "epoch_ms": "unix_millis",
    "list_contains": "array_contains",
    "len": "length",
    "regexp_matches": "regexp_like",
    "regexp_contains": "regexp_like",
    "quantile": "percentile",
    "quantile_cont": "percentile",
    "approx_quantile": "approx_percentile",
    "arg_max": "max_by",
    "arg_min": "min_by",
    "logical_or": "bool_or",
    "logical_and": "bool_and",
    "countif": "count_if",
    "ifnull": "coalesce",
    "struct_pack": "named_struct",
    "unnest": "explode",
    "today": "current_date",
    "datediff_days": "datediff",
    "to_hex": "hex",
    "from_hex": "unhex",
}


def suggest_functions(name: str) -> tuple[str, ...]:
    """Return Spark's functions for the one of another engine, or those with a similar name."""
    if known := FUNCTIONS.get(name.lower()):
        return (known,)
    from pyspark.sql import functions

    listed = [each for each in functions.__all__ if each.islower()]
    return tuple(find_near_matches(name, listed))


def suggest_syntax(statement: str, line: int, offset: int = 0) -> str | None:
    """Return a question about the only change of the statement with which it can be parsed.

    Args:
        statement: The statement.
        line: The line that Spark names, from 1.
        offset: Lines of dbt's comment, which are not counted for people.
    """
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError

    found = []
    for question, changed in _list_changes(statement, line, offset):
        try:
            parsed = parse(changed, read="spark")
        except SqlglotError:
            continue
        if len(parsed) == 1 and parsed[0] and not isinstance(parsed[0], exp.Command):
            found.append(question)
    return found[0] if len(found) == 1 else None


def _list_changes(statement: str, line: int, offset: int) -> Iterator[tuple[str, str]]:
    """Yield each small change that may correct the statement, with the question about it."""
    from sqlglot import tokenize
    from sqlglot.errors import SqlglotError

    try:
        tokens = tokenize(statement, read="spark")
    except SqlglotError:
        return
    for token, after in pairwise(tokens):
        place = f"(line {after.line - offset})"
        word = after.text.lower()
        if token.text == "," and word == "from":
            question = f"Is there a comma too many before FROM {place}?"
            yield question, statement[: token.start] + statement[token.end + 1 :]
        elif word != "from" and difflib.SequenceMatcher(None, word, "from").ratio() >= 0.75:
            question = f"Did you mean FROM in place of {after.text} {place}?"
            yield question, f"{statement[: after.start]}from{statement[after.end + 1 :]}"
        elif token.line < after.line == line and token.text not in (",", "("):
            question = f"Is a comma missing after {token.text} (line {token.line - offset})?"
            yield question, f"{statement[: token.end + 1]},{statement[token.end + 1 :]}"
