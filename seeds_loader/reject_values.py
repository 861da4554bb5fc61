"""Format the values of a rejected row for its messages: what they are, and what is accepted."""

import re
import sqlite3
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import date

from lakehouse.amounts import format_amount
from lakehouse.domain import ID, read_domain
from seeds_loader.contract import Column, Contract

# Longer values give no more information; the cell itself has the whole value.
MAX_VALUE_LENGTH = 100
BLANK = "blank"
# Larger computed numbers, also infinite ones, are given as more than this.
LARGE = 1_000_000
# Characters that occupy no space, or look like a blank, although Unicode counts them as printable.
LIKE_NOTHING = frozenset(
    map(
        chr,
        (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10)),
    )
) | frozenset(map(chr, range(0xE0100, 0xE01F0)))
CONTROLS = {"\t": "tab", "\n": "line break", "\r": "carriage return"}
# The date of the samples in messages, and its parts as a pattern of Spark writes them.
SAMPLE_DATE = date(2026, 3, 4)
DATE_PARTS = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "M": "3", "dd": "%d", "d": "4"}
DATE_PART = re.compile("[A-Za-z]+")
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def format_quoted(value: str | None) -> str:
    """Return the value in quotes, with the names of invisible characters in square brackets."""
    if value is None or not value.strip(" "):
        return BLANK
    excerpt = value if len(value) <= MAX_VALUE_LENGTH else value[:MAX_VALUE_LENGTH] + "…"
    visible = "".join(
        f"[{_name_character(each)}]" if is_invisible(each) else each for each in excerpt
    )
    return f'"{visible}"'


def is_invisible(character: str) -> bool:
    """Return whether a reader can't see the character, or can't tell it from a blank."""
    return not character.isprintable() or character in LIKE_NOTHING


def _name_character(character: str) -> str:
    """Return what Unicode calls the character, otherwise its number."""
    number = f"U+{ord(character):04X}"
    kind = "control character" if unicodedata.category(character) == "Cc" else "character"
    name = unicodedata.name(character, f"{kind} {number}")
    return CONTROLS.get(character) or (name if name.endswith(number) else name.lower())


def format_accepted(column: Column) -> str:
    """Return what to write in a cell of the column, as the end of a sentence; empty if unknown."""
    accepted = (*column.true_values, *column.false_values, *column.categories)
    if accepted:
        return _join_alternatives([f'"{each}"' for each in accepted])
    if column.type == "days_since":
        return _format_accepted_date(column)
    if column.type == "text":
        length = f" of at most {column.longest} characters" if column.longest else ""
        return ("the customer's id, a text" if column.silver == ID else "a text") + length
    if not column.range:
        return ""
    low, high = (_format_limit(limit, column) for limit in column.range)
    if column.type == "integer":
        unit = f" of {column.unit}" if column.unit else ""
        return f"a whole number{unit} from {low} to {high}"
    form = ", as a plain number such as 49.90" if _is_amount(column.silver) else ""
    return f"{'an amount' if form else 'a number'} from {low} to {high}{form}"


def _format_accepted_date(column: Column) -> str:
    formats = [SAMPLE_DATE.isoformat()]
    sample = _write_sample(column.date_format) if column.date_format else None
    if sample:
        formats.insert(0, sample)
    words = f"the date as {' or '.join(formats)} (for {SAMPLE_DATE.day} {SAMPLE_DATE:%B %Y})"
    if not column.range:
        return words
    low, high = column.range
    days = f"{low:,g} to {high:,g}" if low else f"at most {high:,g}"
    return f"{words}, {days} days before the extract date"


def _write_sample(pattern: str) -> str | None:
    """Return the sample date as a pattern of Spark writes it; None for rarer parts."""
    if not set(DATE_PART.findall(pattern)) <= set(DATE_PARTS):
        return None
    return SAMPLE_DATE.strftime(DATE_PART.sub(lambda part: DATE_PARTS[part[0]], pattern))


def _join_alternatives(texts: Sequence[str]) -> str:
    return " or ".join(", ".join(part) for part in (texts[:-1], texts[-1:]) if part)


def format_number(value: float) -> str:
    """Return a number with at most two decimals, more only where it would be 0 otherwise."""
    if abs(value) > LARGE:
        return f"more than {LARGE:,}" if value > 0 else f"less than −{LARGE:,}"
    if 0 < abs(value) < 0.01:
        return f"{value:.1g}" if abs(value) >= 1e-4 else "almost 0"
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _format_limit(limit: float, column: Column) -> str:
    if not _is_amount(column.silver):
        return f"{limit:,.10g}"
    return format_amount(limit, read_domain().report.currency, 0 if limit == int(limit) else 2)


def _is_amount(name: str) -> bool:
    """Return whether a number of silver, or a derived feature, is an amount of money."""
    return any(
        terms.number == "amount" and name in (feature, *terms.inputs)
        for feature, terms in read_domain().features.reasons.items()
    )


def format_detail(
    code: str, header: str, cells: Mapping[str, str | None], contract: Contract
) -> str:
    """Return the message that names the row's values; empty if it is not declared or not known.

    Args:
        code: The code of the reject.
        header: The cell at fault.
        cells: The cells of the row, by header.
        contract: The contract of the columns.
    """
    numbers = read_numbers(cells, contract)
    rule = read_domain().rules.row_rules.get(code)
    if rule is None:
        return _format_derived(header, numbers, contract) if code == "feature_out_of_range" else ""
    for name in ("expected", "lowest", "highest"):
        value = compute_value(getattr(rule, name), numbers) if getattr(rule, name) else None
        if value is not None:
            numbers[name] = value
    silver = next((each.silver for each in contract.columns if each.name == header), "")
    return _fill(rule.detail, numbers, contract, silver)


def _format_derived(header: str, numbers: Mapping[str, float], contract: Contract) -> str:
    """Return the detail of the first derived feature of the cell that is outside its range."""
    declared = read_domain().features.derived_features
    computed = dict(numbers)
    for name, feature in declared.items():
        value = compute_value(_expand(feature.expression), numbers)
        if value is not None:
            computed[name] = value
    for name, feature in declared.items():
        low, high = feature.range
        if header in feature.cells and name in computed and not low <= computed[name] <= high:
            limits = {"lowest": low, "highest": high}
            return _fill(feature.detail, {**computed, **limits}, contract, name)
    return ""


def _expand(expression: str) -> str:
    """Return the expression with the other derived features that it names in braces."""
    declared = read_domain().features.derived_features
    return PLACEHOLDER.sub(lambda name: f"({_expand(declared[name[1]].expression)})", expression)


def read_numbers(cells: Mapping[str, str | None], contract: Contract) -> dict[str, float]:
    """Return the cells that are numbers, by their name in silver."""
    numbers: dict[str, float] = {}
    for column in contract.columns:
        with suppress(ValueError):
            numbers[column.silver] = float(cells.get(column.name) or "")
    return numbers


def compute_value(expression: str, numbers: Mapping[str, float]) -> float | None:
    """Return the value of an SQL expression over silver's numbers; None if it is not known."""
    names = ", ".join(f'? as "{name}"' for name in numbers) or "null"
    try:
        with closing(sqlite3.connect(":memory:")) as database:
            database.create_function("greatest", -1, max, deterministic=True)
            database.create_function("least", -1, min, deterministic=True)
            query = f"select {expression} from (select {names})"
            (value,) = database.execute(query, list(numbers.values())).fetchone()
    except sqlite3.Error:  # a cell that it needs is no number
        return None
    return value if isinstance(value, int | float) else None


def _fill(detail: str, values: Mapping[str, float], contract: Contract, subject: str) -> str:
    """Return the detail with its values; empty if one is unknown.

    Args:
        detail: The text, with the names of values in braces.
        values: The values by name.
        contract: The contract of the columns.
        subject: What `expected`, `lowest` and `highest` are values of.
    """
    if not set(PLACEHOLDER.findall(detail)) <= set(values):
        return ""
    columns = {column.silver: column for column in contract.columns}

    def format_value(match: re.Match[str]) -> str:
        name, value = match[1], values[match[1]]
        name = name if name in columns or name not in ("expected", "lowest", "highest") else subject
        if _is_amount(name) and abs(value) <= LARGE:
            is_small = 0 < abs(value) < 0.005
            amount = format_amount(0.01 if is_small else value, read_domain().report.currency, 2)
            return f"less than {amount}" if is_small else amount
        unit = columns[name].unit if name in columns else ""
        unit = unit.removesuffix("s") if value == 1 else unit
        return f"{format_number(value)} {unit}".rstrip()

    return " ".join(PLACEHOLDER.sub(format_value, detail).split())


def name_invisible(value: str | None) -> Iterator[str]:
    """Yield the sentence that explains square brackets in the value as it is shown, if any."""
    if value and format_quoted(value) != BLANK and any(map(is_invisible, value[:MAX_VALUE_LENGTH])):
        yield "Square brackets name characters that can't be seen: enter the value without them."
