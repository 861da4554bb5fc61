"""Print the rows of a query: as a table for people, or as CSV or JSON for other programs.

The values are data: commands that they contain are not renamed.
"""

import csv
import io
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import click
import pyarrow as pa

from lakehouse.errors import InvalidInputError

NULL = "NULL"
GAP = "  "
CUT = "…"
# A column is not made narrower than this to fit the terminal; further ones are left out instead.
NARROWEST = 8
Rows = Sequence[Sequence[str]]


def print_csv(rows: pa.Table) -> None:
    """Print all rows as CSV with a header; a null is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.column_names)
    for row in _list_rows(rows):
        writer.writerow(["" if value is None else _format_value(value) for value in row])
    _write(text.getvalue())


def print_json(rows: pa.Table) -> None:
    """Print all rows as one JSON array of objects.

    Raises:
        InvalidInputError: If two columns have the same name.
    """
    names = rows.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInputError(
            f"Several columns are named {', '.join(twice)}",
            where="churn sql --json",
            hint="name each column with AS, or use --csv",
        )
    _write(f"{json.dumps(rows.to_pylist(), indent=2, default=_to_json)}\n")


def print_table(rows: pa.Table, width: int | None) -> None:
    """Print rows as a table; see `format_table`."""
    _write("".join(f"{line}\n" for line in format_table(rows, width)))


def format_table(rows: pa.Table, width: int | None) -> list[str]:
    """Format rows as a table with aligned columns: numbers on the right, the rest on the left.

    Args:
        rows: The rows.
        width: Columns of the terminal: long values are cut, then columns left out, so that the
            table fits. None if the output is no terminal: nothing is cut.
    """
    if rows.shape == (1, 1) and "\n" in str(rows[0][0]):
        return str(rows[0][0]).splitlines()  # a text, such as that of EXPLAIN
    cells = [[_format_cell(value) for value in row] for row in _list_rows(rows)]
    lines = [[_escape(name) for name in rows.column_names], *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = _fit(widths, width)
    numeric = [_is_numeric(column.type) for column in rows.columns]
    lines.insert(1, ["─" * each for each in shown])
    table = [
        GAP.join(
            _align(value, each, is_right)
            for value, each, is_right in zip(line, shown, numeric, strict=False)
        ).rstrip()
        for line in lines
    ]
    if left_out := len(widths) - len(shown):
        names = "1 column does" if left_out == 1 else f"{left_out} columns do"
        table.append(f"({names} not fit: {', '.join(lines[0][len(shown) :])})")
    return table


def _fit(widths: list[int], width: int | None) -> list[int]:
    """Return the widths of the columns that fit: the widest are narrowed, the last left out."""
    if width is None:
        return widths
    count = len(widths)
    least = [min(each, NARROWEST) for each in widths]
    while count > 1 and sum(least[:count]) + len(GAP) * (count - 1) > width:
        count -= 1
    shown, available = widths[:count], max(1, width - len(GAP) * (count - 1))
    while sum(shown) > available:
        widest = shown.index(max(shown))
        shown[widest] -= 1
    return shown


def _align(value: str, width: int, is_right: bool) -> str:
    if len(value) > width:
        value = value[: width - 1] + CUT
    return value.rjust(width) if is_right else value.ljust(width)


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _list_rows(rows: pa.Table) -> list[tuple[Any, ...]]:
    # By position: two columns may have the same name.
    columns = [column.to_pylist() for column in rows.columns]
    return list(zip(*columns, strict=True))


def _format_cell(value: Any) -> str:
    return NULL if value is None else _escape(_format_value(value))


def _escape(text: str) -> str:
    """Write characters that would break the table, or control the terminal, as escapes."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, dict | list):
        return json.dumps(value, default=_to_json, ensure_ascii=False)
    return value.hex() if isinstance(value, bytes) else str(value)


def _to_json(value: Any) -> float | str:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, datetime) else _format_value(value)


def _write(text: str) -> None:
    try:
        click.echo(text, nl=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has enough; nothing must be flushed into it at the end.
        sys.stdout = io.StringIO()
