"""The page of a customer's trace, in a browser and as another program requests it."""

import base64
import http.client
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import chromium, fits, is_accessible, serve_site
from environments import CompletedRun, served
from playwright.sync_api import Page, expect

from churn.reports.site_guard import USER, site_password

WIDTHS = {"phone": 390, "desktop": 1280}


@pytest.fixture(scope="module")
def site(completed_run: CompletedRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server of `churn docs` over a folder of its own: the site itself is another's test."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("<!DOCTYPE html><title>site</title>")
    log = folder.parent / "site.log"
    with served(completed_run.home, serve_site(folder), "CHURN_DOCS_PORT", log) as address:
        yield address
    # a log must not contain customer ids
    assert "7590-VHVEG" not in log.read_text() and "GET /trace" in log.read_text()


@pytest.fixture(scope="module")
def browser_page(completed_run: CompletedRun) -> Iterator[Page]:
    login = {"username": USER, "password": site_password(completed_run.home.settings)}
    with chromium() as browser:
        yield browser.new_page(http_credentials=login)


def is_fine(page: Page) -> None:
    """Nothing is wider than the window, and axe objects to nothing."""
    fits(page)
    is_accessible(page)


@pytest.mark.parametrize("device", WIDTHS)
def test_the_page_traces_at_phone_and_desktop_width(
    site: str, browser_page: Page, device: str, tmp_path: Path
) -> None:
    page = browser_page
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.set_viewport_size({"width": WIDTHS[device], "height": 900})

    page.goto(f"{site}/trace")
    is_fine(page)
    # As when the form is sent, without leaving the page.
    page.evaluate("document.forms[0].dispatchEvent(new Event('submit'))")
    expect(page.get_by_role("status")).to_contain_text("Tracing")
    expect(page.get_by_role("button", name="Trace")).to_be_disabled()
    page.reload()
    page.get_by_label("Customer ID").fill(" 0639-TSIQW ")
    page.get_by_role("button", name="Trace").click()
    expect(page.get_by_role("heading", name="0639-TSIQW")).to_be_visible(timeout=60_000)
    assert page.title() == "Trace of 0639-TSIQW – Telco churn"
    expect(page.get_by_text("row 7036", exact=False).first).to_be_visible()
    rejected = page.locator("li.rejected")
    expect(rejected).to_contain_text("row 7049")
    expect(rejected).to_contain_text("-100")
    expect(rejected).to_contain_text("Row 7036 was kept")
    expect(page.locator("li.online")).to_contain_text("equals gold")
    expect(page.locator("li.score")).to_contain_text(re.compile(r"[0-9.]+% probability of \w+"))
    page.get_by_text("All 21 cells").click()
    expect(page.locator("#cells")).to_contain_text("6886.25")
    is_fine(page)
    page.screenshot(path=tmp_path / f"trace-{device}.png", full_page=True)

    page.get_by_label("Customer ID").fill("<b>unknown</b>")
    page.get_by_role("button", name="Trace").click()
    expect(page.get_by_role("alert")).to_contain_text("<b>unknown</b>", timeout=60_000)
    assert page.get_by_label("Customer ID").input_value() == "<b>unknown</b>"
    is_fine(page)
    # nothing from elsewhere, and no script but the one that the policy names
    assert {url.partition("/trace")[0] for url in requests if not url.startswith("data:")} == {site}
    assert page.locator("script").count() == 1


def test_the_page_is_for_this_machine_alone(site: str, completed_run: CompletedRun) -> None:
    port = int(site.rpartition(":")[2])
    login = f"{USER}:{site_password(completed_run.home.settings)}"
    authorization = f"Basic {base64.b64encode(login.encode()).decode()}"

    def ask(path: str, host: str, method: str = "GET") -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host)
        connection.putheader("Authorization", authorization)
        connection.endheaders()
        return connection.getresponse()

    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "", "10.0.0.1"):
        for path in ("/trace?id=7590-VHVEG", "/", "/index.html"):
            answer = ask(path, host)
            assert answer.status == 421, (host, path)
            assert b"7590" not in answer.read()
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", "[::1]"):
        assert ask("/", host).status == 200
        answer = ask("/trace", host)
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    unknown = ask("/trace?id=unknown", f"localhost:{port}", "HEAD")
    assert (unknown.status, unknown.read()) == (404, b"")
    assert ask("/trace?id=7590-VHVEG&run=none", f"localhost:{port}").status == 404
