"""Plan an erasure: the counts that tables will have when the customers' rows are gone.

The plan is made before anything is removed and stored until everything is, so that a repeated call
gives the same counts. Its file is the only one with the customers' ids; it is private to its owner.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from churn.operations.personal_data import GOLD, list_keys
from churn.operations.subjects import Subjects
from lakehouse.atomic_write import write_secret
from lakehouse.delta_rewrite import change_delta_table
from lakehouse.lake_files import is_delta, locate_table, match_all, read_rows
from lakehouse.parquet_rewrite import RowChange
from lakehouse.run_lock_file import erasing_file
from lakehouse.settings import Settings
from lakehouse.storage import Storage

BATCH = "batch_id"
LOADS, COUNTS, PUBLICATIONS = "bronze.loads", "silver.load_counts", "gold.publications"
DUPLICATE = "exact_duplicate"
# New values of columns, by table and batch id.
Corrections = dict[str, dict[str, dict[str, int]]]


@dataclass(frozen=True)
class ErasurePlan:
    """The customers, and the corrected counts of the loads that they were in.

    Attributes:
        ids: The customers.
        corrections: New values of the tables that count rows, by table and batch id.
        rows: Number of the customers' rows in the current version of each table.
    """

    ids: list[str]
    corrections: Corrections = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def subjects(self) -> Subjects:
        """Return the customers."""
        return Subjects(frozenset(self.ids))

    @property
    def customers(self) -> Mapping[str, int]:
        """Return the number of remaining customers of publications, by batch id."""
        published = self.corrections.get(PUBLICATIONS, {})
        return {batch: values["customers"] for batch, values in published.items()}


def read_interrupted_plan(settings: Settings) -> ErasurePlan | None:
    """Return the plan of an erasure that was interrupted, or None."""
    path = erasing_file(settings)
    return ErasurePlan(**json.loads(path.read_text())) if path.exists() else None


def write_plan(settings: Settings, plan: ErasurePlan) -> None:
    """Write the plan; until `complete_plan`, no other command writes to the lake."""
    write_secret(erasing_file(settings), json.dumps(asdict(plan)))


def complete_plan(settings: Settings) -> None:
    """Remove the plan: the erasure is complete."""
    erasing_file(settings).unlink(missing_ok=True)


def make_plan(settings: Settings, subjects: Subjects, tables: Iterable[str]) -> ErasurePlan:
    """Return the plan for erasing customers.

    Args:
        settings: The settings of this CHURN_HOME.
        subjects: The customers.
        tables: Names of the lake's tables.
    """
    lake = settings.lake
    rows = {table: _read_current(lake, table, subjects) for table in tables}
    bronze = Counter(row["_batch_id"] for row in rows.get("bronze.telco_customers", []))
    rejects = Counter(
        (row["_batch_id"], row["reasons"][0]["code"] == DUPLICATE)
        for row in rows.get("silver.rejected_rows", [])
    )
    gold = Counter(
        (str(row["extract_date"]), _to_utc(row["created_timestamp"])) for row in rows.get(GOLD, [])
    )
    found = {
        LOADS: lambda row: {
            "row_count": -bronze[row[BATCH]],
            "erased_rows": bronze[row[BATCH]],
        },
        COUNTS: lambda row: {
            "bronze_rows": -bronze[row[BATCH]],
            # All that were not rejected: of a restated load, silver no longer has the rows.
            "silver_rows": rejects[row[BATCH], True]
            + rejects[row[BATCH], False]
            - bronze[row[BATCH]],
            "exact_duplicates": -rejects[row[BATCH], True],
            "rejected_rows": -rejects[row[BATCH], False],
        },
        PUBLICATIONS: lambda row: {
            "customers": -gold[str(row["extract_date"]), _to_utc(row["created_timestamp"])]
        },
    }
    corrections = {name: _correct(locate_table(lake, name), each) for name, each in found.items()}
    counted = {table: len(each) for table, each in rows.items() if each}
    return ErasurePlan(sorted(subjects.ids), corrections, counted)


def _read_current(lake: Storage, table: str, subjects: Subjects) -> list[dict[str, Any]]:
    place = locate_table(lake, table)
    return [
        row.values
        for key in list_keys()
        for row in read_rows(place, key, subjects.match, current_only=True)
    ]


def _to_utc(moment: Any) -> str:
    """Return a time as text: files have it with and without a time zone, always in UTC."""
    return str(moment.replace(tzinfo=None))


def _correct(table: Storage, change: Any) -> dict[str, dict[str, int]]:
    """Return the new values of the rows that change, by batch id."""
    corrected = {}
    for row in (each.values for each in read_rows(table, BATCH, match_all, current_only=True)):
        differences = {name: value for name, value in change(row).items() if value}
        if differences:
            corrected[row[BATCH]] = {
                name: (row.get(name) or 0) + value for name, value in differences.items()
            }
    return corrected


def correct_counts(settings: Settings, plan: ErasurePlan) -> None:
    """Write the plan's counts into the tables, in all of their versions."""
    for table, corrections in plan.corrections.items():
        place = locate_table(settings.lake, table)
        if not corrections or not is_delta(place):
            continue
        batches = pa.array(sorted(corrections), pa.string())
        change = RowChange(
            BATCH, partial(_is_in, batches=batches), partial(_set_values, corrections=corrections)
        )
        change_delta_table(place, change, plan.subjects.includes)


def _is_in(ids: pa.ChunkedArray, *, batches: pa.Array) -> pa.Array:
    return pc.is_in(ids, value_set=batches).combine_chunks()


def _set_values(
    rows: pa.Table, _: pa.Array, *, corrections: Mapping[str, Mapping[str, int]]
) -> pa.Table:
    """Return the rows with the corrected values; a column that a file lacks is added."""
    names = dict.fromkeys(name for each in corrections.values() for name in each)
    batches = rows[BATCH].to_pylist()
    for name in names:
        is_new = name not in rows.column_names
        kind = pa.int32() if is_new else rows.schema.field(name).type
        before = [None] * rows.num_rows if is_new else rows[name].to_pylist()
        after = [
            corrections.get(batch, {}).get(name, value)
            for batch, value in zip(batches, before, strict=True)
        ]
        column = pa.array(after, kind)
        rows = (
            rows.append_column(name, column)
            if is_new
            else rows.set_column(rows.column_names.index(name), rows.schema.field(name), column)
        )
    return rows
