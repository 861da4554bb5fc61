"""The job in Polars: rows of bronze to checked silver, a gate, and gold in partitions.

python -m benchmarks.peers.polars_steps BRONZE OUT
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import polars as pl

from benchmarks.peers.declared import (
    ADD_ONS,
    CONTRACT,
    FLAGS,
    LABEL,
    NUMBER,
    NUMBERS,
    REFUSALS,
    REFUSED,
    SILVER,
    WHOLE_NUMBER,
    drift_bins,
    held_by,
    one_hot_groups,
    row_rule_terms,
    silver_conditions,
)
from benchmarks.peers.gate import Counted, Judged, judgements

# The workbook's cells are set apart: some bear the name that silver gives to the typed value.
CELL = "cell of "


@dataclass(frozen=True)
class Load:
    """An extract: which rows of bronze it is, and how many."""

    batch_id: str
    extract_date: date
    loaded_at: datetime
    bronze_rows: int


# --- silver -----------------------------------------------------------------------------------


def trimmed(cell: pl.Expr) -> pl.Expr:
    """A cell without the white space around it; what it strips is the white space of Unicode."""
    return cell.str.strip_chars()


def is_blank(cell: pl.Expr) -> pl.Expr:
    """Whether a cell is null or white space."""
    return trimmed(cell).fill_null("") == ""


def chosen(text: pl.Expr, values: Mapping[str, Any], kind: type[pl.DataType]) -> pl.Expr:
    """The value of the accepted spelling that a text is, else null."""
    spellings = {spelling.lower(): value for spelling, value in values.items()}
    return text.str.to_lowercase().replace_strict(spellings, default=None, return_dtype=kind)


def typed_value(column: str, cell: pl.Expr) -> pl.Expr:
    """The cell as silver holds it; null where the contract does not accept it."""
    rule = CONTRACT[column]
    text = trimmed(cell)
    if rule["type"] == "text":
        return pl.when(text != "").then(text)
    if rule["type"] == "flag":
        values = dict.fromkeys(rule["one"], 1) | dict.fromkeys(rule["zero"], 0)
        return chosen(text, values, pl.Int32)
    if rule["type"] == "category":
        return chosen(text, {each: each for each in rule["categories"]}, pl.String)
    number = text.cast(pl.Float64, strict=False)
    if rule["type"] == "integer":
        # null where no integer holds the number
        return pl.when(text.str.contains(WHOLE_NUMBER)).then(number.cast(pl.Int32, strict=False))
    value = pl.when(text.str.contains(NUMBER)).then(number)
    if other := rule.get("blank_is_zero_where"):
        is_zero = is_blank(cell) & (typed_value(other, pl.col(other)) == 0)
        return pl.when(is_zero).then(0.0).otherwise(value)
    return value


def is_sound() -> pl.Expr:
    """Whether no cell of a row is at fault; cheaper than to list the faults of every row."""
    accepted = [pl.col(name).is_not_null() for name in SILVER]
    within = [
        pl.col(rule["silver"]).is_between(*rule["range"])
        for rule in CONTRACT.values()
        if "range" in rule
    ]
    held = conditions(condition for _, _, condition in row_rule_terms())
    return pl.all_horizontal(*accepted, *within, *held).fill_null(False)


def cell_fault(column: str) -> pl.Expr:
    """The code of what is wrong with a cell, null where nothing is."""
    rule = CONTRACT[column]
    cell, value = pl.col(CELL + column), pl.col(rule["silver"])
    found: Any = pl.when(value.is_null() & is_blank(cell)).then(pl.lit("missing"))
    if rule["type"] == "integer":
        whole = trimmed(cell).str.contains(WHOLE_NUMBER)
        found = found.when(value.is_null() & whole).then(pl.lit("out_of_range"))
    if rule["type"] in REFUSALS:
        found = found.when(value.is_null()).then(pl.lit(REFUSALS[rule["type"]]))
    if "range" in rule:
        found = found.when(~value.is_between(*rule["range"])).then(pl.lit("out_of_range"))
    return cast(pl.Expr, found.otherwise(None))


def reason(code: pl.Expr, column: str, value: pl.Expr) -> pl.Expr:
    """A fault as the rejects tell it, null where there is no code."""
    told = pl.struct(code.alias("code"), pl.lit(column).alias("column_name"), value.alias("value"))
    return pl.when(code.is_not_null()).then(told)


def own_faults() -> pl.Expr:
    """All that is wrong with a row by itself: single cells first, then the row rules."""
    codes = [(cell_fault(column), column) for column in CONTRACT]
    codes += [
        (pl.when(~pl.sql_expr(condition)).then(pl.lit(code)), column)
        for code, column, condition in row_rule_terms()
    ]
    reasons = [reason(code, column, pl.col(CELL + column)) for code, column in codes]
    return pl.concat_list(reasons).list.drop_nulls().alias("reasons")


def checked_rows(bronze: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of bronze with their cells, the typed values, and whether they are sound."""
    cells = [pl.col(column).alias(CELL + column) for column in CONTRACT]
    values = [typed_value(name, pl.col(name)).alias(CONTRACT[name]["silver"]) for name in CONTRACT]
    rows = bronze.select("_batch_id", "_row_number", "_loaded_at", *cells, *values)
    return rows.with_columns(is_sound().alias("is_sound"))


def surplus_rows(bronze: pl.LazyFrame) -> pl.LazyFrame:
    """The sound rows that give way to another of the same customer: row number and reason.

    Only customers who have more than one row are looked at, of whom there are few.
    """
    name = next(iter(CONTRACT))
    identity = trimmed(pl.col(name))
    repeated = bronze.group_by(identity.alias("id")).len().filter(pl.col("len") > 1)
    suspects = bronze.join(repeated, left_on=identity, right_on="id", how="semi")
    cells = [CELL + column for column in CONTRACT]
    rows = checked_rows(suspects).filter("is_sound").collect(engine="streaming")
    # of exact copies the lowest row stays
    rows = rows.sort("_row_number").with_columns(
        pl.struct(cells).is_first_distinct().alias("is_first")
    )
    # of rows that differ, the one that has seen most of the customer's history stays
    standing = ["is_first", "tenure", "total_charges", "_row_number"]
    rows = rows.sort(standing, descending=[True, True, True, False]).with_columns(
        pl.when(~pl.col("is_first"))
        .then(pl.lit("exact_duplicate"))
        .when(~pl.col("customer_id").is_first_distinct())
        .then(pl.lit("conflicting_duplicate"))
        .alias("code")
    )
    told = pl.concat_list(reason(pl.col("code"), name, pl.col("customer_id"))).alias("reasons")
    return rows.filter(pl.col("code").is_not_null()).select("_row_number", told).lazy()


def clean(bronze: pl.LazyFrame, load: Load, out: Path) -> None:
    """Write the sound rows of a load to silver.customers, the others to silver.rejected_rows."""
    rows = checked_rows(bronze)
    surplus = surplus_rows(bronze)
    lineage = ["_batch_id", "_row_number", "_loaded_at"]
    customers = (
        rows.filter("is_sound")
        .join(surplus, on="_row_number", how="anti")
        .select(*lineage, *SILVER)
    )
    cells = [pl.col(CELL + column).alias(column) for column in CONTRACT]
    faulty = rows.filter(~pl.col("is_sound")).with_columns(own_faults())
    duplicates = rows.join(surplus, on="_row_number")
    rejects = pl.concat([each.select(*cells, *lineage, "reasons") for each in (faulty, duplicates)])
    write(
        {
            partition(out, "silver", "customers", load): customers,
            partition(out, "silver", "rejected_rows", load): rejects,
        }
    )


# --- candidates -------------------------------------------------------------------------------


def features(customers: pl.LazyFrame) -> pl.LazyFrame:
    """The features of customers, in the order of gold's columns."""
    tenure, monthly = pl.col("tenure"), pl.col("monthly_charges")
    average = pl.col("avg_historical_charge")
    past = pl.when(tenure == 0).then(monthly).otherwise(pl.col("total_charges") / tenure)
    services = [
        pl.col("phone_service"),
        pl.col("multiple_lines") == "Yes",
        pl.col("internet_service") != "No",
        *(pl.col(service) == "Yes" for service in ADD_ONS),
    ]
    group = pl.when(tenure < 12).then(0).when(tenure < 24).then(1).when(tenure < 48).then(2)
    one_hot = [
        (pl.col(column) == category).cast(pl.Int32).alias(name)
        for column, names in one_hot_groups().items()
        for name, category in names.items()
    ]
    return customers.with_columns(past.alias("avg_historical_charge")).select(
        *identity_and_times(),
        *NUMBERS,
        "avg_historical_charge",
        pl.when(average == 0).then(1.0).otherwise(monthly / average).alias("billing_ratio"),
        pl.sum_horizontal(each.cast(pl.Int32) for each in services).alias("service_count"),
        group.otherwise(3).cast(pl.Int32).alias("tenure_group"),
        ((tenure > 24) & (monthly > 80)).cast(pl.Int32).alias("is_high_value"),
        *FLAGS,
        *one_hot,
    )


def identity_and_times() -> list[str | pl.Expr]:
    """Key and timestamps, with which features and labels begin."""
    event = pl.col("extract_date").cast(pl.Datetime("us", "UTC")).alias("event_timestamp")
    return ["customer_id", event, pl.col("_loaded_at").alias("created_timestamp")]


def build_candidates(load: Load, out: Path) -> None:
    """Write features and labels of a load where nobody reads them yet."""
    customers = stored(out, "silver", "customers", load)
    write(
        {
            partition(out, "audit", "customer_features", load): features(customers),
            partition(out, "audit", "churn_labels", load): customers.select(
                *identity_and_times(), LABEL
            ),
        }
    )


# --- gate -------------------------------------------------------------------------------------


def measured(table: pl.LazyFrame, key: str = "customer_id", **figures: pl.Expr) -> dict[str, Any]:
    """Rows, distinct keys, rows with a null, and further figures of a table, in one scan."""
    found = table.select(
        pl.len().alias("rows"),
        pl.col(key).n_unique().alias("keys"),
        pl.any_horizontal(pl.all().is_null()).sum().alias("gaps"),
        **figures,
    )
    return found.collect(engine="streaming").row(0, named=True)


def conditions(told: Iterable[str]) -> list[pl.Expr]:
    """Conditions that are declared in SQL, as expressions."""
    return [pl.sql_expr(each) for each in told]


def rows_against(holding: Sequence[pl.Expr]) -> pl.Expr:
    """How many rows do not meet all conditions; a null does not meet one."""
    return (~pl.all_horizontal(holding).fill_null(False)).sum()


def one_hot_sums() -> list[pl.Expr]:
    """That a row is in exactly one category of every categorical column."""
    return [pl.sum_horizontal(names.keys()) == 1 for names in one_hot_groups().values()]


def measured_silver(load: Load, out: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What there is to say of a load's customers, and of its rejected rows."""
    customers = stored(out, "silver", "customers", load)
    rejects = stored(out, "silver", "rejected_rows", load)
    codes = pl.col("reasons").list.eval(pl.element().struct.field("code"))
    told = codes.list.drop_nulls().list.len()
    return (
        measured(customers, against=rows_against(conditions(silver_conditions()))),
        measured(
            rejects,
            key="_row_number",
            copies=(codes.list.first() == "exact_duplicate").sum(),
            explained=((told > 0) & (told == codes.list.len())).sum(),
        ),
    )


def measured_candidates(load: Load, out: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What there is to say of a load's features, and of its labels."""
    tenure, monthly = pl.col("tenure"), pl.col("monthly_charges")
    # SQL's 0.2 is a decimal: the product is exact until it meets the charge
    fifth = (tenure.cast(pl.Decimal(12, 1)) * pl.lit(Decimal("0.2"))).cast(pl.Float64)
    odd = (pl.col("total_charges") - tenure * monthly).abs() > fifth * monthly
    bins: dict[str, Any] = {
        f"{feature} {position}": condition.sum()
        for feature, told in drift_bins().items()
        for position, condition in enumerate(conditions(told))
    }
    churned = pl.col(LABEL)
    return (
        measured(
            stored(out, "audit", "customer_features", load),
            odd=odd.mean(),
            one_hot=rows_against(one_hot_sums()),
            **bins,
        ),
        measured(
            stored(out, "audit", "churn_labels", load),
            labels=churned.count(),
            churn_rate=churned.mean(),
        ),
    )


def judged_by_itself(load: Load, out: Path) -> Judged:
    """The figures of a load that need no other, and the tests of silver and of the candidates."""
    silver, rejects = measured_silver(load, out)
    mine, labels = measured_candidates(load, out)
    bins = {
        feature: [mine[f"{feature} {position}"] for position in range(len(told))]
        for feature, told in drift_bins().items()
    }
    red = [
        *red_tests("silver.customers", silver),
        *red_tests("audit.customer_features", mine),
        *red_tests("audit.churn_labels", labels),
    ]
    if rejects["rows"] != rejects["keys"]:
        red.append("silver.rejected_rows: a row more than once")
    if rejects["rows"] != rejects["explained"]:
        red.append("silver.rejected_rows: rows without a reason")
    if mine["one_hot"]:
        red.append("audit.customer_features: one-hot groups that do not sum to one")
    copies = rejects["copies"]
    counted = Counted(
        bronze_rows=load.bronze_rows,
        silver_rows=silver["rows"],
        rejected_rows=rejects["rows"] - copies,
        exact_duplicates=copies,
        feature_rows=mine["rows"],
        customers=mine["keys"],
        label_rows=labels["rows"],
        labelled_customers=labels["keys"],
        labels=labels["labels"],
        customers_against_rules=silver["against"],
        churn_rate=labels["churn_rate"],
        share_of_odd_totals=mine["odd"],
    )
    return Judged(load.extract_date, load.bronze_rows, counted.figures(), bins, red)


def red_tests(table: str, found: Mapping[str, Any]) -> Iterator[str]:
    """The tests that every table stands: one row a customer, no nulls."""
    if found["rows"] != found["keys"]:
        yield f"{table}: more than one row of a customer"
    if found["gaps"]:
        yield f"{table}: rows with a null"


# --- gold -------------------------------------------------------------------------------------


def publish(load: Load, out: Path) -> list[str]:
    """Move the candidates of a load to gold; the tests of gold that are red."""
    red: list[str] = []
    for table in ("customer_features", "churn_labels"):
        target = partition(out, "gold", table, load).parent
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(partition(out, "audit", table, load).parent, target)
        # the expressions are SQL's, in which a timestamp has no zone
        event = pl.col("event_timestamp").dt.replace_time_zone(None)
        rows = stored(out, "gold", table, load).with_columns(event)
        found = measured(rows, against=rows_against(conditions(held_by(table))))
        red += red_tests(f"gold.{table}", found)
        if found["against"]:
            red.append(f"gold.{table}: rows that do not hold what it promises")
    if keys_on_one_side(load, out):
        red.append("gold: features and labels are not of the same customers")
    return red


def keys_on_one_side(load: Load, out: Path) -> int:
    """How many customers only one of the published tables has."""
    sides = [
        stored(out, "gold", table, load).select("customer_id", pl.lit(side).alias("side"))
        for side, table in enumerate(("customer_features", "churn_labels"))
    ]
    side = pl.col("side")
    keys = pl.concat(sides).group_by("customer_id").agg(side.min().alias("low"), side.max())
    alone = keys.filter(pl.col("low") == side).select(pl.len())
    return int(alone.collect(engine="streaming").item())


# --- all of it --------------------------------------------------------------------------------


def partition(out: Path, schema: str, table: str, load: Load) -> Path:
    """The file of a load's rows in a table."""
    return out / schema / table / f"extract_date={load.extract_date}" / "part-0.parquet"


def write(tables: Mapping[Path, pl.LazyFrame]) -> None:
    """Write files of Parquet, what the queries have in common computed once."""
    sinks = [
        rows.sink_parquet(path, compression="snappy", mkdir=True, lazy=True)
        for path, rows in tables.items()
    ]
    pl.collect_all(sinks, engine="streaming")


def stored(out: Path, schema: str, table: str, load: Load) -> pl.LazyFrame:
    """A load's rows of a table that has been written."""
    path = partition(out, schema, table, load)
    return pl.scan_parquet(path, hive_partitioning=True, hive_schema={"extract_date": pl.Date})


def loads(bronze: pl.LazyFrame) -> list[Load]:
    """Of every extract date the latest load, in the order of dates."""
    batches = (
        bronze.group_by("_batch_id", "_extract_date")
        .agg(pl.col("_loaded_at").max(), pl.len())
        .collect(engine="streaming")
        .sort("_loaded_at", "_batch_id", descending=[True, False])
    )
    latest = batches.unique("_extract_date", keep="first", maintain_order=True)
    return [Load(*row) for row in latest.sort("_extract_date").iter_rows()]


def run(bronze_folder: Path, out: Path) -> int:
    """All loads of a set of bronze, from the oldest; the exit code."""
    out.mkdir(parents=True)
    bronze = pl.scan_parquet(bronze_folder / "*.parquet")
    results: list[dict[str, Any]] = []
    red: list[str] = []
    passed: Judged | None = None
    for load in loads(bronze):
        clean(bronze.filter(pl.col("_batch_id") == load.batch_id), load, out)
        build_candidates(load, out)
        mine = judged_by_itself(load, out)
        rows = judgements(mine, passed)
        results += [{"batch_id": load.batch_id, **row} for row in rows]
        failed = [f"rule {row['rule']}" for row in rows if row["verdict"] == "failed"]
        found = [*failed, *mine.red_tests]
        if not found:
            passed = mine
            found = publish(load, out)
        red += [f"{load.extract_date} {each}" for each in found]
    schema = {"figure": pl.Float64, "threshold": pl.Float64}
    pl.DataFrame(results, schema_overrides=schema, infer_schema_length=None).write_parquet(
        out / "audit" / "gate_results.parquet"
    )
    print("\n".join(red), file=sys.stderr, end="\n" if red else "")
    return REFUSED if red else 0


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), Path(sys.argv[2])))
