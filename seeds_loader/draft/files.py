"""Write a drafted domain as YAML that people read and edit: the evidence is in the comments."""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lakehouse.dbt_project import snake_case as category_name
from lakehouse.domain import COMMON, DOMAINS, ID, LABEL
from seeds_loader.draft.profile import Profile
from seeds_loader.draft.roles import Draft

ROW_ID, UNKNOWN = "Row", "Unknown"
# A century: no customer is older.
MANY_DAYS = 36_525
SLICE_ROWS, MAX_SLICES, MAX_CHOICES = 100, 4, 6
HEAD = "# Drafted from {workbook} by `churn init`: read it, and change what is not right.\n"


def write_domain(draft: Draft, folder: Path, workbook: str) -> None:
    """Write the six files of a domain; the folder must not exist."""
    folder.mkdir(parents=True)
    for name, write in {
        "contract": _write_contract,
        "rules": _write_rules,
        "features": _write_features,
        "model": _write_model,
        "campaign": _write_campaign,
        "report": _write_report,
    }.items():
        lines = [HEAD.format(workbook=workbook).rstrip(), "", *write(draft)]
        (folder / f"{name}.yml").write_text("\n".join(lines).rstrip() + "\n")


def scalar(value: Any) -> str:
    """Return a value as YAML on one line."""
    text: str = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=math.inf
    ).strip(" \n")
    # The no-break space after a currency is part of it.
    return text.removesuffix("\n...").strip(" \n")


def _key(header: str) -> str:
    """Return a header as a column of bronze, without characters that Delta does not allow."""
    return "".join(each if each.isalnum() or each == "_" else "_" for each in header.strip())


# --- contract.yml ----------------------------------------------------------------------------


def _write_contract(draft: Draft) -> Iterator[str]:
    yield "# The workbook's columns. domains/telco/contract.yml explains the keys."
    yield "columns:"
    if draft.id is None:
        yield "  # No column of the workbook identifies a customer: the row of the sheet does."
        yield "  # Scores and a list by row work. What needs to know a customer again does not:"
        yield "  # observed churn, the history, changes between extracts."
        yield f"  {ROW_ID}:"
        yield f"    name: {ID}"
        yield "    description: The row of the sheet."
        yield "    type: text"
        yield "    is_row_number: true"
    else:
        yield from _write_column(draft.id, ID, "text", {"longest": 100}, "identifies the customer")
    for column in draft.features:
        kind, keys = _type_of(column)
        yield from _write_column(column, column.name, kind, keys, _evidence(column, draft))
    label = draft.label
    keys = {"true_values": [label.left], "false_values": [label.stayed], "is_label": True}
    share = float(label.is_left.mean())
    yield from _write_column(label.profile, LABEL, "flag", keys, f"the label: {share:.1%} left")
    yield "source_format: {decimal: null, encoding: null}"
    numbers = [column.name for column in draft.features if column.is_numeric]
    yield "# Of rows of one customer that differ, the one with the highest values here is kept."
    yield f"kept_row: {scalar(numbers[:2])}"
    if draft.set_aside:
        yield ""
        yield "# Set aside; these columns stay in bronze:"
        for header, reason in draft.set_aside.items():
            yield f"#   {' '.join(header.split())}: {reason}"
    if draft.dates:
        yield ""
        yield "# To use how long ago a date is, move its entry into `columns`. Leave out a date"
        yield "# that is known only after the customer left:"
        yield from (f"#{line}" for column in draft.dates for line in _write_date(column))


def _evidence(column: Profile, draft: Draft) -> str:
    offered = f"; Excel offers {len(column.choices)} values" if column.choices else ""
    return f"{column.describe()}{offered}; alone it ranks with {draft.roc_auc[column.name]:.2f}"


def _write_column(
    column: Profile, name: str, kind: str, keys: dict[str, Any], evidence: str
) -> Iterator[str]:
    key = _key(column.header)
    yield f"  # {' '.join(evidence.split())}"
    yield f"  {scalar(key)}:"
    yield f"    name: {name}"
    yield f"    description: {scalar(_format_words(column.header).capitalize() + '.')}"
    yield f"    type: {kind}"
    if key != column.header:
        yield f"    aliases: {scalar([column.header])}"
    for entry, value in keys.items():
        yield f"    {entry}: {scalar(value)}"


def _write_date(column: Profile) -> Iterator[str]:
    keys: dict[str, Any] = {"range": [0, MANY_DAYS]}
    parts = [re.split(r"[./]", example) for example in column.examples]
    if all(len(part) == 3 for part in parts):
        sign, year = ("." if "." in column.examples[0] else "/"), "y" * len(parts[0][2])
        # The United States write the month first, and with slashes.
        is_month_first = sign == "/" and all(int(part[0]) <= 12 for part in parts)
        days = ("M", "d") if is_month_first else ("d", "M")
        keys["date_format"] = sign.join((*days, year))
    name = f"days_since_{column.name}"
    yield from _write_column(column, name, "days_since", keys, column.describe())


def _type_of(column: Profile) -> tuple[str, dict[str, Any]]:
    if column.is_numeric:
        assert column.numbers is not None
        low, high = float(np.nanmin(column.numbers)), float(np.nanmax(column.numbers))
        keys: dict[str, Any] = {"range": _widen(low, high)}
        if column.blank:
            median = float(np.nanmedian(column.numbers))
            keys["blank_as"] = str(int(median) if column.kind == "integer" else median)
        return column.kind, keys
    values = [value for value, _ in column.values]
    # Values that Excel offers but no cell has yet are accepted as well.
    known = {value.casefold() for value in values}
    values += [each for each in dict.fromkeys(column.choices) if each.casefold() not in known]
    if len(values) == 2 and not column.blank and column.codes is not None:
        yes = _find_true(values)
        return "flag", {"true_values": [yes], "false_values": [v for v in values if v != yes]}
    keys = {"categories": sorted(values)}
    if column.blank:
        keys = {"categories": list(dict.fromkeys([*sorted(values), UNKNOWN])), "blank_as": UNKNOWN}
    return "category", keys


def _find_true(values: Sequence[str]) -> str:
    for value in values:
        if value.casefold() in ("1", "yes", "true", "y", "t", "active"):
            return value
    positive = [value for value in values if not value.casefold().startswith(("no", "0", "f"))]
    return positive[0] if len(positive) == 1 else sorted(values)[-1]


def _widen(low: float, high: float) -> list[float]:
    """Return the range with a margin of half of it, rounded away from it to two digits."""
    margin = (high - low) / 2
    wide = [0.0 if low >= 0 else low - margin, high + margin]
    return [_round_up(bound) for bound in wide]


def _round_up(bound: float) -> float:
    if bound == 0:
        return 0
    step = 10.0 ** (math.floor(math.log10(abs(bound))) - 1)
    rounded = math.copysign(math.ceil(abs(bound) / step) * step, bound)
    return int(rounded) if float(rounded).is_integer() else round(rounded, 6)


def _format_words(header: str) -> str:
    from seeds_loader.draft.profile import snake_case

    return snake_case(header).replace("_", " ")


# --- rules.yml -------------------------------------------------------------------------------


def _write_rules(draft: Draft) -> Iterator[str]:
    rows, share = len(draft.label.is_left), float(draft.label.is_left.mean())
    rules = yaml.safe_load((DOMAINS / "telco" / "rules.yml").read_text())["gate_rules"]
    common = yaml.safe_load(COMMON.read_text())["gate_metrics"]
    rules = {name: rule for name, rule in rules.items() if rule["metric"] in common}
    rules["minimum_customers"]["at_least"] = max(10, int(_round_up(rows / 2)))
    rules["churn_rate_not_too_low"]["at_least"] = round(share / 4, 3)
    rules["churn_rate_not_too_high"]["at_most"] = round(min(0.95, share * 2.5), 3)
    yield "# The gate: a load is published if no rule of severity error failed. The metrics are in"
    yield "# domains/common.yml. Thresholds on customers and churn follow from this workbook:"
    yield f"# {rows:,} customers, of whom {share:.1%} left."
    yield yaml.safe_dump({"gate_rules": rules}, sort_keys=False, allow_unicode=True, width=100)
    yield "# Rules over more than one cell of a row: domains/telco/rules.yml has examples."
    yield "row_rules: {}"
    yield ""
    yield "# Drift against the extract before: the bands are fifths of the drafted workbook."
    bands = {column.name: _bands(column) for column in draft.features if column.is_numeric}
    drift = {
        "floor": 0.0001,
        "warn_above": 0.1,
        "error_above": 0.25,
        "bands": {name: edges for name, edges in bands.items() if edges},
        "categories": [column.name for column in draft.features if not column.is_numeric],
    }
    yield yaml.safe_dump({"drift": drift}, sort_keys=False, allow_unicode=True, width=100)
    yield "expected_changes: []"


def _bands(column: Profile) -> list[float]:
    assert column.numbers is not None
    edges = np.nanquantile(column.numbers, [0.2, 0.4, 0.6, 0.8])
    digits = 0 if column.kind == "integer" else 2
    lowest = float(np.nanmin(column.numbers))
    kept = dict.fromkeys(round(float(edge), digits) for edge in edges)
    return [int(edge) if float(edge).is_integer() else edge for edge in kept if edge > lowest]


# --- features.yml ----------------------------------------------------------------------------


def _write_features(draft: Draft) -> Iterator[str]:
    yield "# Features that are computed from others: domains/telco/features.yml has examples."
    yield "derived_features: {}"
    yield ""
    yield "# How a reason is worded; {} is the number."
    yield "reasons:"
    for column in draft.features:
        words = _format_words(column.header)
        kind, keys = _type_of(column)
        yield f"  {column.name}:"
        if column.is_numeric:
            number = "whole" if column.kind == "integer" else "plain"
            if _is_money(column, draft):
                number = "amount"
            yield f"    inputs: [{column.name}]"
            yield f"    number: {number}"
            yield f"    says: {{otherwise: {scalar(f'{words}: {{}}')}}}"
        elif kind == "flag":
            yes, no = keys["true_values"][0], keys["false_values"][0]
            yield f"    words: {{{column.name}: {scalar(_format_flag(words, yes))}}}"
            yield f"    otherwise: {scalar(_format_flag(words, no))}"
        else:
            yield "    words:"
            for value in keys["categories"]:
                name = f"{column.name}_{category_name(value)}"
                yield f"      {name}: {scalar(f'{words}: {value}')}"


def _format_flag(words: str, value: str) -> str:
    meaning = {"1": "yes", "0": "no", "true": "yes", "false": "no", "t": "yes", "f": "no"}
    plain = value if value.isupper() else value.lower()
    return f"{words}: {meaning.get(value.casefold(), plain)}"


# --- model.yml -------------------------------------------------------------------------------


def _write_model(draft: Draft) -> Iterator[str]:
    yield "# Features of which log(1 + x) is an input, too: for numbers that matter most near 0."
    yield "log1p: []"
    yield ""
    yield "# Names (with * and ?) that are never a feature: the label, keys, what is known later."
    forbidden = ["churned", "churn", "churn_*", "customer_id", "event_timestamp"]
    forbidden += ["created_timestamp", "extract_date", "_*"]
    yield yaml.safe_dump({"forbidden_features": forbidden}, sort_keys=False)
    yield "# Features that the rule on leaks would refuse. Remove one that is known only after the"
    yield "# customer left: from here, and its column from contract.yml."
    for name, evidence in draft.accepted.items():
        yield f"#   {name}: {evidence}"
    yield f"accepted_features: {scalar(sorted(draft.accepted))}"
    yield ""
    yield "# Groups for which a model must be as good as for others."
    yield yaml.safe_dump({"slices": _slices(draft)}, sort_keys=False, allow_unicode=True)
    best = max(
        (column for column in draft.features if _type_of(column)[0] == "category"),
        key=lambda column: draft.roc_auc[column.name],
        default=None,
    )
    if best is not None:
        yield "# Baseline that a model has to beat: the share of leavers in each group."
        groups = [f"{best.name}_{category_name(v)}" for v in _type_of(best)[1]["categories"]]
        name = f"{_format_words(best.header)} alone"
        yield yaml.safe_dump({"baseline": {"name": name, "groups": groups}}, sort_keys=False)
    yield "# Expected changes of the probability: domains/telco/model.yml has examples."
    yield "behaviour: {}"


def _are_many(counts: dict[str, int]) -> bool:
    return min(counts.values()) >= SLICE_ROWS


def _slices(draft: Draft) -> dict[str, dict[str, str]]:
    slices: dict[str, dict[str, str]] = {}
    for column in draft.features:
        kind, keys = _type_of(column)
        counts = dict(column.values)
        if kind == "flag" and _are_many(counts):
            groups = {keys["true_values"][0]: 1, keys["false_values"][0]: 0}
            slices[_format_words(column.header)] = {
                value: f"{column.name} = {number}" for value, number in groups.items()
            }
        elif kind == "category" and len(counts) <= MAX_CHOICES and _are_many(counts):
            slices[_format_words(column.header)] = {
                value: f"{column.name}_{category_name(value)} = 1" for value in counts
            }
        if len(slices) == MAX_SLICES:
            break
    return slices


# --- campaign.yml ----------------------------------------------------------------------------


def _write_campaign(draft: Draft) -> Iterator[str]:
    yield "# What a customer brings per month, as SQL over the features; null if that is not known:"
    yield "# the list is then ordered by probability and states no amounts."
    known = draft.value is not None and draft.value in draft.features
    yield f"monthly_value: {draft.value.name if known and draft.value else 'null'}"
    yield "# Months of it that a leaver takes along, cost of a contact, and share of the contacted"
    yield "# leavers who stay, with its lowest and highest plausible value: assumptions to change."
    yield "months: 12"
    yield "contact_cost: 20.0"
    yield "retention_rate: 0.3"
    yield "retention_rate_range: [0.15, 0.45]"
    yield "# One value and one offer for all customers, for the expected profit of a model."
    yield "profit: {customer_value: 200.0, offer_cost: 10.0}"
    yield "# Offers to try out on a customer: domains/telco/campaign.yml has examples."
    yield "# costs_in_words says what the customer is given and for how long, for list and report."
    yield "offers: {}"


# --- report.yml ------------------------------------------------------------------------------


def _find_currency(value: Profile | None) -> str:
    """Return the currency that the header of the value names, or nothing."""
    found = re.search(r"[$€£¥₹]|\b(USD|EUR|GBP|CHF|INR|JPY)\b", value.header if value else "")
    return f"{found[0]}\u00a0" if found and found[1] else found[0] if found else ""


def _is_money(column: Profile, draft: Draft) -> bool:
    """Return whether a number is known to be an amount: the value, or a header with a currency."""
    return column is draft.value or bool(_find_currency(column))


def _write_report(draft: Draft) -> Iterator[str]:
    ranked = sorted(draft.features, key=lambda column: -draft.roc_auc[column.name])
    grouped = [column for column in ranked if _type_of(column)[0] == "category"][:2]
    breakdowns = {_format_words(column.header).capitalize(): column.name for column in grouped}
    number = next((column for column in ranked if column.is_numeric and _bands(column)), None)
    if number is not None:
        breakdowns[_format_words(number.header).capitalize()] = _band_sql(number)
    shown = [column for column in (draft.value,) if column in draft.features]
    shown += [column for column in ranked if column not in shown][:3]
    yield "# An id, to show users how one looks."
    example = draft.id.examples[0] if draft.id else "row-2"
    yield f"example_id: {scalar(example)}"
    yield "# The sign in front of amounts."
    yield f"currency: {scalar(_find_currency(draft.value))}"
    yield "# Groups by which the report shows churn: SQL over silver; '1: ' in front orders them."
    yield yaml.safe_dump({"breakdowns": breakdowns}, sort_keys=False, allow_unicode=True, width=100)
    yield "# What the retention list shows of a customer."
    yield "list_columns:"
    for column in shown:
        if column is not None:
            yield f"  - {scalar(_list_column(column, draft))}"
    cells = [_key(column.header) for column in ranked[:4]] + [_key(draft.label.profile.header)]
    yield "# Cells of the workbook that a trace shows first."
    yield f"trace_cells: {scalar(cells)}"
    yield "# What a request to the scoring API may change."
    choices = [
        column.name
        for column in ranked
        if not column.is_numeric and len(column.values) <= MAX_CHOICES
    ]
    numbers = [column.name for column in ranked if column.is_numeric][:3]
    yield f"what_if: {scalar({'numbers': numbers, 'choices': choices})}"
    yield f"what_if_example: {scalar(_example(ranked))}"


def _band_sql(column: Profile) -> str:
    edges = _bands(column)
    cases = [
        f"when {column.name} < {edge} then '{n}: below {edge}'" for n, edge in enumerate(edges)
    ]
    return f"case {' '.join(cases)} else '{len(edges)}: {edges[-1]} or more' end"


def _list_column(column: Profile, draft: Draft) -> dict[str, Any]:
    # The list shows an amount with the currency, which other numbers do not have.
    formats = {"integer": "whole", "number": "amount" if _is_money(column, draft) else "text"}
    shown = {"column": column.name, "header": _format_words(column.header).capitalize()}
    return {**shown, "format": formats.get(column.kind, "text"), "width": 12}


def _example(ranked: Sequence[Profile]) -> dict[str, Any]:
    number = next((column for column in ranked if column.is_numeric), None)
    if number is None or number.numbers is None:
        return {}
    return {number.name: float(np.nanmedian(number.numbers))}
