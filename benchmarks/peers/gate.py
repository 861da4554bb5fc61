"""The gate of the peers that judge in Python: figures of a load against the declared rules."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from benchmarks.peers.declared import RULES

Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Counted:
    """What was counted of a load, as `models/audit/load_figures.sql` names it."""

    bronze_rows: int
    silver_rows: int
    rejected_rows: int
    exact_duplicates: int
    feature_rows: int
    customers: int
    label_rows: int
    labelled_customers: int
    labels: int
    customers_against_rules: int
    churn_rate: float | None
    share_of_odd_totals: float | None

    def figures(self) -> dict[str, float | None]:
        """The figures that the gate's rules name, and that need no other load."""
        out = self.rejected_rows + self.exact_duplicates
        different = self.bronze_rows - self.exact_duplicates
        return {
            "customers": self.customers,
            "surplus_keys": self.feature_rows
            - self.customers
            + self.label_rows
            - self.labelled_customers,
            "customers_without_label": self.feature_rows - self.labels,
            "reject_share": self.rejected_rows / different if different else 0,
            "unaccounted_rows": abs(self.bronze_rows - self.silver_rows - out),
            "candidates_missing_or_surplus": abs(self.silver_rows - self.feature_rows)
            + abs(self.silver_rows - self.label_rows),
            "customers_against_rules": self.customers_against_rules,
            "churn_rate": self.churn_rate,
            "share_of_odd_totals": self.share_of_odd_totals,
        }


@dataclass(frozen=True)
class Judged:
    """What the gate has found of a load: its figures, customers by feature and bin, red tests."""

    extract_date: date
    bronze_rows: int
    figures: Figures
    bins: Mapping[str, Sequence[int]]
    red_tests: Sequence[str]


def gate_rules() -> dict[str, dict[str, Any]]:
    """The declared rules, and those that the declared drift makes, by name."""
    drift = RULES["drift"]
    made: dict[str, dict[str, Any]] = dict(RULES["gate_rules"])
    for feature in [*drift["bands"], *drift["categories"]]:
        figure = f"drift_of_{feature}"
        refused = {"severity": "error", "figure": figure, "at_most": drift["refused_above"]}
        unusual = {"severity": "warn", "figure": figure, "at_most": drift["unusual_above"]}
        made |= {figure: refused, f"unusual_{figure}": unusual}
    return made


def judgements(load: Judged, before: Judged | None) -> list[dict[str, Any]]:
    """Every rule that has a figure, with its verdict; `before` is what it is compared with."""
    figures = {**load.figures, **(_compared(load, before) if before else {})}
    expected = {
        rule
        for change in RULES["expected_changes"]
        if change["extract_date"] == str(load.extract_date)
        for rule in change["rules"]
    }
    rows = []
    for name, rule in gate_rules().items():
        if rule["figure"] not in figures:
            continue
        figure = figures[rule["figure"]]
        rows.append(
            {
                "extract_date": load.extract_date,
                "rule": name,
                "severity": rule["severity"],
                "figure": None if figure is None else float(figure),
                "threshold": float(rule.get("at_least", rule.get("at_most"))),
                "verdict": _verdict(rule, figure, name in expected),
            }
        )
    return rows


def _verdict(rule: Mapping[str, Any], figure: float | None, is_expected: bool) -> str:
    """What a figure means by a rule; one that could not be computed does not hold."""
    lowest, highest = rule.get("at_least", -math.inf), rule.get("at_most", math.inf)
    if figure is not None and lowest <= figure <= highest:
        return "passed"
    if is_expected:
        return "expected"
    return "warned" if rule["severity"] == "warn" else "failed"


def _compared(mine: Judged, other: Judged) -> dict[str, float | None]:
    """The figures of a load against an earlier one: rows, and each feature's stability index."""
    floor = RULES["drift"]["floor"]
    figures: dict[str, float | None] = {"change_of_rows": mine.bronze_rows / other.bronze_rows - 1}
    for feature in mine.bins:
        index = 0.0
        for here, there in zip(mine.bins[feature], other.bins[feature], strict=True):
            # an empty bin would make the index infinite
            share = max(here / sum(mine.bins[feature]), floor)
            other_share = max(there / sum(other.bins[feature]), floor)
            index += (share - other_share) * math.log(share / other_share)
        figures[f"drift_of_{feature}"] = index
    return figures
