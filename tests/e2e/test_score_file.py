"""`churn score FILE` gives the scores and reasons of the batch, and publishes nothing."""

import csv
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from environments import CompletedRun, Environments

from lakehouse.settings import PROJECT

CASES = PROJECT.parent / "shared" / "cases"
LABEL = "Churn"


@pytest.fixture(scope="module")
def table(shared_data: Path) -> list[list[Any]]:
    """The published workbook: header and rows."""
    sheet = openpyxl.load_workbook(shared_data / "Telco-Customer-Churn.xlsx").worksheets[0]
    return [list(row) for row in sheet.iter_rows(values_only=True)]


def without_label(table: list[list[Any]]) -> list[list[Any]]:
    place = table[0].index(LABEL)
    return [row[:place] + row[place + 1 :] for row in table]


def write_xlsx(path: Path, table: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    for row in table:
        book.worksheets[0].append(row)
    book.save(path)
    return path


def batch_scores(completed_run: CompletedRun) -> dict[str, dict[str, Any]]:
    """The batch scores of the published extract, as `--json` prints those of a file."""
    rows = completed_run.home.sql(
        "select customer_id, probability, decile, reasons from gold.churn_scores"
    )
    return {
        row["customer_id"]: {**row, "reasons": [reason["text"] for reason in row["reasons"]]}
        for row in rows
    }


def files_of(completed_run: CompletedRun) -> dict[Path, int]:
    """Every file of lake, models and online store with the time of its last change.

    Of the online store its append-only file, to which it writes every change at once; the rest it
    writes when it likes.
    """
    folders = [completed_run.home.path / name for name in ("lake", "models", "redis/appendonlydir")]
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in found}


def test_a_file_without_the_label_gets_the_scores_of_the_published_extract(
    completed_run: CompletedRun, table: list[list[Any]], tmp_path: Path
) -> None:
    expected, before = batch_scores(completed_run), files_of(completed_run)
    path = write_xlsx(tmp_path / "without_label.xlsx", without_label(table))
    result = completed_run.home.churn_json("score", path)
    assert {each["customer_id"]: each for each in result["customers"]} == expected
    assert len(result["customers"]) == len(expected)
    risks = [each["probability"] for each in result["customers"]]
    assert risks == sorted(risks, reverse=True)
    assert [each["row_number"] for each in result["rejected"]] == list(range(7045, 7051))
    assert result["rows"] == len(result["customers"]) + len(result["rejected"])
    assert result["model_version"] == completed_run.summary["model"]["version"]
    assert files_of(completed_run) == before


def test_a_few_rows_in_another_order_and_with_unusable_labels_get_the_same_scores(
    completed_run: CompletedRun, table: list[list[Any]], tmp_path: Path
) -> None:
    header, rows = table[0], table[40:20:-1]
    place, id_place, charge = (
        header.index(name) for name in (LABEL, "customerID", "MonthlyCharges")
    )
    labelled = [[*row[:place], "not yet", *row[place + 1 :]] for row in rows]
    unusable = ["0000-WRONG", *labelled[0][1:]]
    unusable[charge] = "a lot"
    path = tmp_path / "few.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([header, *labelled, unusable, labelled[0]])
    out = tmp_path / "scores.xlsx"
    said = completed_run.home.churn("score", path, "--out", out).stdout
    assert "20 of 22 rows scored" in said

    expected = batch_scores(completed_run)
    book = openpyxl.load_workbook(out)
    scores = list(book["Customers"].iter_rows(min_row=2, values_only=True))
    assert sorted(row[0] for row in scores) == sorted(row[id_place] for row in rows)
    for customer_id, probability, decile, *reasons in scores:
        # A cell keeps 16 digits.
        assert probability == pytest.approx(expected[customer_id]["probability"], rel=1e-14)
        assert decile == expected[customer_id]["decile"]
        assert [text for text in reasons if text] == expected[customer_id]["reasons"]
    rejected = list(book["Rejected rows"].iter_rows(min_row=2, values_only=True))
    assert [(row[0], row[1]) for row in rejected] == [
        (22, "0000-WRONG"),
        (23, rows[0][id_place]),
    ]
    assert "not a number" in rejected[0][2]
    assert "exact copy" in rejected[1][2]


def test_the_field_case_without_a_label_is_scored(
    completed_run: CompletedRun, tmp_path: Path
) -> None:
    case = CASES / "08-codes" / "no_churn_column.xlsx"
    if not case.exists():
        pytest.skip("the field cases are not beside this checkout")
    result = completed_run.home.churn_json("score", case)
    assert (len(result["customers"]), result["rejected"]) == (1200, [])


def test_what_cannot_be_scored_is_refused_and_leaves_nothing(
    environments: Environments, completed_run: CompletedRun, table: list[list[Any]], tmp_path: Path
) -> None:
    path = write_xlsx(tmp_path / "few.xlsx", table[:3])
    empty = environments.new("nothing_to_score_with")
    assert "churn train" in empty.churn("score", path, code=2).stderr
    assert not (empty.path / "spark").exists()

    incomplete = write_xlsx(tmp_path / "incomplete.xlsx", [row[1:] for row in table[:3]])
    assert "customerID" in completed_run.home.churn("score", incomplete, code=2).stderr
    assert "FILE" in completed_run.home.churn("score", "--out", tmp_path / "a.xlsx", code=2).stderr
    path.with_name("there.xlsx").touch()
    completed_run.home.churn("score", path, "--out", path.with_name("there.xlsx"), code=2)
