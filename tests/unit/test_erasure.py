"""What erases a customer, part by part, without servers."""

import json
import os
import re
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from byte_search import count_text, find_text
from deltalake import DeltaTable, write_deltalake
from object_store import object_store
from openpyxl import Workbook, load_workbook
from pyarrow import fs
from workbooks import share_texts

from churn.operations.erase_text import erase_from_file, find_in_file
from churn.operations.erasure_plan import (
    COUNTS,
    LOADS,
    PUBLICATIONS,
    ErasurePlan,
    correct_counts,
    make_plan,
)
from churn.operations.forget import STEPS, Forgotten, forget, format_forgotten
from churn.operations.person import record_objection
from churn.operations.personal_data import PLACES, Erasure, _erase_deciles, erase_table
from churn.operations.subjects import make_subjects
from lakehouse import audit_log, spark_server
from lakehouse.atomic_write import atomic_write, is_left_behind, remove_drafts, write_secret
from lakehouse.delta_rewrite import change_delta_table
from lakehouse.erased_customers import (
    key_file,
    read_erased_customers,
    register_customers,
    registry_file,
)
from lakehouse.errors import InvalidInputError, ServerLostError
from lakehouse.lake_files import find_tables, list_current_files, read_rows
from lakehouse.parquet_rewrite import RowChange, change_parquet_files
from lakehouse.process import ProcessInfo
from lakehouse.progress import Steps
from lakehouse.readers import published_copy
from lakehouse.run_lock_file import erasing_file
from lakehouse.settings import PROJECT, Settings, read_settings
from lakehouse.storage import Storage
from seeds_loader.load import leave_out_erased
from seeds_loader.reader.sandbox import read_workbook
from seeds_loader.sample import SampleParameters, write_samples
from trainer import deciles

CANARY = "QX47-ZBWKV"
OTHERS = ["0013-QTZKR", "7590-VHVEG", "ZZ99-LASTX"]
SUBJECTS = make_subjects([CANARY])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"CHURN_HOME": str(tmp_path / "home")})


# --- who is meant ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"customer {CANARY} left", True),
        (f"'{CANARY}'", True),
        (f"{CANARY}2", False),
        (f"A{CANARY}", False),
        ("no customer", False),
    ],
)
def test_a_text_names_a_customer_as_a_whole_word(text: str, expected: bool) -> None:
    assert SUBJECTS.is_named_in(text) == expected


def test_an_id_of_digits_is_no_other_number() -> None:
    subjects = make_subjects(["1234"])
    assert not subjects.is_named_in("1234 rows")
    assert subjects.is_named_in("customer_id = '1234'")
    # As in Airflow's logs: rows as JSON inside an event of JSON.
    assert subjects.is_named_in(json.dumps({"event": json.dumps({"customer_id": "1234"})}))


def test_an_id_is_that_of_one_customer() -> None:
    """Not of those whose id differs by zeros, case, blanks inside, or is longer."""
    subjects = make_subjects([" 00123\t", "ab 1"])
    others = ["123", "000123", "00123-1", "AB 1", "ab  1", "ab", "ab 12", "0"]
    assert not any(map(subjects.includes, others))
    cells = pa.chunked_array([[*others, "00123", "\u00a0ab 1 ", None]])
    expected = [*[False] * len(others), True, True, False]
    assert subjects.match(cells).to_pylist() == expected
    assert subjects.match(cells.filter(pc.string_is_ascii(cells))).to_pylist().count(True) == 1


def test_ids_match_padded_and_composed() -> None:
    subjects = make_subjects(["Caf\u00e9 1", CANARY])
    values = pa.chunked_array([["Cafe\u0301 1", f" {CANARY} ", "Cafe 1", None]])
    assert subjects.match(values).to_pylist() == [True, True, False, False]


# --- the registry ------------------------------------------------------------


def test_the_registry_has_no_id_and_is_private(settings: Settings) -> None:
    register_customers(settings, [CANARY])
    register_customers(settings, ["another"])
    erased = read_erased_customers(settings)
    assert [erased.includes(each) for each in (CANARY, f" {CANARY} ", "another", "third")] == [
        True,
        True,
        True,
        False,
    ]
    assert not find_text(settings.home, CANARY)
    for path in (registry_file(settings), key_file(settings)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("key", [None, "another key"])
def test_a_registry_without_its_key_stops_the_loader(settings: Settings, key: str | None) -> None:
    register_customers(settings, [CANARY])
    key_file(settings).unlink()
    if key is not None:
        key_file(settings).write_text(key)
    with pytest.raises(InvalidInputError, match="can't be recognised"):
        read_erased_customers(settings)


def test_a_workbook_is_loaded_without_erased_customers(settings: Settings, tmp_path: Path) -> None:
    (path,) = write_samples(SampleParameters(rows=300), tmp_path)
    extract = read_workbook(path, None, print)
    ids = extract.table["customerID"].to_pylist()
    assert leave_out_erased(settings, extract) == (extract, 0)
    register_customers(settings, [ids[0], ids[5]])
    kept, erased_rows = leave_out_erased(settings, extract)
    assert erased_rows == 2
    assert kept.sha256 == extract.sha256
    expected = extract.table.filter(pa.array([n not in (0, 5) for n in range(len(ids))]))
    assert kept.table.equals(expected)


# --- files that people read --------------------------------------------------


def write_rows(path: Path, *rows: list[Any]) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    book.save(path)


def read_rows_of(path: Path) -> list[tuple[Any, ...]]:
    sheet = load_workbook(path).active
    assert sheet is not None
    return list(sheet.values)


def write_book(path: Path) -> None:
    write_rows(path, ["customerID", "tenure"], [OTHERS[0], 3], [CANARY, 7], [OTHERS[1], 9])


def test_a_workbook_loses_the_row_and_keeps_the_numbers_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    write_book(path)
    os.utime(path, (1, 1))
    assert count_text(path.read_bytes(), CANARY) == 1
    assert erase_from_file(path, SUBJECTS)
    assert path.stat().st_mtime == 1
    assert count_text(path.read_bytes(), CANARY) == 0
    assert read_rows_of(path) == [
        ("customerID", "tenure"),
        (OTHERS[0], 3),
        (None, None),
        (OTHERS[1], 9),
    ]
    assert not erase_from_file(path, SUBJECTS)


@pytest.mark.parametrize("header", ["Customer ID", "Customer"])
def test_numbers_are_ids_in_the_column_of_ids_only(tmp_path: Path, header: str) -> None:
    """In received workbooks, and in lists that the project writes."""
    path = tmp_path / "numbers.xlsx"
    write_rows(path, ["tenure", header], [12, 55], [55, 12])
    assert erase_from_file(path, make_subjects(["12"]))
    assert read_rows_of(path) == [("tenure", header), (12, 55)]


def test_a_number_stays_where_it_is_no_id(tmp_path: Path) -> None:
    """Excel stores a text once, for all cells that have it."""
    path = tmp_path / "texts.xlsx"
    write_rows(path, ["customerID", "tenure"], ["12", "7"], ["55", "12"], [CANARY, "3"])
    with zipfile.ZipFile(path) as archive:
        parts = share_texts([(name, archive.read(name)) for name in archive.namelist()])
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts:
            archive.writestr(name, part)
    assert count_text(path.read_bytes(), CANARY) > 0
    assert erase_from_file(path, make_subjects(["12", "3", CANARY]))
    assert find_in_file(path, make_subjects(["55"])) == ["55 | 12"]
    with zipfile.ZipFile(path) as archive:
        texts = archive.read("xl/sharedStrings.xml").decode()
    assert re.findall(r"<si><t>?(.*?)(?:</t>|/>)</si>", texts) == [
        *("customerID", "tenure", "12", "7", "55", "", "")
    ]


@pytest.mark.parametrize("customer_id", ["A2", "QX47", "A&B"])
def test_a_workbook_is_kept_whose_other_ids_or_cells_are_alike(
    tmp_path: Path, customer_id: str
) -> None:
    path = tmp_path / "alike.xlsx"
    write_rows(path, ["customerID", "tenure"], [CANARY, 7], [customer_id, 8], ["A22", 9])
    assert erase_from_file(path, make_subjects([customer_id]))
    assert read_rows_of(path)[1:] == [(CANARY, 7), (None, None), ("A22", 9)]


def test_a_workbook_that_names_a_customer_elsewhere_is_replaced_by_a_note(tmp_path: Path) -> None:
    path = tmp_path / "comment.xlsx"
    write_rows(path, ["customerID", "tenure"], [CANARY, 7], ["12", 8])
    book = load_workbook(path)
    book.properties.description = f"without {CANARY}"
    book.save(path)
    assert erase_from_file(path, make_subjects(["12", CANARY]))
    assert b"A customer was erased" in path.read_bytes()


def test_a_csv_file_may_be_named_as_a_workbook(tmp_path: Path) -> None:
    path = tmp_path / "rows.xlsx"
    path.write_text(f"customerID,tenure\n{CANARY},7\n{OTHERS[0]},9\n")
    assert erase_from_file(path, SUBJECTS)
    assert path.read_text() == f"customerID,tenure\n\n{OTHERS[0]},9\n"


@pytest.mark.parametrize(
    ("header", "row", "other"),
    [
        ("tenure;MonthlyCharges;customerID", "12;29,85;012", "5;19,85;12"),
        ('"name","tenure","Customer"', '"Doe, John","12","012"', '"Roe, Jane","012","12"'),
    ],
)
def test_a_number_of_a_csv_file_is_an_id_in_its_column(
    tmp_path: Path, header: str, row: str, other: str
) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("\n".join([header, row, other]))
    assert erase_from_file(path, make_subjects(["012"]))
    assert path.read_text() == "\n".join([header, "", other])


def test_a_csv_file_loses_the_row_in_any_encoding(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    lines = ["customerID;note", f"{OTHERS[0]};Gr\u00fc\u00dfe", f'"{CANARY}";12', f"{OTHERS[1]};-"]
    path.write_bytes("\r\n".join(lines).encode("latin-1"))
    assert erase_from_file(path, SUBJECTS)
    kept = path.read_bytes().decode("latin-1")
    assert kept.splitlines() == [lines[0], lines[1], "", lines[3]]


def test_a_format_that_permits_no_change_is_replaced_by_a_note(tmp_path: Path) -> None:
    path = tmp_path / "old.xls"
    path.write_bytes(b"\xd0\xcf\x11\xe0" + CANARY.encode("utf-16-le"))
    assert erase_from_file(path, SUBJECTS)
    assert b"A customer was erased" in path.read_bytes()


def test_a_page_loses_the_row_and_other_mentions(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    rows = [f"<tr><th><bdi>{each}</bdi></th><td>risk of {each}</td></tr>" for each in OTHERS]
    own = f"<tr><th><bdi>{CANARY}</bdi></th><td>62 %</td></tr>"
    path.write_text(f"<table>{rows[0]}\n{own}\n{rows[1]}</table><a href='?id={CANARY}'>one</a>")
    assert erase_from_file(path, SUBJECTS)
    assert path.read_text() == f"<table>{rows[0]}\n\n{rows[1]}</table><a href='?id=erased'>one</a>"


def test_a_number_of_a_page_is_an_id_below_or_beside_its_header(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    parts = [
        "<tr><th>Row</th><th>Reason</th></tr><tr><td>12</td><td>55</td></tr>",
        "<tr><th>Customer</th><th>Risk</th></tr>",
        "<tr><th><bdi>12</bdi></th><td>55</td></tr>",
        "<tr><th>55</th><td>12</td></tr>",
        "<tr><th>Tenure</th><td>12</td></tr>",
        "<tr><th>customerID</th><td>12</td></tr>",
    ]
    path.write_text("\n".join(parts))
    assert len(find_in_file(path, make_subjects(["12"]))) == 2
    assert erase_from_file(path, make_subjects(["12"]))
    parts[2] = parts[5] = ""
    assert path.read_text() == "\n".join(parts)


def test_a_page_loses_an_id_with_blanks_inside(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<tr><td><bdi>A  1</bdi></td></tr><tr><td>A 1</td></tr>")
    assert erase_from_file(path, make_subjects(["A  1"]))
    assert path.read_text() == "<tr><td>A 1</td></tr>"


@pytest.mark.parametrize("name", ["spark.log", "spark.log.1", "events.jsonl"])
def test_a_log_loses_the_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(f"one\ntwo {CANARY}\nthree\n")
    assert find_in_file(path, SUBJECTS) == [f"two {CANARY}\n"]
    assert erase_from_file(path, SUBJECTS)
    assert path.read_text() == "one\nthree\n"


# --- tables ------------------------------------------------------------------


def describe(file: pq.ParquetFile) -> str:
    """The types as the file stores them, without the object's address."""
    return str(file.schema).partition("\n")[2]


def test_a_parquet_file_keeps_its_types_and_other_rows(tmp_path: Path) -> None:
    """As Spark writes it: times of 96 bits, and Spark's own metadata."""
    path = tmp_path / "part.parquet"
    rows = pa.table(
        {
            "customer_id": [OTHERS[0], CANARY, OTHERS[1]],
            "at": pa.array([datetime(2025, 1, day) for day in (1, 2, 3)], pa.timestamp("us")),
            "reasons": [[{"code": "a", "value": "1"}], [], None],
            "extra": pa.array([[("k", "v")], [], None], pa.map_(pa.string(), pa.string())),
        }
    )
    with pq.ParquetWriter(
        path, rows.schema, use_deprecated_int96_timestamps=True, store_schema=False
    ) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata({"org.apache.spark.version": "4.2.0"})
    before = pq.ParquetFile(path)
    place = Storage(str(tmp_path))
    change = RowChange("customer_id", SUBJECTS.match)
    expected = pq.read_table(path).filter(pa.array([True, False, True]))
    assert change_parquet_files(place, change) == 1
    after = pq.ParquetFile(path)
    assert after.read().equals(expected)
    assert describe(after) == describe(before)
    kept = after.metadata.metadata
    assert kept[b"org.apache.spark.version"] == b"4.2.0"
    assert count_text(path.read_bytes(), CANARY) == 0
    assert change_parquet_files(place, change) == 0


def month(number: int, ids: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {"customer_id": ids, "day": date(2025, number, 1), "value": range(len(ids))}
    )


def write_table(path: Path) -> None:
    """A table of four versions: two partitions, of which one is replaced, and a checkpoint."""
    ids = [*OTHERS, CANARY]
    for number in (1, 2):
        write_deltalake(path, month(number, ids), mode="append", partition_by=["day"])
    write_deltalake(path, month(2, ids[::-1]), mode="overwrite", predicate="day = '2025-02-01'")
    table = DeltaTable(path)
    table.delete("customer_id = 'ZZ99-LASTX' and day = '2025-01-01'")
    table.create_checkpoint()


def versions(path: Path) -> list[list[dict[str, Any]]]:
    """The rows of every version, without the canary."""
    latest = DeltaTable(path).version()
    tables = [DeltaTable(path, version=n).to_pyarrow_table() for n in range(latest + 1)]
    return [
        sorted(
            (row for row in table.to_pylist() if row["customer_id"] != CANARY),
            key=lambda row: (str(row["day"]), row["customer_id"]),
        )
        for table in tables
    ]


def erase(path: Path) -> int:
    change = RowChange("customer_id", SUBJECTS.match)
    return change_delta_table(Storage(str(path)), change, SUBJECTS.includes)


@pytest.mark.parametrize("is_log_whole", [True, False])
def test_every_version_of_a_table_loses_the_rows(tmp_path: Path, is_log_whole: bool) -> None:
    path = tmp_path / "table"
    write_table(path)
    before = versions(path)
    if not is_log_whole:  # as after the time for which a log is kept: the checkpoint replaces it
        (path / "_delta_log" / "00000000000000000000.json").unlink()
    times = {each.name: each.stat().st_mtime_ns for each in (path / "_delta_log").glob("*.json")}
    assert erase(path) > 0
    assert not find_text(path, CANARY)
    if is_log_whole:
        assert versions(path) == before
    assert DeltaTable(path).to_pyarrow_table().num_rows == len(before[-1])
    after = {each.name: each.stat().st_mtime_ns for each in (path / "_delta_log").glob("*.json")}
    assert {name: after[name] for name in times} == times
    assert erase(path) == 0
    write_deltalake(path, month(3, OTHERS), mode="append")
    assert DeltaTable(path).to_pyarrow_table().num_rows == len(before[-1]) + len(OTHERS)


class KilledError(BaseException):
    """Stands for the end of the process."""


def interrupt(left: Iterator[int], call: Callable[..., None]) -> Callable[..., None]:
    def interrupted(*arguments: Any, **options: Any) -> None:
        if Path(arguments[0]).exists() and next(left, None) is None:
            raise KilledError
        call(*arguments, **options)

    return interrupted


def test_readers_see_whole_versions_wherever_an_erasure_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each version has the customer or has not, and all others; a repeated call completes it."""
    for count in range(100):
        path = tmp_path / str(count)
        write_table(path)
        before = versions(path)
        with monkeypatch.context() as patch:
            left = iter(range(count))
            for name in ("replace", "unlink"):
                patch.setattr(os, name, interrupt(left, getattr(os, name)))
            try:
                erase(path)
            except KilledError:
                is_complete = False
            else:
                is_complete = True
        assert versions(path) == before, f"interrupted after {count} changes"
        erase(path)
        assert versions(path) == before, f"completed after {count} changes"
        assert not find_text(path, CANARY)
        if is_complete:
            break
    assert count > 8


def test_rows_of_earlier_versions_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "table"
    write_table(path)
    place = Storage(str(path))
    rows = read_rows(place, "customer_id", SUBJECTS.match)
    assert [row.is_current for row in rows].count(True) == 2
    assert len(rows) > 2
    expected = set(DeltaTable(path).file_uris())
    assert {f"{path}/{name}" for name in list_current_files(place)} == expected


# --- counts ------------------------------------------------------------------

REJECTED_ONLY, IN_SILVER = "007", "7"
DAY, TIME = date(2025, 1, 31), datetime(2025, 2, 1)


def write_lake(settings: Settings) -> None:
    """A lake as a version without erasures left it: a load of three rows, of which one is rejected.

    Its `bronze.loads` has no column `erased_rows`.
    """
    lake = settings.home / "lake"
    batch = {"batch_id": ["b"]}
    ids = [REJECTED_ONLY, f" {IN_SILVER} ", OTHERS[0]]
    reasons = [[{"code": "not_accepted", "column_name": "Contract", "value": "Weekly"}]]
    tables: dict[str, dict[str, list[Any]]] = {
        "bronze.telco_customers": {"customerID": ids, "_batch_id": ["b"] * 3},
        "bronze.loads": {**batch, "row_count": [3]},
        "silver.rejected_rows": {"customerID": ids[:1], "_batch_id": ["b"], "reasons": reasons},
        "silver.customers": {"customer_id": [IN_SILVER, OTHERS[0]], "_batch_id": ["b"] * 2},
        "silver.load_counts": {
            **batch,
            **{"bronze_rows": [3], "silver_rows": [2], "exact_duplicates": [0]},
            "rejected_rows": [1],
        },
        "gold.publications": {
            **batch,
            **{"extract_date": [DAY], "created_timestamp": [TIME], "customers": [2]},
        },
    }
    for name, columns in tables.items():
        write_deltalake(lake.joinpath(*name.split(".")), pa.table(columns))
    gold = lake / "gold" / "customer_features" / f"extract_date={DAY}" / "a"
    gold.mkdir(parents=True)
    published = {"customer_id": [IN_SILVER, OTHERS[0]], "created_timestamp": [TIME] * 2}
    pq.write_table(pa.table(published), gold / "part.parquet")


def read_table_of(settings: Settings, name: str) -> list[dict[str, Any]]:
    table = DeltaTable(settings.home.joinpath("lake", *name.split(".")))
    return list(table.to_pyarrow_table().to_pylist())


def erase_from_tables(settings: Settings, *ids: str) -> ErasurePlan:
    subjects = make_subjects(ids)
    plan = make_plan(settings, subjects, find_tables(settings.lake))
    correct_counts(settings, plan)
    for table in find_tables(settings.lake):
        erase_table(table, Erasure(settings, subjects))
    return plan


@pytest.mark.parametrize(
    ("customer_id", "corrected"),
    [
        (REJECTED_ONLY, {"row_count": 2, "silver_rows": 2, "rejected_rows": 0, "customers": 2}),
        (IN_SILVER, {"row_count": 2, "silver_rows": 1, "rejected_rows": 1, "customers": 1}),
        ("07", {"row_count": 3, "silver_rows": 2, "rejected_rows": 1, "customers": 2}),
    ],
)
def test_counts_are_corrected_for_the_customer_alone(
    settings: Settings, customer_id: str, corrected: dict[str, int]
) -> None:
    """Of whom there is a reject only, or a customer, or nothing; the ids differ by zeros."""
    write_lake(settings)
    erase_from_tables(settings, customer_id)
    counted = (read_table_of(settings, name)[0] for name in (LOADS, COUNTS, PUBLICATIONS))
    counts = {name: value for row in counted for name, value in row.items()}
    assert {name: counts[name] for name in corrected} == corrected
    assert counts["bronze_rows"] == counts["row_count"]
    left = {row["customerID"].strip() for row in read_table_of(settings, "bronze.telco_customers")}
    assert left == {REJECTED_ONLY, IN_SILVER, OTHERS[0]} - {customer_id}
    assert len(read_table_of(settings, "silver.rejected_rows")) == corrected["rejected_rows"]
    assert len(read_table_of(settings, "silver.customers")) == corrected["silver_rows"]


def test_a_lake_of_before_has_the_erased_rows_when_a_load_has_added_the_column(
    settings: Settings,
) -> None:
    write_lake(settings)
    erase_from_tables(settings, REJECTED_ONLY)
    assert read_table_of(settings, LOADS) == [{"batch_id": "b", "row_count": 2}]
    new = pa.table({"batch_id": ["c"], "row_count": [5], "erased_rows": pa.array([0], pa.int32())})
    write_deltalake(
        settings.home / "lake" / "bronze" / "loads", new, mode="append", schema_mode="merge"
    )
    assert sorted(tuple(row.values()) for row in read_table_of(settings, LOADS)) == [
        ("b", 2, 1),
        ("c", 5, 0),
    ]
    # And once more: the count goes on from there.
    erase_from_tables(settings, IN_SILVER)
    assert ("b", 1, 2) in [tuple(row.values()) for row in read_table_of(settings, LOADS)]


def test_no_object_of_a_lake_in_a_store_names_the_customer(
    settings: Settings, tmp_path: Path
) -> None:
    """The objects of all versions of the tables, and of the readers' copies."""
    write_lake(settings)
    place = settings.home / "lake"
    shutil.copytree(place / "gold", place / published_copy.FOLDER / "gold")
    local = fs.LocalFileSystem()
    with object_store(tmp_path) as store:
        store.files().create_dir("lake")
        fs.copy_files(str(place), "lake/churn", local, store.files())
        environ = {"CHURN_HOME": str(settings.home), "CHURN_LAKE_URI": "s3a://lake/churn"}
        stored = read_settings({**store.environ, **environ})
        assert len(store.find_text("lake", OTHERS[0])) > 4
        erase_from_tables(stored, OTHERS[0])
        erasure = Erasure(stored, make_subjects([OTHERS[0]]))
        (copies,) = (each for each in PLACES if each.name == "copies for readers")
        assert copies.read(erasure)
        copies.erase(erasure)
        assert store.find_text("lake", OTHERS[0]) == {}
        assert store.find_text("lake", REJECTED_ONLY)


@pytest.mark.parametrize("call", ["forget", "objects"])
@pytest.mark.parametrize("customer_id", ["", " \t\u00a0"])
def test_a_blank_id_is_refused(settings: Settings, call: str, customer_id: str) -> None:
    with pytest.raises(InvalidInputError, match="No customer is given"):
        if call == "forget":
            forget(settings, [customer_id], Steps(STEPS))
        else:
            record_objection(settings, customer_id)
    assert not list((settings.home / "erased").glob("*"))


def test_the_server_of_a_container_waits_for_an_erasure(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure has stopped the server; its container must not end with it."""
    write_secret(erasing_file(settings), "{}")
    naps = iter(range(3))

    def sleep(seconds: float) -> None:
        if next(naps, None) is None:
            erasing_file(settings).unlink()

    ended = ProcessInfo(1, 0.0, 1, [], "", "spark.log")
    monkeypatch.setattr(spark_server, "ensure_running", lambda *_: ended)
    monkeypatch.setattr(spark_server, "time", SimpleNamespace(sleep=sleep))
    with pytest.raises(ServerLostError, match="ended while the command was using it"):
        spark_server.run_forever(settings, print)
    assert not erasing_file(settings).exists()


def test_an_id_of_which_nothing_is_stored_is_said_to_be_registered() -> None:
    found = Forgotten(1, {"runs": 2}, {"runs": 0}, ("a",), (), {})
    assert format_forgotten(found, dry_run=False)[-1] == "1 customer erased"
    unknown = replace(found, found={"runs": 0})
    nothing, registered = format_forgotten(unknown, dry_run=False)
    assert "check the spelling" in nothing
    assert registered == "0 customers erased; 1 id registered, to be left out of later loads"
    assert format_forgotten(unknown, dry_run=True)[-1] == "0 customers would be erased"


def test_an_erasure_that_finds_nothing_is_in_the_audit_log_without_the_id(tmp_path: Path) -> None:
    settings = read_settings({"CHURN_HOME": str(tmp_path / "home")})
    forgotten = forget(settings, ["7590-XXXXX"], Steps(STEPS))
    assert not any(forgotten.found.values())
    text = audit_log.audit_file(settings).read_text()
    (entry,) = map(json.loads, text.splitlines())
    assert entry["action"] == "erasure"
    assert entry["customers"] == [audit_log.hash_customer(settings, "7590-XXXXX")]
    assert "7590-XXXXX" not in text


# --- killed processes --------------------------------------------------------


@pytest.fixture(scope="module")
def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


DRAFT_FOLDERS = [
    *("erased", "runs/20250301T060000Z-aa", "campaigns", "sample", "site/runs", "logs/runs", "dbt"),
    *("lineage", "mlflow", "landed/0a1b", "models/20250301-aa", "lake/gold/customer_features"),
]


@pytest.mark.parametrize("name", [".0123456789abcdef-{}.part", ".0123456789abcdef.part"])
@pytest.mark.parametrize("folder", DRAFT_FOLDERS)
def test_a_draft_of_a_killed_process_is_removed(
    settings: Settings, ended: int, folder: str, name: str
) -> None:
    """Whatever is written at first under another name, and by an earlier version."""
    draft = settings.home / folder / name.format(ended)
    erase_what_was_left(settings, draft)


@pytest.mark.parametrize(
    "name",
    [
        "models/.20250301-aa.{}.new/model/out_of_fold/part-0.parquet",
        "landed/.{}-abcdefgh/book.csv",
        "landed/.abcdefgh/book.xlsx",
    ],
)
def test_a_folder_of_a_killed_process_is_removed(settings: Settings, ended: int, name: str) -> None:
    erase_what_was_left(settings, settings.home / name.format(ended))


def erase_what_was_left(settings: Settings, left: Path) -> None:
    left.parent.mkdir(parents=True, exist_ok=True)
    # Incomplete, so that no format can be read.
    left.write_bytes(b"PK\x03\x04 " + CANARY.encode())
    erasure = Erasure(settings, SUBJECTS)
    for place in PLACES:
        if place.name in ("workbooks", "runs", "site", "logs", "lineage", "dbt"):
            place.erase(erasure)
    (temporary,) = (each for each in PLACES if each.name == "temporary files")
    temporary.erase(erasure)
    assert find_text(settings.home, CANARY) == {}


def test_what_a_process_is_writing_is_kept(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "file") as draft:
        draft.write_text("a text")
        remove_drafts(tmp_path)
        assert draft.exists()
        assert not is_left_behind(draft, str(os.getpid()))


def test_a_process_that_started_after_a_file_was_written_did_not_write_it() -> None:
    """It has got the number of the one that did."""
    assert is_left_behind(PROJECT / "pyproject.toml", str(os.getpid()))


def test_a_pipeline_that_was_not_published_is_found_in_a_store(
    settings: Settings, tmp_path: Path
) -> None:
    rows = pa.table({"customer_id": [CANARY, OTHERS[0]], "probability": [0.5, 0.5]})
    with object_store(tmp_path) as store:
        store.files().create_dir("lake")
        environ = {"CHURN_HOME": str(settings.home), "CHURN_LAKE_URI": "s3a://lake/churn"}
        stored = read_settings({**store.environ, **environ})
        path = "lake/churn/_models/20250301-aa/out_of_fold/part-0.parquet"
        pq.write_table(rows, path, filesystem=store.files())
        (place,) = (each for each in PLACES if each.name == "out-of-fold rows")
        assert len(place.read(Erasure(stored, SUBJECTS))) == 1
        place.erase(Erasure(stored, SUBJECTS))
        assert store.find_text("lake", CANARY) == {}
        assert store.find_text("lake", OTHERS[0])


# --- models ------------------------------------------------------------------


def test_the_others_keep_their_decile(settings: Settings) -> None:
    """Equal risks, decided by id: the erased customer was the last of the lower decile."""
    folder = settings.home / "models" / "20250301-aa"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{}")
    gold = settings.home / "lake" / "gold" / "customer_features" / "extract_date=2025-03-01" / "a"
    gold.mkdir(parents=True)
    pq.write_table(pa.table({"customer_id": [*OTHERS, CANARY]}), gold / "part.parquet")
    last = deciles.Boundary(1, 0.5, CANARY)
    stored = deciles.Deciles("2025-03-01", "batch", 4, (last, deciles.Boundary(2, 0.9, OTHERS[2])))
    deciles.write(folder, stored)
    assert _erase_deciles(Erasure(settings, SUBJECTS, {"batch": 3})) == 1
    after = deciles.read(folder)
    assert after is not None and after.customers == 3
    assert not find_text(folder, CANARY)
    assert [after.decile(0.5, each) for each in OTHERS] == [
        stored.decile(0.5, each) for each in OTHERS
    ]


def test_every_place_has_a_name_of_its_own() -> None:
    names = [place.name for place in PLACES]
    assert len(set(names)) == len(names)
    assert all(place.contents for place in PLACES)


def test_the_search_finds_what_is_compressed_or_escaped(tmp_path: Path) -> None:
    """The search that the other tests rely on."""
    (tmp_path / "a.json").write_text(json.dumps({"id": "Caf\u00e9 1"}))
    write_book(tmp_path / "b.xlsx")
    pq.write_table(
        pa.table({"id": ["Caf\u00e9 1"] * 3}), tmp_path / "c.parquet", compression="zstd"
    )
    (tmp_path / "d.xls").write_bytes("Caf\u00e9 1".encode("utf-16-le"))
    assert set(find_text(tmp_path, "Caf\u00e9 1")) == {"a.json", "c.parquet", "d.xls"}
    assert set(find_text(tmp_path, CANARY)) == {"b.xlsx"}
