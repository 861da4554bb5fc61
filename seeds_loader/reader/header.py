"""Find the header of a sheet: the first row that names every column of the contract."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lakehouse.errors import InvalidInputError
from seeds_loader.contract import Contract

# Titles, dates and notes may precede a header, but not pages of them.
ROWS_SEARCHED = 20
MAX_NAMES_LISTED = 8
TITLE_CHARACTERS = 60
# Two matching names are chance ('gender', 'Contract'); more are a header with missing columns.
MIN_NAMES = 3
NOTHING_ALIKE = "nothing like the header"
EXAMPLES = 2
HINT_OTHER_COLUMNS = (
    "for a workbook of other columns, `churn init WORKBOOK` drafts their description; "
    "`churn contract template` writes the expected ones"
)

# A model scores only customers of its own domain: a new description needs a model of its own.
HINT_SCORING = (
    "name a workbook of the kind that the model was trained on, with the headers {names}, or give "
    "these headers to the columns that mean the same (`churn contract template --out empty.xlsx` "
    "writes all of them); {correct}; for other customers than these, `churn init WORKBOOK` starts "
    "a domain, which needs a model of its own"
)


@dataclass(frozen=True)
class Header:
    """A row compared with the contract.

    Attributes:
        row: Its index on the sheet, from 0.
        titles: The texts of its cells, from the leftmost used column on.
        places: For each title the name of the contract's column, or None.
        missing: The contract's columns that no title names.
    """

    row: int
    titles: tuple[str | None, ...]
    places: tuple[str | None, ...]
    missing: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Return whether the row names every column of the contract."""
        return not self.missing

    @property
    def match_count(self) -> int:
        """Return how many titles name a column of the contract."""
        return sum(place is not None for place in self.places)


def find_header(
    rows: Iterable[tuple[int, Sequence[str | None]]], contract: Contract
) -> Header | None:
    """Return the first of the rows (index, cells) that fits, else the one with the most matches.

    Without rows it returns None.
    """
    best: Header | None = None
    for row, cells in rows:
        header = _match_row(row, cells, contract)
        if header.fits:
            return header
        if best is None or header.match_count > best.match_count:
            best = header
    return best


def require_unique_columns(header: Header, left: int, where: str) -> None:
    """Raise InvalidInputError if two columns name one column of the contract.

    Choosing either would be a guess at what the customer is billed.

    Args:
        header: The header to validate.
        left: The sheet's index of the first column.
        where: The place for the message.
    """
    for name in filter(None, dict.fromkeys(header.places)):
        twins = [index for index, column in enumerate(header.places) if column == name]
        if len(twins) > 1:
            descriptions = " and ".join(_describe_title(header, index, left) for index in twins)
            raise InvalidInputError(
                f"{len(twins)} columns stand for {name}: {descriptions}",
                where=where,
                hint=f"keep one column for {name}; delete or rename the other",
            )


def arrange_hint(correct: str, is_alike: bool, contract: Contract) -> str:
    """Return the hint to correct the header, or first the one for a workbook of other columns.

    Args:
        correct: What to correct in a header that is nearly right.
        is_alike: Whether the header is nearly right.
        contract: The expected columns; without the label if the customers are to be scored.
    """
    if contract.label is None:
        return HINT_SCORING.format(names=format_names(contract.names), correct=correct)
    both = (correct, HINT_OTHER_COLUMNS) if is_alike else (HINT_OTHER_COLUMNS, correct)
    return "; ".join(both)


def describe_miss(header: Header | None, contract: Contract, below: Header | None = None) -> str:
    """Return in a few words why a sheet does not fit.

    Args:
        header: The nearest of the rows searched, or None if there are none.
        contract: The expected columns.
        below: The nearest row below those searched.
    """
    if header is None:
        return "empty"
    limit = f"the header has to be within the first {ROWS_SEARCHED} used rows"
    if below is not None and below.match_count > max(header.match_count, MIN_NAMES - 1):
        lacks = f" but lacks {format_names(below.missing)}" if below.missing else ""
        return f"row {below.row + 1} looks like the header{lacks}, but {limit}"
    if header.match_count < MIN_NAMES:
        expected = f"{', '.join(contract.names[:EXAMPLES])}, … ({len(contract.names)})"
        return f"{NOTHING_ALIKE} in its first {ROWS_SEARCHED} used rows; expected: {expected}"
    return f"row {header.row + 1} is nearest to the header but lacks {format_names(header.missing)}"


def label_missing_error(
    header: Header | None, contract: Contract, name: str, where: str
) -> InvalidInputError | None:
    """Return the error for a file that lacks only the label, else None.

    Such a file is still useful: its customers can be scored.
    """
    if header is None or header.missing != (contract.label,):
        return None
    return InvalidInputError(
        f"{name} lacks {contract.label}, the column that says who left; all others are there",
        where=f"{where}, row {header.row + 1}",
        hint=f"its customers can be scored with `churn score {name}`; to learn from it, add the "
        f"column {contract.label}",
    )


def format_names(names: Sequence[str]) -> str:
    """Return names for a message, shortened to a readable length."""
    first = ", ".join(names[:MAX_NAMES_LISTED])
    rest = len(names) - MAX_NAMES_LISTED
    return f"{first} and {rest} more" if rest > 0 else first


def column_letter(index: int) -> str:
    """Return the letters that Excel shows above the column with this index, from 0: 27 is AB."""
    letters = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters


def column_index(letters: str) -> int:
    """Return the index of a column, from 0, that Excel names by these letters."""
    index = 0
    for letter in letters.upper():
        index = index * 26 + ord(letter) - ord("A") + 1
    return index - 1


def cell_name(row: int, column: int) -> str:
    """Return Excel's name of a cell; both indices are from 0."""
    return f"{column_letter(column)}{row + 1}"


def _match_row(row: int, cells: Sequence[str | None], contract: Contract) -> Header:
    columns = [contract.match(cell) if cell else None for cell in cells]
    names = tuple(column.name if column else None for column in columns)
    missing = tuple(name for name in contract.names if name not in names)
    return Header(row=row, titles=tuple(cells), places=names, missing=missing)


def _describe_title(header: Header, index: int, left: int) -> str:
    letter = column_letter(left + index)
    cell = cell_name(header.row, left + index)
    return f"{shorten(header.titles[index] or '')!r} in column {letter} (cell {cell})"


def shorten(text: str) -> str:
    """Return a text from a file, truncated to a length that suits a message."""
    return text if len(text) <= TITLE_CHARACTERS else f"{text[:TITLE_CHARACTERS]}…"
