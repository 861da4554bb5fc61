"""The customers whom a request for erasure or for information is about."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.erased_customers import normalise_id
from lakehouse.errors import InvalidInputError
from seeds_loader.contract import read_contract

# Replaces an id in a text that is kept.
HIDDEN = "erased"


@dataclass(frozen=True)
class Subjects:
    """Customers, by their ids as silver has them."""

    ids: frozenset[str]

    @cached_property
    def distinct(self) -> "Subjects":
        """Return those with an id that is no number: any occurrence of it is the customer."""
        return Subjects(frozenset(each for each in self.ids if not each.isdigit()))

    def includes(self, text: str) -> bool:
        """Return whether a text is the id of one of the customers."""
        return text in self.ids or normalise_id(text) in self.ids

    def match(self, ids: pa.ChunkedArray) -> pa.Array:
        """Return, for each id, whether it is that of one of the customers."""
        if not pa.types.is_string(ids.type):
            ids = pc.cast(ids, pa.string())
        texts = pc.utf8_trim_whitespace(ids)
        if pc.all(pc.string_is_ascii(texts)).as_py() is False:
            known = [text for text in pc.unique(ids).to_pylist() if text and self.includes(text)]
            return _combine(pc.is_in(ids, value_set=pa.array(known, pa.string())))
        return _combine(pc.is_in(texts, value_set=pa.array(sorted(self.ids), pa.string())))

    def is_named_in(self, text: str) -> bool:
        """Return whether a text names one of the customers.

        An id of digits alone is only recognised between quotes: elsewhere it may be any number.
        """
        if not any(each in text for each in self.ids):  # most texts, and much faster
            return False
        return self._pattern.search(text) is not None

    def hide_in(self, text: str) -> str:
        """Return the text with the customers' ids replaced."""
        return self._pattern.sub(HIDDEN, text)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        distinct = [re.escape(each) for each in self.distinct.ids]
        numbers = [re.escape(each) for each in self.ids - self.distinct.ids]
        parts = [rf"(?<![\w-])(?:{'|'.join(distinct)})(?![\w-])"] if distinct else []
        # A quote inside a text of JSON, as Airflow's logs have it, is escaped.
        parts += [rf"""(?<=["'])(?:{"|".join(numbers)})(?=\\?["'])"""] if numbers else []
        return re.compile("|".join(parts) or r"(?!)")


def make_subjects(customer_ids: Iterable[str]) -> Subjects:
    """Return the customers of ids as a person writes them."""
    normalised = (normalise_id(each) for each in customer_ids)
    return Subjects(frozenset(each for each in normalised if each))


def require_subjects(customer_ids: Iterable[str]) -> Subjects:
    """Return the customers of a request.

    Raises:
        InvalidInputError: No customer is given, or the domain's customers have no ids.
    """
    contract = read_contract()
    if contract != contract.without_row_number():
        raise InvalidInputError(
            "The domain has no ids of customers, only row numbers: no customer can be recognised",
            where="contract.yml",
            hint="remove the customer's row from the workbook, and load it again",
        )
    subjects = make_subjects(customer_ids)
    if not subjects.ids:
        raise InvalidInputError("No customer is given", where="ID", hint="name at least one id")
    return subjects


def _combine(chosen: "pa.Array | pa.ChunkedArray") -> pa.Array:
    return chosen.combine_chunks() if isinstance(chosen, pa.ChunkedArray) else chosen
