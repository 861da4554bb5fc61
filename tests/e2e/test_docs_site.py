"""The documentation site in a browser, opened from its folder as `make docs` says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import SEVERE, chromium, fits, is_accessible
from playwright.sync_api import Page, expect

from docsite.build import build

# Pages with tables that are wider than a phone.
WIDE = ("serving.html", "settings.html", "reference/tables.html")
# Start page, tutorial, a how-to page, a page of the reference, and that of an unknown address.
PAGES = (
    *("index.html", "tutorial.html", "how-to/retention-list.html", "reference/commands.html"),
    *(*WIDE, "404.html"),
)
PHONE, DESK = 390, 1280
TAB_STOPS_ARE_THE_WIDE_TABLES = """[...document.querySelectorAll(".table")].every(table =>
  (table.tabIndex === 0) === (table.scrollWidth > table.clientWidth))"""
# Zensical's closed search dialog: a combobox without its attributes, two buttons without a name.
SEARCH = "body > div[style*='position: fixed']"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    build(folder)
    # A server sends this page for any address, so that what it loads is addressed from the root.
    missing = folder / "404.html"
    missing.write_text(missing.read_text().replace('="/', '="'))
    return folder


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page that requests nothing but files."""
    requested: list[str] = []
    with chromium() as browser:
        page = browser.new_page()
        page.on("request", lambda request: requested.append(request.url))
        yield page
    assert requested
    own = ("file:", "data:", "blob:", "about:")
    assert [url for url in requested if not url.startswith(own)] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_fits_a_phone(site: Path, page: Page, name: str) -> None:
    for width in (PHONE, DESK):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto((site / name).as_uri())
        expect(page.get_by_role("main").get_by_role("heading", level=1)).to_be_visible()
        fits(page)
        is_accessible(page, SEVERE, except_in=SEARCH)


@pytest.mark.parametrize("name", WIDE)
def test_a_wide_table_is_scrolled_by_keyboard(site: Path, page: Page, name: str) -> None:
    page.set_viewport_size({"width": PHONE, "height": 900})
    page.goto((site / name).as_uri())
    # Tables of columns are collapsed at first.
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    region = page.locator(".table[role=region][tabindex='0']").first
    region.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")
    # A table that fits is no tab stop.
    for width in (PHONE, DESK):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(TAB_STOPS_ARE_THE_WIDE_TABLES)


def test_the_pages_can_be_searched(site: Path, page: Page) -> None:
    page.set_viewport_size({"width": DESK, "height": 900})
    page.goto((site / "index.html").as_uri())
    page.locator(".md-search__button").click()
    page.get_by_role("combobox").fill("control group")
    # The navigation names the page otherwise.
    expect(page.get_by_role("link", name=re.compile("Campaigns")).first).to_be_visible()
