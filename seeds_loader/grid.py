"""A sheet as text: what the readers of Excel files and of CSV files both hand on."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seeds_loader.header import ROWS_SEARCHED


@dataclass(frozen=True)
class Grid:
    """The cells of a sheet from its first row on, blank rows included, so index + 1 is Excel's.

    sheet   the sheet's name, empty for a CSV file
    columns the used columns as string arrays of one length; a blank cell is null
    left    the index of the first of them on the sheet, from 0
    unstored cells (row, column), from 0, whose formula came without a value; they are null
    """

    sheet: str
    columns: tuple[pa.ChunkedArray, ...]
    left: int = 0
    unstored: tuple[tuple[int, int], ...] = ()

    @cached_property
    def used_rows(self) -> npt.NDArray[np.int64]:
        """Indices of the rows that hold more than white space, ascending."""
        height = len(self.columns[0]) if self.columns else 0
        used = np.zeros(height, dtype=bool)
        for column in self.columns:
            used |= _filled(column)
            # most sheets are settled by their first column
            if used.all():
                break
        return np.flatnonzero(used)

    def top(self) -> Iterator[tuple[int, list[str | None]]]:
        """The first used rows, as (index, cells): where a header may stand."""
        for row in self.used_rows[:ROWS_SEARCHED].tolist():
            yield row, [column[row].as_py() for column in self.columns]


def has_text(column: pa.ChunkedArray) -> bool:
    return bool(_filled(column).any())


def _filled(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    text = pc.utf8_trim_whitespace(column)
    filled: npt.NDArray[np.bool_] = pc.fill_null(pc.not_equal(text, ""), False).to_numpy()
    return filled
