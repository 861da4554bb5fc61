"""How text cells write numbers: read as stated, refused where they may say another number.

Bronze has one notation, that of number cells: 1234.5. A text cell may write the same as '1.234,50',
and '74.150' may be 74.15 or 74,150. With a stated decimal sign such texts are rewritten by a strict
grammar. Without one nothing is rewritten: a whole column of them refuses the workbook, a few are
rejects. Number cells are never ambiguous (docs/decisions/0024-notation.md).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import InvalidInputError
from seeds_loader.reader.header import shortened
from seeds_loader.source_format import DECIMAL_SIGNS

Mask = npt.NDArray[np.bool_]

# What silver takes for a number: the same as in macros/contract.sql.
PLAIN = r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$"
WHOLE = r"^[+-]?[0-9]+$"
# 74.150: three decimals, or thousands.
THREE_DECIMALS = r"^[+-]?[1-9][0-9]{0,2}[.][0-9]{3}$"
# The share of three decimals among values with a point above which thousands may be meant. Where
# only the zeros at the end were dropped, it is 90 %.
ALL_THREE = 0.98
# Up to this share they are odd ones among values that are rounded to cents.
MOST_OF_FEW = 0.5
# A column is written so, not a few cells of it. The gate refuses at half of that share.
WIDESPREAD_SHARE, WIDESPREAD_COUNT = 0.1, 20
EXAMPLES = 3

# Anything like an amount: digits of any script, separators, and a sign or unit around them.
AMOUNT = re.compile(
    r"^[^\w\d]{0,2}[^\W\d]{0,3}[^\w\d]{0,3}\d[\d.,'’\s\u066b\u066c]*([eE][+-]?\d+)?\D{0,5}$"
)
# No other word: '5 k€' and '5 Mio' are other amounts than 5.
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

    name      the contract's name of it
    cells     its texts; a blank cell is null
    rows      the row number of each cell
    is_number which cells are numbers and no text; asked only where that matters, since the sheet
              is read once more for it
    where     the file, and its sheet
    """

    name: str
    cells: pa.ChunkedArray
    rows: npt.NDArray[np.int32]
    is_number: Callable[[], Mask]
    where: str

    def refusal(self, what: str, rows: Iterable[int], remedy: str) -> InvalidInputError:
        first = next(iter(rows))
        place = f"{self.where}, column {self.name}, row {first}"
        return InvalidInputError(what, where=place, remedy=remedy)


def read_numbers(
    column: NumberColumn, decimal: str | None, warn: Callable[[str], None] | None = None
) -> pa.ChunkedArray:
    """Return the cells in bronze's notation.

    With `warn` a column of amounts that are not plain numbers is warned of and stays as it is: no
    text of it is read as a number, so that the gate refuses the load.

    Raises:
        InvalidInputError: the texts may say other numbers than they seem to, or contradict the
            decimal sign that was stated.
    """
    texts = pc.utf8_trim_whitespace(column.cells)
    if decimal is None:
        _refuse_other_notations(column, texts, warn)
        return column.cells
    return _rewritten(column, texts, decimal)


def is_widespread(count: int, total: int) -> bool:
    """Whether so many of a column's cells are odd that it is the column which is."""
    if count >= WIDESPREAD_COUNT:
        return count > WIDESPREAD_SHARE * total
    return 2 * count > total


def examples(values: Sequence[str]) -> str:
    """Some different values for a message."""
    return ", ".join(repr(shortened(value)) for value in list(dict.fromkeys(values))[:EXAMPLES])


def matches(texts: pa.ChunkedArray, pattern: str) -> Mask:
    """Which of the texts match; a null does not."""
    found: Mask = pc.fill_null(pc.match_substring_regex(texts, pattern), False).to_numpy()
    return found


def _refuse_other_notations(
    column: NumberColumn, texts: pa.ChunkedArray, warn: Callable[[str], None] | None
) -> None:
    filled = pc.fill_null(pc.not_equal(texts, ""), False).to_numpy()
    plain = matches(texts, PLAIN)
    try:
        _refuse_amounts(column, texts, filled & ~plain, int(filled.sum()))
    except InvalidInputError as error:
        if warn is None:
            raise
        warn(f"warning: {error.what}; {error.remedy}")
    three, scientific = (plain & matches(texts, pattern) for pattern in (THREE_DECIMALS, "[eE]"))
    if three.any() or scientific.any():
        is_text = ~column.is_number()
        _refuse_three(column, texts, three & is_text, plain & is_text)
        # Excel writes whole columns so: one such text beside number cells is a cell, as it stands.
        _refuse_scientific(column, texts, scientific & is_text, plain)


def _refuse_amounts(column: NumberColumn, texts: pa.ChunkedArray, odd: Mask, total: int) -> None:
    """Raise InvalidInputError if the column's amounts are not written plainly."""
    if not is_widespread(int(odd.sum()), total):
        return
    found = [
        (row, text)
        for row, text in zip(column.rows[odd].tolist(), _picked(texts, odd), strict=True)
        if AMOUNT.match(text)
    ]
    if not is_widespread(len(found), total):
        return
    values = [text for _, text in found]
    raise column.refusal(
        f"{len(found):,} of {total:,} values of {column.name} are not written as plain numbers: "
        f"{examples(values)} {_looks(values)}",
        (row for row, _ in found),
        _advice(values),
    )


def _looks(values: Sequence[str]) -> str:
    if any("%" in value for value in values):
        return "look like percentages"
    decimal = _decimal_of(values)
    if decimal:
        return f"look like amounts with a decimal {NAMES[decimal]}, in text cells"
    return "look like amounts, in text cells"


def _advice(values: Sequence[str]) -> str:
    in_excel = "save the column in Excel as numbers, without signs"
    signs = [sign for sign in DECIMAL_SIGNS if any(map(_grammar(sign).fullmatch, values))]
    decimal = _decimal_of(values)
    if decimal in signs:
        return f"if they are, repeat the command with `--decimal {decimal}`; else {in_excel}"
    if decimal is None and len(signs) > 1:
        return (
            "repeat the command with `--decimal ,` if a comma separates decimals, with "
            f"`--decimal .` if a point does; else {in_excel}"
        )
    return f"the contract has plain amounts here: {in_excel}"


def _decimal_of(values: Sequence[str]) -> str | None:
    """The decimal sign that the values have; None where they don't agree or none tells."""
    found = {_decimal_sign(value) for value in values} - {None}
    return found.pop() if len(found) == 1 else None


def _decimal_sign(value: str) -> str | None:
    signs = re.findall(r"[.,](?=\d)", value)
    if not signs:
        return None
    last, others = signs[-1], set(signs)
    if len(others) == 2:
        return str(last)
    if len(signs) > 1:
        # thousands
        return "," if last == "." else "."
    return None if re.search(r"[.,]\d{3}(?!\d)", value) else str(last)


def _refuse_three(column: NumberColumn, texts: pa.ChunkedArray, three: Mask, plain: Mask) -> None:
    """Raise InvalidInputError where points may separate thousands: '74.150' of pesos is 74,150.

    They may where all values with a point have three digits behind it, and where some have among
    others with fewer; not where others have more, or 1234.560 shows that thousands have no point.
    """
    count = int(three.sum())
    pointed = int((plain & matches(texts, "[.]")).sum())
    others = "" if count >= ALL_THREE * pointed else ", the others have fewer"
    is_finer = (plain & matches(texts, "[.][0-9]{4}|[0-9]{4}[.][0-9]{3}|[eE]")).any()
    if not count or (others and (is_finer or count > MOST_OF_FEW * pointed)):
        return
    value = _picked(texts, three)[0]
    raise column.refusal(
        f"{count:,} of {pointed:,} values of {column.name} with a point have exactly three digits "
        f"behind it{others}: '{value}' may be {value.rstrip('0').rstrip('.')} or "
        f"{value.replace('.', ',')}",
        column.rows[three].tolist(),
        "say which: `--decimal .` if the point separates decimals, `--decimal ,` if it separates "
        "thousands",
    )


def _refuse_scientific(
    column: NumberColumn, texts: pa.ChunkedArray, found: Mask, plain: Mask
) -> None:
    """Raise InvalidInputError for a text column in powers of ten: Excel cuts digits off so."""
    count, total = int(found.sum()), int(plain.sum())
    if is_widespread(count, total):
        raise column.refusal(
            f"{count:,} of {total:,} values of {column.name} are powers of ten, such as "
            f"{examples(_picked(texts, found))}: digits may have been lost when the file was saved",
            column.rows[found].tolist(),
            "format the column as Number in Excel and save the file again; if nothing was lost, "
            "repeat the command with `--decimal .`",
        )


def _rewritten(column: NumberColumn, texts: pa.ChunkedArray, decimal: str) -> pa.ChunkedArray:
    """The cells with every text that the grammar of the decimal sign reads, in plain notation."""
    other = ~matches(texts, PLAIN if decimal == "." else WHOLE)
    other &= pc.fill_null(pc.not_equal(texts, ""), False).to_numpy()
    if decimal == "," and other.any():
        other &= ~column.is_number()
    if not other.any():
        return column.cells
    grammar = _grammar(decimal)
    values = _picked(texts, other)
    read = [grammar.fullmatch(value) for value in values]
    _refuse_contradictions(column, decimal, other, values, read)
    unread = other.copy()
    unread[other] = [each is None for each in read]
    _refuse_amounts(column, texts, unread, len(texts) - texts.null_count)
    plain = [
        value if each is None else _plain(each, decimal)
        for value, each in zip(values, read, strict=True)
    ]
    done = pc.replace_with_mask(
        column.cells.combine_chunks(), pa.array(other), pa.array(plain, pa.string())
    )
    return pa.chunked_array([done])


def _grammar(decimal: str) -> re.Pattern[str]:
    thousands = "[.]" if decimal == "," else ","
    separators = (thousands, BLANK, "['’]")
    grouped = "|".join(f"[1-9][0-9]{{0,2}}(?:{each}[0-9]{{3}})+" for each in separators)
    return re.compile(
        rf"(?P<sign>[+-]?)(?P<before>{CURRENCY})?{BLANK}*(?P<whole>{grouped}|[0-9]+)"
        rf"(?:[{decimal}](?P<part>[0-9]+))?{BLANK}*(?P<after>{CURRENCY})?"
    )


def _plain(read: re.Match[str], decimal: str) -> str:
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
    # silver would take these for numbers with a decimal point
    against = [
        (row, value)
        for row, value, each in zip(rows, values, read, strict=True)
        if each is None and re.match(PLAIN, value) and "." in value
    ]
    if against:
        raise column.refusal(
            f"{len(against):,} values of {column.name} contradict `--decimal {decimal}`: "
            f"{examples([value for _, value in against])}",
            (row for row, _ in against),
            "correct these cells, or state the decimal sign that the file has",
        )
    currencies = {each[name] for each in read if each for name in ("before", "after")} - {None}
    if len(currencies) > 1:
        raise column.refusal(
            f"the values of {column.name} are in several currencies: "
            f"{', '.join(sorted(map(str, currencies)))}",
            rows,
            "give all amounts in one currency",
        )


def _picked(texts: pa.ChunkedArray, mask: Mask) -> list[str]:
    picked: list[str] = texts.filter(pa.array(mask)).to_pylist()
    return picked
