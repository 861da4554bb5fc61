"""Validate customer ids in text cells: one spelling for each, and none damaged by Excel."""

import re
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import InvalidInputError
from seeds_loader.contract import Column
from seeds_loader.reader.notation import examples, is_widespread, matches

# The contract's code of ids such as 2.34803E+15; the row rules reject single ones.
NUMBER_CODE = "turned_into_number"
# Excel stores this many digits of a number.
DIGITS_KEPT = 15
LONG_NUMBER = rf"^[0-9]{{{DIGITS_KEPT + 1},30}}$"
# The probability that text ids all look like truncated numbers by chance must be below this.
CHANCE = 1e-6
REMEDY = (
    "get the ids from where they come from; in Excel format the column as Text before the ids are "
    "put in (Data, From Text/CSV)"
)


def read_ids(column: Column, cells: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Return the ids in Unicode's composed form (NFC), in which equal ids are equal texts.

    Raises:
        InvalidInputError: Excel has converted the ids to numbers, which loses their digits.
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
    # pyarrow's utf8_normalize does not combine 'e' and its accent.
    composed = [each and unicodedata.normalize("NFC", each) for each in cells.to_pylist()]
    return pa.chunked_array([pa.array(composed, pa.string())])


def _cut_numbers(texts: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Return which ids have more digits than Excel stores, if all of these are truncated."""
    long = matches(texts, LONG_NUMBER)
    ids = texts.filter(pa.array(long)).to_pylist()
    chance = 1.0
    for each in ids:
        if not _is_cut(each):
            return np.zeros(len(texts), dtype=bool)
        chance *= 10.0 ** (DIGITS_KEPT - len(each))
    return long if chance < CHANCE else np.zeros(len(texts), dtype=bool)


def _is_cut(digits: str) -> bool:
    """Return whether the number has no more digits than Excel stores.

    A program may have written the exact binary value instead.
    """
    kept = float(f"{int(digits):.{DIGITS_KEPT - 1}e}")
    return re.fullmatch(r"0*", digits[DIGITS_KEPT:]) is not None or int(kept) == int(digits)


def customer_ids(rows: pa.Table) -> set[str]:
    """Return the distinct ids of a table of bronze's rows."""
    texts = pc.utf8_trim_whitespace(rows["customerID"]).to_pylist()
    return {text for text in texts if text}


def differ_by_zeros_at_most(ids: set[str]) -> bool:
    """Return whether most of the ids are numbers; only numbers lose leading zeros."""
    numbers = sum(each.isdecimal() for each in ids)
    return 2 * numbers > len(ids)


def lost_zeros(ids: set[str], before: set[str]) -> int:
    """Return how many ids match a previous id but for leading zeros; 0 if it may be chance."""
    stripped = {each.lstrip("0") for each in before - ids if each.isdecimal()}
    count = sum(each.isdecimal() and each.lstrip("0") in stripped for each in ids - before)
    return count if is_widespread(count, len(ids)) else 0
