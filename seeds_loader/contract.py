"""Read the source contract: the columns a workbook must have and their permitted values.

The contract is declared only among the variables of the dbt project; this module reads it.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lakehouse.errors import ChurnError
from lakehouse.variables import DECLARED, read_variables
from seeds_loader.source_format import DECIMAL_SIGNS, SourceFormat


@dataclass(frozen=True)
class Column:
    """A column of the contract.

    `name` is its name in bronze, `silver` its name from silver on.
    """

    name: str
    type: str
    silver: str
    aliases: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    zero_if_blank_when_zero: str | None = None
    is_label: bool = False
    longest: int | None = None
    refused: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Contract:
    """The columns that a workbook must have, in bronze's order."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the bronze names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    def without_label(self) -> "Contract":
        """Return the contract for a workbook to be scored, which need not have the label column."""
        return Contract(tuple(column for column in self.columns if not column.is_label))

    def match(self, header: str) -> Column | None:
        """Return the column that a header names, or None if the contract has no such header."""
        return self._columns_by_header.get(normalise(header))

    @property
    def label(self) -> str | None:
        """Return the name of the column to be predicted, or None."""
        return next((column.name for column in self.columns if column.is_label), None)

    @cached_property
    def _columns_by_header(self) -> Mapping[str, Column]:
        return {
            normalise(header): column
            for column in self.columns
            for header in (column.name, *column.aliases)
        }


def read_contract(path: Path | None = None) -> Contract:
    """Return the contract from `vars.source_contract` of a dbt project file.

    Args:
        path: The dbt project file; by default that of this checkout.

    Raises:
        ChurnError: The file is missing, is not YAML, or contradicts itself. This is an error in the
            project, not in a workbook.
    """
    location = path or DECLARED
    try:
        declared = read_variables(location)["source_contract"]
        columns = tuple(_column(name, entry) for name, entry in declared.items())
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _contract_error(f"the source contract can't be read: {error!r}", location) from error
    if not columns:
        raise _contract_error("the source contract declares no column", location)
    _require_unambiguous(columns, location)
    return Contract(columns)


def read_source_format(path: Path | None = None) -> SourceFormat:
    """Return the source format from `vars.source_format` of a dbt project file.

    Args:
        path: The dbt project file; by default that of this checkout.

    Raises:
        ChurnError: The format is missing or invalid.
    """
    location = path or DECLARED
    try:
        declared = SourceFormat(**read_variables(location)["source_format"])
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        raise _contract_error(f"the source format can't be read: {error!r}", location) from error
    if declared.decimal not in (None, *DECIMAL_SIGNS):
        raise _contract_error(
            f"the decimal sign {declared.decimal!r} is neither '.' nor ','", location
        )
    return declared


def normalise(header: str) -> str:
    """Return a header in the form in which headers are compared.

    Case is folded; white space, dots, underscores and invisible characters are removed. Unicode
    category Cf contains the zero-width characters and the byte order mark, which `isspace` does not
    cover; a no-break space counts as white space.
    """
    return "".join(
        character
        for character in header
        if not (character.isspace() or character in "._" or unicodedata.category(character) == "Cf")
    ).casefold()


def _column(name: str, entry: Mapping[str, Any]) -> Column:
    bounds = entry.get("range")
    return Column(
        name=name,
        type=entry["type"],
        silver=entry["name"],
        aliases=_to_texts(entry.get("aliases")),
        categories=_to_texts(entry.get("categories")),
        true_values=_to_texts(entry.get("true_values")),
        false_values=_to_texts(entry.get("false_values")),
        range=(float(bounds[0]), float(bounds[1])) if bounds else None,
        zero_if_blank_when_zero=entry.get("zero_if_blank_when_zero"),
        is_label=bool(entry.get("is_label")),
        longest=entry.get("longest"),
        refused=entry.get("refused") or {},
    )


def _to_texts(values: Sequence[object] | None) -> tuple[str, ...]:
    return tuple(str(value) for value in values or ())


def _require_unambiguous(columns: Sequence[Column], place: Path) -> None:
    owner: dict[str, str] = {}
    for column in columns:
        for header in (column.name, *column.aliases):
            other = owner.setdefault(normalise(header), column.name)
            if other != column.name:
                raise _contract_error(
                    f"the header {header!r} stands for both {other} and {column.name}", place
                )


def _contract_error(what: str, place: Path) -> ChurnError:
    return ChurnError(
        what,
        where=str(place),
        hint="restore or correct vars.source_contract and vars.source_format",
    )
