"""A customer's place in the list of a run, which `churn show` and `churn trace` have."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from churn.provenance.customer import format_customer, format_features
from churn.provenance.retention_lists import StoredList, find_list
from churn.provenance.run_history import LIST
from churn.provenance.trace_text import hops
from churn.reports.retention_workbook import (
    ListedCustomer,
    RetentionList,
    write_retention_workbook,
)
from feature_repo.label_texts import OBSERVED, WORKBOOK
from lakehouse.domain import Offer
from lakehouse.settings import PROJECT, Settings
from trainer.retention_campaign import Campaign, Effect

DAY = "2025-07-14"
SCORE = {
    **{"probability": 0.568, "decile": 10, "model_version": "v1", "reasons": ["new"]},
    "event": "of leaving within the next month",
}
CAMPAIGN = Campaign(
    "bill", 12, 20.0, Effect(0.3, 0.15, 0.45), {"a discount": Offer("all", "true", {}, "60")}, "$"
)
FIRST = ListedCustomer(
    "c1", 0.58, 900.0, "a discount", 80.0, 0.4, 76.6, 1.0, 99.0, ("new", "fiber"), ()
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    return Settings(PROJECT, home, str(home / "lake"), str(home / "landing"))


def write_run(settings: Settings, run_id: str, version: str = "v1", **changes: Any) -> Path:
    """A run with a list of c1 and c2 by this champion; return the path of the list."""
    folder = settings.home / "runs" / run_id
    folder.mkdir(parents=True)
    model = {"version": "another", "promotion": {"champion": version}}
    summary = {"scored_extract_date": DAY, "model": model}
    (folder / "summary.json").write_text(json.dumps(summary))
    listed = [FIRST, replace(FIRST, customer_id="c2")]
    content = RetentionList(date(2025, 7, 14), 9, version, "k", CAMPAIGN, (), listed)
    write_retention_workbook(replace(content, **changes), folder / LIST)
    return folder / LIST


def read_list(settings: Settings, run_id: str | None = None) -> StoredList:
    found = find_list(settings, "v1", DAY, run_id)
    assert found is not None
    return found


def test_the_list_is_that_of_the_latest_run_of_this_extract_and_model(settings: Settings) -> None:
    assert find_list(settings, "v1", DAY) is None
    for run_id in ("20250101T000000Z-a", "20250102T000000Z-b"):
        write_run(settings, run_id)
    later = write_run(settings, "20250103T000000Z-c", version="v2")
    assert read_list(settings).run_id == "20250102T000000Z-b"
    assert read_list(settings, "20250101T000000Z-a").run_id == "20250101T000000Z-a"
    assert find_list(settings, "v1", DAY, "20250103T000000Z-c") is None
    assert find_list(settings, "v1", "2025-06-14") is None
    # A list that was edited, and runs of before lists were written, break nothing.
    later.write_bytes(b"PK")
    assert find_list(settings, "v2", DAY) is None
    later.unlink()
    assert find_list(settings, "v2", DAY) is None


def test_both_probabilities_are_shown_with_rank_offer_cost_and_gain(settings: Settings) -> None:
    write_run(settings, "r1")
    listed = read_list(settings).describe("c1")
    assert listed == {
        "run_id": "r1",
        "customers": 2,
        "rank": 1,
        "probability": 0.58,
        "offer": "A discount",
        "cost": 80,
        "expected_gain": 76.6,
        "reasons": ["new", "fiber"],
    }
    expected = [
        "probability 58.0%, by models that did not learn from this customer; it decides whom to "
        "call",
        "56.8% by the model in use, which did; it decides no call",
        "number 1 of 2 in the list of run r1",
        "offer: A discount, cost $80.00, expected gain $76.60",
        "reasons in the list, against all customers worth calling: new; fiber",
    ]
    customer = {"customer_id": "c1", "event_timestamp": f"{DAY}T00:00:00Z", "features": {}}
    shown = format_customer({**customer, "score": SCORE, "retention_list": listed})
    assert [line.strip() for line in shown[1:]] == [
        *expected,
        "56.8% probability of leaving within the next month",
        "risk group 10 of 10; 10 is the highest; model v1",
        "raised most, against the average customer, by: new",
        "what the score is made of (`--json` has the model's numbers):",
    ]
    hops = trace(listed)
    assert dict(hops)["list"] == expected
    # What people ask for comes first, then where it comes from.
    assert [name for name, _ in hops[:3]] == ["score", "list", "workbook"]
    assert hops[0][1][2] == "risk group 10 of 10; 10 is the highest"
    assert hops[-1] == ("hashes", ["f: sha256 5e1f"])
    assert "5e1f" not in str(hops[:-1])


def test_features_are_shown_in_words_each_category_once() -> None:
    features = {
        "tenure": 30,
        "avg_historical_charge": 108.19667,
        "monthly_charges": 105.0,
        "tenure_group": 2,
        "is_high_value": 1,
        "partner": 0,
        "dependents": 1,
        "online_security_no": 0,
        "online_security_yes": 0,
        "online_security_no_internet_service": 1,
        "contract_month_to_month": 1,
        "contract_one_year": 0,
    }
    assert list(format_features(features)) == [
        ("tenure", "30"),
        ("avg_historical_charge", "108.20"),
        ("monthly_charges", "105"),
        ("tenure_group", "24 to 47 months"),
        ("is_high_value", "Yes"),
        ("partner", "No"),
        ("dependents", "Yes"),
        ("online_security", "No internet service"),
        ("contract", "Month-to-month"),
    ]


@pytest.mark.parametrize(
    ("contributions", "expected"),
    [
        ([0.334] * 7, ["-1.00 ", *["+0.33 r"] * 5, "+0.69 2 others, together", "+1.34 in all"]),
        ([0.334] * 2, ["-1.00 ", *["+0.33 r"] * 2, "+0.01 rounding", "-0.33 in all"]),
        ([0.25], ["-1.00 ", "+0.25 r", "-0.75 in all"]),
    ],
)
def test_the_printed_parts_add_up_to_the_printed_total(
    contributions: list[float], expected: list[str]
) -> None:
    explained = {
        "baseline": -1.0,
        "contributions": [{"text": "r", "contribution": each} for each in contributions],
        "log_odds": -1.0 + sum(contributions),
        "probability": 0.5,
    }
    lines = dict(trace(None, explained))["score"][3:]
    assert len(lines) == len(expected)
    assert all(line.startswith(text) for line, text in zip(lines, expected, strict=True)), lines
    *parts, total = (Decimal(line.split()[0]) for line in lines)
    assert sum(parts) == total
    assert lines[-1].endswith("in all, on the model's scale (log-odds), which is 50.0%")


def test_a_later_extract_has_one_probability_and_a_missing_customer_is_named(
    settings: Settings,
) -> None:
    # Without a declared value and without offers the list has neither cost nor gain.
    write_run(settings, "r1", campaign=replace(CAMPAIGN, monthly_value=None, offers={}))
    stored = read_list(settings)
    listed = {**stored.describe("c2"), "probability": SCORE["probability"]}
    reasons = "reasons in the list, against all customers worth calling: new; fiber"
    place = "number 2 of 2 in the list of run r1"
    assert dict(trace(listed))["list"] == [place, reasons]
    missing = dict(trace(stored.describe("c3")))["list"]
    assert missing == ["not in the list of run r1, which has 2 calls"]
    assert "list" not in dict(trace(None))


def trace(
    listed: dict[str, Any] | None,
    explained: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
) -> list[tuple[str, list[str]]]:
    """The stages of a trace whose customer has this place in the list, and this explanation."""
    row = {
        "extract_date": DAY,
        "became": "not cleaned yet",
        "file": "f",
        "sheet": "",
        "sha256": "5e1f",
    }
    cells = {"tenure": "1", "Contract": "", "MonthlyCharges": "", "TotalCharges": "", "Churn": ""}
    loaded = {"batch_id": "b", "loaded_at": f"{DAY}T00:00", "table": "t", "version": 1}
    feast = {"view": "v", "service": "s", "project": "p", "equals_gold": True, "differences": []}
    empty: dict[str, Any] = {hop: [] for hop in ("rejected", "silver", "gate", "gold", "history")}
    lineage = {
        "bronze": [{**row, **loaded, "row_number": 2, "cells": cells, "extra": {}}],
        **{**empty, "feast": feast, "online": None, "model": model, "absent_from": []},
        "scores": [{**SCORE, "extract_date": DAY, "explanation": explained, "reasons": []}],
        "retention_list": listed,
    }
    return list(hops(lineage))


def test_a_score_says_what_it_is_the_probability_of() -> None:
    """After one extract, in the words of list and report: it has no period."""
    label = {"kind": WORKBOOK, "reason": "the marks of the workbook", "days_between": []}
    training = {"rows": 9, "label": label, "loads": [], "signature": "s"}
    model = {"version": "v1", "kind": "k", "champion": True, "training": training}
    event = RetentionList(date(2025, 7, 14), 9, "v1", "k", CAMPAIGN, (), (), model_limit="x").event
    assert "it does not say when" in event
    assert dict(trace(None, model=model))["score"][0] == f"56.8% probability {event}"
    label |= {"kind": OBSERVED, "days_between": [31]}
    score = dict(trace(None, model=model))["score"]
    assert score[0] == "56.8% probability of leaving within the next month"
