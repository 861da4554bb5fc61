"""Format a lineage as text: the lines of `churn trace`, and phrases that its web page shares."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from churn.provenance.customer import MARKED_AS_LEFT
from churn.provenance.retention_lists import format_listed, format_probabilities
from churn.provenance.trace_rules import (
    BLANK_IS_DECLARED,
    BLANK_IS_ZERO,
    CODED,
    DAYS,
    NUMBER,
    SPELLED,
    TRIMMED,
)
from feature_repo.label_texts import describe_event
from lakehouse.amounts import format_number
from lakehouse.domain import read_domain
from seeds_loader.source_format import AS_READ
from trainer.deciles import format_group

RULES = {
    TRIMMED: "blanks around it trimmed",
    SPELLED: "spelled as the contract has it",
    CODED: "a flag is 1 or 0",
    NUMBER: "read as a number",
    DAYS: "the days from the date to the extract date",
    BLANK_IS_ZERO: "a blank counts as 0 there",
    BLANK_IS_DECLARED: "what the contract declares for a blank",
}
# Number of contributions to the log-odds that are listed; the others are summed.
CONTRIBUTIONS_SHOWN = 5
WIDTH = 11
Lineage = Mapping[str, Any]


def format_trace(lineage: Lineage) -> list[str]:
    """Format the lineage as lines of text: the latest extract in full, then the earlier ones."""
    lines = [" ".join([lineage["customer_id"], *format_as_of(lineage)])]
    lines += [*format_has_left(lineage), ""]
    for name, texts in hops(lineage):
        for number, text in enumerate(texts):
            lines.append(f"  {name if number == 0 else '':<{WIDTH}}{text}".rstrip())
    return lines


def hops(lineage: Lineage, in_full: bool = True) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the lines of every stage: score and list first, then the way to them.

    Args:
        lineage: The lineage of a customer.
        in_full: Whether to include what the web page displays in another form.
    """
    scores = lineage["scores"]
    yield "score", list(_format_score(lineage, in_full)) if scores else ["none"]
    if lineage["retention_list"]:
        yield "list", list(format_listed(lineage["retention_list"]))
    yield from _table_hops(lineage)
    yield "online", list(_format_online(lineage))
    if lineage["model"]:
        yield "model", list(_format_model(lineage["model"]))
    if in_full and (len(lineage["history"]) > 1 or lineage["absent_from"]):
        yield "history", list(_format_history(lineage))
    yield "hashes", list(_format_hashes(lineage))


def _table_hops(lineage: Lineage) -> Iterator[tuple[str, list[str]]]:
    """Yield the stages in the tables for the latest extract with the customer."""
    latest = latest_extract(lineage)
    rows = _select_extract(lineage["bronze"], latest)
    for row in rows:
        if row["became"] == "restated":
            yield "replaced", list(_format_replacement(row))
        else:
            yield "workbook", list(_format_workbook(row))
            yield "bronze", list(_format_bronze(row))
    for row in _select_extract(lineage["rejected"], latest):
        yield "rejected", list(_format_reject(row))
    for row in _select_extract(lineage["silver"], latest):
        yield "silver", list(_format_silver(row))
    for row in lineage["gate"]:
        if row["batch_id"] in {item["batch_id"] for item in rows}:
            yield "gate", list(_format_gate(row))
    gold = _select_extract(lineage["gold"], latest)
    for row in gold:
        yield "gold", list(_format_gold(row))
    if not gold:
        yield "gold", [f"the extract of {latest} is there without the customer, or not at all"]


def latest_extract(lineage: Lineage) -> str:
    """Return the extract date to show in full: the latest one whose workbook has the customer."""
    return str(max(row["extract_date"] for row in lineage["bronze"]))


def _select_extract(rows: Sequence[Lineage], extract_date: str) -> list[Lineage]:
    return [row for row in rows if row["extract_date"] == extract_date]


def format_as_of(lineage: Lineage) -> Iterator[str]:
    """Yield the run of a past state and how it was read; nothing for the current state."""
    as_of = lineage["as_of"]
    if as_of is None:
        return
    read = ", ".join(f"{hop}: {how}" for hop, how in as_of["read"].items())
    words = f"when run {as_of['run_id']} had ended, {format_minute(as_of['ended_at'])} ({read})"
    if as_of["todays_rules"] is False:
        words += "; the rules have changed since, and what was rebuilt follows today's"
    yield words


def has_left(lineage: Lineage) -> bool:
    """Return whether the latest extract with the customer marks them as left."""
    latest = latest_extract(lineage)
    return any(row["churned"] for row in _select_extract(lineage["gold"], latest))


def format_has_left(lineage: Lineage) -> Iterator[str]:
    """Yield that the customer is marked as left; nothing for other customers."""
    if has_left(lineage):
        yield MARKED_AS_LEFT.format(latest_extract(lineage))


def _format_workbook(row: Lineage) -> Iterator[str]:
    yield f"{row['file']}, {_format_sheet(row)}row {row['row_number']}"
    cells, extra = row["cells"], row["extra"]
    yield " · ".join(
        f"{name} {format_cell(extra.get(AS_READ.format(column=name), cells[name]))}"
        for name in read_domain().report.trace_cells
    )


def _format_bronze(row: Lineage) -> Iterator[str]:
    yield f"load {row['batch_id']}, {format_minute(row['loaded_at'])}"
    yield f"{row['table']} {_format_version(row)}"
    if row["became"] == "not cleaned yet":
        yield "not cleaned yet: `churn build`"


def _format_replacement(row: Lineage) -> Iterator[str]:
    yield f"{row['file']}, {_format_sheet(row)}row {row['row_number']}: load {row['batch_id']}"
    yield "a later workbook of the same date counts"


def _format_sheet(row: Lineage) -> str:
    return f"sheet {row['sheet']}, " if row["sheet"] else ""


def _format_reject(row: Lineage) -> Iterator[str]:
    yield f"row {row['row_number']} of load {row['batch_id']}"
    yield from row["words"]


def _format_silver(row: Lineage) -> Iterator[str]:
    rules = f", rules {row['rules_version'][:8]}" if row["rules_version"] else ""
    yield f"row {row['row_number']} of load {row['batch_id']}{rules}"
    if row["version"] is not None:
        yield f"{row['table']} {_format_version(row)}"
    yield from _format_rule_effects(row)


def _format_rule_effects(row: Lineage) -> Iterator[str]:
    """Yield the effects of rules on a row of silver: changed values, and rows that lost to it."""
    for cell in row["standardised"]:
        if cell["rules"] != [CODED]:
            why = format_rules(cell["rules"])
            yield f"{cell['column']} {format_cell(cell['cell'])} → {cell['value']}: {why}"
    for reject in row["lost"]:
        codes = ", ".join(reason["code"] for reason in reject["reasons"])
        yield f"row {reject['row_number']} lost against it: {codes}"


def _format_hashes(lineage: Lineage) -> Iterator[str]:
    """Yield the hashes of the latest extract's workbooks and of the training set."""
    rows = _select_extract(lineage["bronze"], latest_extract(lineage))
    for name, digest in {row["file"]: row["sha256"] for row in rows}.items():
        yield f"{name}: sha256 {digest}"
    if lineage["model"]:
        yield f"training set {lineage['model']['training']['signature']}"


def _format_gate(row: Lineage) -> Iterator[str]:
    evaluated = f"run {row['run_id']}, {format_minute(row['judged_at'])}"
    yield f"load {row['batch_id']} {row['verdict']}, {evaluated}"
    for kind in ("failed", "warned"):
        for rule in row[kind]:
            yield f"{kind}: {_format_rule_value(rule)}"


def format_rules(rules: Sequence[str]) -> str:
    """Describe what the rules did to a value."""
    return "; ".join(RULES[rule] for rule in rules)


def _format_rule_value(rule: Lineage) -> str:
    """Format a failed rule: its value and its threshold."""
    figure = "no figure" if rule["figure"] is None else f"{rule['figure']:.4g}"
    compared = rule["compared_with"]
    return f"{rule['rule']}: {figure} against {rule['threshold']:g}" + (
        f", compared with the extract of {compared}" if compared else ""
    )


def _format_gold(row: Lineage) -> Iterator[str]:
    yield f"extract of {row['extract_date']}, published by run {row['run_id']}"
    yield row["file"] or "its files were superseded; rebuilt"


def _format_online(lineage: Lineage) -> Iterator[str]:
    """Yield what the feature store serves, and whether it equals gold."""
    feast, online = lineage["feast"], lineage["online"]
    yield f"view {feast['view']}, service {feast['service']}, project {feast['project']}"
    if feast["equals_gold"] is None:
        yield "what the store held then is not known: the run did not read it back"
    elif online is None and feast["equals_gold"]:
        yield "not there, as expected: gold's latest extract does not have the customer"
    elif online is None:
        yield "not there, although gold has the customer: `churn features materialize`"
    else:
        count = len(online["features"])
        same = (
            f"equals gold in all {format_number(count, 'feature')}"
            if feast["equals_gold"]
            else "differs from gold"
        )
        yield f"event time {online['event_timestamp']}; {same}"
    if online is not None:
        for difference in feast["differences"]:
            values = f"gold {difference['gold']}, online {difference['online']}"
            yield f"{difference['feature']}: {values}"


def _format_model(model: Lineage) -> Iterator[str]:
    champion = ", champion" if model["champion"] else ""
    yield f"{model['version']}, {model['kind'].replace('_', ' ')}{champion}"
    yield from _format_training(model)


def _format_training(model: Lineage) -> Iterator[str]:
    """Yield what the model was trained on."""
    training = model["training"]
    yield f"learned from {format_number(training['rows'], 'row')}: {training['label']['reason']}"
    for load in training["loads"]:
        yield f"extract of {load['extract_date']}: {load['file']}, load {load['batch_id']}"


def _format_score(lineage: Lineage, in_full: bool) -> Iterator[str]:
    score, model = lineage["scores"][0], lineage["model"]
    event = describe_event(model["training"]["label"]) if model else ""
    yield from format_probabilities(lineage["retention_list"], score, event)
    again = "" if score["decile"] else "; computed again, not read"
    yield f"extract of {score['extract_date']}, model {score['model_version']}{again}"
    if score["decile"]:
        yield format_group(score["decile"])
    explained = score["explanation"]
    if explained is None:
        yield from (
            f"{reason['contribution']:+.2f} {reason['text']}" for reason in score["reasons"]
        )
        return
    if in_full:
        yield from _format_contributions(explained)
    total = f"{explained['log_odds']:+.2f} in all, on the model's scale (log-odds)"
    yield f"{total}, which is {explained['probability']:.1%}"


def _format_contributions(explained: Lineage) -> Iterator[str]:
    """Yield the summands of the log-odds, so that the printed numbers add up."""
    given = explained["contributions"]
    first, rest = given[:CONTRIBUTIONS_SHOWN], given[CONTRIBUTIONS_SHOWN:]
    yield f"{explained['baseline']:+.2f} the average customer"
    yield from (f"{reason['contribution']:+.2f} {reason['text']}" for reason in first)
    printed = [explained["baseline"], *(reason["contribution"] for reason in first)]
    # What remains of the printed total is rounded to the same digit.
    remainder = _round(explained["log_odds"]) - sum(map(_round, printed))
    if rest:
        others = "1 other" if len(rest) == 1 else f"{len(rest)} others, together"
        yield f"{remainder:+.2f} {others}"
    elif remainder:
        yield f"{remainder:+.2f} rounding"


def _round(value: float) -> Decimal:
    """Return the number as it is printed."""
    return Decimal(f"{value:.2f}")


def _format_history(lineage: Lineage) -> Iterator[str]:
    """Yield each extract: its times, and the changes since the previous one."""
    for extract in lineage["history"]:
        score = "" if extract["probability"] is None else f", risk {extract['probability']:.1%}"
        published = (
            f"published {format_minute(extract['published_at'])}" if extract["published_at"] else ""
        )
        loaded = f"loaded {format_minute(extract['loaded_at'])}"
        yield f"{extract['extract_date']}: {loaded} {published}{score}"
        yield from (f"  {text}" for text in format_changes(extract["changes"]["silver"]))
    for day in lineage["absent_from"]:
        yield f"{day}: published without the customer"


def format_changes(changed: Mapping[str, Any]) -> Iterator[str]:
    """Format changed values, one line each."""
    for name, change in changed.items():
        yield f"{name} {change['before']} → {change['after']}"


def _format_version(row: Lineage) -> str:
    """Format the version of the table, if the table's log still has it."""
    return f"version {row['version']}" if row["version"] is not None else "(version unknown)"


def format_cell(cell: str | None) -> str:
    """Format a cell as it was read; quotes make surrounding blanks visible."""
    return "blank" if cell is None else f'"{cell}"' if cell != cell.strip() or not cell else cell


def format_minute(moment: str | None) -> str:
    """Format a time in UTC, without seconds."""
    return f"{moment[:16].replace('T', ' ')} UTC" if moment else "–"
