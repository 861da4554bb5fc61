"""Which columns a query's columns are made of, read from its SQL.

OpenLineage's own parser of SQL finds nothing in queries that begin with `select *`, as ours do:
it is not told the tables' columns.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

# Columns by schema and table.
Known: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
# `schema.table` and column.
Source: TypeAlias = tuple[str, str]
# Names are told as they are written, though Spark does not mind their case.
DIALECT = "spark, normalization_strategy=case_sensitive"


def sources(sql: str, known: Known) -> dict[str, list[Source]]:
    """The sources of each column of the query that has some; none where the SQL is beyond us."""
    schema: dict[str, object] = {
        name: {table: dict.fromkeys(columns, "string") for table, columns in tables.items()}
        for name, tables in known.items()
    }
    try:
        parsed = sqlglot.parse_one(sql, dialect="spark")
        query: Any = qualify(
            parsed, schema=schema, dialect=DIALECT, identify=False, validate_qualify_columns=False
        )
        # Else it copies the whole query for each column.
        once = {"scope": build_scope(query), "trim_selects": False, "copy": False}
        found = {
            name: _leaves(lineage(name, query, schema, dialect=DIALECT, **once))
            for name in query.named_selects
        }
    except (SqlglotError, ValueError):
        return {}
    return {name: leaves for name, leaves in found.items() if leaves}


def _leaves(node: Node) -> list[Source]:
    return sorted(
        {
            (f"{each.source.db}.{each.source.name}", each.name.rpartition(".")[2].strip('"'))
            for each in node.walk()
            if not each.downstream and isinstance(each.source, exp.Table)
        }
    )
