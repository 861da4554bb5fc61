"""The site's front page from made-up histories; tests/e2e/test_site.py has a real one."""

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from front_pages import DAY, history
from template_lines import missed_lines

from churn.reports.front_page import FrontPage, Run, front_page
from churn.reports.front_page_data import _runs
from churn.reports.gate_statements import describe_rule
from churn.reports.plots import Course, draw_columns
from lakehouse.domain import read_domain

HOSTILE = "<script>alert(1)</script>\u202egnp"


def words(page: str) -> str:
    """What people read of it."""
    body = re.sub(r"<(style|script|svg)\b.*?</\1>", " ", page.partition("<body>")[2], flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_before_any_run_it_says_what_to_do() -> None:
    said = words(front_page(FrontPage()))
    assert "No workbook was run yet" in said
    assert "churn run path/to/customers.xlsx" in said
    assert "churn docs adds the dbt docs" in said
    assert "The extracts" not in said and "The model" not in said


def test_a_run_whose_first_workbook_was_refused() -> None:
    data = history(extracts=1)
    refused = replace(data.extracts[0], verdict="refused", published=None, failed=("labels",))
    summary = {"run_id": "20250101T000000Z-abc", "extract_date": DAY.isoformat()}
    summary |= {"gate": {"verdict": "refused", "failed": 1}}
    page = front_page(FrontPage(runs=(Run(summary),), extracts=(refused,)))
    assert "Refused: this workbook did not pass the checks" in words(page)
    assert "labels" in words(page)
    assert "customers published" not in words(page)


def test_gate_drift_and_models_over_time() -> None:
    page = front_page(history(extracts=12))
    said = words(page)
    assert said.count("✗ refused") == 1 and "drift_of_monthly_charges" in said
    assert said.count("★ champion") == 1
    for title in ("Customers", "Rows left out", "Drift", "ROC-AUC by version"):
        assert f"<title>{title}</title>" in page
    # Pictures say their figures to those who do not see them.
    assert "feature that moved most 0.300" in page
    # A table is cut, and says so.
    assert said.count("Duplicates") == 1 and "the rest in audit.gate_results" in said


@pytest.mark.parametrize("columns", [3, 4, 24])
def test_dates_below_a_plot_do_not_overlap(columns: int) -> None:
    labels = [f"2025-01-{day:02}" for day in range(1, columns + 1)]
    svg = draw_columns("n", "t", labels, [Course("c", [1.0] * columns)])
    places = re.findall(r"<text[^>]*>2025-01-\d\d</text>", svg)
    across = sorted(
        float(found[1]) for each in places if (found := re.search(r' x="([\d.]+)"', each))
    )
    assert len(across) == len(places) >= 2
    # A date is 64 points wide, and centred on its place.
    assert all(right - left > 70 for left, right in pairwise(across))
    assert across[-1] + 32 < 330


def test_a_broken_rule_is_stated_in_words() -> None:
    texts = {"drift_of_monthly_charges": "the bills are as before"}
    said = words(front_page(replace(history(extracts=5), rule_texts=texts)))
    assert "the bills are as before drift_of_monthly_charges" in said
    assert describe_rule("minimum_customers", read_domain()).endswith("at least 1,000 customers")


def test_the_latest_run_of_a_date_reports_on_it() -> None:
    data = history(extracts=3)
    again = Run({**data.runs[0].summary, "run_id": "20990101T000000Z-zzz"})
    unreported = Run({**data.runs[1].summary, "run_id": "20990101T000001Z-zzz"}, has_report=False)
    reports = replace(data, runs=(*data.runs, again, unreported)).reports
    assert reports[data.runs[0].extract_date] == again.run_id
    assert reports[data.runs[1].extract_date] == data.runs[1].run_id


def test_the_same_data_give_the_same_page() -> None:
    assert front_page(history(extracts=5)) == front_page(history(extracts=5))


def test_names_from_a_workbook_do_nothing() -> None:
    data = history(extracts=2)
    extract = replace(data.extracts[0], failed=(HOSTILE,), drifted=HOSTILE)
    page = front_page(replace(data, extracts=(extract, *data.extracts[1:])))
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert page.count("<script") == 1


def test_a_damaged_summary_costs_nothing_but_itself(tmp_path: Path) -> None:
    for name, text in (
        ("20250101T000000Z-a", json.dumps({"run_id": "20250101T000000Z-a"})),
        ("20250102T000000Z-b", '{"run_id": "2025'),
        ("20250103T000000Z-c", "[]"),
        ("copied", json.dumps({"run_id": "20250101T000000Z-a"})),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(text)
    (run,) = _runs(tmp_path)
    assert run.run_id == "20250101T000000Z-a" and not run.has_report
    # What a summary of another time does not say stays out.
    assert "Latest run" in words(front_page(FrontPage(runs=(run,))))


def test_when_a_run_began() -> None:
    assert Run({"run_id": "20250101T093000Z-a"}).began == "2025-01-01 09:30 UTC"
    assert Run({"run_id": "manual"}).began == ""


def test_every_line_of_the_template_is_rendered_by_these_tests() -> None:
    data = history(extracts=12)
    refused = replace(data.extracts[0], verdict="refused", published=None, failed=("labels",))
    summary = {"run_id": "20250101T000000Z-abc", "extract_date": DAY.isoformat()}
    summary |= {"gate": {"verdict": "refused", "failed": 1}}
    with missed_lines() as missed:
        for each in (FrontPage(), data, FrontPage(runs=(Run(summary),), extracts=(refused,))):
            front_page(each)
    assert missed["front_page.html.j2"] == set()
