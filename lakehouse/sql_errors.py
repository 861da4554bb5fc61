"""Translate Spark's errors in SQL statements: message, line, caret and suggestion, no Java stack.

Errors in the statement itself are translated, such as an unknown column or a syntax error, and
errors in the data, such as a failed cast. All others keep their text: what they indicate is found
elsewhere (`lakehouse.errors.classify_error`).
"""

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lakehouse.errors import classify_error
from lakehouse.sql_suggestions import suggest_functions, suggest_syntax

# The SQLSTATE class of errors in the statement, and of errors in the data. A broken metastore also
# reports tables and schemas as missing, or as existing already: those are translated for people,
# and keep the state by which the caller finds them.
SQL_STATE = re.compile(r"SQLSTATE: ((?:42|22|21|0A)\w{3})")
# `[CLASS.SUBCLASS] The message`, after the names of the exceptions that Java puts before it.
CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)*)\] (?!org\.apache|java\.)")
POSITION = re.compile(r"\bline (\d+),? pos(?:ition)? (\d+)")
CONTEXT = re.compile(r"== SQL[^=]*\(line (\d+), position (\d+)\) ==")
# Where the message of an error ends and the plan, the query or the stack begins.
END = re.compile(
    r"\s*(?:SQLSTATE: \w{5}|\(line \d+, pos \d+\)|\n\s*(?:at |== SQL|Caused by:|'\w+ ))"
)
SUGGESTED = re.compile(r"Did you mean one of the following\? \[(.*?)\]\.?", re.DOTALL)
# The last part of an identifier, or a quoted text.
NAMED = re.compile(r"(?:`[^`\n]+`\.)*`([^`\n]+)`|['\"]([^'\"\n]+)['\"]")
# Sentences that advise on settings of the server, which are not the analyst's.
ADVICE = re.compile(
    r"\s*(?:If necessary,? set|To tolerate the error|Use `?try_cast`? to tolerate|"
    r"If you did not qualify)[^\n]*?(?:\.(?=\s|$)|$)"
)
# Columns of the plan: Spark suggests five at most, of all lengths.
PLANNED = re.compile(r"\b([A-Za-z_]\w*)#\d+")
MAX_SUGGESTIONS = 3
SHORTEST_WORD = 4
# An aggregate in WHERE: Spark names the position of the whole query.
WHERE = "INVALID_WHERE_CONDITION"
AGGREGATE = re.compile(r"invalid expressions: (\w+)\(")
TABLE = re.compile(r"`(\w+)`\.`([^`]+)` cannot be found")
JINJA = re.compile(r"\{\{.*?\}\}")
ListTables = Callable[[str], list[str]]
HAVING = "A condition on an aggregate belongs in HAVING, after GROUP BY."


@dataclass(frozen=True)
class SqlError:
    """An error in a statement.

    Attributes:
        message: What is wrong, in one paragraph.
        state: The SQLSTATE.
        line: Line of the statement, from 1; None if Spark names none.
        column: Column of that line, from 1.
        name: The identifier that is wrong, if the message names one.
        suggestions: What may have been meant.
        condition: Spark's name of the error.
    """

    message: str
    state: str
    line: int | None
    column: int
    name: str | None
    suggestions: tuple[str, ...]
    condition: str = ""


def parse_sql_error(text: str) -> SqlError | None:
    """Return the error that a message of Spark describes; None if it is not about the SQL."""
    state = SQL_STATE.search(text)
    if state is None:
        return None
    start = list(CONDITION.finditer(text, 0, state.start()))
    if not start:
        return None
    body = text[start[-1].start() :]
    message = text[start[-1].end() :]
    end = END.search(message)
    message = message[: end.start()] if end else message
    suggested = SUGGESTED.search(message)
    message = SUGGESTED.sub("", message)
    message = " ".join(ADVICE.sub("", message).split())
    position = CONTEXT.search(body) or POSITION.search(body)
    named = NAMED.search(message)
    name = (named[1] or named[2]) if named else None
    return SqlError(
        message=message,
        state=state[1],
        line=int(position[1]) if position else None,
        # Spark counts `pos` from 0, and the position of a context from 1.
        column=(int(position[2]) + (0 if position.re is CONTEXT else 1)) if position else 1,
        name=name,
        suggestions=_rank(name or "", _list_columns(suggested[1], body) if suggested else []),
        condition=start[-1][1],
    )


def _list_columns(listed: str, body: str) -> list[str]:
    """Return the columns that Spark suggests, and the others of the plan."""
    suggested = _join_parts(listed)
    known = {each.rpartition(".")[2] for each in suggested}
    plan = body.partition("\tat ")[0]
    return suggested + [each for each in dict.fromkeys(PLANNED.findall(plan)) if each not in known]


def _join_parts(listed: str) -> list[str]:
    """Return the names of a list of quoted names, `a`.`b` as a.b."""
    return [part.replace("`", "").strip() for part in re.split(r",\s*(?=`)", listed) if part]


def _rank(name: str, suggestions: list[str]) -> tuple[str, ...]:
    """Return the names that resemble the wrong one, or share a word with it; none if none does."""
    columns = {suggestion.rpartition(".")[2]: suggestion for suggestion in suggestions}
    words = {word for word in name.lower().split("_") if len(word) >= SHORTEST_WORD}
    found = difflib.get_close_matches(name, columns, MAX_SUGGESTIONS, cutoff=0.75)
    found = found or [each for each in columns if words & set(each.lower().split("_"))]
    found = found or difflib.get_close_matches(name, columns, MAX_SUGGESTIONS, cutoff=0.6)
    return tuple(columns[column] for column in found[:MAX_SUGGESTIONS])


@dataclass(frozen=True)
class SourceFile:
    """The file of a model: its name for people, and its text."""

    name: str
    text: str


def find_source(project: Path, node: str) -> SourceFile | None:
    """Return the file of a dbt node, such as `model.telco_churn.customers`; None if unknown."""
    name = node.rpartition(".")[2]
    folders = ("models", "tests", "snapshots", "analyses")
    found = [path for each in folders for path in (project / each).rglob(f"{name}.sql")]
    if not name or len(found) != 1:
        return None
    try:
        text = found[0].read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return SourceFile(str(found[0].relative_to(project)), text)


def format_sql_error(
    text: str,
    statement: str,
    source: SourceFile | None = None,
    list_tables: ListTables | None = None,
) -> str | None:
    """Format an error of a statement for people.

    Args:
        text: Spark's message, with its plans and stacks.
        statement: The statement as it was executed.
        source: The file of the model, if it is known: its line is named if it has the same line as
            the statement, which is compiled from it.
        list_tables: Function that returns the names of the tables of a schema.

    Returns:
        Message, line with a caret, and suggestion; None if the error is not about the SQL.
    """
    error = parse_sql_error(text)
    # What looks like an error of the statement may be a consequence of a full disk.
    if error is None or classify_error(text, "") is not None:
        return None
    lines = [f"{error.message} (SQLSTATE: {error.state})"]
    place = _locate(error, statement)
    if place is not None:
        lines += ["", *_format_place(place, statement, source)]
    if error.suggestions:
        lines += ["", f"Did you mean {_format_choice(error.suggestions)}?"]
    elif suggestion := _suggest(error, statement, list_tables):
        lines += ["", suggestion]
    return "\n".join(lines)


def _suggest(error: SqlError, statement: str, list_tables: ListTables | None) -> str | None:
    """Return what to change, for errors without suggestions of Spark."""
    if error.condition.startswith(WHERE):
        return HAVING
    if error.condition == "PARSE_SYNTAX_ERROR" and error.line is not None:
        return suggest_syntax(statement, error.line, _measure_comment(statement))
    names: tuple[str, ...] = ()
    if error.condition == "UNRESOLVED_ROUTINE" and error.name:
        names = suggest_functions(error.name)
    table = TABLE.search(error.message)
    if error.condition == "TABLE_OR_VIEW_NOT_FOUND" and table and list_tables:
        tables = list_tables(table[1])
        names = tuple(f"{table[1]}.{each}" for each in _rank(table[2], tables))
    return f"Did you mean {_format_choice(names)}?" if names else None


@dataclass(frozen=True)
class _Place:
    """Line, column (both from 1), text and width of what is wrong in a statement."""

    line: int
    column: int
    code: str
    width: int


def _locate(error: SqlError, statement: str) -> _Place | None:
    """Return where the statement is wrong; None if it can't be told."""
    lines = statement.splitlines()
    name = error.name
    if error.condition.startswith(WHERE):
        return _locate_aggregate(error, statement)
    if error.line is not None and error.line <= len(lines):
        code = lines[error.line - 1]
        column = min(error.column, len(code) + 1)
        if name and (found := _find_word(code, name, column - 1)) is not None:
            return _Place(error.line, found + 1, code, len(name))
        return _Place(error.line, column, code, 1)
    if not name:
        return None
    # Spark names no line for some errors: the only line with the name must be it.
    comment = _measure_comment(statement)
    places = [
        _Place(number, found + 1, code, len(name))
        for number, code in enumerate(lines, start=1)
        if number > comment and (found := _find_word(code, name, 0)) is not None
    ]
    return places[0] if len(places) == 1 else None


def _locate_aggregate(error: SqlError, statement: str) -> _Place | None:
    """Return where the only WHERE with the aggregate has it."""
    aggregate = AGGREGATE.search(error.message)
    if aggregate is None:
        return None
    name = re.escape(aggregate[1])
    clause = rf"\bwhere\b(?:(?!\b(?:where|group|having|order)\b).)*?\b({name})\s*\("
    found = list(re.finditer(clause, statement, re.IGNORECASE | re.DOTALL))
    if len(found) != 1:
        return None
    before = statement[: found[0].start(1)]
    number = before.count("\n")
    column = len(before) - before.rfind("\n")
    return _Place(number + 1, column, statement.splitlines()[number], len(aggregate[1]))


def _measure_comment(statement: str) -> int:
    """Return the number of lines of the comment that dbt puts before each statement."""
    if not statement.startswith("/*"):
        return 0
    comment, _, rest = statement.partition("*/")
    return comment.count("\n") + rest.startswith("\n")


def _find_word(code: str, name: str, start: int) -> int | None:
    pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
    match = pattern.search(code, max(0, start)) or pattern.search(code)
    return match.start() if match else None


def _format_place(place: _Place, statement: str, source: SourceFile | None) -> Iterator[str]:
    line, name = _find_in_source(place.code, source), source.name if source else ""
    if line is None:
        line, name = place.line - _measure_comment(statement), "the statement"
    start = f"{line} | "
    # Without the indentation, which is of no interest here.
    indent = len(place.code) - len(place.code.lstrip())
    yield f"{name}, line {line}:"
    yield f"  {start}{place.code.strip()}"
    yield f"  {' ' * (len(start) + max(0, place.column - 1 - indent))}{'^' * place.width}"


def _find_in_source(code: str, source: SourceFile | None) -> int | None:
    """Return the number of the only line of the file that is the same, if there is one.

    A line with Jinja expressions is the same if the rest of it is.
    """
    if source is None or not code.strip():
        return None
    lines = [line.strip() for line in source.text.splitlines()]
    same = [number for number, line in enumerate(lines, start=1) if line == code.strip()]
    same = same or [
        number for number, line in enumerate(lines, start=1) if _is_compiled_from(code, line)
    ]
    return same[0] if len(same) == 1 else None


def _is_compiled_from(code: str, line: str) -> bool:
    parts = JINJA.split(line)
    if len(parts) == 1 or not "".join(parts).strip():
        return False
    return re.fullmatch(".+?".join(map(re.escape, parts)), code.strip()) is not None


def _format_choice(names: tuple[str, ...]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
