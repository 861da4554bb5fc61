"""`churn sql`: what is a query, how its rows are printed, and its short errors."""

import io
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyspark.errors.exceptions.connect import AnalysisException
from test_sql_errors import UNKNOWN_COLUMN

from churn.cli.main import main
from churn.operations import sql_query
from churn.operations.sql_query import QueryResult, format_count, parse_query, read_query, run_query
from churn.reports.query_result import format_table, print_csv, print_json
from lakehouse.errors import InvalidInputError


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "  -- first\n/* drop */ SELECT 1 ;; ",
        "with a as (select 1) select * from a",
        "with a as (select 'insert into x' as `insert`) select `insert` from a",
        "(select 1) union (select 2)",
        "values (1)",
        "select ';' as semicolon",
        "show tables in gold",
        "describe gold.churn_scores",
        "explain select 1",
        "select delete, update from x",
    ],
)
def test_queries_are_taken_without_the_semicolon_at_their_end(text: str) -> None:
    assert parse_query(text).text.rstrip() == text.rstrip("; ")


@pytest.mark.parametrize(
    "text",
    [
        *("insert into x select 1", "drop table x", "DELETE FROM x", "update x set a = 1"),
        *("merge into x using y on a when matched then delete", "create table x as select 1"),
        *("with a as (select 1) insert into x select * from a", "truncate table x", "set a = 1"),
        *("with a as (select 1) from a insert overwrite x select *", "cache table x", "use gold"),
        *("with a as (select 1) delete from x", "with a as (select 1) update x set b = 1"),
        *("with a as (select 1) merge into x using a on b when matched then delete", "vacuum x"),
        *("from a insert into x select *", "refresh table x", "begin drop table x; end", "x"),
        *("/* select */ drop table x", "restore table x to version as of 1", "alter table x", ""),
        *("select 1; drop table x", "select 'open", "select 1 /* open", " ; ", "optimize x"),
    ],
)
def test_everything_else_is_refused_before_a_server_is_needed(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_query(text)
    answer = CliRunner().invoke(main, ["sql", text])
    assert answer.exit_code == 2, answer.stderr
    assert "where:" in answer.stderr


def test_a_refusal_names_the_statement() -> None:
    with pytest.raises(InvalidInputError, match="INSERT is not a query, and was not executed"):
        parse_query("with a as (select 1)\ninsert into x select * from a")


def test_a_query_is_read_from_a_file_or_the_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "q.sql"
    path.write_text("select 1;\n")
    found = read_query(str(path))
    assert found.text == "select 1" and found.source is not None
    monkeypatch.setattr("sys.stdin", io.StringIO("select 2"))
    assert read_query("-").text == "select 2"
    with pytest.raises(InvalidInputError, match=r"There is no file p\.sql"):
        read_query(str(tmp_path / "p.sql"))


class Frame:
    """Rows of a server, or its error."""

    def __init__(self, plan: Any, rows: Any) -> None:
        self.rows = rows

    def toArrow(self) -> pa.Table:  # noqa: N802 - Spark's name
        if isinstance(self.rows, Exception):
            raise self.rows
        return self.rows

    def limit(self, count: int) -> "Frame":
        return Frame(None, self.rows if isinstance(self.rows, Exception) else self.rows[:count])

    def count(self) -> int:
        return int(self.rows.num_rows)


def test_rows_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_query, "DataFrame", Frame)
    rows: Any = pa.table({"a": range(2_000)})
    result = run_query(rows, parse_query("select 1"), 40)
    assert result.rows.num_rows == 40
    assert format_count(result).startswith("40 of 2,000 rows, 1,960 left out; ")
    assert format_count(run_query(rows, parse_query("select 1"), 2_000)) == "2,000 rows"
    assert format_count(run_query(rows, parse_query("select 1"))) == "2,000 rows"
    assert run_query(rows, parse_query("show tables"), 10).left_out == 1_990
    assert format_count(QueryResult(rows[:1])) == "1 row"


def test_an_error_is_short_and_names_the_line_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_query, "DataFrame", Frame)
    error: Any = AnalysisException(UNKNOWN_COLUMN.replace("line 7 pos 4", "line 2 pos 4"))
    with pytest.raises(InvalidInputError) as raised:
        run_query(error, parse_query("select\n    custmer_name\nfrom silver.customers"), 1)
    said = str(raised.value)
    assert "the statement, line 2:\n  2 | custmer_name\n      ^^^^^^^^^^^^\n" in said
    assert "Did you mean customer_name?" in said
    assert "org.apache" not in said and "\tat " not in said


ROWS = pa.table(
    {
        "name": ["a", None, "long\nvalue, \x1b[31m of some length"],
        "n": [1, 20, None],
        "at": [datetime(2026, 1, 2, 3, 4), None, None],
        "sure": [True, False, None],
    }
)


def test_a_table_is_aligned_and_shows_nulls() -> None:
    assert format_table(ROWS.slice(0, 2), None) == [
        "name   n  at                   sure",
        "────  ──  ───────────────────  ─────",
        "a      1  2026-01-02 03:04:00  true",
        "NULL  20  NULL                 false",
    ]
    assert "long\\nvalue, \\x1b[31m of some length" in format_table(ROWS, None)[-1]


@pytest.mark.parametrize("width", [12, 24, 40, 60, 100])
def test_a_table_fits_the_terminal_and_names_the_columns_left_out(width: int) -> None:
    *table, last = format_table(ROWS, width)
    assert max(map(len, table)) <= width
    shown = table[0].split()
    assert all(name in shown or name in last for name in ROWS.column_names)


def test_no_rows_are_a_table_with_its_columns() -> None:
    assert format_table(ROWS.slice(0, 0), None)[0] == "name  n  at  sure"


def test_a_text_of_several_lines_is_printed_as_it_is() -> None:
    assert format_table(pa.table({"plan": ["== Plan ==\nScan"]}), 80) == ["== Plan ==", "Scan"]


def test_csv_and_json_have_all_rows(capsys: pytest.CaptureFixture[str]) -> None:
    rows = pa.table({"a": ["x,y", None], "b": [Decimal("1.50"), None], "c": [[1, 2], None]})
    print_csv(rows)
    assert capsys.readouterr().out == 'a,b,c\n"x,y",1.50,"[1, 2]"\n,,\n'
    print_json(rows)
    first = {"a": "x,y", "b": 1.5, "c": [1, 2]}
    assert json.loads(capsys.readouterr().out) == [first, dict.fromkeys("abc")]


def test_columns_of_one_name_are_rows_of_a_table_but_not_of_json() -> None:
    rows = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    assert format_table(rows, None)[-1] == "1  2"
    with pytest.raises(InvalidInputError, match="Several columns are named a"):
        print_json(rows)
