"""What erases a customer, part by part, without servers."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from byte_search import count_text, find_text
from deltalake import DeltaTable, write_deltalake
from openpyxl import Workbook, load_workbook

from churn.operations.erase_text import erase_from_file, find_in_file
from churn.operations.personal_data import PLACES, Erasure, _erase_deciles
from churn.operations.subjects import make_subjects
from lakehouse.delta_rewrite import change_delta_table
from lakehouse.erased_customers import (
    key_file,
    read_erased_customers,
    register_customers,
    registry_file,
)
from lakehouse.errors import InvalidInputError
from lakehouse.lake_files import list_current_files, read_rows
from lakehouse.parquet_rewrite import RowChange, change_parquet_files
from lakehouse.settings import Settings, read_settings
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


def write_book(path: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["customerID", "tenure"], [OTHERS[0], 3], [CANARY, 7], [OTHERS[1], 9]):
        sheet.append(row)
    book.save(path)


def test_a_workbook_loses_the_row_and_keeps_the_numbers_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    write_book(path)
    os.utime(path, (1, 1))
    assert count_text(path.read_bytes(), CANARY) == 1
    assert erase_from_file(path, SUBJECTS)
    assert path.stat().st_mtime == 1
    assert count_text(path.read_bytes(), CANARY) == 0
    sheet = load_workbook(path).active
    assert sheet is not None
    assert list(sheet.values) == [
        ("customerID", "tenure"),
        (OTHERS[0], 3),
        (None, None),
        (OTHERS[1], 9),
    ]
    assert not erase_from_file(path, SUBJECTS)


def test_numbers_are_ids_in_the_column_of_ids_only(tmp_path: Path) -> None:
    path = tmp_path / "numbers.xlsx"
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["tenure", "Customer ID"], [12, 55], [55, 12]):
        sheet.append(row)
    book.save(path)
    assert erase_from_file(path, make_subjects(["12"]))
    sheet = load_workbook(path).active
    assert sheet is not None
    assert list(sheet.values) == [("tenure", "Customer ID"), (12, 55)]


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
