"""Profile the columns of a table: type, distinct values, range, blanks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seeds_loader.reader.notation import PLAIN

Kind = Literal["constant", "integer", "number", "flag", "category", "text"]
# A category with more values says little about each of them.
MAX_CATEGORIES = 60
# A number with few values is a code if its header says so.
MAX_CODES = 12
# Numbers that name something, however many they are.
NAMING = re.compile(r"zip|postal|\bcode\b|_code$", re.IGNORECASE)
KEY_SHARE = 0.98
CODE = re.compile(r"code|area|zip|region|segment|class|type\b|group", re.IGNORECASE)
WHOLE = r"^[+-]?[0-9]+([.]0*)?$"
MAX_INTEGER = 2**31 - 1
# Names that tables of this project have already, and words that SQL reserves.
RESERVED = frozenset(
    (
        *("customer_id", "churned", "extract_date", "event_timestamp", "created_timestamp"),
        *("loaded_at", "built_at", "batch_id", "cells", "errors", "reasons", "is_valid", "fold"),
        *("block", "inputs", "label", "kind", "part", "probability", "decile", "is_holdout"),
        *("is_latest", "share", "slices", "revenue", "row_count", "select", "from", "where"),
        *("group", "order", "by", "join", "union", "table", "case", "when", "then", "else"),
        *("end", "and", "or", "not", "null", "true", "false", "distinct", "on", "as", "in"),
        *("is", "with", "all", "any", "user", "both", "leading", "trailing"),
    )
)


@dataclass(frozen=True)
class Profile:
    """A column of the workbook.

    Attributes:
        header: Its header.
        name: Its name from silver on.
        kind: What its values are; a constant has one value.
        rows: Number of rows.
        blank: Number of blank cells.
        distinct: Number of distinct values, blanks aside.
        values: The distinct values with their counts, most frequent first, if there are few.
        numbers: The values as numbers, NaN where blank; None if it is not numeric.
        codes: For each row the index of its value in `values`, -1 where blank or not listed.
        examples: Some values.
        choices: The values that Excel offers in its cells.
    """

    header: str
    name: str
    kind: Kind
    rows: int
    blank: int
    distinct: int
    values: tuple[tuple[str, int], ...]
    numbers: npt.NDArray[np.float64] | None
    codes: npt.NDArray[np.int64] | None
    examples: tuple[str, ...]
    choices: tuple[str, ...] = ()

    @property
    def is_numeric(self) -> bool:
        """Return whether the column is used as a number."""
        return self.kind in ("integer", "number")

    @property
    def is_key(self) -> bool:
        """Return whether each row has a value of its own; a few copies of rows may be there."""
        return not self.blank and self.distinct >= KEY_SHARE * self.rows

    def describe(self) -> str:
        """Return the evidence in a few words."""
        shown = ", ".join(self.examples[:3])
        blanks = f", {self.blank:,} blank" if self.blank else ""
        if self.is_numeric and self.numbers is not None:
            low, high = np.nanmin(self.numbers), np.nanmax(self.numbers)
            return f"{low:g} to {high:g}, {self.distinct:,} distinct{blanks}"
        return f"{self.distinct:,} distinct{blanks}; for example {shown}"


def profile_table(
    table: pa.Table, choices: Mapping[str, Sequence[str]] | None = None
) -> list[Profile]:
    """Profile each column; names are made unique in snake case.

    Args:
        table: The cells as text, by header.
        choices: The values that Excel offers in the cells of a column, by header.
    """
    taken: set[str] = set()
    profiles = []
    for header in table.column_names:
        name = _unique_name(header, taken)
        profile = _profile_column(header, name, table[header])
        profiles.append(replace(profile, choices=tuple((choices or {}).get(header, ()))))
    return profiles


def snake_case(text: str) -> str:
    """Return a header as a column's name: DayMins is day_mins, Int'l Plan is int_l_plan."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text)
    words = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", words)
    return re.sub("[^a-z0-9]+", "_", words.lower()).strip("_") or "column"


def _unique_name(header: str, taken: set[str]) -> str:
    name = snake_case(header)
    name = f"c_{name}" if name[0].isdigit() else name
    name = f"{name}_value" if name in RESERVED else name
    wanted, number = name, 2
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    taken.add(name)
    return name


def _profile_column(header: str, name: str, column: pa.ChunkedArray) -> Profile:
    texts = pc.utf8_trim_whitespace(column)
    texts = pc.if_else(pc.equal(texts, ""), None, texts).combine_chunks()
    filled = texts.drop_null()
    counted = pc.value_counts(filled)
    order = pc.sort_indices(counted.field("counts"), sort_keys=[("", "descending")])
    distinct = len(counted)
    values: tuple[tuple[str, int], ...] = ()
    codes = None
    if distinct <= MAX_CATEGORIES:
        ranked = counted.take(order)
        values = tuple(
            zip(ranked.field("values").to_pylist(), ranked.field("counts").to_pylist(), strict=True)
        )
        found = pc.index_in(texts, value_set=pa.array([value for value, _ in values], pa.string()))
        codes = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    numbers = _read_numbers(texts, filled)
    return Profile(
        header=header,
        name=name,
        kind=_find_kind(header, filled, distinct, numbers),
        rows=len(texts),
        blank=texts.null_count,
        distinct=distinct,
        values=values,
        numbers=numbers,
        codes=codes,
        examples=tuple(filled.slice(0, 200).unique().to_pylist()[:5]),
    )


def _read_numbers(texts: pa.Array, filled: pa.Array) -> npt.NDArray[np.float64] | None:
    if not len(filled) or not pc.all(pc.match_substring_regex(filled, PLAIN)).as_py():
        return None
    numbers: npt.NDArray[np.float64] = pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False)
    return numbers


def _find_kind(
    header: str, filled: pa.Array, distinct: int, numbers: npt.NDArray[np.float64] | None
) -> Kind:
    if distinct <= 1:
        return "constant"
    if distinct == 2:
        return "flag"
    if numbers is None or (distinct <= MAX_CODES and CODE.search(header)):
        few = distinct <= MAX_CATEGORIES and distinct * 3 <= len(filled)
        return "category" if few else "text"
    if NAMING.search(header):
        return "text"
    is_whole = pc.all(pc.match_substring_regex(filled, WHOLE)).as_py()
    return "integer" if is_whole and np.nanmax(np.abs(numbers)) <= MAX_INTEGER else "number"
