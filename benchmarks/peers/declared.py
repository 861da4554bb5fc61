"""The rules that every peer works by: those that this project declares, read where it does."""

from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
RULES = ("source_contract", "row_rules", "gate_rules", "drift", "expected_changes")


def rules() -> dict[str, Any]:
    """The variables of dbt_project.yml that decide on rows and loads, by name."""
    declared = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]
    return {name: declared[name] for name in RULES}


def held_by(table: str) -> list[str]:
    """The expressions that hold for every row of a table of gold, as its YAML declares them."""
    declared = yaml.safe_load((PROJECT / "models" / "gold" / f"{table}.yml").read_text())
    (model,) = declared["models"]
    return [
        expression
        for test in model["data_tests"]
        for expression in test.get("holds", {}).get("arguments", {}).get("expressions", [])
    ]
