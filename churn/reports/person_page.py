"""Render the page of a person's export: what is stored in words, then the copies by place."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from churn.provenance.customer import format_features
from churn.provenance.labels import format_label, label_feature
from churn.provenance.trace_text import format_minute
from churn.reports.entries import Entry, describe_rights, describe_use, list_entries
from churn.reports.report import page
from lakehouse.domain import ID, read_domain
from seeds_loader.contract import normalise

TEMPLATE = "person.html.j2"
# The places that the part in words is read from.
ROWS, SCORES, HELD_OUT = "bronze.telco_customers", "gold.churn_scores", "out-of-fold rows"
# A fraction in a text, with more digits than a reader needs.
LONG_FRACTION = re.compile(r"\b\d+\.\d{5,}\b")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
DIGITS = 4
ESTIMATE = "Probability that you leave"
LIST_ESTIMATE = "Probability for the list of customers to contact"

Record = Mapping[str, Any]


def person_page(person: Mapping[str, Any], is_sample: bool) -> str:
    """Return the page as self-contained HTML.

    Args:
        person: The content of the export's JSON file.
        is_sample: Whether the customers are generated.
    """
    records = {place["place"]: place["records"] for place in person["places"]}
    row = _find_latest(records.get(ROWS, ()), "_extract_date", "_loaded_at")
    estimates = list(_list_estimates(records))
    views = {
        "customer_id": person["customer_id"],
        "exported_at": format_minute(person["exported_at"]),
        "company": read_domain().name,
        "entries": list(list_entries(row, with_label=True)),
        "as_of": row.get("_extract_date"),
        "estimates": estimates,
        "has_both": {ESTIMATE, LIST_ESTIMATE} <= {each.label for each in estimates},
        "origins": list(dict.fromkeys(map(_format_origin, records.get(ROWS, ())))),
        "use": describe_use(),
        "rights": describe_rights(),
        "places": [
            {
                "name": place["place"],
                "contents": place["contents"],
                "records": [list(_list_values(record)) for record in place["records"]],
            }
            for place in person["places"]
            if place["records"]
        ],
        "empty": [place["contents"] for place in person["places"] if not place["records"]],
    }
    return page(TEMPLATE, views, is_sample)


def _find_latest(records: Sequence[Record], *keys: str) -> Record:
    """Return the latest record by these keys, an outdated version only without a current one."""
    current = [each for each in records if each.get("is_current", True)] or records
    return max(current, key=lambda each: [str(each.get(key)) for key in keys], default={})


def _list_estimates(records: Mapping[str, Sequence[Record]]) -> Iterator[Entry]:
    """Yield the latest score with its reasons, and that by models without the customer's row."""
    score = _find_latest(records.get(SCORES, ()), "extract_date", "scored_at")
    if score:
        yield Entry(ESTIMATE, "", f"{score['probability']:.1%}, as of {score['extract_date']}", "")
        yield Entry("Risk group", "", f"{score['decile']} of 10; 10 is the highest", "")
        if score["reasons"]:
            reasons = _format_value(score["reasons"])
            yield Entry("Reasons above the average customer", "", reasons, "")
        yield Entry("Version of the model", "", str(score["model_version"]), "")
    models = [each for each in records.get(HELD_OUT, ()) if each.get("probability") is not None]
    held_out = _find_latest(models, "event_timestamp", "model")
    if held_out:
        yield Entry(LIST_ESTIMATE, "", f"{held_out['probability']:.1%}", "")


def _format_origin(row: Record) -> str:
    sheet = f", sheet {row['_sheet']}" if row.get("_sheet") else ""
    return (
        f"{row.get('_source_file')}{sheet}, row {row.get('_row_number')}: the customers as of "
        f"{row.get('_extract_date')}, loaded {format_minute(_read_text(row.get('_loaded_at')))}"
    )


def _read_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _list_values(record: Record) -> Iterator[Entry]:
    """Yield the values of a record that say something; one-hot columns as their category."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        flat |= value if isinstance(value, Mapping) else {name: value}
    numbers = {
        name: value
        for name, value in flat.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    words = dict(format_features(numbers))
    for name, value in flat.items():
        if value in (None, "", [], ()) or (name in numbers and name not in words):
            continue
        yield Entry(*_label_value(name), words.pop(name, "") or _format_value(value), "")
    # Categories, of which the record has one-hot columns alone.
    yield from (Entry(*_label_value(name), text, "") for name, text in words.items())


def _label_value(name: str) -> tuple[str, str]:
    """Return what a value is called, and its stored name where that is another one."""
    for header, column in read_domain().contract.columns.items():
        if name in (header, column.name) and column.name != ID:
            label = format_label(header, column)
            break
    else:
        label = label_feature(name)
    is_same = normalise(name) == normalise(label)
    return label, "" if is_same else name


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, float):
        return f"{value:.{DIGITS}f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping):  # a reason of a score or of a reject
        text = value.get("text") or value.get("message")
        parts = (f"{name} {_format_value(each)}" for name, each in value.items() if each)
        return str(text) if text else ", ".join(parts)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(map(_format_value, value))
    text = str(value)
    if TIME.match(text):
        return format_minute(text)
    return LONG_FRACTION.sub(lambda number: _format_value(float(number[0])), text)
