"""What is declared in one place only: a new source column, a derived feature, a metric of the gate.

Each is one entry of the domain folder, in a copy of the project in which nothing else is different.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from environments import BIN, Environments

from lakehouse.settings import PROJECT

ROWS = 1500
ENTRIES = """\
  SupportCalls:
    name: support_calls
    description: Calls to the support line in the last month.
    type: integer
    range: [0, 9]
  Roams:
    name: roams
    description: Whether the customer was abroad in the last month.
    type: flag
    true_values: ["Yes"]
    false_values: ["No"]
  Plan:
    name: plan
    description: The tariff.
    type: category
    categories: [Basic, Family and friends]
"""
# The other entries, by the file and the key that they are added to.
FURTHER_ENTRIES = {
    ("features.yml", "derived_features"): """\
  calls_per_service:
    description: Calls to the support line by services.
    type: number
    expression: case when {service_count} = 0 then 0 else support_calls / {service_count} end
    range: [0, 9]
""",
    ("rules.yml", "gate_metrics"): """\
  mean_support_calls:
    description: Calls to the support line, on average.
    unit: calls
    of: features
    expression: avg(support_calls)
""",
    ("rules.yml", "gate_rules"): """\
  support_calls_bounded:
    description: With more calls than this the support line's log was counted twice.
    severity: error
    metric: mean_support_calls
    at_most: 8
""",
}
NUMBERS, FLAGS = ["support_calls", "calls_per_service"], ["roams"]
ONE_HOT = ["plan_basic", "plan_family_and_friends"]
FEATURES = {*NUMBERS, *FLAGS, *ONE_HOT}
SILVER = {"support_calls", "roams", "plan"}
SOURCE = {"SupportCalls", "Roams", "Plan"}
# The tables that have the column, by the names that they have it under.
TABLES = {
    "source.telco_churn.bronze.telco_customers": SOURCE,
    "model.telco_churn.rejected_rows": SOURCE,
    "model.telco_churn.customers": SILVER,
    "model.telco_churn.audit_customer_features": FEATURES,
    "model.telco_churn.customer_features": FEATURES,
    "model.telco_churn.features_with_labels": FEATURES,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with other declarations, and with what `make columns` makes of them."""
    copy = tmp_path_factory.mktemp("copy") / "project"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        if (PROJECT / name).is_file() and not name.startswith(("docs/", "tests/unit/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, copy / name)
    # the libraries of Java that were fetched once
    (copy / ".tools").symlink_to(PROJECT / ".tools")
    domain = copy / "domains" / "telco"
    before, label, after = (domain / "contract.yml").read_text().partition("  Churn:\n")
    (domain / "contract.yml").write_text(before + ENTRIES + label + after)
    for (file, key), entries in FURTHER_ENTRIES.items():
        text = (domain / file).read_text()
        assert text.count(f"\n{key}:\n") == 1
        (domain / file).write_text(text.replace(f"\n{key}:\n", f"\n{key}:\n{entries}"))
    generating = [sys.executable, "-m", "lakehouse.dbt_project"]
    subprocess.run(generating, check=True, cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)})
    return copy


def test_every_layer_has_and_describes_it(project: Path, tmp_path: Path) -> None:
    environ = {**os.environ, "CHURN_HOME": str(tmp_path), "PYTHONPATH": str(project)}
    places = ["--target-path", tmp_path / "target", "--log-path", tmp_path]
    dbt = [BIN / "dbt", "parse", "--quiet", "--project-dir", project, "--profiles-dir", project]
    subprocess.run([*dbt, *places], check=True, cwd=project, env=environ)
    manifest = json.loads((tmp_path / "target" / "manifest.json").read_text())
    for table, names in TABLES.items():
        columns = {**manifest["nodes"], **manifest["sources"]}[table]["columns"]
        assert names <= columns.keys(), table
        assert all(len(columns[name]["description"]) > 8 for name in names), table
    reading = "from feature_repo.feature_definitions import read_feature_columns"
    listing = f"{reading}; print(*[feature.name for feature in read_feature_columns()])"
    assert set(printed(project, environ, listing).split()) >= FEATURES
    api = "from serving.what_if import read_contract"
    computing = (
        f"{api}; derived = read_contract().derived; features = dict.fromkeys(derived.inputs, 0); "
        "features |= {'support_calls': 9, 'phone_service': 1, 'multiple_lines_yes': 1}; "
        "print(derived.compute({**features, 'internet_service_no': 1})['calls_per_service'])"
    )
    assert float(printed(project, environ, computing)) == 4.5


def printed(project: Path, environ: dict[str, str], code: str) -> str:
    """What Python prints that runs the code of the copy."""
    command = [sys.executable, "-c", code]
    listed = subprocess.run(command, env=environ, cwd=project, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    return listed.stdout


@pytest.mark.long
def test_from_its_first_month_on_it_is_published_online_and_an_input_of_the_model(
    project: Path, environments: Environments, tmp_path: Path
) -> None:
    """In the month before, the workbook already has the column, but the contract does not."""
    before = environments.new("column")
    home = replace(before, environ={**before.environ, "PYTHONPATH": str(project)})
    home.churn("sample", "--rows", str(ROWS), "--months", "2", "--out", tmp_path)
    first, second = sorted(tmp_path.glob("*.xlsx"))
    before.churn("run", first)
    summary: dict[str, Any] = home.churn_json("run", second)
    assert summary["counts"]["gold"] == summary["counts"]["online_verified"] == ROWS
    assert summary["counts"]["scored"] == ROWS
    assert "left out: 1 from before a feature was declared" in summary["model"]["label"]["reason"]
    months = home.sql(
        """
        select extract_date, max(support_calls) as most, avg(roams) as share,
            count_if(plan_basic + plan_family_and_friends = 1) as planned,
            count_if(calls_per_service <=> if(service_count = 0, 0, support_calls / service_count))
                as derived
        from gold.customer_features group by extract_date order by extract_date
        """
    )
    missing = dict.fromkeys(months[0]) | {"planned": 0, "derived": 0}
    assert months[0] | {"extract_date": None, "derived": 0} == missing
    assert months[1]["most"] == 9
    assert 0.4 < months[1]["share"] < 0.6
    assert months[1]["planned"] == months[1]["derived"] == ROWS
    (judged,) = home.sql(
        "select * from audit.gate_results "
        "where rule = 'support_calls_bounded' and verdict = 'passed'"
    )
    assert (judged["direction"], judged["unit"], judged["threshold"]) == ("at most", "calls", 8)
    assert judged["description"].startswith("With more calls than this")
    assert 0 < judged["figure"] < 8
    record = json.loads(
        (home.path / "models" / summary["model"]["version"] / "record.json").read_text()
    )
    assert set(record["features"]) >= FEATURES
