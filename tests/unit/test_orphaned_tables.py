"""Only the remains of an interrupted creation of a table are removed."""

from pathlib import Path

import pytest

from lakehouse.orphaned_tables import remove_uncommitted_tables
from lakehouse.storage import Storage

COMMIT = "_delta_log/00000000000000000000.json"
CHECKPOINT = "_delta_log/00000000000000000010.checkpoint.parquet"
DRAFT = "_delta_log/.00000000000000000000.json.cc2ed1e0.tmp"


def at(lake: Path) -> Storage:
    return Storage(str(lake))


def lay(lake: Path, table: str, *files: str) -> Path:
    folder = lake / table
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("table", "files"),
    [
        ("gold/churn_scores", [DRAFT]),
        ("bronze/telco_customers", ["_extract_date=2025-01-01/part-0.parquet"]),
        ("silver/customers", ["part-0.parquet", DRAFT]),
    ],
)
def test_a_folder_without_a_commit_goes(tmp_path: Path, table: str, files: list[str]) -> None:
    said: list[str] = []
    folder = lay(tmp_path, table, *files)
    remove_uncommitted_tables(at(tmp_path), said.append)
    assert not folder.exists()
    assert table.replace("/", ".") in said[0]


@pytest.mark.parametrize(
    ("table", "files"),
    [
        ("bronze/loads", [COMMIT, DRAFT, "part-0.parquet"]),
        ("silver/customers", [CHECKPOINT]),
        ("gold/customer_features", ["extract_date=2025-01-01/publish-1/part-0.parquet"]),
        ("elsewhere/notes", ["notes.txt"]),
    ],
)
def test_a_table_stays(tmp_path: Path, table: str, files: list[str]) -> None:
    lay(tmp_path, table, *files)
    (tmp_path / "_run.lock").touch()
    before = sorted(tmp_path.rglob("*"))
    remove_uncommitted_tables(at(tmp_path), print)
    assert sorted(tmp_path.rglob("*")) == before


def test_no_lake_yet(tmp_path: Path) -> None:
    remove_uncommitted_tables(at(tmp_path / "lake"), print)
