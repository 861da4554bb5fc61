"""Find customers in the retention list that a run has written beside its report.

The list states the probability by models that did not learn from the customer's row; the score is
that of the model in use. A trace shows both, so it reads the list as it was written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from churn.provenance.run_history import (
    LIST,
    find_champion,
    list_runs,
    read_summary_or_empty,
)
from lakehouse.amounts import format_number, format_rounded
from lakehouse.sample_home import TITLE as SAMPLE
from lakehouse.settings import Settings

# The sheet of customers, and the columns that are read back.
SHEET = "Customers"
RANK, CUSTOMER, OFFER = "Rank", "Customer", "Offer"
COST, GAIN, PROBABILITY = "Cost", "Expected gain", "Probability of leaving"
COLUMNS = {
    "rank": RANK,
    "probability": PROBABILITY,
    "offer": OFFER,
    "cost": COST,
    "expected_gain": GAIN,
}
# The columns of a customer's reasons, of which the last may be empty.
REASONS = ("Reason 1", "Reason 2", "Reason 3")
# Two computations of the same probability may differ by this much.
ROUNDING = 1e-9


@dataclass(frozen=True)
class StoredList:
    """List of a run: the values of `COLUMNS` and the reasons by customer id.

    The value of a column that the list lacks is None.
    """

    run_id: str
    customers: Mapping[str, Mapping[str, Any]]

    def describe(self, customer_id: str) -> dict[str, Any]:
        """Return what the list has of a customer; a rank of None: the customer is not in it."""
        row = self.customers.get(customer_id, {**dict.fromkeys(COLUMNS), "reasons": []})
        return {"run_id": self.run_id, "customers": len(self.customers), **row}


def format_headline(calls: Mapping[str, Any], is_sample: bool) -> str:
    """Return the number of calls and their expected gain, with its range.

    The amounts have two digits: an estimate is not more precise.

    Args:
        calls: The list in numbers, as `calls` of a run's summary has it.
        is_sample: Whether the customers are generated.
    """
    listed = calls["listed"]
    headline = f"{listed:,} call{'' if listed == 1 else 's'}"
    if is_sample:
        headline = f"{SAMPLE}: {headline}"
    if "gain" not in calls:
        return headline
    gain, low, high = (
        format_rounded(calls[f"gain{end}"], calls.get("currency", ""))
        for end in ("", "_low", "_high")
    )
    return f"{headline}, expected gain about {gain} ({low} to {high})"


def find_list(
    settings: Settings, version: str, extract_date: str, run_id: str | None = None
) -> StoredList | None:
    """Return the latest run's list of an extract by a model.

    Args:
        settings: The settings of this CHURN_HOME.
        version: Version of the model.
        extract_date: Date of the scored extract, as ISO text.
        run_id: The only run whose list counts; default: any.

    Returns:
        The list; None if there is none, as in homes whose runs are from earlier versions, or if it
        was edited so that it can't be read.
    """
    for name in [run_id] if run_id else reversed(list_runs(settings)):
        summary = read_summary_or_empty(settings, name)
        path = settings.home / "runs" / name / LIST
        is_of_extract = summary.get("scored_extract_date") == extract_date
        if is_of_extract and find_champion(summary) == version and path.is_file():
            return _read_list(path, name)
    return None


def _read_list(path: Path, run_id: str) -> StoredList | None:
    # Not loaded by commands that read no list.
    from openpyxl import load_workbook

    try:
        rows = load_workbook(path, read_only=True)[SHEET].iter_rows(values_only=True)
        headers = next(rows)
        customers = {
            str(row[headers.index(CUSTOMER)]): _read_customer(dict(zip(headers, row, strict=True)))
            for row in rows
            if row[headers.index(CUSTOMER)] is not None
        }
    except (OSError, ValueError, KeyError, StopIteration, BadZipFile):
        return None
    return StoredList(run_id, customers)


def _read_customer(cells: Mapping[str, Any]) -> dict[str, Any]:
    values = {key: cells.get(header) for key, header in COLUMNS.items()}
    return {**values, "reasons": [str(cells[each]) for each in REASONS if cells.get(each)]}


def is_out_of_fold(listed: Mapping[str, Any], score: Mapping[str, Any]) -> bool:
    """Return whether the list's probability of a listed customer is not that of the model in use.

    Then it is by models that did not learn from the customer's row.
    """
    return abs(listed["probability"] - score["probability"]) > ROUNDING


def format_probabilities(
    listed: Mapping[str, Any] | None, score: Mapping[str, Any], event: str
) -> Iterator[str]:
    """Yield the probability that decides a call, then that of the model in use if it differs.

    Args:
        listed: The customer in a list, as `StoredList.describe` returns it; None without a list.
        score: The score by the model in use, with `probability`.
        event: What it is the probability of; empty if unknown.
    """
    if listed is None or listed["rank"] is None or not is_out_of_fold(listed, score):
        yield f"{score['probability']:.1%} probability {event}".rstrip()
        return
    text = f"{listed['probability']:.1%} probability {event}".rstrip()
    yield f"{text}, by models that did not learn from this customer; it decides whom to call"
    yield f"{score['probability']:.1%} by the model in use, which did"


def format_listed(listed: Mapping[str, Any]) -> Iterator[str]:
    """Yield a customer's place in a list, and what the list proposes.

    Args:
        listed: The customer in a list, as `StoredList.describe` returns it.
    """
    if listed["rank"] is None:
        yield (
            f"not in the list of run {listed['run_id']}, which has "
            f"{format_number(listed['customers'], 'call')}"
        )
        return
    place = f"number {listed['rank']} of {listed['customers']:,}"
    yield f"{place} in the list of run {listed['run_id']}"
    if proposal := ", ".join(_format_proposal(listed)):
        yield proposal
    if listed["reasons"]:
        reasons = "; ".join(listed["reasons"])
        yield f"reasons in the list, against all customers worth calling: {reasons}"


def _format_proposal(listed: Mapping[str, Any]) -> Iterator[str]:
    # Needed for a listed customer alone, and slow to load.
    from trainer.retention_campaign import read_campaign

    campaign = read_campaign()
    if listed["offer"]:
        yield f"offer: {listed['offer']}"
    for name in ("cost", "expected_gain"):
        if listed[name] is not None:
            yield f"{name.replace('_', ' ')} {campaign.format_amount(listed[name], 2)}"
