"""Reads a home's tables and online store without Spark and without the project's own readers.

deltalake reads the Delta tables, DuckDB the published Parquet files, redis-py and Feast's messages
the online store. Each check returns what is wrong, in words.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import redis
from deltalake import DeltaTable
from feast.infra.online_stores.helpers import _mmh3, _redis_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

GOLD = ("customer_features", "churn_labels")
KEYS = {"customer_id", "event_timestamp", "created_timestamp", "extract_date"}


@dataclass(frozen=True)
class Extract:
    """A workbook and what must result from it: `ids` by row, `customers` of the sound rows."""

    path: Path
    date: date
    ids: tuple[str, ...]
    customers: frozenset[str]
    is_refused: bool = False

    @property
    def rows(self) -> int:
        """How many rows the sheet has."""
        return len(self.ids)


# The workbooks that were loaded for each date, the oldest load first.
Loads = dict[date, list[Extract]]


@dataclass(frozen=True)
class Lake:
    """The files of a CHURN_HOME."""

    home: Path

    def table(self, name: str, *columns: str) -> list[tuple[Any, ...]]:
        """Rows of a Delta table."""
        found = DeltaTable(self.home / "lake" / name.replace(".", "/"))
        rows = found.to_pyarrow_table(columns=list(columns)).to_pylist()
        return [tuple(row[column] for column in columns) for row in rows]

    def gold(self, name: str) -> list[dict[str, Any]]:
        """Rows of a published table: of every file in its folder."""
        files = f"{self.home}/lake/gold/{name}/*/*/*.parquet"
        with duckdb.connect() as session:
            read = "select * from read_parquet(?, hive_partitioning = true)"
            return session.execute(read, [files]).to_arrow_table().to_pylist()

    def loads(self) -> dict[date, list[tuple[str, datetime]]]:
        """Batch and time of the loads of each date, the oldest first."""
        found = defaultdict(list)
        for day, moment, batch in self.table(
            "bronze.loads", "extract_date", "_loaded_at", "batch_id"
        ):
            found[day].append((moment, batch))
        return {day: [(batch, moment) for moment, batch in sorted(of)] for day, of in found.items()}

    def is_evaluated(self, day: date) -> bool:
        """Whether the gate has recorded a verdict on the latest load of a date."""
        batch, _ = self.loads()[day][-1]
        return (batch,) in self.table("audit.gate_results", "batch_id")

    def bronze_errors(self, expected: Loads) -> list[str]:
        """Every row of every load once, and no row of anything else."""
        there = self.loads()
        rows = defaultdict(list)
        for batch, number, customer in self.table(
            "bronze.telco_customers", "_batch_id", "_row_number", "customerID"
        ):
            rows[batch].append((number, (customer or "").strip()))
        wrong = []
        if count(there) != count(expected):
            wrong.append(f"loads: {there}, expected {expected}")
        for day, loads in there.items():
            for (batch, _), extract in zip(loads, expected.get(day, []), strict=False):
                wanted = list(enumerate(extract.ids, start=2))
                if sorted(found := rows.pop(batch, [])) != wanted:
                    wrong.append(f"{day} {batch}: {len(found)} rows, expected {len(wanted)}")
        wrong += [f"{len(of)} rows of {batch}, which is no load" for batch, of in rows.items()]
        return wrong

    def silver_errors(self, expected: Loads) -> list[str]:
        """Each row of the latest load of a date is in silver or among the rejects, once."""
        wrong = []
        rows = defaultdict(list)
        for name in ("customers", "rejected_rows"):
            for day, batch, number in self.table(
                f"silver.{name}", "extract_date", "_batch_id", "_row_number"
            ):
                rows[day].append((batch, number))
        for day, loads in self.loads().items():
            batch, wanted = loads[-1][0], range(2, expected[day][-1].rows + 2)
            if sorted(rows.pop(day, [])) != [(batch, number) for number in wanted]:
                wrong.append(f"silver and rejects of {day} are not the rows of {batch}")
        return [*wrong, *(f"silver has {day}, which was not loaded" for day in rows)]

    def gold_errors(self, expected: Loads) -> list[str]:
        """Features and labels of the last load of each date that passes, and of no other."""
        wrong = []
        there = self.loads()
        passed = {
            day: (extract, there[day][number][1])
            for day, of in expected.items()
            for number, extract in enumerate(of)
            if not extract.is_refused
        }
        for name in GOLD:
            published = defaultdict(list)
            for row in self.gold(name):
                key = (row["customer_id"], row["created_timestamp"])
                published[row["extract_date"]].append(key)
            for day, (extract, moment) in passed.items():
                wanted = sorted((each, moment) for each in extract.customers)
                if sorted(found := published.pop(day, [])) != wanted:
                    wrong.append(f"gold.{name} of {day}: {len(found)} rows, expected {len(wanted)}")
            wrong += [f"gold.{name} has {day}, of which no load passed" for day in published]
        return wrong + self._verdict_errors(expected)

    def _verdict_errors(self, expected: Loads) -> list[str]:
        """The last verdict of the latest load of each date."""
        results: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for batch, *result in self.table(
            "audit.gate_results", "batch_id", "judged_at", "severity", "verdict"
        ):
            results[batch].append(tuple(result))
        wrong = []
        for day, loads in self.loads().items():
            mine = results[loads[-1][0]]
            last = [each[1:] for each in mine if each[0] == max(mine)[0]]
            if not last or (("error", "failed") in last) != expected[day][-1].is_refused:
                wrong.append(f"verdict of {day}: {set(last)}")
        return wrong

    def online_errors(self) -> list[str]:
        """The customers of the latest published date, each with gold's values, and no others."""
        rows = self.gold("customer_features")
        latest = max(row["extract_date"] for row in rows)
        rows = [row for row in rows if row["extract_date"] == latest]
        port = json.loads((self.home / "redis" / "state.json").read_text())["ports"][0]
        password = (self.home / "secrets" / "redis_password").read_text().strip()
        with redis.Redis(port=port, password=password) as client:
            keys = {key for key in client.scan_iter(count=5000) if not key.startswith(b"churn:")}
            pipeline = client.pipeline(transaction=False)
            for row in rows:
                pipeline.hgetall(_key(row["customer_id"]))
            online = pipeline.execute()
        wrong = []
        if keys != {_key(row["customer_id"]) for row in rows}:
            wrong.append(f"{len(keys)} customers online, {len(rows)} in gold of {latest}")
        names = rows[0].keys() - KEYS
        features = {name: bytes(_mmh3(f"customer_features:{name}")) for name in names}
        for row, stored in zip(rows, online, strict=True):
            there = {name: _value(stored.get(field, b"")) for name, field in features.items()}
            if there != {name: row[name] for name in features}:
                wrong.append(f"{row['customer_id']} is online with other values")
        return wrong[:5]

    def score_errors(self) -> list[str]:
        """One score of every customer of the latest published date, by each model in use."""
        published = self.gold("customer_features")
        latest = max(row["extract_date"] for row in published)
        customers = sorted(r["customer_id"] for r in published if r["extract_date"] == latest)
        scored = defaultdict(list)
        for day, version, customer in self.table(
            "gold.churn_scores", "extract_date", "model_version", "customer_id"
        ):
            if day == latest:
                scored[version].append(customer)
        if not scored:
            return [f"no scores of {latest}"]
        return [f"scores of {latest} by {v}" for v, of in scored.items() if sorted(of) != customers]


def count(loads: Mapping[date, Sequence[Any]]) -> dict[date, int]:
    """How many loads there are of each date."""
    return {day: len(of) for day, of in loads.items()}


def _key(customer_id: str) -> bytes:
    entity = EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=customer_id)])
    return bytes(_redis_key("churn", entity, entity_key_serialization_version=3))


def _value(stored: bytes) -> Any:
    value = Value.FromString(stored)
    kind = value.WhichOneof("val")
    return getattr(value, kind) if kind else None
