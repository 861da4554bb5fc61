"""Read numbers in text cells as stated; refuse texts that may mean another number.

Bronze has one notation, that of number cells: 1234.5. A text cell may write the same as '1.234,50',
and '74.150' may be 74.15 or 74,150. With a stated decimal sign such texts are rewritten by a strict
grammar. Without one nothing is rewritten: a whole column of them causes the workbook to be refused,
a few become rejects. Number cells are never ambiguous (docs/decisions/0024-notation.md).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import InvalidInputError
from seeds_loader.reader.header import shorten
from seeds_loader.source_format import DECIMAL_SIGNS

Mask = npt.NDArray[np.bool_]

# What silver accepts as a number: the same pattern as in macros/contract.sql.
PLAIN = r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$"
WHOLE = r"^[+-]?[0-9]+$"
# 74.150: three decimals, or thousands.
THREE_DECIMALS = r"^[+-]?[1-9][0-9]{0,2}[.][0-9]{3}$"
# The share of values with three decimals, among those with a point, above which thousands may be
# meant. If only trailing zeros were dropped, it is 90 %.
ALL_THREE = 0.98
# Up to this share they are exceptions among values that are rounded to cents.
MOST_OF_FEW = 0.5
# Above these limits the column is written this way, not just a few cells of it. The gate refuses at
# half of that share.
WIDESPREAD_SHARE, WIDESPREAD_COUNT = 0.1, 20
EXAMPLES = 3

# Any text like an amount: digits of any script, separators, and a sign or unit around them.
AMOUNT = re.compile(
    r"^[^\w\d]{0,2}[^\W\d]{0,3}[^\w\d]{0,3}\d[\d.,'’\s\u066b\u066c]*([eE][+-]?\d+)?\D{0,5}$"
)
# No other text is accepted: '5 k€' and '5 Mio' are other amounts than 5.
CURRENCY = (
    r"(?:US\$|R\$|A\$|C\$|S/|[$€£¥₹₽₺₩₴₫₪฿₡₲₦₱]|kr\.?|Kč|zł|Ft|Fr\.?|lei|TL|руб\.?|CHF|EUR|USD|GBP|BRL"
    r"|CLP|MXN|ARS|COP|PEN|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|TRY|RUB|UAH|INR|JPY|CNY|KRW|ZAR|AUD|CAD"
    r"|NZD)"
)
BLANK = "[ \u00a0\u2009\u202f]"
NAMES = {",": "comma", ".": "point"}


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, as read.

    Attributes:
        name: Its name in the contract.
        cells: Its texts; a blank cell is null.
        rows: The row number of each cell.
        is_number: Returns which cells are numbers, not text; called only if that matters, since it
            reads the sheet once more.
        where: The file, and its sheet.
    """

    name: str
    cells: pa.ChunkedArray
    rows: npt.NDArray[np.int32]
    is_number: Callable[[], Mask]
    where: str

    def notation_error(self, what: str, rows: Iterable[int], hint: str) -> InvalidInputError:
        """Return the error `what`, located at the first of the rows."""
        first = next(iter(rows))
        place = f"{self.where}, column {self.name}, row {first}"
        return InvalidInputError(what, where=place, hint=hint)


def read_numbers(
    column: NumberColumn, decimal: str | None, warn: Callable[[str], None] | None = None
) -> pa.ChunkedArray:
    """Return the cells in bronze's notation.

    Args:
        column: The column to read.
        decimal: The stated decimal sign, or None.
        warn: If given, it is called for a column of amounts that are not plain numbers, and the
            column stays as it is: none of its texts is read as a number, so the gate refuses the
            load.

    Raises:
        InvalidInputError: The texts may mean other numbers than they seem to, or contradict the
            decimal sign that was stated.
    """
    texts = pc.utf8_trim_whitespace(column.cells)
    if decimal is None:
        _refuse_other_notations(column, texts, warn)
        return column.cells
    return _rewrite(column, texts, decimal)


def is_widespread(count: int, total: int) -> bool:
    """Return whether so many cells of a column are unusual that the whole column is."""
    if count >= WIDESPREAD_COUNT:
        return count > WIDESPREAD_SHARE * total
    return 2 * count > total


def format_examples(values: Sequence[str]) -> str:
    """Return some distinct values for a message."""
    return ", ".join(repr(shorten(value)) for value in list(dict.fromkeys(values))[:EXAMPLES])


def match_pattern(texts: pa.ChunkedArray, pattern: str) -> Mask:
    """Return which of the texts match; a null does not."""
    mask: Mask = pc.fill_null(pc.match_substring_regex(texts, pattern), False).to_numpy()
    return mask


def _refuse_other_notations(
    column: NumberColumn, texts: pa.ChunkedArray, warn: Callable[[str], None] | None
) -> None:
    filled = pc.fill_null(pc.not_equal(texts, ""), False).to_numpy()
    plain = match_pattern(texts, PLAIN)
    try:
        _refuse_amounts(column, texts, filled & ~plain, int(filled.sum()))
    except InvalidInputError as error:
        if warn is None:
            raise
        warn(f"warning: {error.message}; {error.hint}")
    three, scientific = (
        plain & match_pattern(texts, pattern) for pattern in (THREE_DECIMALS, "[eE]")
    )
    if three.any() or scientific.any():
        is_text = ~column.is_number()
        _refuse_three(column, texts, three & is_text, plain & is_text)
        # Excel writes whole columns in powers of ten; a single such text beside number cells is
        # left as it is.
        _refuse_scientific(column, texts, scientific & is_text, plain)


def _refuse_amounts(column: NumberColumn, texts: pa.ChunkedArray, odd: Mask, total: int) -> None:
    """Raise InvalidInputError if the column's amounts are not written plainly."""
    if not is_widespread(int(odd.sum()), total):
        return
    amounts = [
        (row, text)
        for row, text in zip(column.rows[odd].tolist(), _filter_texts(texts, odd), strict=True)
        if AMOUNT.match(text)
    ]
    if not is_widespread(len(amounts), total):
        return
    values = [text for _, text in amounts]
    raise column.notation_error(
        f"{len(amounts):,} of {total:,} values of {column.name} are not written as plain numbers: "
        f"{format_examples(values)} {_describe_look(values)}",
        (row for row, _ in amounts),
        _format_hint(values),
    )


def _describe_look(values: Sequence[str]) -> str:
    if any("%" in value for value in values):
        return "look like percentages"
    decimal = _find_decimal_sign(values)
    if decimal:
        return f"look like amounts with a decimal {NAMES[decimal]}, in text cells"
    return "look like amounts, in text cells"


def _format_hint(values: Sequence[str]) -> str:
    in_excel = "save the column in Excel as numbers, without signs"
    signs = [sign for sign in DECIMAL_SIGNS if any(map(_build_grammar(sign).fullmatch, values))]
    decimal = _find_decimal_sign(values)
    if decimal in signs:
        return f"if they are, repeat the command with `--decimal {decimal}`; else {in_excel}"
    if decimal is None and len(signs) > 1:
        return (
            "repeat the command with `--decimal ,` if a comma separates decimals, with "
            f"`--decimal .` if a point does; else {in_excel}"
        )
    return f"the contract has plain amounts here: {in_excel}"


def _find_decimal_sign(values: Sequence[str]) -> str | None:
    """Return the decimal sign of the values; None if they disagree or none of them shows it."""
    decimal_signs = {_decimal_sign(value) for value in values} - {None}
    return decimal_signs.pop() if len(decimal_signs) == 1 else None


def _decimal_sign(value: str) -> str | None:
    signs = re.findall(r"[.,](?=\d)", value)
    if not signs:
        return None
    last, others = signs[-1], set(signs)
    if len(others) == 2:
        return str(last)
    if len(signs) > 1:
        # A repeated sign separates thousands.
        return "," if last == "." else "."
    return None if re.search(r"[.,]\d{3}(?!\d)", value) else str(last)


def _refuse_three(column: NumberColumn, texts: pa.ChunkedArray, three: Mask, plain: Mask) -> None:
    """Raise InvalidInputError if points may separate thousands: '74.150' of pesos is 74,150.

    They may if all values with a point have three digits behind it, or if some have among others
    with fewer. They may not if others have more, or if 1234.560 shows that thousands have no point.
    """
    count = int(three.sum())
    pointed = int((plain & match_pattern(texts, "[.]")).sum())
    others = "" if count >= ALL_THREE * pointed else ", the others have fewer"
    is_finer = (plain & match_pattern(texts, "[.][0-9]{4}|[0-9]{4}[.][0-9]{3}|[eE]")).any()
    if not count or (others and (is_finer or count > MOST_OF_FEW * pointed)):
        return
    value = _filter_texts(texts, three)[0]
    raise column.notation_error(
        f"{count:,} of {pointed:,} values of {column.name} with a point have exactly three digits "
        f"behind it{others}: '{value}' may be {value.rstrip('0').rstrip('.')} or "
        f"{value.replace('.', ',')}",
        column.rows[three].tolist(),
        "say which: `--decimal .` if the point separates decimals, `--decimal ,` if it separates "
        "thousands",
    )


def _refuse_scientific(
    column: NumberColumn, texts: pa.ChunkedArray, scientific: Mask, plain: Mask
) -> None:
    """Raise InvalidInputError for a text column in powers of ten: Excel drops digits that way."""
    count, total = int(scientific.sum()), int(plain.sum())
    if is_widespread(count, total):
        raise column.notation_error(
            f"{count:,} of {total:,} values of {column.name} are powers of ten, such as "
            f"{format_examples(_filter_texts(texts, scientific))}: digits may have been lost when "
            "the file was saved",
            column.rows[scientific].tolist(),
            "format the column as Number in Excel and save the file again; if nothing was lost, "
            "repeat the command with `--decimal .`",
        )


def _rewrite(column: NumberColumn, texts: pa.ChunkedArray, decimal: str) -> pa.ChunkedArray:
    """Return the cells, with each text that the decimal sign's grammar accepts rewritten."""
    other = ~match_pattern(texts, PLAIN if decimal == "." else WHOLE)
    other &= pc.fill_null(pc.not_equal(texts, ""), False).to_numpy()
    if decimal == "," and other.any():
        other &= ~column.is_number()
    if not other.any():
        return column.cells
    grammar = _build_grammar(decimal)
    values = _filter_texts(texts, other)
    read = [grammar.fullmatch(value) for value in values]
    _refuse_contradictions(column, decimal, other, values, read)
    unread = other.copy()
    unread[other] = [match is None for match in read]
    _refuse_amounts(column, texts, unread, len(texts) - texts.null_count)
    plain = [
        value if match is None else _to_plain(match, decimal)
        for value, match in zip(values, read, strict=True)
    ]
    rewritten = pc.replace_with_mask(
        column.cells.combine_chunks(), pa.array(other), pa.array(plain, pa.string())
    )
    return pa.chunked_array([rewritten])


def _build_grammar(decimal: str) -> re.Pattern[str]:
    thousands = "[.]" if decimal == "," else ","
    separators = (thousands, BLANK, "['’]")
    grouped = "|".join(f"[1-9][0-9]{{0,2}}(?:{separator}[0-9]{{3}})+" for separator in separators)
    return re.compile(
        rf"(?P<sign>[+-]?)(?P<before>{CURRENCY})?{BLANK}*(?P<whole>{grouped}|[0-9]+)"
        rf"(?:[{decimal}](?P<part>[0-9]+))?{BLANK}*(?P<after>{CURRENCY})?"
    )


def _to_plain(read: re.Match[str], decimal: str) -> str:
    whole = re.sub("[^0-9]", "", read["whole"])
    return read["sign"] + whole + (f".{read['part']}" if read["part"] else "")


def _refuse_contradictions(
    column: NumberColumn,
    decimal: str,
    other: Mask,
    values: Sequence[str],
    read: Sequence[re.Match[str] | None],
) -> None:
    rows = column.rows[other].tolist()
    # Silver would read these as numbers with a decimal point.
    against = [
        (row, value)
        for row, value, match in zip(rows, values, read, strict=True)
        if match is None and re.match(PLAIN, value) and "." in value
    ]
    if against:
        raise column.notation_error(
            f"{len(against):,} values of {column.name} contradict `--decimal {decimal}`: "
            f"{format_examples([value for _, value in against])}",
            (row for row, _ in against),
            "correct these cells, or state the decimal sign that the file has",
        )
    currencies = {match[name] for match in read if match for name in ("before", "after")} - {None}
    if len(currencies) > 1:
        raise column.notation_error(
            f"the values of {column.name} are in several currencies: "
            f"{', '.join(sorted(map(str, currencies)))}",
            rows,
            "give all amounts in one currency",
        )


def _filter_texts(texts: pa.ChunkedArray, mask: Mask) -> list[str]:
    selected: list[str] = texts.filter(pa.array(mask)).to_pylist()
    return selected
