"""Drawn domains with drawn workbooks, and what a reference in pandas makes of them."""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lakehouse.domain import DOMAINS

ROWS_DRAWN = 120
WORDS = ["North", "south east", "Ost", "O'Brien", "50 %", "é accent", "A/B", "none", "Plan-1"]
BLANKS = ["", " ", "\u00a0", "\t"]
SPELLINGS = [str, str.upper, str.lower, lambda text: f" {text}", lambda text: f"{text}\u00a0"]


@dataclass
class Drawn:
    """A drawn domain: its declarations, and how a cell of each column is drawn and read."""

    chance: random.Random
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    derived: dict[str, dict[str, Any]] = field(default_factory=dict)
    formulas: dict[str, Any] = field(default_factory=dict)
    rule: tuple[str, str, str] | None = None

    def numbers(self) -> list[str]:
        kinds = ("integer", "number")
        return [entry["name"] for entry in self.columns.values() if entry["type"] in kinds]


def draw_domain(seed: int) -> Drawn:
    chance = random.Random(seed)
    drawn = Drawn(chance)
    drawn.columns["Key"] = {"name": "customer_id", "type": "text", "longest": 12}
    for number in range(chance.randint(3, 9)):
        kind = chance.choice(["integer", "number", "flag", "category", "days_since"])
        header = chance.choice(["Column", "Spalte", "c o l", "Col.", "COL_"]) + str(number)
        header = header.replace(" ", "").replace(".", "")
        entry: dict[str, Any] = {"name": f"feature_{number}", "type": kind}
        if kind == "flag":
            entry |= {"true_values": ["Yes", "1"], "false_values": ["No"]}
        elif kind == "category":
            entry["categories"] = chance.sample(WORDS, chance.randint(2, 5))
            if chance.random() < 0.4:
                entry["blank_as"] = entry["categories"][0]
        elif kind == "days_since":
            entry["range"] = [0, 20_000]
            if chance.random() < 0.5:
                entry["date_format"] = chance.choice(["dd.MM.yyyy", "M/d/yyyy"])
        else:
            low = chance.choice([0, -50, 1])
            entry["range"] = [low, chance.choice([100, 1000])]
            if chance.random() < 0.4:
                entry["blank_as"] = str(entry["range"][1] // 2)
        drawn.columns[header] = entry
    label = {"name": "churned", "type": "flag", "is_label": True}
    drawn.columns["Gone"] = label | {"true_values": ["yes"], "false_values": ["no"]}
    draw_derived(drawn)
    return drawn


def draw_derived(drawn: Drawn) -> None:
    names = drawn.numbers()
    if not names:
        return
    first, second = drawn.chance.choice(names), drawn.chance.choice(names)
    limit = drawn.chance.randint(0, 100)
    candidates = {
        "total": (f"{first} + {second}", "number", lambda row: row[first] + row[second]),
        "is_high": (f"{first} > {limit}", "integer", lambda row: int(row[first] > limit)),
        "ratio": (
            f"case when {second} = 0 then cast(0 as double) else {first} / {second} end",
            "number",
            lambda row: row[first] / row[second] if row[second] else 0.0,
        ),
    }
    for name, (sql, kind, formula) in candidates.items():
        if drawn.chance.random() < 0.7:
            entry = {"type": kind, "expression": sql, "range": [-10_000_000, 10_000_000]}
            drawn.derived[name] = {"description": name, **entry}
            drawn.formulas[name] = formula
    header = next(key for key, entry in drawn.columns.items() if entry["name"] == first)
    if drawn.chance.random() < 0.5:
        drawn.rule = (header, first, f"{{cell}} <= {limit + 50}")


def write_files(drawn: Drawn, folder: Path) -> None:
    folder.mkdir()
    columns = {key: {**entry, "description": key} for key, entry in drawn.columns.items()}
    rules = yaml.safe_load((DOMAINS / "telco" / "rules.yml").read_text())
    rules |= {"row_rules": {}, "gate_metrics": {}, "reject_reasons": {}}
    del rules["gate_rules"]["totals_typical"]
    rules["drift"] |= {"bands": {}, "categories": []}
    if drawn.rule:
        header, _, condition = drawn.rule
        rule = {"description": "x", "columns": [header], "condition": condition}
        rules["row_rules"] = {"too_much": rule}
    files: dict[str, Any] = {
        "contract": {"columns": columns, "kept_row": drawn.numbers()[:1]},
        "rules": rules,
        "features": {"derived_features": drawn.derived, "reasons": {}},
        "model": {"forbidden_features": ["churned"]},
        "campaign": {"monthly_value": None, "months": 1, "contact_cost": 1, "retention_rate": 0.5},
        "report": {"example_id": "k1"},
    }
    for name, declared in files.items():
        (folder / f"{name}.yml").write_text(yaml.safe_dump(declared, sort_keys=False))


def draw_cell(chance: random.Random, entry: dict[str, Any]) -> tuple[str, Any]:
    """A cell, and its value in silver; None if the row is rejected for it."""
    kind = entry["type"]
    if chance.random() < 0.03:
        return chance.choice(["?", "n/k", "12d", "1e999"]), None
    if chance.random() < 0.05:
        value = entry.get("blank_as")
        numeric = kind in ("integer", "number") and value is not None
        return chance.choice(BLANKS), float(value) if numeric else value
    if kind == "flag":
        text = chance.choice([*entry["true_values"], *entry["false_values"]])
        return chance.choice(SPELLINGS)(text), int(text in entry["true_values"])
    if kind == "category":
        text = chance.choice(entry["categories"])
        return chance.choice(SPELLINGS)(text), text
    if kind == "days_since":
        return draw_date(chance, entry)
    low, high = entry["range"]
    if kind == "integer":
        number: float = chance.randint(low - 3, high + 3)
        text = chance.choice([str(number), f"{number}.0", f" {number}"])
    else:
        number = round(chance.uniform(low - 3, high + 3), chance.randint(0, 4))
        text = repr(number)
    return text, number if low <= number <= high else None


def draw_date(chance: random.Random, entry: dict[str, Any]) -> tuple[str, Any]:
    """A date as text, and minus its day: the extract date is added when it is known."""
    day = date(2000, 1, 1) + timedelta(days=chance.randint(0, 8000))
    formats = {None: "%Y-%m-%d", "dd.MM.yyyy": "%d.%m.%Y", "M/d/yyyy": "%-m/%-d/%Y"}
    if chance.random() < 0.05:
        return chance.choice(["2100-01-01", "2024", "2024-02-30", "31/31/2024"]), None
    # A date of Excel is read with its time, whatever the format of texts.
    text = (
        f"{day} 00:00:00"
        if chance.random() < 0.5
        else day.strftime(formats[entry.get("date_format")])
    )
    return text, -day.toordinal()


def draw_rows(drawn: Drawn) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """The sheet, and the reference: features of each customer who is not rejected."""
    cells, expected = [], {}
    for number in range(ROWS_DRAWN):
        row: dict[str, str] = {}
        values: dict[str, Any] = {}
        for header, entry in drawn.columns.items():
            if entry["name"] == "customer_id":
                row[header] = values["customer_id"] = f"k{number}"
            else:
                row[header], values[entry["name"]] = draw_cell(drawn.chance, entry)
        cells.append(row)
        if any(value is None for value in values.values()):
            continue
        if drawn.rule and values[drawn.rule[1]] > float(drawn.rule[2].split("<=")[1]):
            continue
        expected[values["customer_id"]] = features_of(drawn, values)
    return pd.DataFrame(cells), expected


def features_of(drawn: Drawn, values: dict[str, Any]) -> dict[str, float]:
    features: dict[str, float] = {}
    for entry in drawn.columns.values():
        name, kind = entry["name"], entry["type"]
        if kind in ("integer", "number", "flag", "days_since") and name != "churned":
            features[name] = float(values[name])
        for category in entry.get("categories", []):
            snake = "".join(c if c.isascii() and c.isalnum() else " " for c in category.lower())
            column = f"{name}_{'_'.join(snake.split())}"
            features[column] = float(values[name] == category)
    for name, formula in drawn.formulas.items():
        features[name] = float(formula(values))
    return features


def with_dates(
    drawn: Drawn, expected: dict[str, dict[str, Any]], extract_date: date
) -> dict[str, dict[str, Any]]:
    """The reference, in which a date is its days before the extract date."""
    dates = [entry["name"] for entry in drawn.columns.values() if entry["type"] == "days_since"]
    days = extract_date.toordinal()
    return {
        customer: values | {name: values[name] + days for name in dates}
        for customer, values in expected.items()
    }
