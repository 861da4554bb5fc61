"""Portable snapshot of the metastore's contents, from which another metastore can be filled.

A metastore consists of Derby's files or a PostgreSQL database and contains absolute addresses, so
neither is copied. Locations are stored relative to the lake. The snapshot stores names, types and
locations, not SQL statements; the code that recreates the tables writes the statements.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from pyspark.sql.connect.session import SparkSession

from lakehouse.errors import ChurnError
from lakehouse.sql import literal, query
from lakehouse.storage import Storage, path_from_describe, path_from_uri

DELTA, VIEW = "delta", "view"
# Providers for which `make` can write a statement; others have options of their own.
CREATABLE = (DELTA, "parquet", "orc")
# `describe` prints the properties of a table below this heading, after the columns.
DETAILS = "# Detailed Table Information"


@dataclass(frozen=True)
class Partition:
    """A partition: the values of its columns, and the location of its files in the lake."""

    values: dict[str, str]
    place: str


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, its type in SQL notation, and its comment."""

    name: str
    type: str
    comment: str = ""


@dataclass(frozen=True)
class Table:
    """A table or view; `place` is its location in the lake, None for a view.

    `columns`, `partitioned_by` and `partitions` are set only for tables that are not Delta tables:
    their folders may have any names, which only the metastore stores. A Delta table's own log
    contains all of this. `definition` is the SQL of a view, for information only.
    """

    name: str
    provider: str
    place: str | None
    columns: tuple[Column, ...] = ()
    partitioned_by: tuple[str, ...] = ()
    partitions: tuple[Partition, ...] = ()
    definition: str = ""


@dataclass(frozen=True)
class MetastoreSnapshot:
    """Schemas with their locations in the lake, and the tables and views.

    `elsewhere` contains the names of tables whose files are stored outside the lake.
    """

    schemas: dict[str, str]
    tables: tuple[Table, ...]
    elsewhere: tuple[str, ...] = ()

    @property
    def table_names(self) -> list[str]:
        """Return the names of the tables, which unlike views have files of their own."""
        return [table.name for table in self.tables if table.provider != VIEW]


def read(spark: SparkSession, lake: Storage) -> MetastoreSnapshot:
    """Return a snapshot of all schemas, tables and views of the metastore.

    Raises:
        ChurnError: If a partition of a table is stored outside the lake.
    """
    locations = {schema: _schema_location(spark, schema, lake) for schema in _schemas(spark)}
    schemas = {name: place for name, place in locations.items() if place is not None}
    names = list_tables(spark)
    details = {name: _details(spark, name) for name in names}
    views = [name for name in names if details[name]["Type"] == "VIEW"]
    tables, outside_lake = [], []
    for name in (name for name in names if name not in views):
        place = _relative_to_lake(path_from_describe(details[name]["Location"]), lake)
        if place is None or name.partition(".")[0] not in schemas:
            outside_lake.append(name)
        else:
            tables.append(_table(spark, name, details[name], place, lake))
    tables += [Table(name, VIEW, None, definition=_definition(spark, name)) for name in views]
    return MetastoreSnapshot(schemas, tuple(tables), tuple(outside_lake))


def list_tables(spark: SparkSession) -> list[str]:
    """Return the names of all tables and views, each qualified with its schema."""
    return [
        f"{schema}.{table.name}"
        for schema in _schemas(spark)
        for table in spark.catalog.listTables(schema)
        if not table.isTemporary
    ]


def list_schemas_outside_lake(spark: SparkSession, lake: Storage) -> list[str]:
    """Return the schemas located outside the lake, except Spark's schema `default`."""
    others = (schema for schema in _schemas(spark) if schema != "default")
    return [schema for schema in others if _schema_location(spark, schema, lake) is None]


def list_delta_tables(spark: SparkSession, schemas: Sequence[str]) -> list[str]:
    """Return the names of the Delta tables in the given schemas."""
    return [
        name
        for name in list_tables(spark)
        if name.partition(".")[0] in schemas and _details(spark, name).get("Provider") == DELTA
    ]


def create_missing(spark: SparkSession, catalogue: MetastoreSnapshot, lake: Storage) -> None:
    """Create missing schemas, tables and partitions in the metastore for existing files.

    The tables are external because a location is given, so dropping one keeps its files. Views are
    created by the dbt project. Tables of providers with options of their own are not created; their
    owners must recreate them.
    """
    for schema, place in catalogue.schemas.items():
        spark.sql(
            f"create schema if not exists `{schema}` location {_location_literal(lake, place)}"
        )
    for table in catalogue.tables:
        if table.place is not None and table.provider in CREATABLE:
            _create_missing_table(spark, table, lake, table.place)


def _create_missing_table(spark: SparkSession, table: Table, lake: Storage, place: str) -> None:
    if not spark.catalog.tableExists(table.name):
        spark.sql(f"{create_statement(table)} location {_location_literal(lake, place)}")
    for partition in table.partitions:
        spark.sql(
            f"alter table {table.name} add if not exists "
            f"partition ({_partition_spec(partition.values)}) "
            f"location {_location_literal(lake, partition.place)}"
        )


def create_statement(table: Table) -> str:
    """Return the `create table` statement of a table without its location clause."""
    columns = ", ".join(
        f"`{column.name}` {column.type}"
        + (f" comment {literal(column.comment)}" if column.comment else "")
        for column in table.columns
    )
    by = ", ".join(f"`{column}`" for column in table.partitioned_by)
    return (
        f"create table {table.name}{f' ({columns})' if columns else ''} using {table.provider}"
        f"{f' partitioned by ({by})' if by else ''}"
    )


def count_rows(spark: SparkSession, tables: Sequence[str]) -> dict[str, int]:
    """Return the number of rows of each table."""
    if not tables:
        return {}
    counts = [f"select '{name}' as name, count(*) as n from {name}" for name in tables]
    return {row["name"]: row["n"] for row in query(spark, " union all ".join(counts))}


def _schemas(spark: SparkSession) -> list[str]:
    return [database.name for database in spark.catalog.listDatabases()]


def _schema_location(spark: SparkSession, schema: str, lake: Storage) -> str | None:
    return _relative_to_lake(path_from_uri(spark.catalog.getDatabase(schema).locationUri), lake)


def _details(spark: SparkSession, table: str) -> dict[str, str]:
    """Return the properties of a table, such as Type, Provider and Location.

    Delta tables do not provide them as JSON.
    """
    described = query(spark, f"describe table extended {table}")
    rows = [(row["col_name"], row["data_type"]) for row in described]
    return dict(rows[rows.index((DETAILS, "")) :])


def _table(
    spark: SparkSession, name: str, details: dict[str, str], place: str, lake: Storage
) -> Table:
    if details["Provider"] == DELTA:
        return Table(name, DELTA, place)
    columns = spark.catalog.listColumns(name)
    return Table(
        name,
        details["Provider"],
        place,
        tuple(Column(column.name, column.dataType, column.description or "") for column in columns),
        tuple(column.name for column in columns if column.isPartition),
        tuple(_partitions(spark, name, lake)) if "Partition Provider" in details else (),
    )


def _definition(spark: SparkSession, view: str) -> str:
    statement: str = query(spark, f"show create table {view}")[0]["createtab_stmt"]
    return statement.strip()


def _partitions(spark: SparkSession, table: str, lake: Storage) -> Iterator[Partition]:
    for row in query(spark, f"show partitions {table}"):
        pairs = (part.split("=", 1) for part in row["partition"].split("/"))
        values = {unquote(name): unquote(value) for name, value in pairs}
        sql = f"describe table extended {table} partition ({_partition_spec(values)}) as json"
        location = json.loads(query(spark, sql)[0]["json_metadata"])["location"]
        place = _relative_to_lake(path_from_describe(location), lake)
        if place is None:
            raise ChurnError(
                f"The partition {row['partition']} of {table} is outside the lake",
                where=location,
                hint="write the partition into the lake again, or drop it",
            )
        yield Partition(values, place)


def _partition_spec(values: dict[str, str]) -> str:
    """Return the values of a partition as a SQL partition specification."""
    return ", ".join(f"`{name}` = {literal(value)}" for name, value in values.items())


def _relative_to_lake(path: str, lake: Storage) -> str | None:
    """Return a path relative to the lake ("" for the lake itself), None if outside the lake."""
    path = path.rstrip("/")
    if path == lake.root:
        return ""
    return lake.relative_path(path) if path.startswith(f"{lake.root}/") else None


def _location_literal(lake: Storage, place: str) -> str:
    """Return a location in the lake as a SQL literal."""
    return literal((lake.join(place) if place else lake).address)
