"""A customer's place in the list of a run, which `churn show` and `churn trace` have."""

import json
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import churn.provenance.customer as customer_module
from churn.provenance.customer import format_customer, format_features, read_has_left
from churn.provenance.retention_lists import StoredList, find_list, format_probabilities
from churn.provenance.run_history import LIST
from churn.provenance.trace_text import format_trace, hops
from churn.reports.retention_workbook import (
    ListedCustomer,
    RetentionList,
    write_retention_workbook,
)
from churn.reports.trace_page import TraceForm, trace_page
from feature_repo.label_texts import OBSERVED, WORKBOOK
from lakehouse.domain import Offer
from lakehouse.errors import InvalidInputError
from lakehouse.settings import PROJECT, Settings
from seeds_loader.contract import read_contract
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


def test_both_probabilities_are_shown_with_rank_offer_cost_and_gain(  # long: all that is shown
    settings: Settings,
) -> None:
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
    probabilities = [
        "58.0% probability of leaving within the next month, by models that did not learn from "
        "this customer; it decides whom to call",
        "56.8% by the model in use, which did",
    ]
    in_list = [
        "number 1 of 2 in the list of run r1",
        "offer: A discount, cost $80.00, expected gain $76.60",
        "reasons in the list, against all customers worth calling: new; fiber",
    ]
    customer = {"customer_id": "c1", "event_timestamp": f"{DAY}T00:00:00Z", "features": {}}
    customer |= {"score": SCORE, "retention_list": listed, "has_left": False}
    assert [line.strip() for line in format_customer(customer)[1:]] == [
        *probabilities,
        "risk group 10 of 10; 10 is the highest; model v1",
        "raised most, against the average customer, by: new",
        *in_list,
        "what the score is made of (`--json` has the model's numbers):",
    ]
    hops = trace(listed)
    assert dict(hops)["list"] == in_list
    assert hops[0][1][0].startswith("58.0% probability, by models") and hops[0][1][1] in (
        probabilities
    )
    # What people ask for comes first, then where it comes from.
    assert [name for name, _ in hops[:3]] == ["score", "list", "workbook"]
    assert hops[0][1][3] == "risk group 10 of 10; 10 is the highest"
    assert hops[-1] == ("hashes", ["f: sha256 5e1f"])
    assert "5e1f" not in str(hops[:-1])


def test_the_probability_that_decides_has_the_limit_of_the_model() -> None:
    listed = {"rank": 1, "probability": 0.58}
    event = "of being marked as left in the workbook (which does not say when)"
    first, _ = format_probabilities(listed, SCORE, event)
    assert first.startswith(f"58.0% probability {event}, by models that did not learn from")


def test_a_customer_who_has_left_is_named_so_before_the_score(settings: Settings) -> None:
    place = settings.lake.join("gold", "churn_labels", f"extract_date={DAY}")
    Path(place.root).mkdir(parents=True)
    labels = pa.table({"customer_id": ["c1", "c2"], "churned": [1, 0]})
    pq.write_table(labels, f"{place.root}/a.parquet")
    assert [read_has_left(settings, each, DAY) for each in ("c1", "c2", "c3")] == [
        *(True, False, None)
    ]
    assert read_has_left(settings, "c1", "2020-01-01") is None
    customer = {"customer_id": "c1", "event_timestamp": f"{DAY}T00:00:00Z", "features": {}}
    customer |= {"score": SCORE, "retention_list": None, "has_left": True}
    expected = f"marked as left in the extract of {DAY}: the score decides nothing"
    assert format_customer(customer)[1].strip() == expected
    assert expected not in str(format_customer({**customer, "has_left": False}))
    gold = {"extract_date": DAY, "batch_id": "b", "run_id": "r", "file": "f"}
    traced = lineage(None, gold=[{**gold, "churned": 1}])
    assert format_trace(traced)[1] == expected
    assert expected in trace_page(TraceForm(), traced)
    assert expected not in str(format_trace(lineage(None, gold=[{**gold, "churned": 0}])))


def test_a_rejected_customer_is_named_so_by_show(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customer_module, "read_online_customers", lambda *_: {})
    monkeypatch.setattr(customer_module.audit_log, "append", lambda *_, **__: None)
    with pytest.raises(InvalidInputError) as unknown:
        customer_module.show_customer(settings, "c 1", print)
    assert "rejected" not in unknown.value.message
    assert "`churn trace 'c 1'`" in unknown.value.hint
    table = settings.lake.join("silver", "rejected_rows")
    (Path(table.root) / "_delta_log").mkdir(parents=True)
    name = f"extract_date={DAY}/a.parquet"
    (Path(table.root) / name).parent.mkdir()
    pq.write_table(pa.table({read_contract().id: [" c 1", "c2"]}), f"{table.root}/{name}")
    log = json.dumps({"add": {"path": name}})
    (Path(table.root) / "_delta_log" / f"{0:020}.json").write_text(log)
    with pytest.raises(InvalidInputError) as rejected:
        customer_module.show_customer(settings, "c 1", print)
    assert rejected.value.message.endswith(f"its row in the extract of {DAY} was rejected")
    assert "`churn trace 'c 1'`" in rejected.value.hint


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
        ("avg_historical_charge", "$108.20"),
        ("monthly_charges", "$105.00"),
        ("tenure_group", "24 to 47 months"),
        ("is_high_value", "Yes"),
        ("partner", "No"),
        ("dependents", "Yes"),
        ("online_security", "No internet service"),
        ("contract", "Month-to-month"),
    ]
    customer = {"customer_id": "c1", "event_timestamp": f"{DAY}T00:00:00Z", "score": None}
    customer |= {"has_left": False, "retention_list": None, "features": features}
    shown = [re.split(" {2,}", line.strip()) for line in format_customer(customer)[3:]]
    assert shown[:2] == [["Months with us", "30"], ["Average monthly bill so far", "$108.20"]]
    assert ["Term of the contract", "Month-to-month"] in shown


def test_a_number_has_its_unit_where_the_label_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customer_module, "label_feature", lambda _: "Duration")
    assert list(format_features({"tenure": 30})) == [("tenure", "30 months")]
    assert list(format_features({"tenure": 1})) == [("tenure", "1 month")]


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


def trace(*args: Any, **changes: Any) -> list[tuple[str, list[str]]]:
    """The stages of a trace."""
    return list(hops(lineage(*args, **changes)))


def lineage(
    listed: dict[str, Any] | None,
    explained: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """A lineage whose customer has this place in the list, and this explanation."""
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
    return {
        "customer_id": "c1",
        "as_of": None,
        "bronze": [{**row, **loaded, "row_number": 2, "cells": cells, "extra": {}}],
        **{**empty, "feast": feast, "online": None, "model": model, "absent_from": []},
        "scores": [{**SCORE, "extract_date": DAY, "explanation": explained, "reasons": []}],
        "retention_list": listed,
        **changes,
    }


def test_a_score_says_what_it_is_the_probability_of() -> None:
    """After one extract, in the words of list and report: it has no period."""
    label = {"kind": WORKBOOK, "reason": "the marks of the workbook", "days_between": []}
    training = {"rows": 9, "label": label, "loads": [], "signature": "s"}
    model = {"version": "v1", "kind": "k", "champion": True, "training": training}
    event = RetentionList(date(2025, 7, 14), 9, "v1", "k", CAMPAIGN, (), (), model_limit="x").event
    assert "which does not say when" in event
    assert dict(trace(None, model=model))["score"][0] == f"56.8% probability {event}"
    label |= {"kind": OBSERVED, "days_between": [31]}
    score = dict(trace(None, model=model))["score"]
    assert score[0] == "56.8% probability of leaving within the next month"
