"""Compute the derived features of one customer as the domain declares them, without Spark.

Their SQL is translated to DuckDB's dialect; a test compares the results with Spark's for every
customer.
"""

import re
import threading
from collections.abc import Mapping
from typing import Any, cast

import duckdb
import sqlglot
from sqlglot import exp

from lakehouse.domain import DerivedFeature
from lakehouse.errors import ChurnError

Value = int | float
TYPES = {"integer": int, "number": float}


class DerivedFeatures:
    """The declared derived features.

    Attributes:
        inputs: The features that they are computed from.
    """

    def __init__(
        self, declared: Mapping[str, DerivedFeature], groups: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Prepare the computation.

        Args:
            declared: The features' declarations by name.
            groups: For each category of the source contract, its one-hot features by value.

        Raises:
            ChurnError: DuckDB cannot compute a feature.
        """
        self._types = {name: TYPES[terms.type] for name, terms in declared.items()}
        expressions = {
            name: sqlglot.parse_one(_expand(name, declared), read="spark") for name in declared
        }
        columns = {
            column.name for each in expressions.values() for column in each.find_all(exp.Column)
        }
        self._groups = {name: group for name, group in groups.items() if name in columns}
        self._numbers = sorted(columns - self._groups.keys())
        one_hot = (name for group in self._groups.values() for name in group.values())
        self.inputs = (*self._numbers, *one_hot)
        values = ", ".join(self._bind(name) for name in sorted(columns))
        parts = (f"{each.sql('duckdb')} as {name}" for name, each in expressions.items())
        computed = ", ".join(parts)
        sql = f"select {computed or 'null'} from (select {values or 'null'})"
        self._database = duckdb.connect(":memory:", config={"threads": 1})
        self._connections = threading.local()
        try:
            (self._statement,) = self._database.extract_statements(sql)
            # Numbers, because a null has no type with which an expression could be checked.
            examples = {name: "" if name in self._groups else 1 for name in columns}
            self._connect().execute(self._statement, examples)
        except duckdb.Error as error:
            raise ChurnError(
                f"The API cannot compute a derived feature: {error}",
                where="derived_features in features.yml of the domain",
                hint="declare it by functions that Spark and DuckDB have",
            ) from error

    def _connect(self) -> duckdb.DuckDBPyConnection:
        """Return this thread's connection: several threads answer requests."""
        if not hasattr(self._connections, "own"):
            self._connections.own = self._database.cursor()
            # Optimising the plan takes half of the time and finds nothing in a single row.
            self._connections.own.execute("pragma disable_optimizer")
        return cast(duckdb.DuckDBPyConnection, self._connections.own)

    def _bind(self, column: str) -> str:
        """Return a column's parameter; a category without a declared value is null."""
        # Null has no type by itself.
        value = f"cast(${column} as varchar)" if column in self._groups else f"${column}"
        return f"{value} as {column}"

    def compute(self, features: Mapping[str, Value]) -> dict[str, Value]:
        """Return the derived features; `features` has at least `inputs`."""
        if not self._types:
            return {}
        values: dict[str, Any] = {name: features[name] for name in self._numbers}
        for name, group in self._groups.items():
            values[name] = next((v for v, feature in group.items() if features[feature] == 1), None)
        (row,) = self._connect().execute(self._statement, values).fetchall()
        return {
            name: convert(value)
            for (name, convert), value in zip(self._types.items(), row, strict=True)
        }


def _expand(name: str, declared: Mapping[str, DerivedFeature]) -> str:
    """Return a feature's SQL, with the features in braces replaced as the dbt macro does it."""
    expression = declared[name].expression
    return re.sub(r"\{(\w+)\}", lambda found: f"({_expand(found[1], declared)})", expression)
