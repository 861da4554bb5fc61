"""Names that were probably meant are suggested, and no others."""

from pathlib import Path

import pytest

from lakehouse.near_matches import find_near_files, find_near_matches, format_meant


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("sprung", ["spring"]),
        (" SPRING ", ["spring"]),
        ("aut", ["autumn-2025", "autumn-2026"]),
        ("winter", []),
        ("", []),
    ],
)
def test_similar_names_are_found(name: str, near: list[str]) -> None:
    assert find_near_matches(name, ["autumn-2025", "autumn-2026", "spring"]) == near


@pytest.mark.parametrize(
    ("near", "text"),
    [
        ([], ""),
        (["a"], "did you mean a? "),
        (["a", "b"], "did you mean a or b? "),
        (["a", "b", "c"], "did you mean a, b or c? "),
    ],
)
def test_a_suggestion_is_a_question(near: list[str], text: str) -> None:
    assert format_meant(near) == text


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("customers.xls", ["customers.xlsx"]),
        ("custmers.xlsx", ["customers.xlsx"]),
        ("CUSTOMERS.csv", ["customers.xlsx"]),
        ("sales.xlsx", []),  # sales.txt is no workbook
        ("none/customers.xlsx", []),
    ],
)
def test_files_of_the_folder_are_found(tmp_path: Path, name: str, near: list[str]) -> None:
    for each in ("customers.xlsx", "customers.pdf", "sales.txt"):
        (tmp_path / each).touch()
    assert find_near_files(tmp_path / name, (".xlsx", ".xls", ".csv")) == near
