"""Render the trace page: a form, and the lineage of the requested customer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from churn.provenance.trace_text import (
    format_as_of,
    format_cell,
    format_changes,
    format_has_left,
    format_minute,
    format_rules,
    hops,
    latest_extract,
)
from churn.reports.report import page, read_script

TEMPLATE = "trace.html.j2"
# The page's script, and the digest by which its policy permits it.
SCRIPT = read_script("loading.js")


@dataclass(frozen=True)
class TraceForm:
    """Content of the form: customer id and run as entered, and the available runs.

    `navigation` is the bar of the site, `example_id` an id to show how one looks.
    """

    customer_id: str = ""
    run_id: str = ""
    runs: Sequence[str] = field(default=())
    is_sample: bool = False
    navigation: str = ""
    example_id: str = ""


def form_page(form: TraceForm, error: Sequence[str] = ()) -> str:
    """Return the page with the form only; `error` explains an error, one paragraph per entry."""
    return _page(form, error=error, trace=None)


def trace_page(form: TraceForm, lineage: Mapping[str, Any]) -> str:
    """Return the page with the form and the lineage, as printed by `churn trace --json`."""
    scores = lineage["scores"]
    trace = {
        "customer_id": lineage["customer_id"],
        "head": [*format_has_left(lineage), *format_as_of(lineage)],
        "hops": list(hops(lineage, in_full=False)),
        "cells": list(_cells(lineage)),
        "bars": list(_contribution_bars(scores[0]["explanation"])) if scores else [],
        "history": list(_history(lineage)),
        "absent_from": lineage["absent_from"],
    }
    return _page(form, error=(), trace=trace)


def _page(form: TraceForm, **views: Any) -> str:
    common = {"form": form, "navigation": form.navigation, "example_id": form.example_id}
    return page(TEMPLATE, {**common, "script": SCRIPT[0], **views}, form.is_sample)


def _cells(lineage: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every cell of the customer's row in silver, with the value that silver has.

    If silver has no row of the customer, the cells are those of the last row in bronze.
    """
    latest = latest_extract(lineage)
    of_date = [row for row in lineage["bronze"] if row["extract_date"] == latest]
    row = next((row for row in of_date if row["became"] == "silver"), of_date[-1])
    silver = next((row for row in lineage["silver"] if row["extract_date"] == latest), None)
    standardised = {cell["column"]: cell for cell in silver["standardised"]} if silver else {}
    typed = dict(zip(row["cells"], silver["values"].items(), strict=True)) if silver else {}
    for name, cell in row["cells"].items():
        silver_name, value = typed.get(name, ("", None))
        yield {
            "column": name,
            "cell": format_cell(cell),
            "silver": silver_name,
            "value": value,
            "rules": format_rules(standardised[name]["rules"]) if name in standardised else "",
        }


def _contribution_bars(explanation: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the parts of the log-odds, from the average customer to the sum.

    A bar of a reason starts in the middle of the line: `left` and `length` are in percent.
    """
    if explanation is None:
        return
    contributions = explanation["contributions"]
    yield {"text": "the average customer", "value": f"{explanation['baseline']:+.2f}"}
    longest = max((abs(reason["contribution"]) for reason in contributions), default=0) or 1
    for reason in contributions:
        length = round(abs(reason["contribution"]) / longest * 50, 1)
        raises = reason["contribution"] >= 0
        yield {
            "text": reason["text"],
            "value": f"{reason['contribution']:+.2f}",
            "raises": raises,
            "length": length,
            "left": 50 if raises else 50 - length,
        }
    yield {
        "text": f"in all, which is {explanation['probability']:.1%}",
        "value": f"{explanation['log_odds']:+.2f}",
    }


def _history(lineage: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for extract in reversed(lineage["history"]):
        yield {
            "extract_date": extract["extract_date"],
            "times": [
                format_minute(extract[key]) for key in ("loaded_at", "published_at", "scored_at")
            ],
            "risk": extract["probability"],
            "silver": list(format_changes(extract["changes"]["silver"])),
            "features": list(format_changes(extract["changes"]["features"])),
        }
