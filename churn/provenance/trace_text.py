"""Format a lineage as text: the lines of `churn trace`, and phrases that its web page shares."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from churn.provenance.trace_rules import BLANK_IS_ZERO, CODED, NUMBER, SPELLED, TRIMMED
from seeds_loader.source_format import AS_READ

RULES = {
    TRIMMED: "blanks around it trimmed",
    SPELLED: "spelled as the contract has it",
    CODED: "a flag is 1 or 0",
    NUMBER: "read as a number",
    BLANK_IS_ZERO: "a blank counts as 0 where tenure is 0",
}
CELLS_SHOWN = ("tenure", "Contract", "MonthlyCharges", "TotalCharges", "Churn")
# Number of contributions to the log-odds that are listed; the others are summed.
CONTRIBUTIONS_SHOWN = 5
WIDTH = 11
Lineage = Mapping[str, Any]


def format_trace(lineage: Lineage) -> list[str]:
    """Format the lineage as lines of text: the latest extract in full, then the earlier ones."""
    lines = [" ".join([lineage["customer_id"], *as_of_words(lineage)]), ""]
    for name, texts in hops(lineage):
        for place, text in enumerate(texts):
            lines.append(f"  {name if place == 0 else '':<{WIDTH}}{text}".rstrip())
    return lines


def hops(lineage: Lineage, in_full: bool = True) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the lines of every stage.

    Args:
        lineage: The lineage of a customer.
        in_full: Whether to include what the web page displays in another form.
    """
    yield from _table_hops(lineage)
    yield "online", list(_online(lineage))
    if lineage["model"]:
        yield "model", list(_model(lineage["model"]))
    scores = lineage["scores"]
    yield "score", list(_score(scores[0], in_full)) if scores else ["none"]
    if in_full and (len(lineage["history"]) > 1 or lineage["absent_from"]):
        yield "history", list(_history(lineage))


def _table_hops(lineage: Lineage) -> Iterator[tuple[str, list[str]]]:
    """Yield the stages in the tables for the latest extract with the customer."""
    latest = latest_extract(lineage)
    rows = _of(lineage["bronze"], latest)
    for row in rows:
        if row["became"] == "restated":
            yield "replaced", list(_replaced(row))
        else:
            yield "workbook", list(_workbook(row))
            yield "bronze", list(_bronze(row))
    for row in _of(lineage["rejected"], latest):
        yield "rejected", list(_rejected(row))
    for row in _of(lineage["silver"], latest):
        yield "silver", list(_silver(row))
    for row in lineage["gate"]:
        if row["batch_id"] in {each["batch_id"] for each in rows}:
            yield "gate", list(_gate(row))
    gold = _of(lineage["gold"], latest)
    for row in gold:
        yield "gold", list(_gold(row))
    if not gold:
        yield "gold", [f"the extract of {latest} is there without the customer, or not at all"]


def latest_extract(lineage: Lineage) -> str:
    """Return the extract date to show in full: the latest one whose workbook has the customer."""
    return str(max(row["extract_date"] for row in lineage["bronze"]))


def _of(rows: Sequence[Lineage], extract_date: str) -> list[Lineage]:
    return [row for row in rows if row["extract_date"] == extract_date]


def as_of_words(lineage: Lineage) -> Iterator[str]:
    """Yield the run of a past state and how it was read; nothing for the current state."""
    as_of = lineage["as_of"]
    if as_of is None:
        return
    read = ", ".join(f"{hop}: {how}" for hop, how in as_of["read"].items())
    words = f"when run {as_of['run_id']} had ended, {minute(as_of['ended_at'])} ({read})"
    if as_of["todays_rules"] is False:
        words += "; the rules have changed since, and what was rebuilt follows today's"
    yield words


def _workbook(row: Lineage) -> Iterator[str]:
    yield f"{row['file']}, {_sheet(row)}row {row['row_number']}"
    cells, extra = row["cells"], row["extra"]
    yield " · ".join(
        f"{name} {quoted(extra.get(AS_READ.format(column=name), cells[name]))}"
        for name in CELLS_SHOWN
    )
    yield f"sha256 {row['sha256']}"


def _bronze(row: Lineage) -> Iterator[str]:
    yield f"load {row['batch_id']}, {minute(row['loaded_at'])}"
    yield f"{row['table']} {_at_version(row)}"
    if row["became"] == "not cleaned yet":
        yield "not cleaned yet: `churn build`"


def _replaced(row: Lineage) -> Iterator[str]:
    yield f"{row['file']}, {_sheet(row)}row {row['row_number']}: load {row['batch_id']}"
    yield "a later workbook of the same date counts"


def _sheet(row: Lineage) -> str:
    return f"sheet {row['sheet']}, " if row["sheet"] else ""


def _rejected(row: Lineage) -> Iterator[str]:
    yield f"row {row['row_number']} of load {row['batch_id']}"
    yield from row["words"]
    if row["kept_row"] is not None:
        yield f"row {row['kept_row']} was kept for this customer"


def _silver(row: Lineage) -> Iterator[str]:
    rules = f", rules {row['rules_version'][:8]}" if row["rules_version"] else ""
    yield f"row {row['row_number']} of load {row['batch_id']}{rules}"
    if row["version"] is not None:
        yield f"{row['table']} {_at_version(row)}"
    yield from _rule_words(row)


def _rule_words(row: Lineage) -> Iterator[str]:
    """Yield the effects of rules on a row of silver: changed values, and rows that lost to it."""
    for each in row["standardised"]:
        if each["rules"] != [CODED]:
            why = rules_in_words(each["rules"])
            yield f"{each['column']} {quoted(each['cell'])} → {each['value']}: {why}"
    for each in row["lost"]:
        codes = ", ".join(reason["code"] for reason in each["reasons"])
        yield f"row {each['row_number']} lost against it: {codes}"


def _gate(row: Lineage) -> Iterator[str]:
    judged = f"run {row['run_id']}, {minute(row['judged_at'])}"
    yield f"load {row['batch_id']} {row['verdict']}, {judged}"
    for kind in ("failed", "warned"):
        for each in row[kind]:
            yield f"{kind}: {_rule_figure(each)}"


def rules_in_words(rules: Sequence[str]) -> str:
    """Describe what the rules did to a value."""
    return "; ".join(RULES[rule] for rule in rules)


def _rule_figure(rule: Lineage) -> str:
    """Format a failed rule: its value and its threshold."""
    figure = "no figure" if rule["figure"] is None else f"{rule['figure']:.4g}"
    compared = rule["compared_with"]
    return f"{rule['rule']}: {figure} against {rule['threshold']:g}" + (
        f", compared with the extract of {compared}" if compared else ""
    )


def _gold(row: Lineage) -> Iterator[str]:
    yield f"extract of {row['extract_date']}, published by run {row['run_id']}"
    yield row["file"] or "its files were superseded; rebuilt"


def _online(lineage: Lineage) -> Iterator[str]:
    """Yield what the feature store serves, and whether it equals gold."""
    feast, online = lineage["feast"], lineage["online"]
    yield f"view {feast['view']}, service {feast['service']}, project {feast['project']}"
    if feast["equals_gold"] is None:
        yield "what the store held then is not known: the run did not read it back"
    elif online is None and feast["equals_gold"]:
        yield "not there, and rightly: gold's latest extract does not have the customer"
    elif online is None:
        yield "not there, although gold has the customer: `churn features materialize`"
    else:
        count = len(online["features"])
        same = (
            f"equals gold in all {count} features" if feast["equals_gold"] else "differs from gold"
        )
        yield f"event time {online['event_timestamp']}; {same}"
    if online is not None:
        for each in feast["differences"]:
            yield f"{each['feature']}: gold {each['gold']}, online {each['online']}"


def _model(model: Lineage) -> Iterator[str]:
    champion = ", champion" if model["champion"] else ""
    yield f"{model['version']}, {model['kind'].replace('_', ' ')}{champion}"
    yield from _training_words(model)


def _training_words(model: Lineage) -> Iterator[str]:
    """Yield what the model was trained on."""
    training = model["training"]
    yield f"learned from {training['rows']:,} rows: {training['label']['reason']}"
    for each in training["loads"]:
        yield f"extract of {each['extract_date']}: {each['file']}, load {each['batch_id']}"
    yield f"training set {training['signature']}"


def _score(score: Lineage, in_full: bool) -> Iterator[str]:
    decile = f"decile {score['decile']} of 10" if score["decile"] else "worked out anew"
    yield (
        f"leaves with probability {score['probability']:.1%}, {decile}; "
        f"extract of {score['extract_date']}, model {score['model_version']}"
    )
    explained = score["explanation"]
    if explained is None:
        yield from (f"{each['contribution']:+.2f} {each['text']}" for each in score["reasons"])
        return
    if in_full:
        yield from _contributions(explained)
    yield f"{explained['log_odds']:+.2f} log-odds, which is {explained['probability']:.1%}"


def _contributions(explained: Lineage) -> Iterator[str]:
    """Yield the summands of the log-odds."""
    given = explained["contributions"]
    shown, rest = given[:CONTRIBUTIONS_SHOWN], given[CONTRIBUTIONS_SHOWN:]
    yield f"{explained['baseline']:+.2f} the average customer"
    yield from (f"{each['contribution']:+.2f} {each['text']}" for each in shown)
    if rest:
        yield f"{sum(each['contribution'] for each in rest):+.2f} {len(rest)} other reasons"


def _history(lineage: Lineage) -> Iterator[str]:
    """Yield each extract: its times, and the changes since the previous one."""
    for each in lineage["history"]:
        score = "" if each["probability"] is None else f", risk {each['probability']:.1%}"
        published = f"published {minute(each['published_at'])}" if each["published_at"] else ""
        yield f"{each['extract_date']}: loaded {minute(each['loaded_at'])} {published}{score}"
        yield from (f"  {text}" for text in change_words(each["changes"]["silver"]))
    for day in lineage["absent_from"]:
        yield f"{day}: published without the customer"


def change_words(changed: Mapping[str, Any]) -> Iterator[str]:
    """Format changed values, one line each."""
    for name, each in changed.items():
        yield f"{name} {each['before']} → {each['after']}"


def _at_version(row: Lineage) -> str:
    """Format the version of the table, if the table's log still has it."""
    return f"version {row['version']}" if row["version"] is not None else "(version unknown)"


def quoted(cell: str | None) -> str:
    """Format a cell as it was read; quotes make surrounding blanks visible."""
    return "blank" if cell is None else f'"{cell}"' if cell != cell.strip() or not cell else cell


def minute(moment: str | None) -> str:
    """Format a time in UTC, without seconds."""
    return f"{moment[:16].replace('T', ' ')} UTC" if moment else "–"
