"""The DAG files as Airflow parses them: no server, no dbt call, nothing slow imported."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from churn.operations.airflow_server import slim_manifest
from lakehouse.settings import PROJECT

EXPECTED = Path(__file__).with_name("dag_01_etl.yml")
PARSE = """
import json, sys
from airflow.sdk.exceptions import ParamValidationError
from dags.{file} import dag
def has_default(param):
    try:
        param.resolve()
    except ParamValidationError:
        return False
    return True
used = {{"pyspark", "dbt", "feast", "pandas"}} & {{name.partition(".")[0] for name in sys.modules}}
tasks = {{
    task.task_id: {{
        "after": sorted(task.downstream_task_ids),
        "retries": task.retries,
        "outlets": [outlet.name for outlet in task.outlets],
        "minutes": task.execution_timeout and task.execution_timeout.total_seconds() / 60,
        "says_why": bool(task.on_failure_callback),
        "starts_after": task.trigger_rule,
        "doc": task.doc_md or "",
        "links": [link.name for link in task.operator_extra_links],
        "without_default": [
            name
            for name, param in task.params.items()
            if name not in dag.params and not has_default(param)
        ],
    }}
    for task in dag.tasks
}}
dag_facts = {{
    "paused": dag.is_paused_upon_creation,
    "catchup": dag.catchup,
    "at_once": dag.max_active_runs,
}}
page = {{
    "id": dag.dag_id,
    "name": dag.dag_display_name,
    "description": dag.description,
    "owner": dag.owner,
}}
print(json.dumps({{"imported": sorted(used), "tasks": tasks, "dag": dag_facts, "page": page}}))
"""


@cache
def parsed(file: str, home: Path) -> dict[str, Any]:
    """The DAG of a file below dags/, as a process of its own sees it."""
    environ = {**os.environ, "CHURN_HOME": str(home), "AIRFLOW_HOME": str(home / "airflow")}
    answer = subprocess.run(
        [sys.executable, "-c", PARSE.format(file=file)],
        capture_output=True,
        text=True,
        env=environ,
        cwd=PROJECT,
    )
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, parsed_project: Path) -> Path:
    """A CHURN_HOME with the manifest that the DAG is rendered from."""
    home = tmp_path_factory.mktemp("dag")
    manifest = json.loads((parsed_project / "target" / "manifest.json").read_text())
    (home / "airflow").mkdir()
    (home / "airflow" / "manifest.json").write_text(json.dumps(slim_manifest(manifest)))
    return home


@pytest.fixture(scope="module")
def etl(home: Path) -> dict[str, Any]:
    return parsed("etl", home)


def test_tasks_and_edges(etl: dict[str, Any]) -> None:
    found = {name: task["after"] for name, task in etl["tasks"].items()}
    assert found == yaml.safe_load(EXPECTED.read_text())


def test_the_manifest_of_the_last_dbt_call_will_do(
    etl: dict[str, Any], parsed_project: Path, tmp_path: Path
) -> None:
    (tmp_path / "dbt").mkdir()
    shutil.copy(parsed_project / "target" / "manifest.json", tmp_path / "dbt")
    assert parsed("etl", tmp_path)["tasks"] == etl["tasks"]


def test_the_alias_is_followed_by_a_dag_of_its_own(home: Path) -> None:
    found = parsed("moved_alias", home)
    assert found["dag"] == {"paused": True, "catchup": False, "at_once": 1}
    assert found["tasks"].keys() == {"adopt_moved_alias"}


def test_a_campaign_waits_for_outcomes_and_the_next_extract(home: Path) -> None:
    found = parsed("campaign", home)
    assert {name: task["after"] for name, task in found["tasks"].items()} == {
        "start": ["enter_outcomes"],
        "enter_outcomes": ["record"],
        "record": ["wait_for_extract"],
        "wait_for_extract": ["close"],
        "close": [],
    }
    # Several campaigns wait beside each other, without a limit of time.
    assert found["dag"]["at_once"] > 10
    assert found["tasks"]["enter_outcomes"]["minutes"] is None


def test_a_person_is_asked_about_one_version_at_a_time(home: Path) -> None:
    found = parsed("promotion", home)
    assert found["dag"] == {"paused": True, "catchup": False, "at_once": 1}
    assert {name: task["after"] for name, task in found["tasks"].items()} == {
        "find_waiting_version": ["decide"],
        "decide": ["apply_decision"],
        "apply_decision": [],
    }


def test_persons_are_asked_about_refused_loads_beside_each_other(home: Path) -> None:
    found = parsed("approval", home)
    assert found["dag"] == {"paused": True, "catchup": False, "at_once": 100}
    tasks = found["tasks"]
    assert {name: task["after"] for name, task in tasks.items()} == {
        "find_refused_load": ["decide"],
        "decide": ["apply_decision"],
        "apply_decision": [],
    }
    assert tasks["decide"]["minutes"] is None
    # Those who wait for a published extract hear of an approved one too.
    assert tasks["apply_decision"]["outlets"] == ["churn_gold", "churn_scores"]
    assert "Report of the run" in tasks["apply_decision"]["links"]


FILES = ["etl", "landing", "moved_alias", "campaign", "promotion", "approval"]


@pytest.mark.parametrize("file", FILES)
def test_every_dag_and_task_says_what_it_is(file: str, home: Path) -> None:
    found = parsed(file, home)
    page = found["page"]
    assert page["name"].startswith(f"{page['id']} · ") and page["description"]
    assert page["owner"] == "churn"
    for name, task in found["tasks"].items():
        assert "**Red: " in task["doc"] and len(task["doc"]) > 80, name


def test_the_page_of_the_gate_says_what_red_means(etl: dict[str, Any]) -> None:
    doc = etl["tasks"]["validate.assert_pending_loads_passed"]["doc"]
    assert "the gate refused the workbook" in doc and "the next command" in doc
    # The comment of the test's own file, and the description of a model.
    assert "The gate: no pending load was refused." in doc
    assert "depends_on" not in doc
    assert "without the label" in etl["tasks"]["publish.customer_features_run"]["doc"]


@pytest.mark.parametrize("file", FILES)
def test_parsing_imports_nothing_slow(file: str, home: Path) -> None:
    assert parsed(file, home)["imported"] == []


@pytest.mark.parametrize("file", ["campaign", "promotion", "approval"])
def test_what_a_person_is_asked_for_has_a_default(file: str, home: Path) -> None:
    """Airflow checks a task's parameters before the person is asked."""
    tasks = parsed(file, home)["tasks"]
    assert {name for name, task in tasks.items() if task["without_default"]} == set()


def test_no_test_is_tried_again(etl: dict[str, Any]) -> None:
    retries = {name: task["retries"] for name, task in etl["tasks"].items()}
    once = {name for name, number in retries.items() if number == 0}
    assert once == {name for name in retries if "." in name and not name.endswith("run")}
    # The second try of the producer hands its work to the tasks that watch it.
    assert retries.pop("dbt_producer_watcher") == 1
    assert {retries[name] for name in retries.keys() - once} == {2}


def test_others_can_schedule_on_gold_scores_and_alerts(etl: dict[str, Any]) -> None:
    outlets = {name: task["outlets"] for name, task in etl["tasks"].items() if task["outlets"]}
    assert outlets == {
        "feast_apply": ["churn_gold"],
        "score": ["churn_scores"],
        "alert": ["churn_alert"],
    }


def test_the_alert_is_raised_after_a_refusal_too(etl: dict[str, Any]) -> None:
    assert etl["tasks"]["alert"]["starts_after"] == "all_done"


def test_it_starts_by_itself_only_when_switched_on(etl: dict[str, Any]) -> None:
    assert etl["dag"] == {"paused": True, "catchup": False, "at_once": 1}


def test_every_task_is_bounded_and_leads_to_the_report(etl: dict[str, Any]) -> None:
    for name, task in etl["tasks"].items():
        assert task["minutes"] == 120, name
        assert task["says_why"], name
        assert "Report of the run" in task["links"], name


def test_every_step_of_the_dag_is_a_function() -> None:
    """Tasks find their functions by name, since parsing the DAG must not import the pipeline."""
    from churn.pipeline import airflow_steps

    names = re.findall(r'step\("(\w+)"', (PROJECT / "dags" / "etl.py").read_text())
    assert len(names) > 5
    assert [name for name in names if not callable(getattr(airflow_steps, name, None))] == []
