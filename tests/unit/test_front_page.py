"""The site's front page from made-up histories; tests/e2e/test_site.py has a real one."""

import json
import re
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from front_pages import DAY, history
from template_lines import missed_lines

from churn.reports.front_page import (
    MEANINGS,
    FrontPage,
    Run,
    front_page,
    list_of,
    missing_page,
)
from churn.reports.front_page_data import _runs
from churn.reports.gate_statements import describe_rule
from churn.reports.plots import Course, draw_columns, draw_courses
from feature_repo.label_texts import ONE_EXTRACT
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


def first_extract() -> FrontPage:
    """A home after its first run, whose monitoring had nothing to compare with."""
    data = history(extracts=1)
    summary = {**data.runs[0].summary, "watch": {"worst": [], "alerts": []}}
    models = (replace(data.models[0], limit=ONE_EXTRACT),)
    return replace(
        data, runs=(replace(data.runs[0], summary=summary),), models=models, campaigns=()
    )


def test_calls_come_first_then_the_pipeline_then_the_data_team() -> None:
    said = words(front_page(history(extracts=3)))
    parts = ("Whom to call", "Campaigns", "State of the pipeline", "For the data team")
    places = [said.index(part) for part in parts]
    assert places == sorted(places)
    calls = said[: places[1]]
    assert "calls to make 100" in calls
    assert "100 calls, expected gain about $8,100 ($3,000 to $14,000) The expected gain is" in calls
    assert "is the bills; no margin is taken off. We expect 9 to stay." in calls
    assert "cost of the calls $1,240" in calls
    made = "customers as of 2023-03-02, list from the run of 2023-03-02 09:00 UTC"
    assert f"✓ Current : {made}" in calls
    assert "Made from the latest published extract, with the model in use now." in calls
    assert "Download the list" in calls
    assert "started 2023-03-02 09:00 UTC, done in 2 min 33 s, extract of 2023-03-02" in said
    # The data team's terms are below its heading.
    for term in ("ROC-AUC", "champion", "gate", "Drift", "alerts"):
        assert said.index(term) > places[-1], term


def test_a_model_of_one_extract_says_what_it_can_not() -> None:
    assert ONE_EXTRACT in words(front_page(first_extract()))
    assert ONE_EXTRACT not in words(front_page(history(extracts=2)))


def test_a_list_that_is_not_current_says_why() -> None:
    data = history(extracts=3)
    unscored = replace(data.extracts[-1], extract_date=date(2023, 5, 1))
    said = words(front_page(replace(data, extracts=(*data.extracts, unscored))))
    assert "! Not current" in said and "The extract of 2023-05-01 was published since." in said
    other = replace(data.models[-1], version="v2")
    said = words(front_page(replace(data, models=(*data.models[:-1], other), command="churn x")))
    assert "The model v2 replaced 20230302-33e01102 since." in said
    assert "churn x retention-list --out calls.xlsx" in said
    refused = Run({"run_id": "r", "extract_date": "2023-04-01", "gate": {"verdict": "refused"}})
    data = replace(data, runs=(*data.runs, refused))
    said = words(front_page(data))
    assert "! Of the last workbook that passed : customers as of 2023-03-02" in said
    assert list_of(data.runs[2].run_id) in front_page(data), "the list stays where it was"


def test_a_list_of_an_earlier_version_has_no_figures() -> None:
    data = history(extracts=1)
    summary = {key: each for key, each in data.runs[0].summary.items() if key != "calls"}
    said = words(front_page(replace(data, runs=(replace(data.runs[0], summary=summary),))))
    assert "calls to make" not in said and "Download the list" in said


def test_one_extract_has_sentences_instead_of_charts_and_no_green() -> None:
    page = front_page(first_extract())
    assert "<svg" not in page
    said = words(page)
    assert "The first extract, of 2023-01-01, has 7,043 customers, published" in said
    assert "The charts begin with the second version." in said
    assert 'class="banner quiet"' in page and "– Nothing to compare with yet" in said
    assert "alerts – nothing to compare with yet" in said
    # The second extract is the first with drift.
    said = words(front_page(history(extracts=2)))
    assert "Drift of the extract of 2023-01-31: monthly charges moved most, 0.030" in said


def test_commands_are_those_of_the_demo() -> None:
    page = front_page(replace(first_extract(), command="churn --demo"))
    assert "<code>churn --demo docs</code>" in page
    assert "<code>churn --demo airflow up</code>" in page
    assert "<code>churn docs" not in page and "`churn" not in page
    empty = front_page(FrontPage(command="churn --demo"))
    assert "<code>churn demo</code>" in empty
    assert "<code>churn --demo runs</code>" in missing_page(FrontPage(command="churn --demo"))


def test_the_page_for_a_wrong_address_names_the_ways_on() -> None:
    said = words(missing_page(replace(history(2), has_dbt_docs=True)))
    for name, meaning in MEANINGS.items():
        assert f"{name} : {meaning}" in said
    assert "adds them to the site" not in said
    without_docs = words(missing_page(history(2)))
    assert "churn docs adds them to the site" in without_docs
    assert "CHURN_HOME" not in said + without_docs


@pytest.mark.parametrize("columns", [2, 3, 4, 24])
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


def test_noise_is_not_drawn_as_a_trend() -> None:
    def read_ticks(values: list[float], span: float) -> list[float]:
        labels = ["2025-01-01", "2025-02-01"]
        svg = draw_courses("n", "t", labels, [Course("c", values)], least_span=span)
        return [float(each) for each in re.findall(r">(0\.\d+)</text>", svg)]

    noise, wide = read_ticks([0.8473, 0.8488], 0.05), read_ticks([0.6, 0.9], 0.05)
    assert max(noise) - min(noise) >= 0.03
    assert wide == read_ticks([0.6, 0.9], 0.0)
    ticks = read_ticks([0.8473, 0.8488], 0.0)
    assert max(ticks) - min(ticks) < 0.002


def test_a_broken_rule_is_stated_in_words() -> None:
    texts = {"drift_of_monthly_charges": "the bills are as before"}
    said = words(front_page(replace(history(extracts=5), rule_texts=texts)))
    assert "the bills are as before drift_of_monthly_charges" in said
    assert describe_rule("minimum_customers", read_domain()).endswith("at least 1,000 customers")


def test_rejects_and_warnings_lead_on() -> None:
    data = history(extracts=3)
    last = replace(data.extracts[-1], rejected=82, warned=("drift_of_bills",))
    run = data.runs[-1]
    gate = {"verdict": "passed", "warned": 1, "tests": 9}
    run = replace(run, summary={**run.summary, "gate": gate})
    data = replace(data, runs=(*data.runs[:-1], run), extracts=(*data.extracts[:-1], last))
    page = front_page(replace(data, rule_texts={"drift_of_bills": "the bills are as before"}))
    assert "No warning refuses a workbook. Not fulfilled: the bills are as before." in words(page)
    assert f"{run.run_id}/report.html#rejects" in page
    assert "churn rejects --out rejects.xlsx" in words(page)
    clean = replace(last, rejected=0)
    page = front_page(replace(data, extracts=(*data.extracts[:-1], clean)))
    assert "churn rejects" not in words(page)


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
        first = replace(first_extract(), has_dbt_docs=True)
        unpublished = FrontPage(runs=(Run(summary),), extracts=(refused,))
        for each in (FrontPage(), data, first, unpublished):
            front_page(each)
    assert missed["front_page.html.j2"] == set()


def test_the_login_of_airflow_is_named_beside_its_link() -> None:
    said = words(front_page(history(extracts=1)))
    assert "the same login as this page, except Airflow" in said
    airflow, mlflow = said.partition("Started by Airflow")[2].split("MLflow", 1)
    assert "password by churn airflow password" in airflow
    assert "password" not in mlflow
