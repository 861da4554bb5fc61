"""Customer ids as text cells write them: one spelling for each, and none that Excel has spoiled."""

import re
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import InvalidInputError
from seeds_loader.contract import Column
from seeds_loader.reader.notation import examples, is_widespread, matches

# The contract's code of ids such as 2.34803E+15, of which the row rules reject a single one.
NUMBER_CODE = "turned_into_number"
# Excel keeps so many digits of a number.
DIGITS_KEPT = 15
LONG_NUMBER = rf"^[0-9]{{{DIGITS_KEPT + 1},30}}$"
# That text ids all look like cut numbers by chance is less likely than this.
CHANCE = 1e-6
REMEDY = (
    "get the ids from where they come from; in Excel format the column as Text before the ids are "
    "put in (Data, From Text/CSV)"
)


def read_ids(column: Column, cells: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Return the ids in Unicode's composed form (NFC), in which equal ids are equal texts.

    Raises:
        InvalidInputError: Excel has turned the ids into numbers, which loses their digits.
    """
    texts = pc.utf8_trim_whitespace(cells)
    total = len(texts) - texts.null_count
    scientific = matches(texts, column.refused.get(NUMBER_CODE, "$^"))
    for lost in (scientific, _cut_numbers(texts)):
        count = int(lost.sum())
        if is_widespread(count, total):
            values = texts.filter(pa.array(lost)).to_pylist()
            raise InvalidInputError(
                f"{count:,} of {total:,} customer ids look as if Excel had turned them into "
                f"numbers: {examples(values)}; their digits are lost",
                where=f"{where}, column {column.name}",
                remedy=REMEDY,
            )
    if pc.all(pc.string_is_ascii(cells)).as_py() is not False:
        return cells
    # pyarrow's utf8_normalize leaves 'e' and its accent apart.
    composed = [each and unicodedata.normalize("NFC", each) for each in cells.to_pylist()]
    return pa.chunked_array([pa.array(composed, pa.string())])


def _cut_numbers(texts: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Which ids are numbers of more digits than Excel keeps, where all of them show it."""
    long = matches(texts, LONG_NUMBER)
    ids = texts.filter(pa.array(long)).to_pylist()
    chance = 1.0
    for each in ids:
        if not _is_cut(each):
            return np.zeros(len(texts), dtype=bool)
        chance *= 10.0 ** (DIGITS_KEPT - len(each))
    return long if chance < CHANCE else np.zeros(len(texts), dtype=bool)


def _is_cut(digits: str) -> bool:
    """Whether the number has no more digits than Excel keeps; a reader may show it as binary."""
    kept = float(f"{int(digits):.{DIGITS_KEPT - 1}e}")
    return re.fullmatch(r"0*", digits[DIGITS_KEPT:]) is not None or int(kept) == int(digits)


def customer_ids(rows: pa.Table) -> set[str]:
    """The ids of a table of bronze's rows."""
    texts = pc.utf8_trim_whitespace(rows["customerID"]).to_pylist()
    return {text for text in texts if text}


def differ_by_zeros_at_most(ids: set[str]) -> bool:
    """Whether the ids are numbers, which alone lose zeros."""
    numbers = sum(each.isdecimal() for each in ids)
    return 2 * numbers > len(ids)


def lost_zeros(ids: set[str], before: set[str]) -> int:
    """How many ids were there before only with other zeros in front; 0 where they are a chance."""
    stripped = {each.lstrip("0") for each in before - ids if each.isdecimal()}
    count = sum(each.isdecimal() and each.lstrip("0") in stripped for each in ids - before)
    return count if is_widespread(count, len(ids)) else 0
