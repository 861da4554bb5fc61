"""The site of `churn docs` in a browser: front page, dbt docs, lineage, search, on any screen."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from browser import chromium, fits, is_accessible
from environments import BIN, CompletedRun, quiet_port
from front_pages import history
from playwright.sync_api import Page, expect

from churn.reports.front_page import LINEAGE, FrontPage, front_page
from churn.reports.site_guard import USER, site_password
from feature_repo.feature_definitions import read_feature_columns
from lakehouse.process import port_is_open
from lakehouse.settings import PROJECT

PHONE, DESK = 390, 1280
# By name, what people read.
EXPOSURES = {
    "churn_feature_service": "Feature service churn",
    "churn_model": "Churn model",
    "churn_watch": "Monitoring of the model",
    "scoring_api": "Scoring API",
    "risk_list": "List of customers to contact",
    "rejects_workbook": "Workbook of rejected rows",
    "run_report": "Report of a run",
}
# The names in the drawn graph; it is drawn on a canvas, which has no text to find.
DRAWN = """() => {
    const drawn = [...document.querySelectorAll("*")].find((each) => each._cyreg?.cy);
    return drawn ? drawn._cyreg.cy.nodes().map((node) => node.data("label")) : [];
}"""
LABEL_HEIGHT = """() => {
    const graph = document.querySelector("#cy")._cyreg.cy;
    return graph.zoom() * parseFloat(graph.nodes()[0].style("font-size"));
}"""
EDGES = """() => {
    const drawn = [...document.querySelectorAll("*")].find((each) => each._cyreg?.cy);
    return drawn._cyreg.cy.edges().map((edge) => [edge.data("source"), edge.data("target")]);
}"""


@dataclass(frozen=True)
class Site:
    """The site where `churn docs` serves it, and as it lies in its folder."""

    address: str
    folder: Path
    login: tuple[str, str]


@pytest.fixture(scope="module")
def site(completed_run: CompletedRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    port, log = quiet_port(), tmp_path_factory.mktemp("site") / "docs.log"
    _ = completed_run.home.settings  # its server is up again if it had made room
    with log.open("w") as out:
        served = subprocess.Popen(
            [BIN / "churn", "docs"],
            cwd=PROJECT,
            env={**completed_run.home.environ, "CHURN_DOCS_PORT": str(port)},
            stdout=out,
            stderr=out,
        )
        try:
            deadline = time.monotonic() + 240
            while not port_is_open(port):
                assert served.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            login = (USER, site_password(completed_run.home.settings))
            yield Site(f"http://127.0.0.1:{port}", completed_run.home.path / "site", login)
        finally:
            served.terminate()
            served.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def opened(browser: Any, completed_run: CompletedRun) -> Iterator[Callable[..., Page]]:
    """Open pages; at the end, check that none of them sent a request beyond loopback."""
    asked: list[str] = []
    contexts = []
    login = {"username": USER, "password": site_password(completed_run.home.settings)}

    def open_page(url: str, width: int = DESK, scheme: str = "light") -> Page:
        contexts.append(
            browser.new_context(
                viewport={"width": width, "height": 900},
                color_scheme=scheme,
                http_credentials=login,
            )
        )
        page: Page = contexts[-1].new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    hosts = {urlsplit(url).hostname for url in asked if url.startswith("http")}
    assert hosts <= {"127.0.0.1"}


def is_fine(page: Page, picture: Path) -> None:
    """Nothing wider than the screen, nothing that axe objects to; the picture is for people."""
    page.screenshot(path=picture, full_page=True)
    fits(page)
    is_accessible(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_front_page(
    site: Site,
    completed_run: CompletedRun,
    opened: Callable[..., Page],
    tmp_path: Path,
    width: int,
    scheme: str,
) -> None:
    page = opened(site.address, width, scheme)
    # other tests may have run it again, which changes nothing
    latest = max((completed_run.home.path / "runs").iterdir()).name
    expect(page.get_by_text(latest)).to_be_visible()
    expect(page.get_by_text("7,043").first).to_be_visible()
    expect(page.get_by_text(completed_run.summary["model"]["version"]).first).to_be_visible()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 3 * 128) == (scheme == "dark")
    is_fine(page, tmp_path / f"front-{width}-{scheme}.png")


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("extracts", [0, 30])
def test_the_front_page_of_no_and_of_many_extracts(
    opened: Callable[..., Page], tmp_path: Path, width: int, extracts: int
) -> None:
    data = history(extracts) if extracts else FrontPage()
    (tmp_path / "index.html").write_text(front_page(data))
    is_fine(opened((tmp_path / "index.html").as_uri(), width), tmp_path / f"{width}.png")


def test_the_links_of_the_front_page_resolve(site: Site, opened: Callable[..., Page]) -> None:
    page = opened(site.address)
    links = [each.get_attribute("href") or "" for each in page.get_by_role("link").all()]
    inside = [link for link in links if not link.startswith("http")]
    assert {"dbt/index.html"} < set(inside)
    for link in inside:
        answer = httpx.get(urljoin(site.address + "/", link), auth=site.login)
        begins = b"PK" if link.endswith(".xlsx") else b"<!"
        assert answer.status_code == 200 and answer.content.startswith(begins), link
    # The others are servers of this machine: one that does not run has no link.
    outside = {urlsplit(link).hostname for link in links if link.startswith("http")}
    assert outside <= {"127.0.0.1"}
    expect(page.get_by_text("(not running)").first).to_be_visible()
    page.get_by_role("link", name="Report of the latest run").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Churn report, extract of")
    page.get_by_role("navigation", name="Site").get_by_role("link", name="Overview").click()
    expect(page).to_have_title("Overview – Telco churn")


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_latest_report(
    site: Site, opened: Callable[..., Page], tmp_path: Path, width: int
) -> None:
    page = opened(site.address, width)
    page.get_by_role("link", name="Latest report").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Churn report, extract of")
    is_fine(page, tmp_path / f"report-{width}.png")


def test_an_address_without_a_page(site: Site, opened: Callable[..., Page], tmp_path: Path) -> None:
    missing = f"{site.address}/runs/none/report.html"
    assert httpx.get(missing, auth=site.login).status_code == 404
    page = opened(missing, PHONE)
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no page at this address")
    is_fine(page, tmp_path / "missing.png")
    page.get_by_role("main").get_by_role("link", name="Overview").click()
    expect(page).to_have_title("Overview – Telco churn")


def test_the_trace_form_is_there_where_it_is_answered(
    site: Site, opened: Callable[..., Page]
) -> None:
    form = opened(site.address).locator("form")
    expect(form).to_be_visible()
    assert (form.get_attribute("action"), form.locator("input").get_attribute("name")) == (
        "/trace",
        "id",
    )
    elsewhere = opened((site.folder / "index.html").as_uri())
    expect(elsewhere.locator("form")).to_be_hidden()
    expect(elsewhere.get_by_text("churn trace ID")).to_be_visible()


def test_the_lineage_goes_from_the_workbooks_rows_to_the_people(
    site: Site, opened: Callable[..., Page], tmp_path: Path
) -> None:
    page = opened(f"{site.address}/dbt/index.html")
    expect(page.get_by_text("Where to look.").locator("visible=true").first).to_be_visible()
    assert page.title() == "Telco churn: tables and lineage"
    page.locator(".launcher-btn a").click()
    names = wait_for_lineage(page)
    page.screenshot(path=tmp_path / "lineage.png")
    expect(page.get_by_role("navigation", name="Site")).to_be_visible()
    assert names >= set(EXPOSURES.values())
    reached, edges = {"source.telco_churn.bronze.telco_customers"}, page.evaluate(EDGES)
    for _ in edges:
        reached |= {target for source, target in edges if source in reached}
    assert {f"exposure.telco_churn.{name}" for name in EXPOSURES} <= reached


def test_the_lineage_of_the_features_is_drawn_from_the_front_page(
    site: Site, opened: Callable[..., Page], tmp_path: Path
) -> None:
    """Of a selection, whose ends may be nodes that the page leaves out."""
    page = opened(f"{site.address}/{LINEAGE}")
    names = wait_for_lineage(page)
    page.screenshot(path=tmp_path / "features.png")
    assert EXPOSURES["risk_list"] in names and "campaigns" not in names


def wait_for_lineage(page: Page) -> set[str]:
    """The names in the graph: those from workbook to features, and none of a test."""
    deadline = time.monotonic() + 60
    while not (names := set(page.evaluate(DRAWN))) and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    page.wait_for_timeout(1000)  # it is drawn bit by bit
    assert {"bronze.telco_customers", "customers", "customer_features"} <= names
    assert not [name for name in names if name.startswith("assert_") or "unique" in name]
    return names


def test_the_tables_can_be_read_on_a_phone(
    site: Site, opened: Callable[..., Page], tmp_path: Path
) -> None:
    """The menu is closed at first, descriptions wrap, and labels of the lineage are legible."""
    model = "#!/model/model.telco_churn.customer_features"
    asked: list[str] = []
    page = opened("about:blank", PHONE)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{site.address}/dbt/index.html{model}")
    expect(page.locator(".column-row").first).to_be_visible()
    fits(page)
    menu = page.locator(".app-menu a:visible", has_text="churn_labels")
    expect(menu).to_have_count(0)
    page.locator(".menu-button").click()
    expect(menu).to_have_count(1)
    page.screenshot(path=tmp_path / "menu.png")
    cut = "each => each.scrollWidth > each.clientWidth + 1"
    assert not any(each.evaluate(cut) for each in page.locator(".column-row td:visible").all())
    assert not [url for url in asked if "getIcon" in url]
    page.goto(f"{site.address}/{LINEAGE}")
    page.reload()
    wait_for_lineage(page)
    assert page.evaluate(LABEL_HEIGHT) > 10.9


def test_a_column_is_found_by_its_name(
    site: Site, opened: Callable[..., Page], tmp_path: Path
) -> None:
    page = opened(f"{site.address}/dbt/index.html")
    page.get_by_placeholder("Search for models...").locator("visible=true").fill("billing_ratio")
    found = page.locator(".search-result").get_by_text("customer_features")
    expect(found.locator("visible=true").first).to_be_visible(timeout=30_000)
    page.screenshot(path=tmp_path / "search.png")


def test_every_column_of_a_real_lake_is_described(site: Site, completed_run: CompletedRun) -> None:
    """dbt-bouncer on the catalog: what the tables have, not what the YAML knows."""
    artifacts = completed_run.home.path / "dbt"
    catalog = json.loads((artifacts / "catalog.json").read_text())
    gold = catalog["nodes"]["model.telco_churn.customer_features"]["columns"]
    assert len(gold) == len(read_feature_columns()) + 4
    # It looks for them in the folder `target` of a project.
    (completed_run.home.path / "artifacts").mkdir()
    (completed_run.home.path / "artifacts" / "target").symlink_to(artifacts)
    answer = subprocess.run(
        [Path(sys.executable).with_name("dbt-bouncer"), "run", "--only", "catalog_checks"],
        capture_output=True,
        text=True,
        env={**os.environ, "DBT_PROJECT_DIR": str(completed_run.home.path / "artifacts")},
        cwd=PROJECT,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "SUCCESS=" in answer.stdout
