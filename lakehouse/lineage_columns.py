"""Column-level lineage of a query, derived from its SQL.

OpenLineage's own SQL parser finds no sources in queries that begin with `select *`, as this
project's queries do, because it does not receive the columns of the tables.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope
from sqlglot.schema import MappingSchema

# Columns by schema and table.
TableColumns: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
# `schema.table` and column.
Source: TypeAlias = tuple[str, str]
# Names are reported as written, although Spark is not case-sensitive.
DIALECT = "spark, normalization_strategy=case_sensitive"


def sources(sql: str, table_columns: TableColumns) -> dict[str, list[Source]]:
    """Return the source columns of each column of a query.

    Columns without sources are omitted. The result is empty if the SQL cannot be analyzed.
    """
    tables_by_schema: dict[str, object] = {
        name: {table: dict.fromkeys(columns, "string") for table, columns in tables.items()}
        for name, tables in table_columns.items()
    }
    # Names are as written: normalizing all of them for each query takes most of the time.
    schema = MappingSchema(tables_by_schema, dialect=DIALECT, normalize=False)
    try:
        parsed = sqlglot.parse_one(sql, dialect="spark")
        query: Any = qualify(
            parsed, schema=schema, dialect=DIALECT, identify=False, validate_qualify_columns=False
        )
        # Otherwise the whole query is copied for each column.
        once = {"scope": build_scope(query), "trim_selects": False, "copy": False}
        nodes = lineage(None, query, schema, dialect=DIALECT, **once)
        leaves_by_column = {name: _leaves(node) for name, node in nodes.items()}
    except (SqlglotError, ValueError):
        return {}
    return {name: leaves for name, leaves in leaves_by_column.items() if leaves}


def _leaves(node: Node) -> list[Source]:
    return sorted(
        {
            (f"{leaf.source.db}.{leaf.source.name}", leaf.name.rpartition(".")[2].strip('"'))
            for leaf in node.walk()
            if not leaf.downstream and isinstance(leaf.source, exp.Table)
        }
    )
