"""The bar of the sites, and the pages of other projects that the project adapts."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import dbt.task.docs
import feast
import pytest
from fastapi import FastAPI
from flask import Flask
from front_pages import history
from starlette.testclient import TestClient

from churn.operations import feast_pages, feast_ui, mlflow_server, site_server
from churn.reports.front_page import DBT_DOCS, LINEAGE, front_page, missing_page, site_links
from churn.reports.site import BRANDING, ICON_PLACEHOLDER, NODE_FILLS, adapt_dbt_docs
from lakehouse import sites
from lakehouse.navigation import (
    Link,
    format_navigation,
    format_site_navigation,
    insert_navigation,
    mark_page,
    read_navigation,
)
from lakehouse.settings import PROJECT, Settings, read_settings
from lakehouse.sites import Site

LINKS = [Link("Overview", "index.html"), Link("Tables & <more>", "dbt/index.html#!/x?a=1&b=2")]
HERE = "127.0.0.1:8000"
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
    page = "runs/r/report.html"
    once = insert_navigation(HTML, format_navigation(LINKS, page))
    assert once.index("<body") < once.index("<nav") < once.index("<p>text")
    assert insert_navigation(once, format_navigation(LINKS, page)) == once
    moved = insert_navigation(once, format_navigation(LINKS[:1], page))
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


def contrast_with_white(colour: str) -> float:
    """The ratio that WCAG defines."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def test_the_labels_of_the_lineage_can_be_read() -> None:
    """They are white, inside the nodes; other rules apply to the nodes that are left out."""
    docs = (Path(dbt.task.docs.__file__).parent / "index.html").read_text()
    rule = re.compile(r"""selector:['"](node[^{}]*)['"],style:(\{[^{}]*\})""")
    fills = {
        node: re.findall(r'"background-color":"(#[0-9a-f]{6})"', style)
        for node, style in rule.findall(adapt_dbt_docs(docs))
        if node not in ("node.vertical", "node[selected=1]", "node[hidden=1]")
    }
    found = {node: fill[0] for node, fill in fills.items() if fill}
    assert len(found) > len(NODE_FILLS)
    assert {node: fill for node, fill in found.items() if contrast_with_white(fill) < 4.5} == {}


def test_the_pages_of_other_projects_are_as_they_are_adapted() -> None:  # long: many pages
    """A new version of dbt or Feast would go unnoticed: a replacement that finds nothing."""
    docs = (Path(dbt.task.docs.__file__).parent / "index.html").read_text()
    assert {text: docs.count(text) for text in BRANDING} == dict.fromkeys(BRANDING, 1)
    assert ICON_PLACEHOLDER in docs and docs.count("fitLineage(") == 0
    adapted = adapt_dbt_docs(docs)
    assert 'e.label=e.schema+"."+e.name' in adapted
    # A browser requests the address of an icon that is still a placeholder.
    assert not re.search(r'(?<!ng-attr-)(?:xlink:)?href="{{ getIcon', adapted)
    assert "function fitLineage(" in adapted and adapted.count("fitLineage(") == 3
    assert '"hashchange", followAddress)' in adapted and "--bar" in adapted
    assert "function toggleMenu(" in adapted and 'onclick="toggleMenu()"' in adapted
    assert ".app-overlay" in docs and 'class="column-row"' in docs
    build = Path(feast.__file__).parent / "ui" / "build"
    code = next((build / "static" / "js").glob("main.*.js")).read_text()
    assert "Tab Demo" in code and "Tab Demo" not in feast_pages.remove_demo(code)
    found = {change.pattern: len(change.findall(code)) for change, _ in feast_pages.CHANGES}
    assert found == dict.fromkeys(found, 1)
    adapted = feast_pages.adapt_code(code)
    assert 'label:"CURL Generator"' not in adapted
    assert adapted.count('{name:"Description",field:"description"}') > code.count(
        '{name:"Description",field:"description"}'
    )
    assert ".sparkOptions.table})" in adapted and ".slice(0,4);" in adapted
    for page in feast_pages.UNUSED_PAGES:
        assert f"/{page}`" in code
    index = (build / "index.html").read_text()
    assert feast_pages.TITLE in index and "read_only.js" in feast_pages.adapt_index(index)
    # The bar takes its row from what is as high as the window.
    assert 'height:"100vh"' in code and '<div id="root">' in index
    # Importing MLflow would start its telemetry.
    mlflow = find_spec("mlflow")
    assert mlflow is not None and mlflow.origin is not None
    built = Path(mlflow.origin).parent / "server" / "js" / "build"
    index = (built / "index.html").read_text()
    assert '<div id="root"' in index
    adapted = mlflow_server.adapt_index(index, "7")
    assert mlflow_server.STYLE in adapted and '"#/experiments/7/runs?' in adapted
    assert '"#/models"' in mlflow_server.adapt_index(index, None)
    code = "".join(each.read_text() for each in (built / "static" / "js").glob("*.js"))
    script = mlflow_server.SCRIPT.read_text()
    remembered = re.findall(r'^    "?(\w[\w.]*)_v1": ', script, re.MULTILINE)
    assert (
        len(remembered) == 4 and {each for each in remembered if f'"{each}"' not in code} == set()
    )
    assert '"MLflowLocalStorage"' in code and '"ExperimentPage"' in code
    hidden = re.findall(r'data-component-id[$^]="([^"]+)"', mlflow_server.STYLE)
    assert len(hidden) == 3 and {each for each in hidden if each not in code} == set()
    assert '"data-assistant-ui"' in code and '"system-metrics"' in code
    style = next((built / "static" / "css").glob("main.*.css")).read_text()
    assert "#root{height:100%}" in style and "body,html{height:100%;" in style


# --- one bar for all sites -----------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with a front page, in which no site runs."""
    settings = read_settings({"CHURN_HOME": str(tmp_path / "home")})
    site = settings.home / "site"
    site.mkdir(parents=True)
    data = replace(history(2), has_dbt_docs=True)
    (site / "index.html").write_text(front_page(data))
    (site / "404.html").write_text(missing_page(data))
    return settings


def links(html: str) -> dict[str, str]:
    """The addresses of the bar, by name."""
    found = re.findall('<a href="([^"]*)"[^>]*>([^<]*)</a>', read_navigation(html))
    return {name: address for address, name in found}


def current(html: str) -> list[str]:
    return re.findall('aria-current="page">([^<]*)<', read_navigation(html))


def test_a_site_runs_as_long_as_its_process(settings: Settings) -> None:
    program = (
        "from lakehouse import sites\nfrom lakehouse.settings import read_settings\n"
        "settings = read_settings()\nsites.MLFLOW.record_start(settings)\n"
        "print(sites.MLFLOW.find_port(settings))"
    )
    environ = {**os.environ, "CHURN_HOME": str(settings.home), "CHURN_MLFLOW_PORT": "5999"}
    answer = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=PROJECT, capture_output=True, text=True
    )
    assert answer.stdout == "5999\n", answer.stderr
    assert (settings.home / "sites" / "mlflow" / "state.json").is_file()
    assert sites.MLFLOW.find_port(settings) is None


@pytest.mark.parametrize("site", [sites.FEAST, sites.MLFLOW, sites.API])
def test_another_site_has_the_bar_of_the_docs_site(settings: Settings, site: Site) -> None:
    sites.DOCS.record_start(settings)
    sites.AIRFLOW.record_start(settings)
    site.record_start(settings)
    bar = format_site_navigation(settings, site, "localhost:1")
    docs = links((settings.home / "site" / "index.html").read_text())
    assert {"Overview", "Latest report", "Lineage", "Model"} < docs.keys()
    expected = {name: f"http://localhost:8081/{address}" for name, address in docs.items()}
    expected |= {"Airflow": "http://localhost:8080/", site.name: "/"}
    assert list(links(bar).items()) == list(expected.items())
    assert current(bar) == [site.name]
    assert bar.count('title="Started by: churn docs"') == len(docs)
    assert 'title="Started by: churn airflow up"' in bar


def test_what_does_not_run_has_no_link(settings: Settings) -> None:
    bar = format_site_navigation(settings, sites.API, HERE)
    assert links(bar) == {"Scoring API": "/"}
    assert "<code>churn docs</code>" in bar


@pytest.mark.parametrize("host", ["", "api.example", "127.0.0.1.example:80", "a b", "10.0.0.1:1"])
def test_another_machine_gets_no_bar(settings: Settings, host: str) -> None:
    assert format_site_navigation(settings, sites.API, host) == ""


def test_a_site_that_other_machines_reach_has_no_bar_and_no_link(settings: Settings) -> None:
    settings = replace(settings, api_bind="0.0.0.0")
    sites.API.record_start(settings)
    assert sites.API.find_port(settings) is None
    assert format_site_navigation(settings, sites.API, HERE) == ""


def test_a_home_that_can_only_be_read_serves_the_site_all_the_same(settings: Settings) -> None:
    (settings.home / "sites").write_text("no folder")
    sites.API.record_start(settings)
    assert (settings.home / "sites").read_text() == "no folder"


def test_the_docs_site_links_to_what_runs(settings: Settings) -> None:
    folder = settings.home / "site"
    (folder / "page.txt").write_text((folder / "index.html").read_text())
    client = TestClient(site_server.application(settings, folder, print), f"http://{HERE}")
    before = links(client.get("/").text)
    sites.MLFLOW.record_start(settings)
    for path, status in (("/", 200), ("/index.html", 200), ("/missing", 404), ("/trace", 200)):
        answer = client.get(path)
        assert answer.status_code == status
        assert [*links(answer.text)] == [*before, "MLflow"], path
        assert links(answer.text)["MLflow"] == "http://127.0.0.1:5000/"
        assert answer.headers["cache-control"] == "no-store"
    assert current(client.get("/trace").text) == ["Trace a customer"]
    assert links(client.get("/page.txt").text) == before
    assert client.head("/").status_code == 200


def test_mlflows_missing_pages_have_the_bar(settings: Settings) -> None:
    app = Flask("mlflow")
    app.register_error_handler(404, partial(mlflow_server.answer_missing, settings))
    with app.test_client() as client:
        missing = client.get("/missing", headers={"Host": HERE, "Accept": "text/html"})
        assert missing.status_code == 404 and current(missing.text) == ["MLflow"]
        program = client.get("/missing", headers={"Host": HERE})
        assert program.status_code == 404 and "<nav" not in program.text


def test_feasts_pages_have_the_bar(settings: Settings) -> None:
    build = Path(feast.__file__).parent / "ui" / "build"
    app = FastAPI(routes=[*feast_pages.adapted_routes(build, settings)])
    feast_pages.serve_missing(app, settings)
    client = TestClient(app, f"http://{HERE}")
    for path in ("/", "/p/churn/feature-view/customer_features"):
        page = client.get(path).text
        assert current(page) == ["Feast"] and page.count("<nav") == 1
        assert page.index("<body") < page.index("<nav") < page.index('<div id="root"')
    missing = client.get("/missing", headers={"accept": "text/html"})
    assert missing.status_code == 404 and current(missing.text) == ["Feast"]
    assert '<a href="/">the first page of Feast</a>' in missing.text
    program = client.get("/missing")
    assert (program.status_code, program.json()) == (404, {"detail": "Not Found"})


def test_feasts_own_entity_is_not_listed() -> None:
    class Registry:
        def list_entities(self, project: str) -> list[SimpleNamespace]:
            return [SimpleNamespace(name=f"{project}_customer"), SimpleNamespace(name="__dummy")]

    registry = Registry()
    feast_ui.hide_dummy_entity(registry)
    assert [each.name for each in registry.list_entities("a")] == ["a_customer"]
