"""Rejects go back to people: what a refused run names as the hint does what it says."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from environments import ChurnHome

from churn.reports.rejects_workbook import FAULTY, ORIGIN
from seeds_loader.sample import SampleParameters, simulate, write_samples

# Too few customers for the gate: the load is refused, so that no other test of these tables is
# compared with it.
SAMPLE = SampleParameters(rows=400, seed=11, dirt=True)
EXTRACT_DATE = "2019-06-01"
REMARKS = ("=1+1", "+49 30 1234", "@home", "a\tb", 12, None, "n/a", "-1,5")


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sampler's dirt, and a column of remarks that the contract doesn't know."""
    (path,) = write_samples(SAMPLE, tmp_path_factory.mktemp("dirty"))
    book = openpyxl.load_workbook(path)
    (sheet,) = book.worksheets
    remarks = sheet.max_column + 1
    sheet.cell(1, remarks, "Remark")
    for row in range(2, sheet.max_row + 1):
        # by customer, so that exact copies of a row stay exact
        customer = sum(map(ord, sheet.cell(row, 1).value))
        cell = sheet.cell(row, remarks, REMARKS[customer % len(REMARKS)])
        cell.data_type = "s" if isinstance(cell.value, str) else cell.data_type
    book.save(path)
    return path


def rows_below_header(sheet: Any) -> list[list[Any]]:
    return [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]


def as_read(value: Any) -> Any:
    """To the loader a cell of blanks is a blank cell."""
    return None if isinstance(value, str) and not value.strip() else value


def test_a_refused_run_says_how_to_get_the_rejects_and_they_come_as_they_were(  # long: one story
    shared_home: ChurnHome, dirty: Path, tmp_path: Path
) -> None:
    refused = shared_home.churn("run", dirty, "--extract-date", EXTRACT_DATE, "--json", code=3)
    summary = json.loads(refused.stdout)
    (command,) = re.findall(r"`churn (rejects .*) --out rejects\.xlsx`", refused.stderr)
    out = tmp_path / "rejects.xlsx"
    said = shared_home.churn(*command.split(), "--out", out).stdout

    source = openpyxl.load_workbook(dirty).worksheets[0]
    headers = [cell.value for cell in source[1]]
    book = openpyxl.load_workbook(out)
    sheet = book["Rejects"]
    assert [cell.value for cell in sheet[1]] == [*ORIGIN, *headers]

    month = next(iter(simulate(SAMPLE)))
    expected = {each.row_number: each for each in month.faults if each.expected_outcome != "loads"}
    given = {row[0]: row for row in rows_below_header(sheet)}
    copies = {n for n, each in expected.items() if each.expected_outcome == "exact_duplicate"}
    assert list(given) == [*sorted(expected.keys() - copies), *sorted(copies)]
    for number, row in given.items():
        assert row[1:3] == [dirty.name, source.title]
        assert row[len(ORIGIN) :] == [as_read(cell.value) for cell in source[number]], number
        assert row[3].endswith(".")
    for row in sheet.iter_rows(min_row=2):
        marked = {
            headers[cell.column - len(ORIGIN) - 1]
            for cell in row
            if cell.fill.fgColor.rgb == FAULTY.fgColor.rgb
        }
        dirt = expected[row[0].value]
        if dirt.expected_outcome == "conflicting_duplicate":
            assert "customerID" not in marked
            assert f'customerID is "{row[len(ORIGIN)].value}"' in row[3].value
            assert re.search(r"Row \d+ was kept (because its|by a fixed order)", row[3].value)
        else:
            assert marked >= {dirt.column if dirt.expected_outcome == "fault" else "customerID"}
        assert marked
        assert {each.split(" is ")[0] for each in row[3].value.split("\n")} >= marked
    assert not any(cell.data_type == "f" for row in sheet.iter_rows() for cell in row)

    counts = summary["counts"]
    assert len(given) == counts["rejected"] + counts["exact_duplicates"]
    assert f"{counts['rejected']} rejected of {counts['bronze']} rows" in said
    assert f"and {counts['exact_duplicates']} exact copies" in said
    duplicates = Counter(each.expected_outcome for each in expected.values())
    by_reason = {row[3]: row[1] for row in book["Summary"].iter_rows(values_only=True)}
    for code in ("exact_duplicate", "conflicting_duplicate"):
        assert by_reason[code] == duplicates[code]

    # the latest load is the one meant when none is named; what is there is not written over
    again = tmp_path / "again.xlsx"
    shared_home.churn("rejects", "--out", again)
    assert rows_below_header(openpyxl.load_workbook(again)["Rejects"]) == list(given.values())
    before = again.read_bytes()
    shared_home.churn("rejects", "--out", again, code=2)
    assert again.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["again.xlsx", "rejects.xlsx"]


@pytest.mark.long
def test_a_load_without_rejects_to_give_is_told(
    shared_home: ChurnHome, dirty: Path, tmp_path: Path
) -> None:
    """Not checked yet, then restated by a workbook without a fault, in one date's life."""
    out = tmp_path / "out" / "rejects.xlsx"
    out.parent.mkdir()
    first = json.loads(
        shared_home.churn("run", dirty, "--extract-date", "2019-07-01", "--json", code=3).stdout
    )
    (clean,) = write_samples(SampleParameters(rows=300, seed=12), tmp_path)
    shared_home.churn("ingest", clean, "--extract-date", "2019-07-01")
    assert "have not been checked yet" in shared_home.churn("rejects", "--out", out, code=2).stderr

    shared_home.churn("build", code=3)
    said = shared_home.churn("rejects", "--out", out).stdout
    assert "no rejects: all 300 rows" in said
    gone = shared_home.churn("rejects", "--run", first["run_id"], "--out", out, code=2).stderr
    assert "restated by another workbook" in gone
    assert list(out.parent.iterdir()) == []
