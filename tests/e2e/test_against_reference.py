"""The tables against an independent reference, for workbooks with arbitrary faults.

Hypothesis draws the workbooks; all of them are loaded, each for a date of its own, and one dbt
build cleans and judges them. What is tested is cleaning, counting and features, so the gate's
rules on the size and make-up of a whole load are set aside; those on its consistency are not.
"""

import json
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from environments import ChurnHome, Environments
from faulty_workbooks import Drawn, workbooks
from hypothesis import HealthCheck, Phase, given, seed, settings
from reference import HEADERS, Truth, times, trimmed, truth_of

from lakehouse import spark_session
from lakehouse.domain import read_domain
from seeds_loader.extract_date import ExtractDate
from seeds_loader.load import Load, load
from seeds_loader.reader.sandbox import Extract, read_workbook

FIRST_DATE = date(2001, 1, 1)
EXAMPLES = 220
SLICE = 6
MOST_DRAWN = 400
MOST_TURNED = 10
# Hold for a load of any size and make-up.
CONSISTENCY = {
    "unique_customers",
    "labels_present",
    "rows_accounted_for",
    "silver_rows_valid",
    "candidates_match_silver",
    "features_in_range",
}
NO_BOUND = {"at_least": -1e9, "at_most": 1e9}
OWN_CODES = {"missing", "not_accepted", "not_an_integer", "not_a_number", "out_of_range"}
CONTRADICTIONS = {
    "no_internet_service",
    "no_phone_service",
    "nothing_billed_yet",
    "total_fits_tenure",
    "feature_out_of_range",
}
UNDECIDED = "undecided"
WANTED = {
    *OWN_CODES,
    *CONTRADICTIONS,
    *("exact_duplicate", "conflicting_duplicate"),
    *("narrow", "wide", UNDECIDED),
}


@dataclass(frozen=True)
class Example:
    """A drawn workbook, what must become of it, and the load that it was."""

    drawn: Drawn
    path: Path
    truth: Truth
    load: Load


@dataclass(frozen=True)
class Found:
    """What the tables hold for one extract date, by row number or by customer."""

    bronze: list[dict[str, Any]]
    silver: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    features: list[dict[str, Any]]
    labels: list[dict[str, Any]]
    counts: list[dict[str, Any]]


def draw(number: int) -> Drawn:
    """The workbook of a number.

    Each has a seed of its own, since within one run hypothesis follows every new example with
    several that resemble it. The first of a run is the simplest there is and left out.
    """
    drawn: list[Drawn] = []

    @seed(number)
    @settings(
        max_examples=2,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(workbooks())
    def collect(workbook: Drawn) -> None:
        drawn.append(workbook)

    collect()
    return drawn[-1]


def draw_all(count: int, folder: Path) -> list[Drawn]:
    """So many workbooks, and as many more as it takes to have everything in them that is wanted.

    What a number draws depends on the modules that are loaded, whose constants hypothesis mixes in;
    so no fixed count would do.
    """
    drawn: list[Drawn] = []
    missing = WANTED
    for number in range(MOST_DRAWN):
        each = draw(number)
        held = held_in(each, truth_of(each.write(folder / "asked.xlsx")))
        if number < count or held & missing:
            drawn.append(each)
            missing = missing - held
        elif not missing:
            break
    assert len({repr(each) for each in drawn}) == len(drawn)
    return drawn


def held_in(drawn: Drawn, truth: Truth) -> set[str]:
    """Which of the wanted things are in a workbook."""
    codes = {code for reasons in truth.reasons.values() for code, _ in reasons}
    return WANTED & {*codes, drawn.layout, *({UNDECIDED} if is_undecided(truth) else ())}


def is_undecided(truth: Truth) -> bool:
    """Just a row's hash decides which of a customer's rows stays."""
    return any(len(numbers) > 1 for numbers in truth.standing.values())


def load_all(home: ChurnHome, drawn: list[Drawn], folder: Path) -> list[Example]:
    """Writes and loads the workbooks, a day apart.

    The loader loads the first one. The others, read by the loader's reader, are appended to the
    tables that it made, all in one statement a table, which takes seconds instead of minutes.
    """
    paths = [each.write(folder / f"drawn_{place:03}.xlsx") for place, each in enumerate(drawn)]
    extracts = [read_workbook(path) for path in paths]
    with spark_session.session(home.settings) as spark:
        date_given = ExtractDate(FIRST_DATE, "given")
        first = load(home.settings, spark, extracts[0], date_given, lambda _: None)
        loads = [first, *(like(first, place, each) for place, each in enumerate(extracts) if place)]
        for table, part in (("telco_customers", bronze_rows), ("loads", bronze_line)):
            columns = spark.table(f"bronze.{table}").columns
            rows = [part(load, extract) for load, extract in zip(loads, extracts, strict=True)][1:]
            frame = spark.createDataFrame(pa.concat_tables(rows).select(columns))
            frame.write.mode("append").insertInto(f"bronze.{table}")
    return [
        Example(each, path, truth_of(path), load)
        for each, path, load in zip(drawn, paths, loads, strict=True)
    ]


def like(first: Load, place: int, extract: Extract) -> Load:
    """The load of another workbook, some days after the first."""
    return replace(
        first,
        batch_id=f"drawn-{place}",
        source_file=extract.path.name,
        source_sha256=extract.sha256,
        sheet=extract.sheet,
        row_count=extract.table.num_rows,
        extract_date=first.extract_date + timedelta(days=place),
    )


def bronze_rows(load: Load, extract: Extract) -> pa.Table:
    rows = extract.table
    for name in ("batch_id", "source_file", "source_sha256", "sheet", "extract_date"):
        value = pa.scalar(getattr(load, name))
        rows = rows.append_column(f"_{name}", pa.repeat(value, rows.num_rows))
    loaded_at = pa.scalar(load.loaded_at, pa.timestamp("us", "UTC"))
    return rows.append_column("_loaded_at", pa.repeat(loaded_at, rows.num_rows))


def bronze_line(load: Load, extract: Extract) -> pa.Table:
    line = {key: value for key, value in vars(load).items() if key not in ("is_new", "loaded_at")}
    table = pa.Table.from_pylist([line])
    table = table.set_column(
        table.column_names.index("row_count"), "row_count", pa.array([load.row_count], pa.int32())
    )
    return table.append_column("_loaded_at", pa.array([load.loaded_at], pa.timestamp("us", "UTC")))


def with_turned(drawn: list[Drawn], folder: Path) -> tuple[list[Drawn], dict[int, int]]:
    """The workbooks, and those again, turned round, in which just a row's hash decides.

    The second answer says which place is the turned one of which.
    """
    turned = {}
    for place, each in enumerate(list(drawn)):
        if len(turned) == MOST_TURNED:
            break
        truth = truth_of(each.write(folder / "asked.xlsx"))
        if is_undecided(truth):
            turned[place] = len(drawn)
            drawn = [*drawn, each.turned()]
    return drawn, turned


def build(home: ChurnHome) -> None:
    """One build of all that is pending, all tests of the data included."""
    declared = read_domain().variables
    rules, drift = declared["gate_rules"], declared["drift"]
    for name in set(rules) - CONSISTENCY:
        rules[name] |= {key: bound for key, bound in NO_BOUND.items() if key in rules[name]}
    drift |= {"warn_above": NO_BOUND["at_most"], "error_above": NO_BOUND["at_most"]}
    home.churn(
        *("build", "--exclude-resource-type", "unit_test"),
        *("--vars", json.dumps({"gate_rules": rules, "drift": drift})),
    )


def tables(home: ChurnHome) -> dict[date, Found]:
    """What the tables hold, by extract date."""
    queries = {
        "bronze": "select *, _extract_date as extract_date from bronze.telco_customers",
        "silver": "select extract_date, customer_id, _row_number from silver.customers",
        "rejected": "select extract_date, _row_number, reasons from silver.rejected_rows",
        "features": "select * from gold.customer_features",
        "labels": "select * from gold.churn_labels",
        "counts": "select * from silver.load_counts",
    }
    found: dict[date, Found] = {}
    for name, query in queries.items():
        for row in home.sql(query):
            entry = found.setdefault(row["extract_date"], Found([], [], [], [], [], []))
            getattr(entry, name).append(row)
    return found


# --- comparing ------------------------------------------------------------------------------------


def differences(example: Example, found: Found) -> dict[str, set[int]]:
    """What is wrong, in words, and the numbers of the rows that it is about."""
    truth = example.truth
    wrong: dict[str, set[int]] = {}
    bronze = {row["_row_number"]: row for row in found.bronze}
    if len(bronze) != len(found.bronze) or set(bronze) != set(truth.rows):
        wrong["rows of bronze are not those of the sheet"] = set(bronze) ^ set(truth.rows)
        return wrong
    for number, row in truth.rows.items():
        for name in HEADERS:
            if (bronze[number][name] or None) != row.cells[name]:
                said = f"bronze has {bronze[number][name]!r} for {name}, not {row.cells[name]!r}"
                wrong[said] = {number}
    silver = [row["_row_number"] for row in found.silver]
    rejected = [row["_row_number"] for row in found.rejected]
    if sorted(silver + rejected) != sorted(bronze):
        lost = set(bronze) ^ set(silver + rejected)
        wrong["bronze is not silver and rejected"] = lost or set(silver) & set(rejected)
    reasons, expected = reasons_of(found), expected_reasons(truth, set(silver))
    for number in sorted(bronze):
        if reasons.get(number, set()) != expected.get(number, set()):
            said = f"row {number} rejected for {reasons.get(number)}, not {expected.get(number)}"
            wrong[said] = {number}
    wrong |= wrong_values(found, truth)
    wrong |= wrong_gold(example, found)
    counted = {key: row[key] for row in found.counts for key in row if key.endswith("s")}
    codes = Counter(code for faults in expected.values() for code, _ in faults)
    copies = codes["exact_duplicate"]
    told = (counted["bronze_rows"], counted["silver_rows"], counted["rejected_rows"])
    if told != (len(bronze), len(silver), len(rejected) - copies):
        wrong[f"counts {counted} with {copies} copies"] = set()
    return wrong


def reasons_of(found: Found) -> dict[int, set[tuple[str, str]]]:
    return {
        row["_row_number"]: {(each["code"], each["column_name"]) for each in row["reasons"]}
        for row in found.rejected
    }


def expected_reasons(truth: Truth, kept: set[int]) -> dict[int, set[tuple[str, str]]]:
    """The reference's reasons; where only the row's hash decides, any one of them may stay."""
    expected = dict(truth.reasons)
    for numbers in truth.standing.values():
        stays = min(kept & set(numbers), default=None)
        for number in numbers:
            if number != stays:
                expected[number] = {("conflicting_duplicate", "customerID")}
    return expected


def wrong_values(found: Found, truth: Truth) -> dict[str, set[int]]:
    """Reasons that don't show the cell as it was read."""
    return {
        f"row {row['_row_number']}: {each} shows another value": {row["_row_number"]}
        for row in found.rejected
        for each in row["reasons"]
        if trimmed(each["value"])
        != trimmed(truth.rows[row["_row_number"]].cells[each["column_name"]])
    }


def wrong_gold(example: Example, found: Found) -> dict[str, set[int]]:
    """Customers whose published row, features and label, differs from the reference in a column."""
    wrong: dict[str, set[int]] = {}
    numbers = {row["customer_id"]: row["_row_number"] for row in found.silver}
    if set(numbers) != set(example.truth.standing):
        missing = set(numbers) ^ set(example.truth.standing)
        wrong[f"silver lacks or invents {missing}"] = {
            number for each in missing for number in example.truth.standing.get(each, [])
        }
    published = {row["customer_id"]: row for row in found.features}
    labels = {row["customer_id"]: row for row in found.labels}
    if not len(published) == len(labels) == len(found.features) == len(found.labels):
        wrong["gold has a customer twice, or features without labels"] = set()
    for customer in example.truth.standing:
        number = numbers.get(customer, -1)
        if number not in example.truth.rows:
            continue
        row = example.truth.customer(number)
        churned = row.pop("churned")
        common = {
            "customer_id": customer,
            **times(example.load.extract_date),
            "created_timestamp": example.load.loaded_at.astimezone(UTC).replace(tzinfo=None),
        }
        for table, expected in (
            (published, {**common, **row}),
            (labels, {**common, "churned": churned}),
        ):
            seen = _without_zone(table.get(customer, {}))
            for column in sorted(set(expected) | set(seen)):
                if not same(seen.get(column), expected.get(column)):
                    said = f"gold has {seen.get(column)!r}, not {expected.get(column)!r}"
                    wrong[f"{customer} {column}: {said}"] = {number}
    return wrong


def _without_zone(row: dict[str, Any]) -> dict[str, Any]:
    """Times in UTC, without saying so."""
    return {
        key: value.astimezone(UTC).replace(tzinfo=None) if getattr(value, "tzinfo", None) else value
        for key, value in row.items()
    }


def same(left: Any, right: Any) -> bool:
    """Equal in value and kind: 1 is not 1.0."""
    return bool(left == right) and type(left) is type(right)


def report(example: Example, wrong: dict[str, set[int]], folder: Path) -> str:
    """The rows it is about, those of the same customers with them, also as a workbook."""
    truth = example.truth
    concerned = {number for numbers in wrong.values() for number in numbers if number > 0}
    customers = {
        trimmed(truth.rows[each].cells["customerID"]) for each in concerned & set(truth.rows)
    }
    rows = {
        number: row.cells
        for number, row in truth.rows.items()
        if trimmed(row.cells["customerID"]) in customers
    }
    place = example.drawn.only(set(rows)).write(folder / f"smaller_{example.path.name}")
    lines = [
        f"{example.path.name} ({example.drawn.layout}), cut down to {place}:",
        *wrong,
        *(f"row {number}: {cells}" for number, cells in rows.items()),
    ]
    return "\n  ".join(lines)


# --- tests ----------------------------------------------------------------------------------------


def hold_against_reference(environments: Environments, count: int, folder: Path) -> None:
    """In a home of its own: the gate would compare other tests' extracts with these."""
    home = environments.new("truths")
    home.churn("up")
    drawn, turned = with_turned(draw_all(count, folder), folder)
    examples = load_all(home, drawn, folder)
    build(home)
    found = tables(home)
    wrong = {
        place: differences(example, found[example.load.extract_date])
        for place, example in enumerate(examples)
    }
    for place, twin in turned.items():
        kept = [
            kept_cells(examples[each], found[examples[each].load.extract_date])
            for each in (place, twin)
        ]
        if kept[0] != kept[1]:
            wrong[twin]["the order of rows or columns decided which row stays"] = set()
    said = [
        report(examples[place], each, folder)
        for place, each in sorted(wrong.items(), key=lambda item: len(item[1]))
        if each
    ]
    assert not said, f"{len(said)} of {len(examples)} workbooks differ\n" + "\n\n".join(said[:5])
    assert_worth_it(examples, len(turned))
    home.churn("down")


def kept_cells(example: Example, found: Found) -> dict[str, dict[str, str | None]]:
    return {
        row["customer_id"]: example.truth.rows[row["_row_number"]].cells for row in found.silver
    }


def assert_worth_it(examples: list[Example], turned: int) -> None:
    """The workbooks held what they were drawn for; else all of it would pass for nothing."""
    codes = Counter(
        code
        for example in examples
        for reasons in example.truth.reasons.values()
        for code, _ in reasons
    )
    rows = sum(len(example.truth.rows) for example in examples)
    kept = sum(len(example.truth.standing) for example in examples)
    print(f"{len(examples)} workbooks, {rows} rows, {kept} customers, {turned} turned: {codes}")
    held = set().union(*(held_in(example.drawn, example.truth) for example in examples))
    assert held == WANTED
    assert turned and kept > 5 * len(examples)


def test_drawn_workbooks_become_what_the_reference_says(
    environments: Environments, tmp_path: Path
) -> None:
    hold_against_reference(environments, SLICE, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_many_drawn_workbooks_become_what_the_reference_says(
    environments: Environments, tmp_path: Path
) -> None:
    hold_against_reference(environments, EXAMPLES, tmp_path)
