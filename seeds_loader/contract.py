"""The source contract: the columns a workbook must have and their permitted values."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lakehouse.domain import ID, SourceColumn, read_domain
from lakehouse.errors import ChurnError
from seeds_loader.source_format import SourceFormat


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
    blank_as: str | None = None
    is_label: bool = False
    longest: int | None = None
    refused: Mapping[str, str] = field(default_factory=dict, hash=False)
    is_row_number: bool = False
    date_format: str | None = None
    unit: str = ""


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

    def find(self, silver: str) -> Column:
        """Return the column with this name in silver."""
        return next(column for column in self.columns if column.silver == silver)

    def without_row_number(self) -> "Contract":
        """Return the contract without an id that is not a column, but the number of the row."""
        return Contract(tuple(column for column in self.columns if not column.is_row_number))

    def match(self, header: str) -> Column | None:
        """Return the column that a header names, or None if the contract has no such header."""
        return self._columns_by_header.get(normalise(header))

    @property
    def id(self) -> str:
        """Return the name of the column that identifies the customer."""
        return next(column.name for column in self.columns if column.silver == ID)

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


def format_value(value: object, column: Column) -> object:
    """Return a value of silver as people read it: a flag in the workbook's words."""
    if column.type != "flag" or value is None:
        return value
    return (column.true_values if value == 1 else column.false_values)[0]


def read_contract(domain: Path | None = None) -> Contract:
    """Return the contract of a domain folder, by default of the selected one.

    Raises:
        ChurnError: The file is missing, invalid, or contradicts itself. This is an error in the
            domain, not in a workbook.
    """
    declared = read_domain(domain)
    columns = tuple(_column(name, entry) for name, entry in declared.contract.columns.items())
    _require_unambiguous(columns, declared.folder / "contract.yml")
    return Contract(columns)


def read_source_format(domain: Path | None = None) -> SourceFormat:
    """Return the format that a domain's workbooks have, by default the selected domain's.

    Raises:
        ChurnError: The format is invalid.
    """
    declared = read_domain(domain).contract.source_format
    return SourceFormat(declared.decimal, declared.encoding)


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


def _column(name: str, entry: SourceColumn) -> Column:
    return Column(
        name=name,
        type=entry.type,
        silver=entry.name,
        aliases=entry.aliases,
        categories=entry.categories,
        true_values=entry.true_values,
        false_values=entry.false_values,
        range=entry.range,
        zero_if_blank_when_zero=entry.zero_if_blank_when_zero,
        blank_as=entry.blank_as,
        is_label=entry.is_label,
        is_row_number=entry.is_row_number,
        date_format=entry.date_format,
        unit=entry.unit,
        longest=entry.longest,
        refused=entry.refused,
    )


def _require_unambiguous(columns: tuple[Column, ...], path: Path) -> None:
    owner: dict[str, str] = {}
    for column in columns:
        for header in (column.name, *column.aliases):
            other = owner.setdefault(normalise(header), column.name)
            if other != column.name:
                raise ChurnError(
                    f"the header {header!r} stands for both {other} and {column.name}",
                    where=str(path),
                    hint="give each header to one column only",
                )
