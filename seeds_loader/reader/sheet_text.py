"""Represent a sheet as text: the common result of the readers of Excel and CSV files."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seeds_loader.reader.header import ROWS_SEARCHED

# Cells searched below the rows where a header may be, only to report where it is.
CELLS_LOOKED_BELOW = 20_000


class ValidationList(NamedTuple):
    """A list of values as the sheet declares it: the cells that it is for, and its formula."""

    cells: str
    formula: str


@dataclass(frozen=True)
class Grid:
    """The cells of a sheet from its first row on, including blank rows: index + 1 is Excel's.

    Attributes:
        sheet: The sheet's name, empty for a CSV file.
        columns: The used columns as string arrays of one length; a blank cell is null.
        left: The index of the first of them on the sheet, from 0.
        unstored: Cells (row, column), from 0, whose formula has no stored value; they are null.
        uncomputed: Cells whose formula stores 0 or nothing while the workbook asks to be computed.
        lists: The validation lists of its cells, if it is of an .xlsx file.
        hidden: How Excel hides the sheet, 'hidden' or 'very hidden'; empty if it shows it.
    """

    sheet: str
    columns: tuple[pa.ChunkedArray, ...]
    first_column: int = 0
    uncached_formulas: tuple[tuple[int, int], ...] = ()
    uncomputed_formulas: tuple[tuple[int, int], ...] = ()
    lists: tuple[ValidationList, ...] = ()
    hidden: str = ""

    @cached_property
    def used_rows(self) -> npt.NDArray[np.int64]:
        """Return the indices of the rows with more than white space, ascending."""
        height = len(self.columns[0]) if self.columns else 0
        used = np.zeros(height, dtype=bool)
        for column in self.columns:
            used |= _mask_filled(column)
            # For most sheets the first column is sufficient.
            if used.all():
                break
        return np.flatnonzero(used)

    def header_candidates(self) -> Iterator[tuple[int, list[str | None]]]:
        """Yield the first used rows, as (index, cells): where a header may be."""
        yield from self._cells_of_rows(self.used_rows[:ROWS_SEARCHED])

    def rows_below_candidates(self) -> Iterator[tuple[int, list[str | None]]]:
        """Yield some used rows below those, to find a header that is too low."""
        height = CELLS_LOOKED_BELOW // max(1, len(self.columns))
        yield from self._cells_of_rows(self.used_rows[ROWS_SEARCHED:][:height])

    def _cells_of_rows(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, list[str | None]]]:
        for row in rows.tolist():
            yield row, [column[row].as_py() for column in self.columns]


def has_text(column: pa.ChunkedArray) -> bool:
    """Return whether the column has a cell with more than white space."""
    return bool(_mask_filled(column).any())


def _mask_filled(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    text = pc.utf8_trim_whitespace(column)
    filled: npt.NDArray[np.bool_] = pc.fill_null(pc.not_equal(text, ""), False).to_numpy()
    return filled
