"""A column that the workbook has from now on: one entry of the contract, and it is a feature."""

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
      silver: support_calls
      description: Calls to the support line in the last month.
      type: integer
      range: [0, 9]
    Roams:
      silver: roams
      description: Whether the customer was abroad in the last month.
      type: flag
      one: ["Yes"]
      zero: ["No"]
    Plan:
      silver: plan
      description: The tariff.
      type: category
      categories: [Basic, Family and friends]
"""
NUMBERS, FLAGS = ["support_calls"], ["roams"]
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
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which nothing but the contract is another."""
    copy = tmp_path_factory.mktemp("copy") / "project"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        if (PROJECT / name).is_file() and not name.startswith(("docs/", "tests/unit/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, copy / name)
    # the libraries of Java that were fetched once
    (copy / ".tools").symlink_to(PROJECT / ".tools")
    declared = copy / "dbt_project.yml"
    before, label, after = declared.read_text().partition("    Churn:\n")
    declared.write_text(before + ENTRIES + label + after)
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
    reading = "from feature_repo.feature_definitions import read_features"
    listing = f"{reading}; print(*[feature.name for feature in read_features()])"
    command = [sys.executable, "-c", listing]
    listed = subprocess.run(command, env=environ, cwd=project, capture_output=True, text=True)
    assert set(listed.stdout.split()) >= FEATURES, listed.stderr


@pytest.mark.long
def test_from_its_first_month_on_it_is_published_online_and_an_input_of_the_model(
    project: Path, environments: Environments, tmp_path: Path
) -> None:
    """A month goes before in which the workbook has it already and the contract has not."""
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
            count_if(plan_basic + plan_family_and_friends = 1) as planned
        from gold.customer_features group by extract_date order by extract_date
        """
    )
    assert months[0] | {"extract_date": None} == dict.fromkeys(months[0]) | {"planned": 0}
    assert months[1]["most"] == 9
    assert 0.4 < months[1]["share"] < 0.6
    assert months[1]["planned"] == ROWS
    record = json.loads(
        (home.path / "models" / summary["model"]["version"] / "record.json").read_text()
    )
    assert set(record["features"]) >= FEATURES
