"""Queries of tables that may not exist."""

import pytest
from pyspark.errors import AnalysisException

from lakehouse import sql


class Lake:
    """A session with some tables; `requests` is what it was asked."""

    def __init__(self, *tables: str) -> None:
        self.tables = set(tables)
        self.requests: list[str] = []
        self.catalog = self

    def tableExists(self, table: str) -> bool:  # noqa: N802
        self.requests.append(f"exists {table}")
        return table in self.tables


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> Lake:
    def query(lake: Lake, table: str) -> sql.Rows:
        lake.requests.append(f"query {table}")
        if table not in lake.tables:
            raise AnalysisException("the server logs an error")
        return [{"a": 1}]

    monkeypatch.setattr(sql, "query", query)
    return Lake("gold.there")


def find(lake: Lake, table: str) -> sql.Rows:
    return sql.query_if_exists(lake, table, table)  # type: ignore[arg-type]


def test_a_missing_table_is_not_queried(lake: Lake) -> None:
    assert find(lake, "gold.missing") == []
    assert lake.requests == ["exists gold.missing"]
    lake.tables.add("gold.missing")
    assert find(lake, "gold.missing") == [{"a": 1}]


def test_a_session_looks_for_a_table_once(lake: Lake) -> None:
    assert find(lake, "gold.there") == find(lake, "gold.there") == [{"a": 1}]
    assert lake.requests == ["exists gold.there", "query gold.there", "query gold.there"]


def test_a_table_that_was_dropped_has_no_rows(lake: Lake) -> None:
    find(lake, "gold.there")
    lake.tables.clear()
    assert find(lake, "gold.there") == []
    assert find(lake, "gold.there") == []
    assert lake.requests[-1] == "exists gold.there", "no second query"


def test_another_error_is_raised(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def query(lake: Lake, table: str) -> sql.Rows:
        raise AnalysisException("no such column")

    monkeypatch.setattr(sql, "query", query)
    with pytest.raises(AnalysisException, match="no such column"):
        find(lake, "gold.there")
