"""The demo's home, and the mark of generated customers on every page and list."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from front_pages import history
from openpyxl import load_workbook

from churn.reports.front_page import front_page
from churn.reports.report import ReportData, _views, page
from churn.reports.retention_workbook import RetentionList, write_retention_workbook
from churn.reports.scores_workbook import ScoredFile, write_scores_workbook
from churn.reports.trace_page import TraceForm, form_page
from lakehouse.sample_home import (
    NOTE,
    TITLE,
    command_of,
    demo_environment,
    is_sample,
    mark_as_sample,
)
from lakehouse.settings import FILE, NAMES, PROJECT, read_settings, variable
from seeds_loader.reader.sandbox import read_workbook
from seeds_loader.sample import SampleParameters, write_samples
from serving import docs_page
from trainer.retention_campaign import Campaign, Effect

OPENAPI = {"info": {"title": "t", "description": "d"}, "paths": {}, "components": {"schemas": {}}}


def test_the_demo_has_a_home_and_ports_of_its_own(tmp_path: Path) -> None:
    given = {variable(name): "given" for name in NAMES if name.endswith(("_url", "_password"))}
    given |= {"CHURN_HOME": str(tmp_path / "home"), "CHURN_LAKE_URI": "s3a://bucket/lake"}
    given |= {"CHURN_DOMAIN": "retail", "CHURN_API_PORT": "65500"}
    settings = read_settings(given, tmp_path)
    demo = read_settings({**given, **demo_environment(settings)}, tmp_path)
    assert demo.home == tmp_path / "home-demo"
    assert demo.lake_uri == str(demo.home / "lake") and demo.domain == "telco"
    ports = [name for name in NAMES if name.endswith("_port")]
    assert len(ports) > 5
    for name in ports:
        assert getattr(demo, name) not in {getattr(settings, other) for other in ports}, name
    assert not {name for name in NAMES if getattr(demo, name) == "given"}
    assert (command_of(settings), command_of(demo)) == ("churn", "churn --demo")
    # What a file would supply is not used either.
    assert f"CHURN_REDIS_PASSWORD{FILE}" in demo_environment(settings)


def test_a_generated_workbook_is_known_as_one(tmp_path: Path, shared_data: Path) -> None:
    (sample,) = write_samples(SampleParameters(rows=50), tmp_path)
    saved_again = tmp_path / "edited.xlsx"
    book = load_workbook(sample)
    book.properties.lastModifiedBy = "ann"
    book.save(saved_again)
    assert read_workbook(sample).is_sample
    assert read_workbook(saved_again).is_sample
    assert not read_workbook(shared_data / "Telco-Customer-Churn.xlsx").is_sample


def test_a_home_is_marked(tmp_path: Path) -> None:
    settings = replace(read_settings(), home=tmp_path)
    assert not is_sample(settings)
    mark_as_sample(settings)
    mark_as_sample(settings)
    assert is_sample(settings)


@pytest.mark.parametrize("is_marked", [True, False])
def test_pages_are_marked(is_marked: bool) -> None:
    pages = {
        "trace": form_page(TraceForm(is_sample=is_marked)),
        "front page": front_page(replace(history(2), is_sample=is_marked)),
        "report": page("report.html.j2", _views(ReportData({})), is_marked),
        "API": docs_page.page(OPENAPI, NOTE if is_marked else ""),
    }
    for name, text in pages.items():
        assert (NOTE in text) == is_marked, name


def test_no_template_of_a_page_lacks_the_mark() -> None:
    folder = PROJECT / "churn" / "reports"
    # A draft is about a workbook that is not loaded.
    templates = {path for path in folder.glob("*.html.j2") if "<body>" in path.read_text()}
    unmarked = {path.name for path in templates if "sample_mark.html.j2" not in path.read_text()}
    assert unmarked == {"draft.html.j2"} and len(templates) > 4


@pytest.mark.parametrize("is_marked", [True, False])
def test_lists_are_marked(tmp_path: Path, is_marked: bool) -> None:
    path = tmp_path / "list.xlsx"
    campaign = Campaign(None, 12, 0, Effect(0.3, 0.15, 0.45), {})
    day = date(2025, 1, 1)
    listed = RetentionList(day, 3, "v", "k", campaign, (), (), is_sample=is_marked)
    write_retention_workbook(listed, path)
    assert str(load_workbook(path)["Summary"]["A1"].value).startswith(TITLE) == is_marked
    assert (load_workbook(path)["Customers"].oddHeader.center.text == TITLE) == is_marked
    write_scores_workbook(ScoredFile("f", "s", 0, "v", None, (), (), is_marked), path)
    about = {row[0] for row in load_workbook(path)["About"].iter_rows(values_only=True)}
    assert (TITLE in about) == is_marked
