"""Define the parameters of a sample."""

import re
from dataclasses import dataclass
from datetime import date

from lakehouse.errors import InvalidInputError

# With fewer rows, one error of each kind would exceed the gate's limit for rejects.
MIN_ROWS_WITH_FAULTS = 200

# The zip format, which a workbook is in, has no earlier year.
FIRST_YEAR = 1980
ID = r"[0-9]{4}-[A-Z]{5}"


@dataclass(frozen=True)
class SampleParameters:
    """Size, span and seed of a sample.

    Attributes:
        rows: Customers per month.
        months: The number of months.
        seed: The seed of the random numbers.
        start: The first extract date, which is the first day of a month.
        dirt: Whether to add errors.
        example_id: Id of the customer of the first month who stays with the highest risk, for
            examples; all others are as without it. Empty: an id that is drawn.

    Raises:
        InvalidInputError: No sample can be made from the values.
    """

    rows: int = 7043
    months: int = 1
    seed: int = 42
    start: date = date(2025, 1, 1)
    dirt: bool = False
    example_id: str = ""

    def __post_init__(self) -> None:
        """Validate the values."""
        _require_at_least(1, self.rows, "rows")
        _require_at_least(1, self.months, "months")
        _require_at_least(0, self.seed, "seed")
        if self.dirt and self.rows < MIN_ROWS_WITH_FAULTS:
            raise InvalidInputError(
                f"{self.rows:,} rows are too few for a sample with faults",
                where="rows of the sample",
                hint=f"ask for {MIN_ROWS_WITH_FAULTS} rows or more, or for no faults",
            )
        if self.example_id and not re.fullmatch(ID, self.example_id):
            raise InvalidInputError(
                f"{self.example_id!r} is no id of a sample",
                where="example_id of the sample",
                hint="give four digits, a dash and five capitals",
            )
        self._check_dates()

    def _check_dates(self) -> None:
        if self.start.day != 1:
            raise InvalidInputError(
                f"{self.start} is not the first day of a month",
                where="start of the sample",
                hint=f"start at {self.start.replace(day=1)}, for example",
            )
        last_year = self.start.year + (self.start.month + self.months - 2) // 12
        if self.start.year < FIRST_YEAR or last_year > date.max.year:
            raise InvalidInputError(
                f"{self.months} months from {self.start} leave the calendar of workbooks",
                where="start and months of the sample",
                hint=f"stay between the years {FIRST_YEAR} and {date.max.year}",
            )

    @property
    def extract_dates(self) -> list[date]:
        """Return the first day of each of the `months` months."""
        first = self.start.year * 12 + self.start.month - 1
        return [date(m // 12, m % 12 + 1, 1) for m in range(first, first + self.months)]


def _require_at_least(lowest: int, value: int, name: str) -> None:
    if value < lowest:
        raise InvalidInputError(
            f"{name} is {value}",
            where=f"{name} of the sample",
            hint=f"give a whole number of {lowest} or more",
        )
