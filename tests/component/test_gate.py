"""Bronze to gold on a real server: layouts, restatements, refusals, and what they leave alone."""

import random
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from environments import ChurnHome, Environments

from churn.provenance.load_state import mark_pending
from lakehouse import spark_session
from seeds_loader.sample import SampleParameters, simulate, write_samples

SAMPLE = SampleParameters(months=2, dirt=True)


def gold(home: ChurnHome, extract_date: str) -> list[dict[str, Any]]:
    """Published rows of a date, without the time of their load."""
    return home.sql(
        f"""
        select * except (created_timestamp) from gold.customer_features
        where extract_date = '{extract_date}' order by customer_id
        """
    )


def published(home: ChurnHome) -> dict[str, int]:
    rows = home.sql(
        "select extract_date, count(*) as n from gold.customer_features group by 1 order by 1"
    )
    return {row["extract_date"].isoformat(): row["n"] for row in rows}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two monthly workbooks with the faults that real ones have, of the real one's size: a load of
    another size than the extract before it is refused."""
    folder = tmp_path_factory.mktemp("samples")
    return write_samples(SAMPLE, folder)


def workbook(path: Path, rows: list[list[Any]]) -> Path:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Customers")
    for row in rows:
        sheet.append(row)
    book.save(path)
    return path


def rows_of(path: Path) -> list[list[Any]]:
    sheet = openpyxl.load_workbook(path, read_only=True).worksheets[0]
    return [list(row) for row in sheet.iter_rows(values_only=True)]


NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
# The verdict is data: what is published must be right without a single test node in the graph.
NO_TESTS = (*NO_UNIT_TESTS, "--exclude-resource-type", "test")


def load_and_build(
    home: ChurnHome,
    path: Path,
    extract_date: str,
    without: tuple[str, ...] = NO_TESTS,
    code: int = 0,
) -> None:
    loaded = home.churn("ingest", path, "--extract-date", extract_date).stdout
    if "loaded before" not in loaded:
        home.churn("build", *without, code=code)


@pytest.mark.long
def test_dirty_rows_are_rejected_by_what_is_wrong_with_them(
    shared_home: ChurnHome, samples: list[Path]
) -> None:
    """The sampler knows which faults it made; the rejects must be those rows, no others."""
    load_and_build(shared_home, samples[0], "2025-01-01", without=NO_UNIT_TESTS)
    month = next(iter(simulate(SAMPLE)))
    expected = {each.row_number: each.fate for each in month.dirt if each.fate != "loads"}
    rejects = shared_home.sql(
        "select _row_number, reasons from silver.rejected_rows where extract_date = '2025-01-01'"
    )
    codes = {row["_row_number"]: row["reasons"][0]["code"] for row in rejects}
    assert set(codes) == set(expected)
    for row, fate in expected.items():
        assert codes[row] == fate or fate == "fault", (row, codes[row], fate)
    counts = shared_home.sql("select * from silver.load_counts where extract_date = '2025-01-01'")[
        0
    ]
    assert counts["bronze_rows"] == (
        counts["silver_rows"] + counts["rejected_rows"] + counts["exact_duplicates"]
    )
    assert published(shared_home)["2025-01-01"] == counts["silver_rows"]


@pytest.mark.long
def test_the_order_of_rows_does_not_matter(
    environments: Environments, shared_data: Path, tmp_path: Path
) -> None:
    # A home of its own: the samples of the other tests are of other customers.
    tables = environments.new("shuffled")
    tables.churn("up")
    rows = rows_of(shared_data / "Telco-Customer-Churn.xlsx")
    shuffled = rows[1:]
    random.Random(7).shuffle(shuffled)
    path = workbook(tmp_path / "shuffled.xlsx", [rows[0], *shuffled])
    # two pending loads, one build
    tables.churn("ingest", path, "--extract-date", "2024-01-01")
    load_and_build(tables, shared_data / "Telco-Customer-Churn.xlsx", "2024-02-01")
    january, february = gold(tables, "2024-01-01"), gold(tables, "2024-02-01")
    times = ("event_timestamp", "extract_date")
    without = [
        [{k: v for k, v in row.items() if k not in times} for row in month]
        for month in (january, february)
    ]
    assert without[0] == without[1]
    kept = {row["customer_id"]: row["total_charges"] for row in january}
    assert (kept["0639-TSIQW"], kept["8456-QDAVC"]) == (6886.25, 1495.1)
    tables.churn("down")


@pytest.mark.long
def test_a_refused_load_changes_nothing_that_is_published(
    shared_home: ChurnHome, samples: list[Path], tmp_path: Path
) -> None:
    load_and_build(shared_home, samples[0], "2025-01-01")
    before = published(shared_home)
    rows = rows_of(samples[1])
    path = workbook(tmp_path / "few.xlsx", rows[:500])
    said = shared_home.churn("run", path, "--extract-date", "2025-03-01", code=3).stderr
    assert "minimum_customers" in said
    assert "silver.rejected_rows" in said
    assert published(shared_home) == before
    assert (
        shared_home.value("select count(*) from silver.customers where extract_date='2025-03-01'")
        > 0
    )
    # no selector and no second build gets it out
    shared_home.dbt("run", "-s", "customer_features", "churn_labels", "publications")
    assert published(shared_home) == before
    # the same workbook again is judged again and refused again
    again = shared_home.churn_json("run", path, "--extract-date", "2025-03-01", code=3)
    assert again["gate"]["verdict"] == "refused"
    assert again["counts"]["bronze"] == 499
    assert "gold" not in again["counts"]
    assert published(shared_home) == before
    # and it does not delay other loads
    load_and_build(shared_home, samples[1], "2025-05-01")
    assert set(published(shared_home)) == {*before, "2025-05-01"}


@pytest.mark.long
def test_a_restatement_replaces_its_date_and_can_be_taken_back(
    shared_home: ChurnHome, samples: list[Path], tmp_path: Path
) -> None:
    load_and_build(shared_home, samples[1], "2025-05-01")
    first = gold(shared_home, "2025-05-01")
    rows = rows_of(samples[1])
    path = workbook(tmp_path / "restated.xlsx", rows[:6500])
    load_and_build(shared_home, path, "2025-05-01")
    assert len(gold(shared_home, "2025-05-01")) < len(first)
    load_and_build(shared_home, samples[1], "2025-05-01")
    assert gold(shared_home, "2025-05-01") == first
    verdicts = shared_home.sql(
        """
        select verdict from bronze.loads inner join audit.load_verdicts using (batch_id)
        where loads.extract_date = '2025-05-01' order by _loaded_at
        """
    )
    assert [row["verdict"] for row in verdicts] == ["superseded", "superseded", "passed"]
    # what it was compared with is the extract before, not what it replaces
    compared = shared_home.value(
        """
        select max(compared_with) from audit.gate_results
        where extract_date = '2025-05-01' and verdict = 'passed'
        """
    )
    assert compared == date(2025, 1, 1)


@pytest.mark.long
def test_a_refused_restatement_and_a_rebuild_leave_gold_as_it_was(
    shared_home: ChurnHome, samples: list[Path], tmp_path: Path
) -> None:
    load_and_build(shared_home, samples[0], "2025-01-01")
    before = gold(shared_home, "2025-01-01")
    path = workbook(tmp_path / "few.xlsx", rows_of(samples[0])[:900])
    load_and_build(shared_home, path, "2025-01-01", code=3)
    assert gold(shared_home, "2025-01-01") == before
    verdicts = shared_home.sql(
        """
        select verdict from bronze.loads inner join audit.load_verdicts using (batch_id)
        where loads.extract_date = '2025-01-01' order by _loaded_at
        """
    )
    assert [row["verdict"] for row in verdicts][-2:] == ["passed", "refused"]
    # A rebuild publishes the other dates again, as they were. It can't judge what silver no longer
    # holds, and does not make it wait for ever.
    others = {day: gold(shared_home, day) for day in published(shared_home)}
    shared_home.churn("build", "--rebuild", *NO_TESTS)
    assert {day: gold(shared_home, day) for day in published(shared_home)} == others
    assert (
        shared_home.value("select count(*) from audit.load_verdicts where verdict = 'pending'") == 0
    )


@pytest.mark.long
def test_a_run_finishes_a_load_that_is_to_be_judged_again(
    shared_home: ChurnHome, samples: list[Path]
) -> None:
    load_and_build(shared_home, samples[1], "2025-05-01")
    with spark_session.session(shared_home.settings) as spark:
        mark_pending(spark, "extract_date = '2025-05-01' and verdict = 'passed'", "test")
    summary = shared_home.churn_json("run", samples[1], "--extract-date", "2025-05-01")
    assert summary["gate"]["verdict"] == "passed"


@pytest.mark.long
def test_a_full_refresh_loses_nothing(shared_home: ChurnHome, samples: list[Path]) -> None:
    load_and_build(shared_home, samples[0], "2025-01-01")
    before = gold(shared_home, "2025-01-01")
    count = published(shared_home)
    shared_home.dbt("build", "--full-refresh", *NO_UNIT_TESTS)
    assert gold(shared_home, "2025-01-01") == before
    assert published(shared_home) == count


@pytest.mark.long
def test_nothing_pending_is_a_green_build(shared_home: ChurnHome) -> None:
    before = what_stands(shared_home)
    shared_home.churn("build", *NO_TESTS)
    assert what_stands(shared_home) == before


def published_files(home: ChurnHome) -> list[Path]:
    lake = home.path / "lake" / "gold"
    return [
        each
        for name in ("customer_features", "churn_labels")
        for each in (lake / name).rglob("*")
        if each.is_file() and not each.name.endswith(".crc")
    ]


@pytest.mark.long
def test_gold_holds_just_the_published_files(shared_home: ChurnHome, samples: list[Path]) -> None:
    """Each date of a table has one folder after every publish, and a plain reader sees no other."""
    load_and_build(shared_home, samples[0], "2025-01-01")
    leftover = (
        shared_home.path / "lake" / "gold" / "churn_labels" / "extract_date=2025-01-01" / "died"
    )
    leftover.mkdir()
    (leftover / "part-0.parquet").write_bytes(b"half a file")
    shared_home.dbt("build", "-s", "pending_loads", *NO_UNIT_TESTS)
    for name in ("customer_features", "churn_labels"):
        read = pd.read_parquet(shared_home.path / "lake" / "gold" / name)
        counts = read.groupby("extract_date", observed=True).size().to_dict()
        assert {str(day)[:10]: n for day, n in counts.items()} == published(shared_home)
    folders = {each.parent for each in published_files(shared_home)}
    assert len(folders) == 2 * len(published(shared_home))


def what_stands(home: ChurnHome) -> tuple[Any, ...]:
    """Verdicts, publications and the published files, with the times of their writing."""
    files = {each: each.stat().st_mtime_ns for each in published_files(home)}
    return (
        home.value("select count(*) from audit.gate_results"),
        home.sql("select batch_id, published_at from gold.publications order by 1"),
        files,
    )


def test_the_extract_date_of_the_sample_is_its_saved_date(samples: list[Path]) -> None:
    from seeds_loader.extract_date import choose_extract_date
    from seeds_loader.reader.sandbox import read_workbook

    chosen = choose_extract_date(None, read_workbook(samples[1]))
    assert (chosen.date, chosen.source) == (date(2025, 2, 1), "workbook")
