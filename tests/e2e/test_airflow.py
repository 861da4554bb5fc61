"""The DAG in a real Airflow: API server, scheduler, dag-processor and triggerer, over REST."""

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest
from airflow_api import Airflow
from browser import chromium
from campaign_outcomes import enter_outcomes, read_list
from environments import BIN, ChurnHome, CompletedRun, Environments, called
from lineage_graph import Graph, leads, place
from monthly import cut_off, fewer, tables_only
from PIL import Image
from playwright.sync_api import expect
from sinks import Sink, http_sink

from churn.operations import airflow_server
from lakehouse.lineage import lineage_file
from trainer import decisions, registry

DAG, CAMPAIGN, PROMOTION, APPROVAL = "01_etl", "03_campaign", "04_promotion", "05_approval"
# States of a task that waits for a person, depending on Airflow's version.
WAITING = ("awaiting_input", "deferred")
STEPS = ["ingest", "feast_apply", "feast_materialize", "feast_verify", "train_model", "score"]
STAGES = ["clean", "engineer", "validate", "publish"]
LINEAGE = "#!/model/model.telco_churn.customer_features?g_v=1&g_i=%2Bcustomer_features%2B"
# Tests may run as root, and on machines that reach no network.


@dataclass
class Scheduled:
    """A home with Airflow in it, and what it notifies of."""

    home: ChurnHome
    airflow: Airflow
    sink: Sink


@pytest.fixture(scope="module")
def scheduled(environments: Environments) -> Iterator[Scheduled]:
    home = environments.new("airflow")
    sinks = ExitStack()
    sink = sinks.enter_context(http_sink())
    home.environ["CHURN_NOTIFY"] = sink.url
    try:
        # As in the README.
        path = f"{BIN}:{home.environ['PATH']}"
        home.call(["make", "airflow"], 0, PATH=path)
        password = home.call(["churn", "airflow", "password"], 0, PATH=path).stdout.strip()
        airflow = Airflow(airflow_server.address(home.settings), password)
        # `churn airflow up` ends when the DAG can be run.
        assert airflow.call("GET", f"/dags/{DAG}")["dag_id"] == DAG
        airflow.switch_on(DAG)
        yield Scheduled(home, airflow, sink)
    finally:
        home.churn("airflow", "down")
        sinks.close()


@pytest.fixture(scope="module")
def green(scheduled: Scheduled, shared_data: Path) -> str:
    """The id of a completed run, for which the real workbook landed."""
    airflow, home = scheduled.airflow, scheduled.home
    landing = Path(home.settings.landing)
    landing.mkdir()
    workbook = landing / "customers.xlsx"
    shutil.copy(shared_data / "Telco-Customer-Churn.xlsx", workbook)
    # one that was changed just now may still be being written
    hour_ago = time.time() - 3600
    os.utime(workbook, (hour_ago, hour_ago))
    airflow.switch_on("00_landing")
    airflow.trigger("00_landing", "first-look")
    assert airflow.wait("00_landing", "first-look") == "success"
    (run_id,) = landed(airflow)
    workbook.unlink()
    airflow.wait_until(DAG, run_id, "clean.pending_loads_run", "success")
    # dbt is at the next model and holds the lake
    rival = home.churn("build", code=4, CHURN_LOCK_WAIT="0").stderr
    assert "held by dbt build" in rival
    assert airflow.wait(DAG, run_id, seconds=800) == "success", airflow.states(DAG, run_id)
    return run_id


def test_a_run_does_what_churn_run_does(
    scheduled: Scheduled, green: str, completed_run: CompletedRun
) -> None:
    states = scheduled.airflow.states(DAG, green)
    # nothing is wrong with a first model
    assert states.pop("alert") == "skipped"
    assert set(states.values()) == {"success"}, states
    summary = scheduled.airflow.result(DAG, green, "score")
    assert summary["counts"] == completed_run.summary["counts"]
    assert summary["gate"] == completed_run.summary["gate"]
    assert summary["model"] == completed_run.summary["model"]
    assert scheduled.home.gold() == completed_run.home.gold()
    folder = scheduled.home.path / "runs" / summary["run_id"]
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert (folder / "report.html").exists()
    assert [key.partition("-")[0] for key in scheduled.sink.keys] == ["promoted"]
    log = scheduled.airflow.log(DAG, green, "train_model")
    assert f'"roc_auc": {summary["model"]["roc_auc"]}' in log
    links = scheduled.airflow.links(DAG, green, "score")
    assert links == {"Report of the run": f"/churn/runs/{summary['run_id']}/report.html"}


def test_the_lineage_has_the_run_of_the_dag_for_its_root(scheduled: Scheduled, green: str) -> None:
    """Airflow tells its own runs, each command the rest; together they are one."""
    told = [json.loads(line) for line in lineage_file(scheduled.home.settings).open()]
    (trained,) = (each for each in told if ended(each, "churn train"))
    root = trained["run"]["facets"]["parent"]["root"]
    assert root["job"] == {"namespace": "airflow", "name": DAG, "facets": {}}
    of_run = [each for each in told if of_root(each) == root["run"]["runId"]]
    states = {(each["job"]["name"], each["eventType"]) for each in of_run}
    telling = ("ingest", "dbt_producer_watcher", "feast_materialize", "train_model", "score")
    names = (DAG, *(f"{DAG}.{task}" for task in telling), "dbt build", "churn score")
    assert states >= {(name, state) for name in names for state in ("START", "COMPLETE")}
    runs = {each["run"]["runId"] for each in of_run}
    parents = [each["run"]["facets"]["parent"] for each in of_run if is_child(each)]
    assert {each["run"]["runId"] for each in parents} <= runs
    graph = Graph()
    for each in of_run:
        graph.add(each)
    (loaded,) = (each for each in of_run if ended(each, "churn ingest.ingest"))
    (scored,) = (each for each in of_run if ended(each, "churn score.score"))
    assert leads(graph.datasets, place(loaded["inputs"][0]), place(scored["outputs"][0]))


def ended(event: Any, name: str) -> bool:
    return event["eventType"] == "COMPLETE" and event["job"]["name"] == name


def is_child(event: Any) -> bool:
    return "parent" in event["run"]["facets"]


def of_root(event: Any) -> str:
    """The first of the runs above an event's own; itself where there is none."""
    run = event["run"]
    return str(run["facets"]["parent"]["root"]["run"]["runId"] if is_child(event) else run["runId"])


def test_a_task_by_itself_ends_as_before(scheduled: Scheduled, green: str) -> None:
    again(scheduled, green, "publish.customer_features_run", scheduled.home.gold())


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_any_task_by_itself_ends_as_before(scheduled: Scheduled, green: str) -> None:
    """Each one, the producer of dbt's results too."""
    before = scheduled.home.gold()
    for task in sorted(scheduled.airflow.states(DAG, green)):
        again(scheduled, green, task, before)


def again(scheduled: Scheduled, run_id: str, task: str, before: Any) -> None:
    """Run one task of a run by itself; its first try succeeds, and nothing is different."""
    tried = scheduled.airflow.tries(DAG, run_id, task)
    scheduled.airflow.clear(DAG, run_id, task)
    assert scheduled.airflow.wait(DAG, run_id) == "success", task
    # A run is green whose last task is, whatever became of the others.
    states = scheduled.airflow.states(DAG, run_id)
    # The producer is left out the second time: the tasks that watch it have their results.
    assert states.pop("dbt_producer_watcher") in ("success", "skipped"), task
    assert states.pop("alert") == "skipped", task
    assert set(states.values()) == {"success"}, (task, states)
    assert scheduled.airflow.tries(DAG, run_id, task) == tried + 1, task
    assert scheduled.home.gold() == before, task
    assert scheduled.home.churn_json("features", "verify")["differences"] == [], task


def test_a_scheduled_run_without_a_workbook_is_skipped(scheduled: Scheduled, green: str) -> None:
    """A run of the schedule's own, of a month gone by; by itself it makes none of those."""
    airflow = scheduled.airflow
    assert airflow.run_ids(DAG, "scheduled") == []
    airflow.backfill(DAG, "2026-01-01")
    (run_id,) = airflow.run_ids(DAG, "backfill")
    assert airflow.wait(DAG, run_id) == "success"
    assert set(airflow.states(DAG, run_id).values()) == {"skipped"}
    assert "no new workbook" in airflow.log(DAG, run_id, "ingest", 1)


@pytest.mark.long
def test_a_refused_workbook_stops_at_validate(
    scheduled: Scheduled, green: str, shared_data: Path, tmp_path: Path
) -> None:
    airflow, home = scheduled.airflow, scheduled.home
    before = home.gold()
    cut = cut_off(shared_data / "Telco-Customer-Churn.xlsx", tmp_path, rows=498)
    workbook = cut.rename(tmp_path / "few.xlsx")
    airflow.trigger(DAG, "refused", workbook=str(workbook), extract_date="2026-01-05")
    assert airflow.wait(DAG, "refused") == "failed"
    states = airflow.states(DAG, "refused")
    stage = {name: {v for k, v in states.items() if k.startswith(f"{name}.")} for name in STAGES}
    assert stage["clean"] == stage["engineer"] == {"success"}, states
    assert states["validate.assert_pending_loads_passed"] == "failed"
    assert stage["publish"] == {"upstream_failed"}, states
    assert {states[each] for each in STEPS[1:]} == {"upstream_failed"}, states
    said = airflow.log(DAG, "refused", "validate.assert_pending_loads_passed")
    assert "assert_pending_loads_passed found" in said
    assert "minimum_customers" in said
    assert "silver.rejected_rows" in said
    assert home.gold() == before
    # Marking the failed tests as successful and running `publish` publishes nothing either.
    call_green(airflow, "refused", but="publish.")
    airflow.clear(DAG, "refused", *(each for each in states if each.startswith("publish.")))
    assert airflow.wait(DAG, "refused") == "failed"
    states = airflow.states(DAG, "refused")
    assert states["publish.customer_features_run"] == "success", states
    assert home.gold() == before
    # nor does the rest of the run go on, which Airflow tries as soon as all before is green
    while states["feast_apply"] == "upstream_failed":
        call_green(airflow, "refused", but="none")
        assert airflow.wait(DAG, "refused") == "failed"
        states = airflow.states(DAG, "refused")
    assert states["feast_apply"] == "failed", states
    assert {states[each] for each in STEPS[2:]} == {"upstream_failed"}, states
    assert "The gate refused few.xlsx" in airflow.log(DAG, "refused", "feast_apply", 1)
    check_refusal(scheduled, said)
    assert home.churn_json("features", "verify")["differences"] == []


def check_refusal(scheduled: Scheduled, log: str) -> None:
    """The refusal precedes any stack, `alert` has it too, and one message was sent of it."""
    airflow, text = scheduled.airflow, "The gate refused few.xlsx"
    assert log.index(text) < log.index("Task failed with exception")
    assert airflow.states(DAG, "refused")["alert"] == "success"
    assert text in airflow.log(DAG, "refused", "alert", 1)
    events = [key.partition("-")[0] for key in scheduled.sink.keys]
    assert (events.count("refused"), events.count("interrupted")) == (1, 0)


def call_green(airflow: Airflow, run_id: str, but: str) -> None:
    """Mark what is not green before the Feast tasks, one group left out, as an operator may."""
    for task, state in airflow.states(DAG, run_id).items():
        if state != "success" and task not in STEPS and not task.startswith(but):
            airflow.mark_success(DAG, run_id, task)


def test_a_workbook_that_landed_is_run_once(scheduled: Scheduled, green: str) -> None:
    airflow = scheduled.airflow
    airflow.trigger("00_landing", "second-look")
    assert airflow.wait("00_landing", "second-look") == "success"
    assert landed(airflow) == [green]


@pytest.mark.long
def test_an_outage_of_mlflow_turns_nothing_red_and_is_made_up_for(
    scheduled: Scheduled, green: str
) -> None:
    """Its file, embedded, is damaged: the task is tried as often as any, then skipped."""
    airflow, folder = scheduled.airflow, scheduled.home.path / "mlflow"
    before = airflow.tries(DAG, green, "log_to_mlflow")
    away = folder.rename(folder.with_name("mlflow_away"))
    folder.mkdir()
    (folder / "mlflow.db").write_text("no database, but text long enough" * 50)
    airflow.clear(DAG, green, "log_to_mlflow")
    assert airflow.wait(DAG, green, seconds=400) == "success"
    states = airflow.states(DAG, green)
    assert states["log_to_mlflow"] == "skipped"
    assert states["score"] == "success"
    tries = airflow.tries(DAG, green, "log_to_mlflow")
    assert tries == before + 3
    assert "remove that folder" in airflow.log(DAG, green, "log_to_mlflow", tries)
    shutil.rmtree(folder)
    away.rename(folder)
    airflow.clear(DAG, green, "log_to_mlflow")
    assert airflow.wait(DAG, green) == "success"
    assert airflow.states(DAG, green)["log_to_mlflow"] == "success"


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_scheduler_is_killed_at_any_step(
    scheduled: Scheduled, green: str, shared_data: Path
) -> None:
    moments = [None, "clean.pending_loads_run", "validate.load_metrics_run", *STEPS[:-1]]
    for number, task in enumerate(moments):
        day = f"2026-04-{number + 1:02}"
        workbook = str(shared_data / "Telco-Customer-Churn.xlsx")
        scheduled.airflow.trigger(DAG, f"killed-{day}", workbook=workbook, extract_date=day)
        killed_after(scheduled, f"killed-{day}", task, day)


def killed_after(scheduled: Scheduled, run_id: str, task: str | None, day: str) -> None:
    """The scheduler and what it runs killed after that task (None: with the first one at work)."""
    airflow, home = scheduled.airflow, scheduled.home
    airflow.wait_until(DAG, run_id, task or "ingest", "success" if task else "running")
    running = airflow_server.services(home.settings)["scheduler"].find()
    assert running is not None
    scheduler = psutil.Process(running.pid)
    for each in [*scheduler.children(recursive=True), scheduler]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each.pid, signal.SIGKILL)
    home.churn("airflow", "up")
    assert airflow.wait(DAG, run_id, seconds=900) == "success", airflow.states(DAG, run_id)
    summary = airflow.result(DAG, run_id, "score")
    assert summary["extract_date"] == day
    assert summary["counts"]["scored"] == 7043
    bronze = "select count(*) from bronze.telco_customers where _extract_date = '{}'"
    assert home.value(bronze.format(day)) == summary["counts"]["bronze"]
    for table in ("customer_features", "churn_labels"):
        rows = f"select count(*) from gold.{table} where extract_date = '{day}'"
        assert home.value(rows) == 7043, table
    doubled = "select 1 from gold.churn_scores group by {} having count(*) > 1"
    assert home.sql(doubled.format("customer_id, extract_date, model_version")) == []
    features, _ = home.gold()
    assert features == distinct(features)


def landed(airflow: Airflow) -> list[str]:
    """The runs that `00_landing` asked for."""
    return [each for each in airflow.run_ids(DAG) if each.startswith("landing__")]


def distinct(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each customer and date."""
    return list({(row["customer_id"], row["extract_date"]): row for row in rows}.values())


@pytest.fixture
def page(scheduled: Scheduled) -> Iterator[Any]:
    """A browser's page at Airflow, without a login."""
    with chromium() as browser:
        yield browser.new_page(
            base_url=scheduled.airflow.address, viewport={"width": 1600, "height": 1000}
        )


def sign_in(page: Any, airflow: Airflow) -> None:
    page.goto("/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(airflow.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/auth/" not in url)
    page.wait_for_load_state()


def test_the_pages_in_a_browser(
    scheduled: Scheduled, green: str, page: Any, tmp_path: Path
) -> None:
    for path in (
        "/churn/index.html",
        "/churn/dbt/index.html",
        f"/churn/runs/{scheduled.airflow.result(DAG, green, 'score')['run_id']}/report.html",
    ):
        assert httpx.get(scheduled.airflow.address + path).status_code == 401
    sign_in(page, scheduled.airflow)
    page.goto(f"/dags/{DAG}/runs/{green}")
    page.get_by_role("button", name="Show Graph").click()
    graph = page.locator(".react-flow")
    for stage in [*STEPS, *STAGES]:
        expect(graph.get_by_text(stage, exact=True).first).to_be_visible()
    page.screenshot(path=tmp_path / "graph.png")
    page.get_by_role("button", name="Browse").click()
    page.get_by_text("dbt docs").click()
    docs = page.frame_locator("iframe")
    expect(docs.get_by_text("Where to look.").locator("visible=true").first).to_be_visible()
    page.screenshot(path=tmp_path / "docs.png")
    page.goto(f"/churn/dbt/index.html{LINEAGE}")
    expect(page.locator("canvas").first).to_be_visible()
    # The graph is drawn bit by bit, after a plain ground.
    deadline = time.monotonic() + 120
    while drawn(page.screenshot(path=tmp_path / "lineage.png")) < 0.005:
        assert time.monotonic() < deadline, "no lineage was drawn"
        page.wait_for_timeout(500)


# Asks every route of Airflow's application, and those that Cosmos adds where docs are named,
# without a login: as a stranger, by another name, and from another site.
ROUTES = """
import asyncio, json, re
import httpx
from airflow.api_fastapi.app import create_app

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

def routes(app, prefix=""):
    for route in app.routes:
        path, inner = prefix + getattr(route, "path", ""), getattr(route, "app", None)
        if hasattr(inner, "routes") and not hasattr(route, "methods"):
            yield from routes(inner, path)
        else:
            for method in getattr(route, "methods", None) or METHODS:
                yield method, re.sub(r"\\{[^}]*\\}", "x", path) or "/"

async def ask(app):
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    strangers = ({}, {"Host": "elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"})
    found = []
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        pages = {(method, "/churn/index.html") for method in METHODS}
        for method, path in sorted(pages.union(routes(app))):
            asked = [(await client.request(method, path, headers=each)) for each in strangers]
            found.append([method, path, *(each.status_code for each in asked)])
    print(json.dumps(found))

asyncio.run(ask(create_app()))
"""
# Nothing of customers: the login, health, version, the interface's own description, and the shell
# of Airflow's pages, which asks the interface for what it shows.
WITHOUT_LOGIN = re.compile(
    r"(/auth|/execution)?(/(docs|redoc|openapi\.json)(/.*)?|/static|/x|/changelog)?"
    r"|/auth/token(/.*)?|/api/v2/(auth/.*|monitor/health|version)|/(api/|api/v1/)x|/health"
    r"|/execution/(health.*|docs)"
)


def test_no_route_tells_another_user_anything(scheduled: Scheduled) -> None:
    home = scheduled.home
    environ = airflow_server.environment(home.settings, home.settings.project / "dags")
    docs = {"docs": {"dir": str(home.path / "site" / "dbt"), "index": "index.html"}}
    environ |= {"AIRFLOW__COSMOS__DBT_DOCS_PROJECTS": json.dumps(docs)}
    answer = called([sys.executable, "-c", ROUTES], {**home.environ, **environ}, 180)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout.splitlines()[-1])
    asked = {(method, path) for method, path, *_ in found}
    assert {("GET", "/cosmos/docs/dbt_docs_index.html"), ("GET", "/churn/index.html")} <= asked
    assert len(found) > 200
    for method, path, stranger, by_other_name, from_other_site in found:
        assert (by_other_name, from_other_site) == (421, 403), (method, path)
        assert stranger == 401 or WITHOUT_LOGIN.fullmatch(path), (method, path, stranger)
        assert not path.startswith(("/cosmos", "/churn")) or stranger == 401, (method, path)


@pytest.mark.long  # CI runs the same campaign by command: test_campaigns.py
def test_a_campaign_from_start_to_close_each_step_repeated(
    scheduled: Scheduled, green: str, shared_data: Path, tmp_path: Path
) -> None:
    airflow, home = scheduled.airflow, scheduled.home
    airflow.switch_on(CAMPAIGN)
    airflow.trigger(CAMPAIGN, "spring", campaign="spring", top=100, control=20)
    airflow.wait_until(CAMPAIGN, "spring", "enter_outcomes", *WAITING)
    written = home.path / "campaigns" / "spring.xlsx"
    members = repeated(scheduled, "start", "select * from gold.campaign_members order by all")
    assert len(read_list(written)) == 100 and len(members) == 125
    link = airflow.links(CAMPAIGN, "spring", "start")["List of the campaign"]
    assert link == "/churn/campaigns/spring.xlsx"
    assert httpx.get(airflow.address + link).status_code == 401

    enter_outcomes(written, tmp_path / "filled.xlsx")
    airflow.respond(
        *(CAMPAIGN, "spring", "enter_outcomes", "Record the outcomes"),
        file=str(tmp_path / "filled.xlsx"),
    )
    airflow.wait_until(CAMPAIGN, "spring", "record", "success")
    outcomes = "select * from bronze.campaign_outcomes order by all"
    assert len(repeated(scheduled, "record", outcomes)) == 100
    assert read_list(written)[0]["Called"] is None

    # The campaign waits for the next extract, without a worker.
    airflow.wait_until(CAMPAIGN, "spring", "wait_for_extract", "up_for_reschedule")
    publish_next(home, fewer(shared_data / "Telco-Customer-Churn.xlsx", tmp_path))
    airflow.clear(CAMPAIGN, "spring", "wait_for_extract")
    assert airflow.wait(CAMPAIGN, "spring") == "success"
    measured = repeated(scheduled, "close", "select * from gold.campaign_results order by all")
    assert {row["analysis"] for row in measured} == {"intention_to_treat", "per_protocol"}
    assert "points fewer left" in airflow.log(CAMPAIGN, "spring", "close", 1)


def next_date(home: ChurnHome) -> str:
    latest = home.value("select max(extract_date) + interval 31 days from gold.publications")
    return str(latest)[:10]


def publish_next(home: ChurnHome, workbook: Path) -> None:
    """Publish the tables of the next month, without a model."""
    tables_only(home, workbook, extract_date=next_date(home))


def repeated(scheduled: Scheduled, task: str, rows: str) -> list[dict[str, Any]]:
    """What a task of the campaign has made, which is the same when it runs again."""
    airflow, before = scheduled.airflow, scheduled.home.sql(rows)
    tried = airflow.tries(CAMPAIGN, "spring", task)
    airflow.clear(CAMPAIGN, "spring", task)
    while airflow.tries(CAMPAIGN, "spring", task) == tried:
        time.sleep(0.5)
    airflow.wait_until(CAMPAIGN, "spring", task, "success")
    assert scheduled.home.sql(rows) == before, task
    return before


@pytest.mark.long
def test_a_person_is_asked_about_a_version_that_waits(
    scheduled: Scheduled, green: str, shared_data: Path, tmp_path: Path
) -> None:
    airflow, home = scheduled.airflow, scheduled.home
    airflow.switch_on(PROMOTION)
    airflow.trigger(PROMOTION, "none")
    assert airflow.wait(PROMOTION, "none") == "success"
    assert set(airflow.states(PROMOTION, "none").values()) == {"skipped"}

    champion = registry.champion_version(home.settings)
    assert champion is not None
    # The challenger of another extract is trained by a command, since CHURN_PROMOTION can't be
    # changed for a running Airflow.
    publish_next(home, fewer(shared_data / "Telco-Customer-Churn.xlsx", tmp_path))
    home.churn("train", CHURN_PROMOTION="ask")
    waiting = decisions.find_waiting(home.settings)
    assert waiting is not None and waiting.version != champion
    for run_id, option, chosen in (
        ("declined", "Keep the champion", champion),
        ("promoted", "Promote", waiting.version),
    ):
        decisions.write(registry.folder(home.settings) / waiting.version, waiting)
        airflow.trigger(PROMOTION, run_id)
        airflow.wait_until(PROMOTION, run_id, "decide", *WAITING)
        airflow.respond(PROMOTION, run_id, "decide", option, reason="as agreed")
        assert airflow.wait(PROMOTION, run_id) == "success"
        assert registry.champion_version(home.settings) == chosen
        decided = decisions.read(registry.folder(home.settings) / waiting.version)
        assert decided is not None and not decided.waits and decided.user == "admin"
        assert decided.reason.endswith(": as agreed")
    scored = "select count(*) from gold.churn_scores where model_version = '{}'"
    assert home.value(scored.format(waiting.version)) > 0


@pytest.mark.long
def test_a_refused_workbook_is_approved_in_a_browser(
    scheduled: Scheduled, green: str, page: Any, shared_data: Path, tmp_path: Path
) -> None:
    """A third of the customers have gone: refused, shown to a person, approved and published."""
    airflow, home = scheduled.airflow, scheduled.home
    airflow.switch_on(APPROVAL)
    part = cut_off(shared_data / "Telco-Customer-Churn.xlsx", tmp_path, 4500)
    day = next_date(home)
    airflow.trigger(DAG, "to-approve", workbook=str(part), extract_date=day)
    assert airflow.wait(DAG, "to-approve") == "failed"
    batch = airflow.result(DAG, "to-approve", "ingest")["batch_id"]
    run_id = approve_in_browser(scheduled, page, "a region was sold")
    assert airflow.wait(APPROVAL, run_id) == "success", airflow.states(APPROVAL, run_id)

    results = home.sql(
        "select rule, verdict, approver, reason from audit.gate_results "
        f"where batch_id = '{batch}' and approver is not null order by verdict_number"
    )
    assert [row["verdict"] for row in results] == ["pending", "expected"]
    assert {row["rule"] for row in results} == {"rows_not_lost"}
    assert {(row["approver"], row["reason"]) for row in results} == {("admin", "a region was sold")}
    assert home.value(f"select customers from gold.publications where batch_id = '{batch}'") > 4000
    summary = airflow.result(APPROVAL, run_id, "apply_decision")
    assert (summary["batch_id"], summary["gate"]["verdict"]) == (batch, "passed")
    assert summary["counts"]["scored"] == summary["counts"]["gold"]
    assert home.churn_json("features", "verify")["differences"] == []
    check_repeated_approval(scheduled, run_id, batch)


def approve_in_browser(scheduled: Scheduled, page: Any, reason: str) -> str:
    """Respond to the question that the alert has led to; return the run that asks it."""
    airflow, deadline = scheduled.airflow, time.monotonic() + 120
    while not (run_ids := airflow.run_ids(APPROVAL, "asset_triggered")):
        assert time.monotonic() < deadline, "the alert started no run"
        time.sleep(1)
    airflow.wait_until(APPROVAL, run_ids[-1], "decide", *WAITING)
    sign_in(page, airflow)
    page.goto(f"/dags/{APPROVAL}/runs/{quote(run_ids[-1])}/tasks/decide/required_actions")
    expect(page.get_by_text("rows_not_lost: -0.").first).to_be_visible(timeout=30_000)
    page.locator("#element_reason").fill(reason)
    page.get_by_test_id("hitl-option-Approve").click()
    airflow.wait_until(APPROVAL, run_ids[-1], "decide", "success")
    return run_ids[-1]


def check_repeated_approval(scheduled: Scheduled, run_id: str, batch: str) -> None:
    """A task that runs again changes nothing, and a load is not decided on twice."""
    airflow, home = scheduled.airflow, scheduled.home
    rows = "select count(*) from audit.gate_results where approver is not null"
    before, tried = home.value(rows), airflow.tries(APPROVAL, run_id, "apply_decision")
    airflow.clear(APPROVAL, run_id, "apply_decision")
    assert airflow.wait(APPROVAL, run_id) == "success"
    assert airflow.tries(APPROVAL, run_id, "apply_decision") == tried + 1
    airflow.trigger(APPROVAL, "again", load=batch)
    assert airflow.wait(APPROVAL, "again") == "failed"
    said = airflow.log(APPROVAL, "again", "find_refused_load")
    assert "was approved by admin: a region was sold" in said
    assert home.value(rows) == before


def drawn(picture: bytes) -> float:
    """Share of the middle of a picture that is not its ground."""
    image = Image.open(BytesIO(picture)).convert("RGB")
    width, height = image.size
    middle = image.crop((width // 20, height // 8, width * 19 // 20, height * 7 // 8))
    colours = middle.getcolors(maxcolors=middle.width * middle.height)
    assert colours is not None
    return 1 - max(count for count, _ in colours) / (middle.width * middle.height)


@pytest.mark.long  # CI searches a home without Airflow: test_forget.py
def test_airflow_stores_no_customer(scheduled: Scheduled, green: str) -> None:
    """The last one here: of its database, whatever runs there were. Erasures rely on it."""
    home = scheduled.home
    rows = home.sql("select distinct customer_id from gold.customer_features")
    customers = {row["customer_id"].encode() for row in rows}
    own = read_files(home.path / "airflow")
    assert any(green.encode() in content for content in own.values())
    assert {path: found for path in own if (found := find_ids(own[path]) & customers)} == {}
    # The same search finds those of a report.
    assert find_ids(b"".join(read_files(home.path / "runs").values())) & customers


def read_files(folder: Path) -> dict[str, bytes]:
    """The contents of all files, unpacked where they are packed."""
    contents = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {
        path: gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        for path, content in contents.items()
    }


def find_ids(content: bytes) -> set[bytes]:
    """What may be ids of customers; nothing separates the texts of a database."""
    return set(re.findall(rb"[0-9]{4}-[A-Z]{5}", content))
