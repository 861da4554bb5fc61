"""The local sites, as another user of this machine and another page of the browser find them.

Each is asked for every route that its application has, so that a route of a later version of Feast
or MLflow is asked for too.
"""

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin
from uuid import uuid4

import httpx
import pytest
from api import start
from browser import SEVERE, chromium, is_accessible, serve_site
from environments import BIN, CompletedRun, served
from playwright.sync_api import Browser, Page, expect

from churn.operations import feast_ui, site_server
from churn.reports.site_guard import USER, site_password
from lakehouse import online_store
from lakehouse.navigation import read_navigation
from serving import keys

CUSTOMER = "7590-VHVEG"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
Routes = set[tuple[str, str]]
# What another user of the machine sends: everything but the password.
STRANGERS: list[dict[str, str]] = [
    {},
    {"Authorization": "Basic " + base64.b64encode(b"admin:admin").decode()},
    {"Authorization": "Bearer x", "Cookie": "session=x", "X-Forwarded-For": "127.0.0.1"},
]
# What another page makes the owner's browser send: the password with it.
PAGES: list[tuple[int, dict[str, str]]] = [
    (421, {"Host": "elsewhere.example"}),
    (421, {"Host": "127.0.0.1.elsewhere.example"}),
    (403, {"Sec-Fetch-Site": "cross-site"}),
    (403, {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}),
    (403, {"Origin": "http://127.0.0.1:1"}),
]


@dataclass(frozen=True)
class Site:
    """A site that is served, its routes by method and path, its password and its log."""

    address: str
    routes: Routes
    password: str
    log: Path

    @property
    def login(self) -> tuple[str, str]:
        return USER, self.password


def starlette_routes(app: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Of an application and what is mounted in it; a folder of files is asked for its top."""
    for route in app.routes:
        path, inner = f"{prefix}{route.path}", getattr(route, "app", None)
        if hasattr(inner, "routes") and not hasattr(route, "methods"):
            yield from starlette_routes(inner, path)
        else:
            for method in getattr(route, "methods", None) or METHODS:
                yield method, filled(path) or "/"


def filled(path: str) -> str:
    """A path with something in the place of each parameter."""
    return re.sub(r"[{<][^}>]*[}>]", "x", path)


def mlflow_routes() -> Routes:
    from mlflow.server import app

    return {
        (method, filled(rule.rule)) for rule in app.url_map.iter_rules() for method in rule.methods
    }


@pytest.fixture(scope="module")
def sites(
    completed_run: CompletedRun, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Site]]:
    """Docs, Feast's and MLflow's on the shared home."""
    home, logs = completed_run.home, tmp_path_factory.mktemp("sites")
    settings = home.settings
    folder = home.path / "site"
    docs = site_server.application(settings, folder, print)
    routes = {
        "docs": set(starlette_routes(docs)),
        "feast": set(starlette_routes(feast_ui.application(settings, print))),
        "mlflow": mlflow_routes(),
    }
    commands: dict[str, tuple[list[str | Path], str]] = {
        "docs": (serve_site(folder), "CHURN_DOCS_PORT"),
        "feast": ([BIN / "churn", "features", "ui"], "CHURN_FEAST_UI_PORT"),
        "mlflow": ([BIN / "churn", "mlflow"], "CHURN_MLFLOW_PORT"),
    }
    password = site_password(settings)
    with ExitStack() as stack:
        found = {}
        for name, (command, port) in commands.items():
            log = logs / f"{name}.log"
            address = stack.enter_context(served(home, command, port, log))
            found[name] = Site(address, routes[name], password, log)
        yield found
    for name in commands:
        said = (logs / f"{name}.log").read_text()
        assert password not in said and CUSTOMER not in said
        assert str(home.path / "secrets" / "site_password") in said


@pytest.mark.parametrize("name", ["docs", "feast", "mlflow"])
def test_no_route_tells_another_user_anything(sites: dict[str, Site], name: str) -> None:
    site = sites[name]
    assert len(site.routes) >= {"docs": 9, "feast": 40, "mlflow": 300}[name]
    refused = {401: 0, 403: 0, 421: 0}
    with httpx.Client(base_url=site.address, timeout=30) as client:
        for method, path in sorted(site.routes):
            for headers in STRANGERS:
                answer = client.request(method, path, headers=headers)
                assert answer.status_code == 401, (method, path)
                refused[401] += 1
            for status, headers in PAGES:
                answer = client.request(method, path, headers=headers, auth=site.login)
                assert answer.status_code == status, (method, path, headers)
                refused[status] += 1
    print(f"{name}: {len(site.routes)} routes, {refused}")


@pytest.mark.parametrize("name", ["docs", "feast"])
def test_a_site_that_is_read_takes_no_other_method(sites: dict[str, Site], name: str) -> None:
    site = sites[name]
    with httpx.Client(base_url=site.address, auth=site.login) as client:
        for path in {path for _, path in site.routes}:
            for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                assert client.request(method, path).status_code == 405, (method, path)


def test_feast_shows_what_is_declared_and_no_data(
    sites: dict[str, Site], completed_run: CompletedRun
) -> None:
    site = sites["feast"]
    with httpx.Client(base_url=site.address, auth=site.login) as client:
        views = client.get("/api/v1/feature_views/all").raise_for_status().text
        assert "customer_features" in views
        for path in (
            *("/api/v1/saved_datasets/data/x", "/api/v1/monitoring/metrics/features"),
            *("/api/v1/webhook/config/x", "/api/v1/annotation-config/x", "/api/v1/openapi.json"),
            *("/api/v1/materialization_jobs", "/api/v1/metrics/recently_visited", "/openapi.json"),
        ):
            assert client.get(path).status_code == 404, path
        shown = "".join(client.get(path).text for method, path in site.routes if method == "GET")
    assert CUSTOMER not in shown


# --- the bar of links ----------------------------------------------------------------------------


def read_links(page: str) -> dict[str, str]:
    """The addresses of a page's bar, by name."""
    found = re.findall('<a href="([^"]*)"[^>]*>([^<]*)</a>', read_navigation(page))
    return {name: unescape(address) for address, name in found}


def test_every_site_has_the_same_bar_and_no_dead_link(sites: dict[str, Site]) -> None:
    bars = {}
    with httpx.Client(auth=sites["docs"].login, timeout=60) as client:
        for name, site in sites.items():
            page = client.get(site.address).raise_for_status()
            bars[name] = read_links(page.text)
            for address in bars[name].values():
                assert client.get(urljoin(str(page.url), address)).status_code == 200, address
            marked = re.findall('aria-current="page">([^<]*)<', page.text)
            assert marked == [{"docs": "Overview", "feast": "Feast", "mlflow": "MLflow"}[name]]
    assert list(bars["docs"]) == list(bars["feast"]) == list(bars["mlflow"])
    assert {"Overview", "Latest report", "Trace a customer"} < bars["docs"].keys()
    assert bars["docs"]["Feast"] == bars["mlflow"]["Feast"] == f"{sites['feast'].address}/"
    assert bars["docs"]["MLflow"] == bars["feast"]["MLflow"] == f"{sites['mlflow'].address}/"


@pytest.mark.parametrize("name", ["docs", "feast", "mlflow"])
def test_a_missing_address_has_a_page_that_leads_back(sites: dict[str, Site], name: str) -> None:
    site = sites[name]
    with httpx.Client(base_url=site.address, auth=site.login) as client:
        missing = client.get("/missing", headers={"Accept": "text/html"})
        assert missing.status_code == 404
        assert "There is no page at this address" in missing.text
        assert "<title>No such page" in missing.text and 'rel="icon"' in missing.text
        assert read_links(missing.text).keys() == read_links(client.get("/").text).keys()


# --- MLflow: what its server may reach -----------------------------------------------------------


@pytest.fixture
def mlflow(sites: dict[str, Site]) -> Iterator[httpx.Client]:
    site = sites["mlflow"]
    with httpx.Client(base_url=f"{site.address}/api/2.0/mlflow/", auth=site.login) as client:
        yield client


def a_run(mlflow: httpx.Client, experiment: str) -> dict[str, Any]:
    made = mlflow.post("runs/create", json={"experiment_id": experiment}).raise_for_status()
    found: dict[str, Any] = made.json()["run"]["info"]
    return found


@pytest.mark.parametrize(
    "location",
    [
        *("file:///etc", "/etc", "s3://bucket/place", "http://127.0.0.1:1/", "ftp://host/place"),
        *("mlflow-artifacts://elsewhere.example/", "{home}", "{home}/mlflow/artifacts/.."),
    ],
)
def test_an_experiment_has_its_files_in_mlflows_folder(
    mlflow: httpx.Client, completed_run: CompletedRun, location: str
) -> None:
    place = location.format(home=completed_run.home.path)
    answer = mlflow.post(
        "experiments/create", json={"name": f"at {location}", "artifact_location": place}
    )
    assert answer.status_code == 400, answer.text


def test_what_was_registered_elsewhere_is_not_read(
    mlflow: httpx.Client, completed_run: CompletedRun, sites: dict[str, Site]
) -> None:
    """An experiment of another place, as one who writes to MLflow's file can make it."""
    from trainer import mlflow_sync

    secret = completed_run.home.path / "secrets"
    client = mlflow_sync.open_store(completed_run.home.settings).client
    name = f"elsewhere-{uuid4()}"
    experiment = client.create_experiment(name, secret.as_uri())
    run = a_run(mlflow, experiment)["run_id"]
    client.create_registered_model(name)
    version = client.create_model_version(name, secret.as_uri())
    site = sites["mlflow"]
    with httpx.Client(base_url=site.address, auth=site.login) as browser:
        for path, parameters in (
            ("/get-artifact", {"run_id": run, "path": "site_password"}),
            ("/get-artifact", {"run_id": run, "path": f"../../{secret}/site_password"}),
            (
                "/model-versions/get-artifact",
                {"name": name, "version": version.version, "path": "site_password"},
            ),
            ("/api/2.0/mlflow/artifacts/list", {"run_id": run}),
        ):
            answer = browser.get(path, params=parameters)
            assert answer.status_code >= 400, path
            assert site.password not in answer.text and "site_password" not in answer.text
        upload = browser.post(
            "/ajax-api/2.0/mlflow/upload-artifact",
            params={"run_uuid": run, "path": "planted"},
            content=b"x",
        )
        assert upload.status_code >= 400
    assert not list(secret.rglob("planted"))
    client.delete_registered_model(name)
    client.delete_experiment(experiment)


def test_no_link_is_followed(
    mlflow: httpx.Client, completed_run: CompletedRun, sites: dict[str, Site]
) -> None:
    made = mlflow.post("experiments/create", json={"name": f"links-{uuid4()}"})
    experiment = made.raise_for_status().json()["experiment_id"]
    info = a_run(mlflow, experiment)
    folder = Path(unquote(info["artifact_uri"].removeprefix("file://")))
    folder.mkdir(parents=True)
    assert folder.is_relative_to(completed_run.home.path / "mlflow" / "artifacts")
    (folder / "own.txt").write_text("own")
    (folder / "file.txt").symlink_to(completed_run.home.path / "secrets" / "site_password")
    (folder / "inside.txt").symlink_to(folder / "own.txt")
    (folder / "folder").symlink_to(completed_run.home.path / "secrets")
    site = sites["mlflow"]
    with httpx.Client(base_url=site.address, auth=site.login) as browser:
        listed = mlflow.get("artifacts/list", params={"run_id": info["run_id"]}).json()
        assert [each["path"] for each in listed["files"]] == ["own.txt"]
        for path, status in (
            *(("own.txt", 200), ("file.txt", 400), ("inside.txt", 400)),
            *(("folder/site_password", 400), ("folder/../own.txt", 400)),
        ):
            answer = browser.get("/get-artifact", params={"run_id": info["run_id"], "path": path})
            assert answer.status_code == status, path
            assert site.password not in answer.text
        upload = browser.post(
            "/ajax-api/2.0/mlflow/upload-artifact",
            params={"run_uuid": info["run_id"], "path": "folder/planted"},
            content=b"x",
        )
        assert upload.status_code >= 400
    assert not (completed_run.home.path / "secrets" / "planted").exists()
    mlflow.post("experiments/delete", json={"experiment_id": experiment})


# --- with the password, in a browser -------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


def test_the_sites_in_a_browser(
    sites: dict[str, Site], browser: Browser, completed_run: CompletedRun, tmp_path: Path
) -> None:
    username, password = sites["docs"].login
    context = browser.new_context(
        http_credentials={"username": username, "password": password},
        viewport={"width": 1400, "height": 900},
    )
    page = context.new_page()
    feast = f"{sites['feast'].address}/p/churn/feature-view/customer_features"
    page.goto(feast)
    expect(page.get_by_text("monthly_charges").first).to_be_visible(timeout=30_000)
    has_bar(page, "Feast")
    assert page.get_by_text("Tab Demo").count() == 0
    assert page.get_by_role("button", name=re.compile("Create|Edit|Delete")).count() == 0
    page.goto(f"{feast}/feature/tenure")
    expect(page.get_by_text("INT32").first).to_be_visible(timeout=30_000)
    page.screenshot(path=tmp_path / "feast.png")
    page.goto(sites["mlflow"].address)
    page.wait_for_url(re.compile("#/experiments/[0-9]+/runs.*workflowType=machine_learning"))
    version = completed_run.summary["model"]["version"]
    expect(page.get_by_text(version).first).to_be_visible(timeout=30_000)
    has_bar(page, "MLflow")
    page.goto(f"{sites['mlflow'].address}/#/models/churn")
    expect(page.get_by_text("champion").first).to_be_visible(timeout=30_000)
    page.screenshot(path=tmp_path / "mlflow.png")
    bar = page.get_by_role("navigation", name="Site")
    bar.get_by_role("link", name="Overview").click()
    page.wait_for_url(re.compile(re.escape(sites["docs"].address)))
    bar.get_by_role("link", name="Feast").click()
    page.wait_for_url(re.compile(re.escape(sites["feast"].address)))
    # To a browser, localhost is another site: its bar has its own addresses.
    page.goto(sites["feast"].address.replace("127.0.0.1", "localhost"))
    bar.get_by_role("link", name="Overview").click()
    page.wait_for_url(re.compile("http://localhost:"))
    expect(page.get_by_role("heading", name="Telco churn", exact=True)).to_be_visible()
    context.close()


def has_bar(page: Page, name: str) -> None:
    """The bar of links, which marks this site; it takes its row of the window and hides nothing."""
    bar = page.get_by_role("navigation", name="Site")
    expect(bar.get_by_role("link", name=name)).to_have_attribute("aria-current", "page")
    box = bar.bounding_box()
    assert box is not None and (box["x"], box["y"]) == (0, 0) and box["height"] == 44
    assert page.locator("#root").bounding_box()["y"] == box["height"]  # type: ignore[index]
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[str]:
    """The address of a page that another user of the machine serves."""
    (tmp_path / "index.html").write_text("<!DOCTYPE html><title>hostile</title>")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_page_of_another_port_reads_nothing(
    sites: dict[str, Site], browser: Browser, hostile: str
) -> None:
    """A browser that has the password, at a page that another user of the machine serves."""
    docs = sites["docs"]
    username, password = docs.login
    context = browser.new_context(http_credentials={"username": username, "password": password})
    page = context.new_page()
    page.goto(docs.address)
    page.goto(hostile)
    asked = f"{docs.address}/trace?id={CUSTOMER}"
    before = docs.log.read_text().count("refused with 403")
    for mode, read in (("no-cors", ("opaque", "failed")), ("cors", ("failed",))):
        answer = page.evaluate(
            "([address, mode]) => fetch(address, {credentials: 'include', mode})"
            ".then(answer => answer.type, () => 'failed')",
            [asked, mode],
        )
        assert answer in read
    page.evaluate(
        "address => new Promise(done => { const frame = document.createElement('iframe');"
        " frame.src = address; frame.onload = done; document.body.append(frame); })",
        asked,
    )
    assert docs.log.read_text().count("refused with 403") >= before + 3
    assert "GET /trace" not in docs.log.read_text()
    context.close()


def test_the_page_of_the_api(  # long: one visit
    completed_run: CompletedRun, sites: dict[str, Site], browser: Browser, tmp_path: Path
) -> None:
    """Swagger UI under the page's policy: it is drawn, a request is tried, nothing is fetched."""
    home = completed_run.home
    asked: list[str] = []
    complaints: list[tuple[str, str]] = []
    online_store.ensure_running(home.settings, print)
    api = start(home.environ, keys.new(home.settings, "page"), tmp_path / "api.log")
    try:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append((message.type, message.text)))
        page.goto(f"{api.address}/docs")
        route = page.locator("#operations-Customers-churn_v1_customers__customer_id__churn_get")
        expect(route).to_be_visible(timeout=30_000)
        page.locator(".auth-wrapper .authorize").first.click()
        page.locator(".modal-ux input").fill(api.key)
        page.locator(".modal-ux .authorize").click()
        page.locator(".modal-ux .btn-done").click()
        route.locator(".opblock-summary-control").click()
        expect(route).to_contain_text("curl -X GET http://127.0.0.1:")
        route.locator("input").first.fill(CUSTOMER)
        route.locator(".execute").click()
        expect(route.locator(".live-responses-table")).to_contain_text("decile", timeout=30_000)
        page.screenshot(path=tmp_path / "api.png", full_page=True)
        is_accessible(page, SEVERE)
        bar = page.get_by_role("navigation", name="Site")
        expect(bar.get_by_role("link", name="Scoring API")).to_have_attribute(
            "aria-current", "page"
        )
        links = read_links(page.content())
        assert links["Overview"] == f"{sites['docs'].address}/index.html"
        assert links["MLflow"] == f"{sites['mlflow'].address}/"
        docs = httpx.get(sites["docs"].address, auth=sites["docs"].login).text
        assert read_links(docs)["Scoring API"] == f"{api.address}/"
    finally:
        api.end()
        keys.revoke(home.settings, "page")
    assert all(url.startswith((api.address, "data:")) for url in asked)
    assert [text for kind, text in complaints if kind == "error"] == []
