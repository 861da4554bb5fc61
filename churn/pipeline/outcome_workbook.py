"""Read a campaign's list back: what the team entered, checked against what was written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from churn.provenance.retention_lists import CUSTOMER, OFFER, RANK, SHEET
from churn.reports.retention_workbook import ANSWERS, NO, OUTCOME, YES, capitalise
from lakehouse.errors import InvalidInputError
from lakehouse.sql import Rows
from seeds_loader.reader.sandbox import read_unknown_workbook

# The columns by which a row is recognised: where one was edited, outcomes may have moved as well.
WRITTEN = {RANK: "list_rank", CUSTOMER: "customer_id", OFFER: "offer"}
MAX_LISTED = 5


@dataclass(frozen=True)
class Outcome:
    """What was recorded of a customer; None where the cell is blank."""

    customer_id: str
    called: bool | None
    reached: bool | None
    accepted: bool | None
    note: str | None


@dataclass(frozen=True)
class OutcomeFile:
    """The outcomes of a file, and the hash of its bytes."""

    sha256: str
    outcomes: list[Outcome]


def read_outcomes(path: Path, members: Rows, log: Callable[[str], None]) -> OutcomeFile:
    """Read the outcomes of a campaign's list.

    Args:
        path: The file.
        members: The contacted customers of the campaign.
        log: Callback for progress messages.

    Returns:
        The outcomes of the customers of whom something was entered.

    Raises:
        InvalidInputError: A column is missing, a customer is not of the campaign or there twice,
            what was written has been edited, or an answer is neither yes nor no or contradicts
            another.
    """
    extract = read_unknown_workbook(path, SHEET, log, min_rows=1)
    has_offers = any(member["offer"] for member in members)
    written = {name: key for name, key in WRITTEN.items() if has_offers or name != OFFER}
    missing = [name for name in (*written, *OUTCOME) if name not in extract.table.column_names]
    if missing:
        raise _file_error(path, f"has no column {', '.join(missing)}")
    rows = extract.table.select([*written, *OUTCOME]).to_pylist()
    known = {member["customer_id"]: member for member in members}
    ids = [row[CUSTOMER] for row in rows]
    _require_none(path, "is not of this campaign", [each for each in ids if each not in known])
    _require_none(path, "is there twice", [each for each in ids if ids.count(each) > 1])
    _require_none(
        path,
        "has a rank or an offer that is not the one that was written",
        [row[CUSTOMER] for row in rows if not _is_as_written(row, known[row[CUSTOMER]])],
    )
    outcomes = [_read_outcome(path, row) for row in rows]
    return OutcomeFile(extract.sha256, [each for each in outcomes if each is not None])


def _is_as_written(row: dict[str, str | None], member: dict[str, object]) -> bool:
    offer = member["offer"]
    is_same_offer = offer is None or row[OFFER] == capitalise(str(offer))
    return row[RANK] == str(member["list_rank"]) and is_same_offer


def _read_outcome(path: Path, row: dict[str, str | None]) -> Outcome | None:
    customer = str(row[CUSTOMER])
    called, reached, accepted = (_read_answer(path, customer, name, row[name]) for name in ANSWERS)
    note = (row["Note"] or "").strip() or None
    if (called, reached, accepted, note) == (None, None, None, None):
        return None
    for later, earlier, names in (
        (reached, called, "reached, but not called"),
        (accepted, reached, "accepted, but was not reached"),
    ):
        if later and not earlier:
            raise _file_error(path, f"says of customer {customer}: {names}", customer)
    return Outcome(customer, called, reached, accepted, note)


def _read_answer(path: Path, customer: str, name: str, cell: str | None) -> bool | None:
    text = (cell or "").strip().casefold()
    if not text:
        return None
    if text not in (YES, NO):
        raise _file_error(path, f"has '{cell}' in {name} of customer {customer}", customer)
    return text == YES


def _require_none(path: Path, problem: str, customers: Sequence[str | None]) -> None:
    if not customers:
        return
    names = list(dict.fromkeys(str(each) for each in customers))
    shown = ", ".join(names[:MAX_LISTED]) + (
        f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    )
    raise _file_error(path, f"has a customer who {problem}: {shown}", shown)


def _file_error(path: Path, problem: str, customer: str = "") -> InvalidInputError:
    return InvalidInputError(
        f"{path.name} {problem}",
        where=f"{path}, sheet '{SHEET}'" + (f", {customer}" if customer else ""),
        hint="nothing was recorded. Enter yes or no into Called, Reached and Accepted of the list "
        "as it was written, and change no other column",
    )
