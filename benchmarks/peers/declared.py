"""The rules that every peer works by: those that this project declares, read where it does."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
NAMES = (
    *("source_contract", "row_rules", "derived_features", "gate_rules", "drift"),
    "expected_changes",
)
_declared = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]
# The variables of dbt_project.yml that decide on rows and loads, by name.
RULES: dict[str, Any] = {name: _declared[name] for name in NAMES}
CONTRACT: dict[str, Any] = RULES["source_contract"]
SILVER = [rule["silver"] for rule in CONTRACT.values()]
LABEL = "churned"
FLAGS = [
    rule["silver"]
    for rule in CONTRACT.values()
    if rule["type"] == "flag" and rule["silver"] != LABEL
]
NUMBERS = [rule["silver"] for rule in CONTRACT.values() if rule["type"] in ("integer", "number")]
ADD_ONS = [
    CONTRACT[column]["silver"] for column in RULES["row_rules"]["no_internet_service"]["columns"]
]
WHOLE_NUMBER = "^[+-]?[0-9]+([.]0*)?$"
# A cast alone would take 'NaN' and 'Infinity' for numbers.
NUMBER = "^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$"
# The code of a cell that is there and is none of what its type accepts.
REFUSALS = {
    "flag": "not_accepted",
    "category": "not_accepted",
    "integer": "not_an_integer",
    "number": "not_a_number",
}
# The exit code where a load was not published.
REFUSED = 3


def held_by(table: str) -> list[str]:
    """The expressions that hold for every row of a table of gold, as its YAML declares them."""
    declared = yaml.safe_load((PROJECT / "models" / "gold" / f"{table}.yml").read_text())
    (model,) = declared["models"]
    return [
        expression
        for test in model["data_tests"]
        for expression in test.get("holds", {}).get("arguments", {}).get("expressions", [])
    ]


def row_rule_terms() -> list[tuple[str, str, str]]:
    """Code, column and SQL condition of every cell that a row rule can find at fault."""
    return [
        (code, column, rule["holds"].replace("{cell}", CONTRACT[column]["silver"]))
        for code, rule in RULES["row_rules"].items()
        for column in rule["columns"]
    ]


def silver_conditions() -> list[str]:
    """What holds for every row of silver, in SQL: the contract and the row rules."""
    conditions = [condition for _, _, condition in row_rule_terms()]
    for rule in CONTRACT.values():
        name = rule["silver"]
        if rule["type"] == "text":
            conditions.append(f"{name} != ''")
            conditions.append(f"length({name}) <= {rule['longest']}")
        elif rule["type"] == "flag":
            conditions.append(f"{name} in (0, 1)")
        elif rule["type"] == "category":
            accepted = ", ".join(f"'{each}'" for each in rule["categories"])
            conditions.append(f"{name} in ({accepted})")
        else:
            conditions.append(f"{name} between {rule['range'][0]} and {rule['range'][1]}")
    return conditions


def one_hot_groups() -> dict[str, dict[str, str]]:
    """Of every categorical column of silver its one-hot columns, with the category of each."""
    return {
        rule["silver"]: {
            f"{rule['silver']}_{_snake_case(each)}": each for each in rule["categories"]
        }
        for rule in CONTRACT.values()
        if rule["type"] == "category"
    }


def _snake_case(text: str) -> str:
    return re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")


def drift_bins() -> dict[str, list[str]]:
    """The SQL conditions of the bins of every watched feature, over the features' columns."""
    bins: dict[str, list[str]] = {}
    for feature, edges in RULES["drift"]["bands"].items():
        inner = [f"{feature} >= {low} and {feature} < {high}" for low, high in pairwise(edges)]
        bins[feature] = [f"{feature} < {edges[0]}", *inner, f"{feature} >= {edges[-1]}"]
    groups = one_hot_groups()
    for feature in RULES["drift"]["categories"]:
        names = groups.get(feature)
        accepted = [f"{name} = 1" for name in names] if names else None
        bins[feature] = accepted or [f"{feature} = 1", f"{feature} = 0"]
    return bins
