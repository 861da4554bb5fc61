"""Errors of Spark in SQL, as dbt shows them: message, line, caret, suggestion, no Java stack."""

from pathlib import Path

import pytest

from lakehouse.dbt_runner import _format_error
from lakehouse.sql_errors import SourceFile, find_source, format_sql_error, parse_sql_error

STACK = """
\tat org.apache.spark.sql.hive.thriftserver.HiveThriftServerErrors$.runningQueryError(X.scala:43)
\tat org.apache.spark.sql.hive.thriftserver.SparkExecuteStatementOperation.execute(Y.scala:325)
Caused by: org.apache.spark.sql.AnalysisException: [UNRESOLVED_COLUMN.WITH_SUGGESTION] again
\t... 16 more
"""
COMMENT = '/* {"app": "dbt", "connection_name": "model.telco_churn.mine"} */\n'
MODEL = """select
    customer_id,
    custmer_name
from {{ ref('customers') }}
"""
STATEMENT = (
    f"{COMMENT}create or replace table silver.mine\n    using delta\n    as\n      "
    "select\n    customer_id,\n    custmer_name\nfrom silver.customers\n"
)
UNKNOWN_COLUMN = (
    "Database Error\n  org.apache.hive.service.cli.HiveSQLException: Error running query: "
    "[UNRESOLVED_COLUMN.WITH_SUGGESTION] org.apache.spark.sql.AnalysisException: "
    "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column, variable, or function parameter with name "
    "`custmer_name` cannot be resolved. Did you mean one of the following? [`gender`, "
    "`customer_name`, `spark_catalog`.`silver`.`customers`.`tenure`]. SQLSTATE: 42703; "
    "line 7 pos 4;\n'Project ['custmer_name]\n+- SubqueryAlias spark_catalog.silver.customers\n"
    f"{STACK}"
)


def test_an_unknown_column_is_shown_where_it_is_with_what_was_meant() -> None:
    source = SourceFile("models/silver/mine.sql", MODEL)
    assert format_sql_error(UNKNOWN_COLUMN, STATEMENT, source) == (
        "A column, variable, or function parameter with name `custmer_name` cannot be resolved. "
        "(SQLSTATE: 42703)\n"
        "\n"
        "models/silver/mine.sql, line 3:\n"
        "  3 | custmer_name\n"
        "      ^^^^^^^^^^^^\n"
        "\n"
        "Did you mean customer_name?"
    )


def test_a_statement_without_a_file_is_counted_without_dbts_comment() -> None:
    said = format_sql_error(UNKNOWN_COLUMN, STATEMENT)
    assert said is not None
    assert "the statement, line 6:\n  6 | custmer_name\n      ^^^" in said


def test_a_line_that_is_twice_in_the_file_is_named_in_the_statement() -> None:
    source = SourceFile("models/silver/mine.sql", MODEL + MODEL)
    said = format_sql_error(UNKNOWN_COLUMN, STATEMENT, source)
    assert said is not None and "the statement, line 6" in said


@pytest.mark.parametrize(
    ("text", "statement", "expected"),
    [
        (
            "[PARSE_SYNTAX_ERROR] org.apache.spark.sql.catalyst.parser.ParseException: \n"
            "[PARSE_SYNTAX_ERROR] Syntax error at or near 'fro'. SQLSTATE: 42601 "
            "(line 2, pos 9)\n\n== SQL ==\nselect 1 fro x\n---------^^^\n",
            f"{COMMENT}select 1 fro x",
            "Syntax error at or near 'fro'. (SQLSTATE: 42601)\n\n"
            "the statement, line 1:\n  1 | select 1 fro x\n               ^^^",
        ),
        (
            "[CAST_INVALID_INPUT] org.apache.spark.SparkNumberFormatException: "
            '[CAST_INVALID_INPUT] The value \'x\' of the type "STRING" cannot be cast to "INT" '
            "because it is malformed. Correct the value as per the syntax, or change its target "
            "type. Use `try_cast` to tolerate malformed input and return NULL instead. SQLSTATE: "
            "22018\n== SQL (line 2, position 8) ==\nselect cast('x' as int)\n       ^^^^^^^\n",
            f"{COMMENT}select cast('x' as int)",
            'The value \'x\' of the type "STRING" cannot be cast to "INT" because it is '
            "malformed. Correct the value as per the syntax, or change its target type. "
            "(SQLSTATE: 22018)\n\nthe statement, line 1:\n  1 | select cast('x' as int)\n",
        ),
        (
            "[TABLE_OR_VIEW_NOT_FOUND] org.apache.spark.sql.AnalysisException: "
            "[TABLE_OR_VIEW_NOT_FOUND] The table or view `silver`.`custmers` cannot be found. "
            "Verify the spelling and correctness of the schema and catalog.\nIf you did not "
            "qualify the name with a schema, verify the current_schema() output, or qualify the "
            "name with the correct schema and catalog.\nTo tolerate the error on drop use DROP "
            "VIEW IF EXISTS or DROP TABLE IF EXISTS. SQLSTATE: 42P01; line 3 pos 5;\n",
            f"{COMMENT}select *\nfrom silver.custmers",
            "The table or view `silver`.`custmers` cannot be found. Verify the spelling and "
            "correctness of the schema and catalog. (SQLSTATE: 42P01)\n\n"
            "the statement, line 2:\n  2 | from silver.custmers\n                  ^^^^^^^^",
        ),
    ],
)
def test_errors_are_short(text: str, statement: str, expected: str) -> None:
    said = format_sql_error(f"Error running query: {text}{STACK}", statement)
    assert said is not None
    assert said.startswith(expected), said
    assert "org.apache" not in said and "\tat " not in said


@pytest.mark.parametrize(
    "text",
    [
        "org.apache.spark.SparkException: Job aborted" + STACK,
        "Could not connect to any of [('127.0.0.1', 10000)]",
        # Consequences of a full disk and of a broken metastore keep their text.
        UNKNOWN_COLUMN + "\nCaused by: java.io.IOException: No space left on device",
        UNKNOWN_COLUMN.replace("42703", "42P01") + "org.apache.derby.iapi.error",
    ],
)
def test_other_errors_keep_their_text(text: str) -> None:
    assert format_sql_error(text, STATEMENT) is None


def test_a_line_beyond_the_statement_names_no_place() -> None:
    said = format_sql_error(UNKNOWN_COLUMN.replace("line 7", "line 99"), "select\ncustmer_name")
    assert said is not None and "the statement, line 2" in said, "the only line with the name"
    said = format_sql_error(UNKNOWN_COLUMN.replace("line 7", "line 99"), "select 1")
    assert said is not None and "line" not in said


def test_the_file_of_a_node_is_found(tmp_path: Path) -> None:
    path = tmp_path / "models" / "gold" / "mine.sql"
    path.parent.mkdir(parents=True)
    path.write_text(MODEL)
    assert find_source(tmp_path, "model.telco_churn.mine") == SourceFile(
        "models/gold/mine.sql", MODEL
    )
    assert find_source(tmp_path, "sql_operation.telco_churn.inline_query") is None
    assert find_source(tmp_path, "") is None


def test_the_command_prints_the_error_of_dbt_without_its_frame() -> None:
    said = format_sql_error(UNKNOWN_COLUMN, STATEMENT)
    assert said is not None
    indented = "\n".join(f"  {line}" for line in said.splitlines())
    message = f"Database Error in model mine (models/mine.sql)\n{indented}\n  compiled code at x"
    shown = _format_error(message)
    assert shown.startswith("\n    A column, variable") and "compiled code" not in shown
    assert "\n      6 | custmer_name\n          ^^^" in shown
    assert "at org" not in _format_error(f"Runtime Error in model m (m.sql)\n  Job aborted{STACK}")


def test_names_with_several_parts_are_suggested_as_they_are_written() -> None:
    error = parse_sql_error(UNKNOWN_COLUMN.replace("custmer_name", "tenur"))
    assert error is not None
    assert error.suggestions == ("spark_catalog.silver.customers.tenure",)
    error = parse_sql_error(UNKNOWN_COLUMN.replace("custmer_name", "zzz"))
    assert error is not None
    assert error.suggestions == (), "what does not resemble the name is no suggestion"


def make_error(condition: str, message: str, place: str) -> str:
    return (
        f"Error running query: [{condition}] x.AnalysisException: [{condition}] {message} {place}"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("contract", "contract_one_year or contract_month_to_month"),
        ("tenure_months", "tenure or tenure_group"),
    ],
)
def test_names_that_share_a_word_are_suggested_from_the_plan(name: str, expected: str) -> None:
    text = make_error(
        "UNRESOLVED_COLUMN.WITH_SUGGESTION",
        f"A column with name `{name}` cannot be resolved. Did you mean one of the following? "
        "[`tenure`, `extract_date`, `contract_one_year`]. SQLSTATE: 42703;",
        f"line 1 pos 7;\n'Project ['{name}]\n+- Relation spark_catalog.gold.x[tenure#1,"
        "tenure_group#2,extract_date#3,contract_one_year#4,contract_month_to_month#5L] parquet\n",
    )
    said = format_sql_error(text, f"select {name} from gold.x")
    assert said is not None and said.endswith(f"Did you mean {expected}?")


@pytest.mark.parametrize(
    ("statement", "place", "expected"),
    [
        ("select\n a,\n b,\nfrom s.x", "line 4, pos 6", "comma too many before FROM (line 4)?"),
        ("select\n a\nform s.x", "line 3, pos 5", "Did you mean FROM in place of form (line 3)?"),
        ("select\n a as b\n c as d\nfrom s.x", "line 3, pos 1", "comma missing after b (line 2)?"),
        (
            "select\n a\n count(*) as d\nfrom s.x",
            "line 3, pos 6",
            "comma missing after a (line 2)?",
        ),
        ("select a b c d from s.x", "line 1, pos 11", None),
    ],
)
def test_the_change_that_corrects_the_syntax_is_suggested(
    statement: str, place: str, expected: str | None
) -> None:
    message = "Syntax error at or near 'x'. SQLSTATE: 42601"
    text = make_error("PARSE_SYNTAX_ERROR", message, f"({place})")
    said = format_sql_error(text, statement)
    assert said is not None and (said.endswith(expected) if expected else "?" not in said)
    if expected:
        wrapped = f"{COMMENT}create or replace table s.y\nusing delta\nas\n{statement}"
        number = int(place.split()[1].strip(",")) + 4
        text = make_error("PARSE_SYNTAX_ERROR", message, f"(line {number}, pos 1)")
        said = format_sql_error(text, wrapped)
        assert said is not None and said.endswith("?")


def test_tables_and_functions_are_suggested() -> None:
    text = make_error(
        "TABLE_OR_VIEW_NOT_FOUND",
        "The table or view `gold`.`customer_feature` cannot be found. SQLSTATE: 42P01;",
        "line 1 pos 14;",
    )
    tables = {"gold": ["customer_features", "churn_labels"]}
    statement = "select * from gold.customer_feature"
    said = format_sql_error(text, statement, None, tables.__getitem__)
    assert said is not None and said.endswith("Did you mean gold.customer_features?")
    for name, expected in (("strftime", "date_format"), ("date_formt", "date_format")):
        message = f"Cannot resolve routine `{name}` on search path [`system`.`builtin`]."
        text = make_error("UNRESOLVED_ROUTINE", f"{message} SQLSTATE: 42883;", "line 1 pos 7")
        said = format_sql_error(text, f"select {name}(a)")
        assert said is not None and f"Did you mean {expected}" in said


def test_an_aggregate_in_where_is_shown_where_it_is() -> None:
    message = 'The WHERE condition "(count(1) > 1)" contains invalid expressions: count(1).'
    text = make_error("INVALID_WHERE_CONDITION", f"{message} SQLSTATE: 42903;", "line 1 pos 0;")
    said = format_sql_error(text, "select\n count(*)\nfrom x\nwhere count(*) > 1\ngroup by 1")
    assert said is not None
    assert "line 4:\n  4 | where count(*) > 1\n            ^^^^^\n" in said and "HAVING" in said


def test_a_line_with_a_ref_is_found_in_the_file() -> None:
    source = SourceFile("models/silver/mine.sql", MODEL)
    statement = f"{COMMENT}select\n  custmer_name\nfrom silver.custmers"
    text = make_error(
        "TABLE_OR_VIEW_NOT_FOUND",
        "The table or view `silver`.`custmers` cannot be found. SQLSTATE: 42P01;",
        "line 4 pos 5;",
    )
    said = format_sql_error(text, statement, source)
    assert said is not None
    assert "models/silver/mine.sql, line 4:\n  4 | from silver.custmers" in said
