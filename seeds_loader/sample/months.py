"""Simulate the months of a sample: a base that turns over and keeps its composition.

26.5 % of the base is labelled as leaving in every month, so a quarter of it is new in the next one.
If all of those were new to the operator, the base would be young within a few months and resemble
no other. So there are two kinds of joiners: new customers with a tenure of 0 or 1 month, about a
third of them, and customers acquired from another brand, who keep the tenure they had there. Places
are assigned so that each contract, tenure band and internet service keeps its share of the base,
and each goes to one of a few candidates with odds of their probability to leave: joiners are then
like the leavers, and no feature drifts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from zlib import crc32

import numpy as np
import pandas as pd
from pandas.util import hash_array

from seeds_loader.contract import Column, read_contract
from seeds_loader.sample import shares as s
from seeds_loader.sample.data_faults import RowFault, add_faults
from seeds_loader.sample.parameters import SampleParameters
from seeds_loader.sample.population import (
    churn_probabilities,
    draw_customers,
    draw_leavers,
    draw_terms,
    simulate_month,
)

# First month of the tenure bands that keep their share. The last is open, since stayers grow older.
BAND_STARTS = np.array([0, 1, 2, 6, 12, 24, 36, 48])

CANDIDATES_PER_VACANCY = 4

LETTERS = 26**5
IDS = 10_000 * LETTERS


@dataclass(frozen=True)
class Base:
    """The customers of a month, which of them leave in it, and all id numbers issued so far."""

    people: pd.DataFrame
    ids: np.ndarray
    leaves: np.ndarray
    issued: np.ndarray


@dataclass(frozen=True)
class Month:
    """One month's workbook.

    Attributes:
        extract_date: The extract date.
        customers: The true values, one row per customer, the columns of the contract in its order;
            text as str, SeniorCitizen and tenure as int, amounts as float, TotalCharges NaN where
            tenure is 0.
        sheet: The same values as the workbook has them: one space for that NaN, and the errors, if
            requested.
        dirt: The errors in `sheet`, by row number.
    """

    extract_date: date
    customers: pd.DataFrame
    sheet: pd.DataFrame
    faults: list[RowFault]


def simulate(parameters: SampleParameters) -> Iterator[Month]:
    """Yield the months in order; only one month at a time is in memory.

    The customers of a month depend on rows, seed and the months before it, not on `dirt`, which has
    random numbers of its own.
    """
    columns = read_contract().columns
    rng = np.random.default_rng([parameters.seed, 0])
    dirt_rng = np.random.default_rng([parameters.seed, 1]) if parameters.dirt else None
    base = _name_example(_draw_first_base(rng, parameters.rows), parameters.example_id)
    for extract_date in parameters.extract_dates:
        if extract_date != parameters.start:
            base = _simulate_next_base(rng, base)
        yield _to_month(extract_date, _to_customers(base, columns), dirt_rng)


def _draw_first_base(rng: np.random.Generator, rows: int) -> Base:
    people = draw_customers(rng, *draw_terms(rng, rows, s.TERMS))
    ids = draw_new_ids(rng, rows, np.empty(0, dtype=np.int64))
    return Base(people, ids, draw_leavers(rng, churn_probabilities(people)), ids)


def _name_example(base: Base, example_id: str) -> Base:
    """Return the base in which the customer who stays with the highest risk has this id."""
    if not example_id or _parse_id(example_id) in base.ids:
        return base
    ids = base.ids.copy()
    ids[np.where(base.leaves, -1.0, churn_probabilities(base.people)).argmax()] = _parse_id(
        example_id
    )
    return replace(base, ids=ids, issued=ids)


def _simulate_next_base(rng: np.random.Generator, base: Base) -> Base:
    stayers = simulate_month(rng, base.people[~base.leaves])
    joiners = draw_new_customers(rng, stayers, len(base.people))
    people = pd.concat([stayers, joiners], ignore_index=True)
    joined = draw_new_ids(rng, len(joiners), base.issued)
    return Base(
        people,
        np.concatenate([base.ids[~base.leaves], joined]),
        draw_leavers(rng, churn_probabilities(people)),
        np.concatenate([base.issued, joined]),
    )


def draw_new_customers(rng: np.random.Generator, stayers: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Draw as many joiners as restore the base to `rows` customers and its usual composition."""
    places = rows - len(stayers)
    terms = draw_terms(rng, places, _count_missing_terms(stayers, rows))
    candidates = draw_customers(rng, *(np.repeat(term, CANDIDATES_PER_VACANCY) for term in terms))
    # Adding Gumbel noise to log weights and choosing the largest draws in proportion to the
    # weights.
    weights = np.maximum(churn_probabilities(candidates), 1e-12)
    keys = (np.log(weights) + rng.gumbel(size=len(weights))).reshape(places, CANDIDATES_PER_VACANCY)
    taken = np.arange(places) * CANDIDATES_PER_VACANCY + keys.argmax(axis=1)
    return candidates.iloc[taken]


def draw_new_ids(rng: np.random.Generator, count: int, issued: np.ndarray) -> np.ndarray:
    """Return `count` id numbers that differ from each other and from the issued ones."""
    fresh = np.empty(0, dtype=np.int64)
    while len(fresh) < count:
        drawn = np.concatenate([fresh, rng.integers(IDS, size=count - len(fresh))])
        first = np.sort(np.unique(drawn, return_index=True)[1])
        fresh = drawn[first]
        fresh = fresh[~np.isin(fresh, issued)]
    return fresh


def _count_missing_terms(stayers: pd.DataFrame, rows: int) -> np.ndarray:
    """Return what the base lacks, as weights of the shape of `shares.TERMS`."""
    band_of_tenure = np.searchsorted(BAND_STARTS, np.arange(s.TERMS.shape[1]), side="right") - 1
    expected = np.add.reduceat(s.TERMS, BAND_STARTS, axis=1)
    tenure = stayers["tenure"].to_numpy().clip(max=s.LONGEST_TENURE)
    present = np.zeros_like(expected)
    contract, internet = stayers["Contract"].to_numpy(), stayers["InternetService"].to_numpy()
    np.add.at(present, (contract, band_of_tenure[tenure], internet), 1)
    missing = np.maximum(expected * rows - present, 0.0)
    # No customer is expected in some bands (a contract a month old and not yet billed).
    factor = np.divide(missing, expected, out=np.zeros_like(missing), where=expected > 0)
    return np.asarray(s.TERMS * factor[:, band_of_tenure])


def _format_ids(numbers: np.ndarray) -> np.ndarray:
    """Return customer ids like 7590-VHVEG: four digits, a dash, five capitals."""
    digits, letters = np.divmod(numbers, LETTERS)
    text = np.empty((len(numbers), 10), dtype=np.uint8)
    for place in range(4):
        text[:, place] = ord("0") + digits // 10 ** (3 - place) % 10
    text[:, 4] = ord("-")
    for place in range(5):
        text[:, 5 + place] = ord("A") + letters // 26 ** (4 - place) % 26
    return text.view("S10").ravel().astype("U10").astype(object)


def _parse_id(text: str) -> int:
    """Return the number of an id that `_format_ids` writes."""
    digits, _, letters = text.partition("-")
    number = int(digits)
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A")
    return number


def _to_customers(base: Base, columns: Sequence[Column]) -> pd.DataFrame:
    people = base.people
    tenure = people["tenure"].to_numpy(dtype=np.int64)
    known: dict[str, np.ndarray] = {
        "customerID": _format_ids(base.ids),
        "SeniorCitizen": people["SeniorCitizen"].to_numpy(dtype=np.int64),
        "tenure": tenure,
        "MonthlyCharges": people["monthly"].to_numpy() / 100,
        "TotalCharges": np.where(tenure > 0, people["total"].to_numpy() / 100, np.nan),
    }
    codes = people.assign(Churn=base.leaves.astype(np.int8))
    for name, labels in s.LABELS.items():
        known[name] = np.array(labels, dtype=object)[codes[name].to_numpy()]
    return pd.DataFrame(
        {
            column.name: known[column.name]
            if column.name in known
            else draw_values(column, base.ids)
            for column in columns
        }
    )


def draw_values(column: Column, ids: np.ndarray) -> np.ndarray:
    """Return values of a column unknown here: evenly what the contract accepts, by customer."""
    # From the id alone, so that a customer keeps the value and the other columns keep theirs.
    bits = hash_array(ids.astype(np.uint64) + np.uint64(crc32(column.name.encode())))
    shares = bits / 2**64
    if column.type == "text":
        return np.array([f"{value:016x}" for value in bits], dtype=object)
    if column.range is None:
        accepted = column.categories or (column.false_values[0], column.true_values[0])
        return np.array(accepted, dtype=object)[(shares * len(accepted)).astype(int)]
    low, high = column.range
    if column.type == "integer":
        return np.floor(low + shares * (high - low + 1)).astype(np.int64)
    return np.asarray(np.round(low + shares * (high - low), 2))


def _to_month(
    extract_date: date, customers: pd.DataFrame, dirt_rng: np.random.Generator | None
) -> Month:
    totals = customers["TotalCharges"].to_numpy(dtype=object)
    totals[(customers["tenure"] == 0).to_numpy()] = " "
    sheet = customers.assign(TotalCharges=pd.Series(totals, dtype=object))
    if dirt_rng is None:
        return Month(extract_date, customers, sheet, [])
    dirty, dirt = add_faults(dirt_rng, sheet)
    return Month(extract_date, customers, dirty, dirt)
