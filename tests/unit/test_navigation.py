"""The bar of the site, and the pages of other projects that the site adapts."""

from dataclasses import replace
from pathlib import Path

import dbt.task.docs
import feast
import pytest
from front_pages import history

from churn.operations.feast_pages import TITLE, adapt_index, remove_demo
from churn.reports.front_page import DBT_DOCS, LINEAGE, missing_page, site_links
from churn.reports.navigation import (
    Link,
    format_navigation,
    insert_navigation,
    mark_page,
    read_navigation,
)
from churn.reports.site import BRANDING

LINKS = [Link("Overview", "index.html"), Link("Tables & <more>", "dbt/index.html#!/x?a=1&b=2")]
HTML = '<html><head><title>t</title></head><body class="a">\n<p>text</p></body></html>'


@pytest.mark.parametrize(
    ("page", "addresses"),
    [
        ("index.html", ["index.html", "dbt/index.html#!/x?a=1&amp;b=2"]),
        ("runs/r/report.html", ["../../index.html", "../../dbt/index.html#!/x?a=1&amp;b=2"]),
        ("dbt/index.html", ["../index.html", "index.html#!/x?a=1&amp;b=2"]),
        ("/404.html", ["/index.html", "/dbt/index.html#!/x?a=1&amp;b=2"]),
    ],
)
def test_the_links_lead_from_every_page(page: str, addresses: list[str]) -> None:
    bar = str(format_navigation(LINKS, page))
    for address in addresses:
        assert f'<a href="{address}"' in bar
    assert "Tables &amp; &lt;more&gt;" in bar
    assert bar.count('aria-current="page"') == (page == "index.html")


def test_the_bar_replaces_an_earlier_one() -> None:
    once = insert_navigation(HTML, LINKS, "runs/r/report.html")
    assert once.index("<body") < once.index("<nav") < once.index("<p>text")
    assert insert_navigation(once, LINKS, "runs/r/report.html") == once
    moved = insert_navigation(once, LINKS[:1], "runs/r/report.html")
    assert moved.count("<nav") == 1 and "Tables" not in moved
    assert read_navigation(HTML) == ""
    marked = mark_page(read_navigation(once), "Overview")
    assert '<a href="../../index.html" aria-current="page">Overview</a>' in marked


def test_what_is_not_there_has_no_link() -> None:
    data = history(2)
    names = [link.name for link in site_links(data)]
    assert names == ["Overview", "Latest report", "Trace a customer", "Model", "Other sites"]
    full = site_links(replace(data, has_dbt_docs=True))
    assert {DBT_DOCS, LINEAGE} < {link.path for link in full}
    assert [link.name for link in site_links(replace(data, runs=(), models=()))] == [
        "Overview",
        "Trace a customer",
        "Other sites",
    ]
    missing = missing_page(data)
    assert "There is no page at this address" in missing
    assert 'href="/runs/' in missing and 'href="runs/' not in missing


def test_the_pages_of_other_projects_are_as_they_are_adapted() -> None:
    """A new version of dbt or Feast would go unnoticed: a replacement that finds nothing."""
    docs = (Path(dbt.task.docs.__file__).parent / "index.html").read_text()
    assert {text: docs.count(text) for text in BRANDING} == dict.fromkeys(BRANDING, 1)
    build = Path(feast.__file__).parent / "ui" / "build"
    code = next((build / "static" / "js").glob("main.*.js")).read_text()
    assert "Tab Demo" in code and "Tab Demo" not in remove_demo(code)
    index = (build / "index.html").read_text()
    assert TITLE in index and "read_only.js" in adapt_index(index)
