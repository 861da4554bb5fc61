"""Names that were probably meant are suggested, and no others."""

from pathlib import Path

import pytest

from churn.cli.main import main
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


OPTIONS = sorted(
    {
        name
        for group in (main, *main.commands.values())
        for command in getattr(group, "commands", {}).values()
        for option in command.params
        for name in option.opts
        if name.startswith("--")
    }
)
COMMANDS = [name for name, command in main.commands.items() if not command.hidden]


@pytest.mark.parametrize(
    ("typed", "names", "meant"),
    [
        ("--otu", OPTIONS, "--out"),
        ("--outt", OPTIONS, "--out"),
        ("--shet", OPTIONS, "--sheet"),
        ("--extractdate", OPTIONS, "--extract-date"),
        ("--extract_date", OPTIONS, "--extract-date"),
        ("--encodign", OPTIONS, "--encoding"),
        ("--folow", OPTIONS, "--follow"),
        ("--jsn", OPTIONS, "--json"),
        ("--colour", OPTIONS, "--color"),
        ("statsu", COMMANDS, "status"),
        ("sttus", COMMANDS, "status"),
        ("traim", COMMANDS, "train"),
        ("evalaute", COMMANDS, "evaluate"),
        ("retentionlist", COMMANDS, "retention-list"),
        ("backpu", COMMANDS, "backup"),
        ("monitr", COMMANDS, "monitor"),
        ("Rollbak", COMMANDS, "rollback"),
        ("schdlr", ["api-server", "scheduler"], "scheduler"),
        ("gold.churn_score", ["gold.churn_scores", "gold.churn_labels"], "gold.churn_scores"),
        ("gold.costumer_features", ["gold.customer_features"], "gold.customer_features"),
    ],
)
def test_typing_errors_are_recognised(typed: str, names: list[str], meant: str) -> None:
    assert find_near_matches(typed, names) == [meant]


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        *((name, OPTIONS) for name in ("--port", "--host", "--date", "--file", "--output")),
        *((name, OPTIONS) for name in ("--force-all", "--name", "--threads", "--user", "-p")),
        *((name, OPTIONS) for name in ("--format", "--silent", "--input", "--log")),
        *((name, COMMANDS) for name in ("version", "start", "stop", "report", "delete", "test")),
        *((name, COMMANDS) for name in ("install", "model", "predict", "web", "gui", "export")),
        ("gold.typo", ["gold.churn_scores", "gold.churn_labels", "gold.publications"]),
        ("winter-2026", ["spring-2026", "summer-2025"]),
    ],
)
def test_other_words_are_no_typing_errors(typed: str, names: list[str]) -> None:
    assert find_near_matches(typed, names) == []


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
