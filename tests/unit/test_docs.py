"""The dbt docs say something of everything: dbt-bouncer's checks, and what it does not look at."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.dbt_project import remove_generated
from lakehouse.domain import read_domain
from lakehouse.settings import PROJECT

SIGNATURE = r"\{%-?\s*(?:macro|test)\s+(\w+)\((.*?)\)"
# A reader of the docs can do nothing with fewer characters.
SHORTEST = 8
# The variables that declare columns.
DECLARING = ("source_contract", "derived_features", "gate_metrics")


@pytest.fixture(scope="module")
def manifest(parsed_project: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((parsed_project / "target" / "manifest.json").read_text())
    return found


def bouncer(parsed_project: Path, config: Path) -> "subprocess.CompletedProcess[str]":
    command = [Path(sys.executable).with_name("dbt-bouncer"), "run", "--only", "manifest_checks"]
    return subprocess.run(
        [*command, "--show-all-failures", "--config-file", config],
        capture_output=True,
        text=True,
        env={**os.environ, "DBT_PROJECT_DIR": str(parsed_project), "COLUMNS": "200"},
        cwd=PROJECT,
    )


def test_dbt_bouncer_finds_nothing(parsed_project: Path) -> None:
    answer = bouncer(parsed_project, PROJECT / "dbt-bouncer.yml")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_dbt_bouncer_would_find_something(parsed_project: Path, tmp_path: Path) -> None:
    """That the checks above are made at all: a key that no model has is missed in every one."""
    config = tmp_path / "dbt-bouncer.yml"
    check = {"name": "check_model_has_meta_keys", "keys": ["nobody_has_this"]}
    config.write_text(yaml.safe_dump({"manifest_checks": [check]}))
    answer = bouncer(parsed_project, config)
    assert answer.returncode == 1
    assert "customer_features" in answer.stdout


def test_every_model_has_a_test_of_its_key(manifest: dict[str, Any]) -> None:
    """A test of keys reads the models whose keys it checks, and has `unique` in its name.

    An ephemeral model has no rows but those of the models that it is part of, and a model of one
    row has no key.
    """
    nodes = manifest["nodes"].values()
    models = {
        each["unique_id"]
        for each in nodes
        if each["resource_type"] == "model"
        and each["config"]["materialized"] != "ephemeral"
        and each["config"]["meta"].get("rows") != "one"
    }
    tested = {
        model
        for each in nodes
        if each["resource_type"] == "test" and "unique" in each["name"]
        for model in re.findall(r"violations\(\s*'(\w+)'", each["raw_code"])
    }
    assert {f"model.telco_churn.{name}" for name in tested} == models


def test_columns_of_sources_are_described(manifest: dict[str, Any]) -> None:
    sources = manifest["sources"].values()
    assert {each["name"] for each in sources} == {
        *("telco_customers", "loads", "churn_scores"),
        *("campaigns", "campaign_members", "campaign_outcomes", "campaign_closings"),
    }
    for source in sources:
        assert source["columns"], source["name"]
        for column in source["columns"].values():
            assert len(column["description"]) >= SHORTEST, (source["name"], column["name"])


def test_macros_are_documented_with_the_arguments_that_they_have(manifest: dict[str, Any]) -> None:
    own = [each for each in manifest["macros"].values() if each["package_name"] == "telco_churn"]
    seen = 0
    for macro in own:
        found = re.search(SIGNATURE, macro["macro_sql"], re.DOTALL)
        if not found:
            assert macro["name"].startswith("materialization_"), macro["name"]
            continue
        names = [each.split("=")[0].strip() for each in found[2].split(",") if each.strip()]
        assert [each["name"] for each in macro["arguments"]] == names, macro["name"]
        assert all(each["description"] for each in macro["arguments"]), macro["name"]
        seen += 1
    assert seen > 30


def test_groups_and_their_owners(manifest: dict[str, Any]) -> None:
    owned = {each["name"] for each in manifest["groups"].values() if each["owner"]["name"]}
    models = [each for each in manifest["nodes"].values() if each["resource_type"] == "model"]
    assert {each["group"] for each in models} == owned == {"cleaning", "gate", "publishing"}
    assert {each["access"] for each in models} == {"private", "protected", "public"}


def test_from_the_workbook_to_the_people(manifest: dict[str, Any]) -> None:
    """Every exposure comes from the rows of the workbooks, by way of models."""
    origin = "source.telco_churn.bronze.telco_customers"
    for name in manifest["exposures"]:
        upstream, ahead = set(), [name]
        while ahead:
            parents = manifest["parent_map"].get(ahead.pop(), [])
            ahead += [each for each in parents if each not in upstream]
            upstream |= set(parents)
        assert origin in upstream, name


def test_a_description_is_written_once() -> None:
    """What two columns have in common is a doc block of models/docs.md, or the contract's."""
    declared = read_domain().variables
    variables = [declared[name].values() for name in DECLARING]
    written = Counter(
        " ".join(column["description"].split())
        for columns in [*variables, *_columns_by_themselves()]
        for column in columns
    )
    assert written
    assert [text for text, times in written.items() if times > 1 and "doc(" not in text] == []
    blocks = (PROJECT / "models" / "docs.md").read_text()
    for name in re.findall(r"\{% docs (\w+) %\}", blocks):
        assert any(f"doc('{name}')" in text for text in written), f"no column uses {name}"


def _columns_by_themselves() -> Iterator[list[dict[str, Any]]]:
    """Table by table, the columns that are not generated from the domain."""
    for path in (PROJECT / "models").rglob("*.yml"):
        for table in _tables(yaml.safe_load(remove_generated(path.read_text()))):
            yield table.get("columns") or []


def _tables(declared: dict[str, Any]) -> list[dict[str, Any]]:
    sources = declared.get("sources", [])
    return [
        *declared.get("models", []),
        *(table for source in sources for table in source["tables"]),
    ]
