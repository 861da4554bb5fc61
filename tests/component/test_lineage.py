"""The lineage that a run tells: from the workbook to the scores, and which run did what."""

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from environments import CompletedRun
from lineage_graph import Event, Graph, Place, leads
from openlineage.client.event_v2 import Job, Run, RunEvent

from churn.provenance.diff import diff
from churn.provenance.history import history
from lakehouse import online_store
from lakehouse.errors import InvalidInputError
from lakehouse.lineage import lineage_file


@pytest.fixture(scope="module")
def events(completed_run: CompletedRun) -> list[Event]:
    """All that belongs to the shared run, and nothing of other commands on its home."""
    lines = lineage_file(completed_run.home.settings).read_text().splitlines()
    return list(below_run(completed_run.summary["run_id"], [json.loads(line) for line in lines]))


def below_run(run_id: str, told: list[Event]) -> Iterator[Event]:
    roots = {each["run"]["runId"] for each in told if ("churn_run_id", run_id) in tags(each)}
    for each in told:
        root = each["run"]["facets"].get("parent", {}).get("root", {}).get("run", {})
        if each["run"]["runId"] in roots or root.get("runId") in roots:
            yield each


def tags(event: Event) -> list[tuple[str, str]]:
    facet = event["run"]["facets"].get("tags", {"tags": []})
    return [(each["key"], each["value"]) for each in facet["tags"]]


@pytest.fixture(scope="module")
def graph(events: list[Event]) -> Graph:
    found = Graph()
    for each in events:
        found.add(each)
    return found


def table(completed_run: CompletedRun, name: str) -> Place:
    return "file", f"{completed_run.home.settings.lake_uri}/{name.replace('.', '/')}"


def test_the_workbook_leads_to_the_scores(
    completed_run: CompletedRun, shared_data: Path, graph: Graph
) -> None:
    names = (
        *("bronze.telco_customers", "silver.rejected_rows", "silver.customers"),
        *("audit.customer_features", "gold.customer_features"),
    )
    tables = [table(completed_run, name) for name in names]
    for before, after in itertools.pairwise(tables):
        assert after in graph.datasets[before], (before, after)
    workbook = ("file", str((shared_data / "Telco-Customer-Churn.xlsx").absolute()))
    assert tables[0] in graph.datasets[workbook]
    model = (
        "file",
        f"{completed_run.home.path}/models/{completed_run.summary['model']['version']}",
    )
    scores, gold = table(completed_run, "gold.churn_scores"), tables[-1]
    assert model in graph.datasets[gold]
    assert model in graph.datasets[table(completed_run, "gold.churn_labels")]
    assert scores in graph.datasets[model]
    assert scores in graph.datasets[gold]
    # the event has the port of that time; other tests may have restarted the embedded server since
    (online,) = (each for each in graph.datasets[gold] if each[1] == "0/churn/customer_features")
    assert re.fullmatch(r"redis://127\.0\.0\.1:\d+", online[0])
    for end in (online, scores):
        assert leads(graph.datasets, workbook, end)
        assert not leads(graph.datasets, end, workbook)
    # rejected rows come from the same rows of bronze
    assert leads(graph.datasets, workbook, table(completed_run, "silver.rejected_rows"))


def test_a_column_leads_to_what_is_made_of_it(
    completed_run: CompletedRun, shared_data: Path, graph: Graph
) -> None:
    workbook = ("file", str((shared_data / "Telco-Customer-Churn.xlsx").absolute()))
    gold, scores = (
        table(completed_run, "gold.customer_features"),
        table(completed_run, "gold.churn_scores"),
    )
    labels = table(completed_run, "gold.churn_labels")
    contract = (workbook, "Contract")
    assert leads(graph.columns, contract, (gold, "contract_month_to_month"))
    assert leads(graph.columns, contract, (scores, "probability"))
    assert not leads(graph.columns, contract, (gold, "monthly_charges"))
    for source in ("MonthlyCharges", "TotalCharges", "tenure"):
        assert leads(graph.columns, (workbook, source), (gold, "billing_ratio")), source
    assert leads(graph.columns, (workbook, "Churn"), (labels, "churned"))
    assert not leads(graph.columns, (workbook, "Churn"), (scores, "probability"))


def test_every_run_has_its_end_and_its_parent(
    completed_run: CompletedRun, events: list[Event]
) -> None:
    states = defaultdict(list)
    for each in events:
        states[each["run"]["runId"]].append(each["eventType"])
    assert all(sorted(each) == ["COMPLETE", "START"] for each in states.values()), states
    roots = [each for each in events if "parent" not in each["run"]["facets"]]
    assert {each["job"]["name"] for each in roots} == {"churn run"}
    assert len(roots) == 2
    for each in events:
        parent = each["run"]["facets"].get("parent")
        if parent is not None:
            assert parent["run"]["runId"] in states
            assert parent["root"]["run"]["runId"] == roots[0]["run"]["runId"]
    jobs = {each["job"]["name"] for each in events}
    steps = ("ingest", "build", "materialize", "train", "score")
    assert {f"churn run.{step}" for step in steps} <= jobs
    # every model of dbt but those that are no tables of a run
    assert sum(name.endswith(".build.run") for name in jobs) == 18


def test_every_event_is_of_the_spec(events: list[Event]) -> None:
    """The client's classes are made from the spec, and refuse what it does not allow."""
    for each in events:
        run, job = Run(each["run"]["runId"]), Job(each["job"]["namespace"], each["job"]["name"])
        made = RunEvent(eventTime=each["eventTime"], producer=each["producer"], run=run, job=job)
        assert each["schemaURL"] == made.schemaURL
        assert datetime.fromisoformat(each["eventTime"]).tzinfo is not None
        facets = [each["run"]["facets"], each["job"]["facets"]]
        facets += [of["facets"] for of in (*each["inputs"], *each["outputs"])]
        for facet in (facet for group in facets for facet in group.values()):
            assert {"_producer", "_schemaURL"} <= facet.keys()


def test_no_event_tells_a_secret(completed_run: CompletedRun) -> None:
    text = lineage_file(completed_run.home.settings).read_text()
    address = online_store.find(completed_run.home.settings)
    assert address is not None
    assert address.password
    assert address.password not in text


def test_commits_name_the_run(completed_run: CompletedRun) -> None:
    """The loader's, dbt's and the trainer's; and what gold's files can't tell, the publications."""
    run_id = completed_run.summary["run_id"]
    rows = {
        "bronze.telco_customers": completed_run.summary["counts"]["bronze"],
        "silver.customers": completed_run.summary["counts"]["silver"],
        "gold.customer_features": completed_run.summary["counts"]["gold"],
        "gold.churn_scores": completed_run.summary["counts"]["scored"],
    }
    for name, count in rows.items():
        written = history(completed_run.home.settings, name, print)["written"]
        of_run = [each for each in written if each["run_id"] == run_id]
        assert count in [each["rows"] for each in of_run], (name, written)
        assert all(each["user"] for each in of_run)
    lines = completed_run.home.churn("history", "gold.customer_features").stdout
    assert f"extract of {completed_run.summary['extract_date']}" in lines
    with pytest.raises(InvalidInputError, match=r"did you mean gold\.customers_current"):
        history(completed_run.home.settings, "gold.customers", print)
    with pytest.raises(InvalidInputError, match="is a view"):
        history(completed_run.home.settings, "audit.load_verdicts", print)


def test_a_run_differs_in_nothing_from_itself(completed_run: CompletedRun) -> None:
    run_id = completed_run.summary["run_id"]
    found = completed_run.home.churn_json("diff", run_id, run_id)
    assert (found["rows"]["gone"], found["rows"]["new"], found["rows"]["changed"]) == (0, 0, 0)
    assert found["rows"]["customers"] == [completed_run.summary["counts"]["gold"]] * 2
    assert found["verdicts"] == []
    assert {each["change"] for each in found["model"]["metrics"].values()} == {0}
    unknown_run = "20200101T000000Z-abcdef"
    with pytest.raises(InvalidInputError, match=unknown_run):
        diff(completed_run.home.settings, run_id, unknown_run, print)
