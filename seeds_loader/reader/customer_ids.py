"""Validate customer ids in text cells: one spelling for each, and none damaged by Excel."""

import re
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import InvalidInputError
from seeds_loader.contract import Column
from seeds_loader.reader.notation import format_examples, is_widespread, match_pattern

# The contract's code of ids such as 2.34803E+15; the row rules reject single ones.
NUMBER_CODE = "turned_into_number"
# Excel stores this many digits of a number.
EXCEL_DIGITS = 15
LONG_NUMBER = rf"^[0-9]{{{EXCEL_DIGITS + 1},30}}$"
# The probability that text ids all look like truncated numbers by chance must be below this.
MAX_CHANCE = 1e-6
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
    scientific = match_pattern(texts, column.refused.get(NUMBER_CODE, "$^"))
    for lost in (scientific, _find_truncated_numbers(texts)):
        count = int(lost.sum())
        if is_widespread(count, total):
            values = texts.filter(pa.array(lost)).to_pylist()
            raise InvalidInputError(
                f"{count:,} of {total:,} customer ids look as if Excel had turned them into "
                f"numbers: {format_examples(values)}; their digits are lost",
                where=f"{where}, column {column.name}",
                hint=REMEDY,
            )
    if pc.all(pc.string_is_ascii(cells)).as_py() is not False:
        return cells
    # pyarrow's utf8_normalize does not combine 'e' and its accent.
    composed = [text and unicodedata.normalize("NFC", text) for text in cells.to_pylist()]
    return pa.chunked_array([pa.array(composed, pa.string())])


def _find_truncated_numbers(texts: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Return which ids have more digits than Excel stores, if all of these are truncated."""
    long = match_pattern(texts, LONG_NUMBER)
    ids = texts.filter(pa.array(long)).to_pylist()
    chance = 1.0
    for customer_id in ids:
        if not _is_truncated(customer_id):
            return np.zeros(len(texts), dtype=bool)
        chance *= 10.0 ** (EXCEL_DIGITS - len(customer_id))
    return long if chance < MAX_CHANCE else np.zeros(len(texts), dtype=bool)


def _is_truncated(digits: str) -> bool:
    """Return whether the number has no more digits than Excel stores.

    A program may have written the exact binary value instead.
    """
    stored = float(f"{int(digits):.{EXCEL_DIGITS - 1}e}")
    return re.fullmatch(r"0*", digits[EXCEL_DIGITS:]) is not None or int(stored) == int(digits)


def distinct_ids(ids: pa.ChunkedArray) -> set[str]:
    """Return the distinct ids of a column of bronze's rows."""
    texts = pc.utf8_trim_whitespace(ids).to_pylist()
    return {text for text in texts if text}


def are_mostly_numbers(ids: set[str]) -> bool:
    """Return whether most of the ids are numbers; only numbers lose leading zeros."""
    numbers = sum(customer_id.isdecimal() for customer_id in ids)
    return 2 * numbers > len(ids)


def count_lost_zeros(ids: set[str], previous: set[str]) -> int:
    """Return how many ids match a previous id but for leading zeros; 0 if it may be chance."""
    stripped = {
        customer_id.lstrip("0") for customer_id in previous - ids if customer_id.isdecimal()
    }
    count = sum(
        customer_id.isdecimal() and customer_id.lstrip("0") in stripped
        for customer_id in ids - previous
    )
    return count if is_widespread(count, len(ids)) else 0
