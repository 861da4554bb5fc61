"""Render the trace page: a form, and the lineage of the requested customer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from churn.provenance.trace_text import (
    as_of_words,
    change_words,
    hops,
    latest_extract,
    minute,
    quoted,
    rules_in_words,
)
from churn.reports.report import page

TEMPLATE = "trace.html.j2"


@dataclass(frozen=True)
class Asked:
    """Content of the form: customer id and run as entered, and the available runs."""

    customer_id: str = ""
    run_id: str = ""
    runs: Sequence[str] = field(default=())


def form_page(asked: Asked, fault: Sequence[str] = ()) -> str:
    """Return the page with the form only; `fault` explains an error, one paragraph per entry."""
    return page(TEMPLATE, {"asked": asked, "fault": fault, "trace": None})


def trace_page(asked: Asked, lineage: Mapping[str, Any]) -> str:
    """Return the page with the form and the lineage, as printed by `churn trace --json`."""
    scores = lineage["scores"]
    trace = {
        "customer_id": lineage["customer_id"],
        "as_of": list(as_of_words(lineage)),
        "hops": list(hops(lineage, in_full=False)),
        "cells": list(_cells(lineage)),
        "bars": list(_bars(scores[0]["explanation"])) if scores else [],
        "history": list(_history(lineage)),
        "absent_from": lineage["absent_from"],
    }
    return page(TEMPLATE, {"asked": asked, "fault": (), "trace": trace})


def _cells(lineage: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every cell of the customer's row in silver, with the value that silver has.

    If silver has no row of the customer, the cells are those of the last row in bronze.
    """
    latest = latest_extract(lineage)
    of_date = [row for row in lineage["bronze"] if row["extract_date"] == latest]
    row = next((row for row in of_date if row["became"] == "silver"), of_date[-1])
    silver = next((each for each in lineage["silver"] if each["extract_date"] == latest), None)
    made = {each["column"]: each for each in silver["standardised"]} if silver else {}
    kept = dict(zip(row["cells"], silver["values"].items(), strict=True)) if silver else {}
    for name, cell in row["cells"].items():
        silver_name, value = kept.get(name, ("", None))
        yield {
            "column": name,
            "cell": quoted(cell),
            "silver": silver_name,
            "value": value,
            "rules": rules_in_words(made[name]["rules"]) if name in made else "",
        }


def _bars(explanation: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the contribution of each reason to the log-odds, and its length in percent."""
    contributions = explanation["contributions"] if explanation else []
    longest = max((abs(each["contribution"]) for each in contributions), default=0) or 1
    for each in contributions:
        yield {
            "text": each["text"],
            "value": f"{each['contribution']:+.2f}",
            "raises": each["contribution"] >= 0,
            "length": round(abs(each["contribution"]) / longest * 100, 1),
        }


def _history(lineage: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for each in reversed(lineage["history"]):
        yield {
            "extract_date": each["extract_date"],
            "times": [minute(each[key]) for key in ("loaded_at", "published_at", "scored_at")],
            "risk": each["probability"],
            "silver": list(change_words(each["changes"]["silver"])),
            "features": list(change_words(each["changes"]["features"])),
        }
