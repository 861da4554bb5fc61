"""The job in PySpark, without dbt: what a good script does, in one session or in one for each step.

python -m benchmarks.peers.spark_steps BRONZE OUT          all of it in one session
python -m benchmarks.peers.spark_steps BRONZE OUT STEP     one of clean, engineer, validate
python -m benchmarks.peers.spark_steps WORKBOOK BRONZE read
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from functools import reduce
from pathlib import Path
from typing import Any

import psutil
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from benchmarks.peers.declared import (
    ADD_ONS,
    CONTRACT,
    FLAGS,
    LABEL,
    NUMBER,
    NUMBERS,
    PROJECT,
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
from lakehouse.jars import spark_jars
from lakehouse.java import find_java

KEY = ["customer_id", "extract_date"]
TABLES = ("silver", "features", "labels")


def session() -> SparkSession:
    """A session of its own JVM, on all cores, with Delta."""
    os.environ["JAVA_HOME"] = str(find_java().resolve().parents[1])
    jars = ":".join(map(str, spark_jars(PROJECT, print, set())))
    settings = {
        # With the 4 GB that this project takes, ten million rows end it.
        "spark.driver.memory": f"{psutil.virtual_memory().total * 2 // 5 // 2**20}m",
        "spark.driver.extraClassPath": jars,
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        # Two hundred, the default, is for a cluster.
        "spark.sql.shuffle.partitions": 4 * (os.cpu_count() or 2),
        "spark.databricks.delta.snapshotPartitions": 2,
        # As ours: Java compiles no method of more than 8000 bytes.
        "spark.sql.codegen.hugeMethodLimit": 8000,
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.master("local[*]").appName("peer")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


# --- bronze -----------------------------------------------------------------------------------


def read(spark: SparkSession, workbook: Path, bronze: Path) -> None:
    """The workbook's rows as text, with where they come from."""
    import pandas as pd

    sheet = pd.read_excel(workbook, dtype=str, keep_default_na=False)
    numbered = sheet[list(CONTRACT)].assign(_row_number=range(2, len(sheet) + 2))
    rows = spark.createDataFrame(numbered).select(
        *CONTRACT,
        F.col("_row_number").cast("int").alias("_row_number"),
        F.lit(workbook.name).alias("_batch_id"),
        F.current_date().alias("_extract_date"),
        F.current_timestamp().alias("_loaded_at"),
    )
    rows.write.parquet(str(bronze))


# --- silver -----------------------------------------------------------------------------------


def standardised(column: str) -> F.Column:
    """The cell as it is compared: trimmed of white space, lists of values in lowercase."""
    text = F.regexp_replace(F.col(column), r"^[\s\u00a0]+|[\s\u00a0]+$", "")
    return F.lower(text) if CONTRACT[column]["type"] in ("flag", "category") else text


def typed_value(column: str) -> F.Column:
    """The standardised cell as silver holds it; null where the contract does not accept it."""
    rule, text = CONTRACT[column], F.col(f"text.{column}")
    if rule["type"] == "text":
        return F.when(text != "", text)
    if rule["type"] == "flag":
        one, zero = ([value.lower() for value in rule[name]] for name in ("one", "zero"))
        return F.when(text.isin(one), 1).when(text.isin(zero), 0)
    if rule["type"] == "category":
        accepted = [(text == each.lower(), F.lit(each)) for each in rule["categories"]]
        return _first(accepted)
    number = text.try_cast("double")
    if rule["type"] == "integer":
        return F.when(text.rlike(WHOLE_NUMBER), number.try_cast("int"))
    value = F.when(text.rlike(NUMBER), number)
    if other := rule.get("blank_is_zero_where"):
        is_blank = F.coalesce(text, F.lit("")) == ""
        return F.when(is_blank & (typed_value(other) == 0), 0.0).otherwise(value)
    return value


def _first(cases: Sequence[tuple[F.Column, F.Column]]) -> F.Column:
    """The value of the first condition that holds."""
    return reduce(lambda chain, case: chain.when(*case), cases[1:], F.when(*cases[0]))


def cell_fault(column: str) -> F.Column:
    """The code of what is wrong with a cell, null where nothing is."""
    rule = CONTRACT[column]
    text, value = F.col(f"text.{column}"), F.col(rule["silver"])
    cases = [(value.isNull() & (F.coalesce(text, F.lit("")) == ""), F.lit("missing"))]
    if "longest" in rule:
        cases.append((F.length(value) > rule["longest"], F.lit("too_long")))
    cases += [(value.rlike(each), F.lit(code)) for code, each in rule.get("refused", {}).items()]
    if rule["type"] == "integer":
        cases.append((value.isNull() & text.rlike(WHOLE_NUMBER), F.lit("out_of_range")))
    if rule["type"] in REFUSALS:
        cases.append((value.isNull(), F.lit(REFUSALS[rule["type"]])))
    if "range" in rule:
        cases.append((~value.between(*rule["range"]), F.lit("out_of_range")))
    return _first(cases)


def reason(code: F.Column, column: str, value: F.Column) -> F.Column:
    """A fault as the rejects tell it."""
    return F.struct(code.alias("code"), F.lit(column).alias("column_name"), value.alias("value"))


def checked_rows(bronze: DataFrame) -> DataFrame:
    """Rows of bronze, typed, with all reasons why they can't be customers; none where they can."""
    codes = [(cell_fault(column), column) for column in CONTRACT]
    codes += [(F.when(~F.expr(holds), code), column) for code, column, holds in row_rule_terms()]
    reasons = [reason(code, column, F.col(f"cells.{column}")) for code, column in codes]
    typed = bronze.select(
        "_batch_id",
        "_row_number",
        F.col("_extract_date").alias("extract_date"),
        "_loaded_at",
        F.struct(*CONTRACT).alias("cells"),
        F.struct(*(standardised(column).alias(column) for column in CONTRACT)).alias("text"),
    ).select("*", *(typed_value(column).alias(CONTRACT[column]["silver"]) for column in CONTRACT))
    is_sound = F.coalesce(*(code for code, _ in codes)).isNull()
    found = F.when(~is_sound, F.filter(F.array(*reasons), lambda each: each.code.isNotNull()))
    judged = typed.withColumn("faults", found)
    surplus = surplus_rows(judged)
    return judged.join(F.broadcast(surplus), ["_batch_id", "_row_number"], "left").select(
        *(column for column in judged.columns if column not in ("text", "faults")),
        F.coalesce("faults", "surplus").alias("reasons"),
    )


def surplus_rows(judged: DataFrame) -> DataFrame:
    """The sound rows that give way to another of the same customer, of whom there are few."""
    customer = ["_batch_id", "customer_id"]
    repeated = judged.groupBy(customer).count().where("count > 1").drop("count")
    rows = judged.where("faults is null").join(F.broadcast(repeated), customer)
    rows = rows.withColumn("hash", F.sha2(F.to_json("cells"), 256))
    copies = Window.partitionBy(*customer, "hash").orderBy("_row_number")
    rows = rows.withColumn("copy", F.row_number().over(copies))
    longest = [F.desc("tenure"), F.desc("total_charges"), F.col("hash")]
    contenders = Window.partitionBy(*customer, F.col("copy") == 1).orderBy(*longest)
    rows = rows.withColumn("standing", F.row_number().over(contenders))
    code = F.when(F.col("copy") > 1, "exact_duplicate").otherwise("conflicting_duplicate")
    told = F.array(reason(code, "customerID", F.col("customer_id")))
    return rows.where("copy > 1 or standing > 1").select(
        "_batch_id", "_row_number", told.alias("surplus")
    )


def clean(spark: SparkSession, bronze: Path, out: Path) -> None:
    """Sound rows to silver.customers, the others to silver.rejected_rows."""
    rows = checked_rows(spark.read.parquet(str(bronze))).persist(StorageLevel.MEMORY_AND_DISK)
    origin = ["_batch_id", "_row_number", "extract_date", "_loaded_at"]
    customers = rows.where("reasons is null").select(*origin, *SILVER)
    rejects = rows.where("reasons is not null").select(*origin, "cells.*", "reasons")
    for table, frame in (("customers", customers), ("rejected_rows", rejects)):
        write_delta(frame, out / "silver" / table)
    rows.unpersist()


def write_delta(rows: DataFrame, folder: Path) -> None:
    """A Delta table, a partition an extract date."""
    rows.write.format("delta").partitionBy("extract_date").save(str(folder))


# --- candidates -------------------------------------------------------------------------------


def engineer(spark: SparkSession, out: Path) -> None:
    """Features and labels, where nobody reads them yet."""
    customers = spark.read.format("delta").load(str(out / "silver" / "customers"))
    times = [
        F.col("extract_date").cast("timestamp").alias("event_timestamp"),
        F.col("_loaded_at").alias("created_timestamp"),
    ]
    services = [
        "phone_service",
        "cast(multiple_lines = 'Yes' as int)",
        "cast(internet_service != 'No' as int)",
        *(f"cast({service} = 'Yes' as int)" for service in ADD_ONS),
    ]
    average = "case when tenure = 0 then monthly_charges else total_charges / tenure end"
    features = customers.withColumn("avg_historical_charge", F.expr(average)).select(
        "customer_id",
        *times,
        *NUMBERS,
        "avg_historical_charge",
        F.expr(
            "case when avg_historical_charge = 0 then 1d "
            "else monthly_charges / avg_historical_charge end"
        ).alias("billing_ratio"),
        F.expr(" + ".join(services)).alias("service_count"),
        F.expr(
            "case when tenure < 12 then 0 when tenure < 24 then 1 when tenure < 48 then 2 "
            "else 3 end"
        ).alias("tenure_group"),
        F.expr("cast(tenure > 24 and monthly_charges > 80 as int)").alias("is_high_value"),
        *FLAGS,
        *(
            (F.col(column) == category).cast("int").alias(name)
            for column, names in one_hot_groups().items()
            for name, category in names.items()
        ),
        "extract_date",
    )
    labels = customers.select("customer_id", *times, LABEL, "extract_date")
    for table, frame in (("customer_features", features), ("churn_labels", labels)):
        frame.write.partitionBy("extract_date").parquet(str(out / "audit" / table))


# --- gate -------------------------------------------------------------------------------------


def all_hold(conditions: Sequence[str]) -> str:
    """Rows for which not all conditions are true, counted; a null is not true."""
    told = " and ".join(f"({each})" for each in conditions)
    return f"count_if(not coalesce({told}, false))"


Figures = dict[Any, dict[str, Any]]


def by_date(rows: DataFrame, **figures: str) -> Figures:
    """Figures of every extract date, in one scan."""
    found = rows.groupBy("extract_date").agg(*(F.expr(sql).alias(k) for k, sql in figures.items()))
    return {row["extract_date"]: row.asDict() for row in found.collect()}


def faulty_keys(rows: DataFrame) -> Figures:
    """Keys of more than one row, and keys of rows with a gap, of every extract date."""
    gap = " or ".join(f"{name} is null" for name in rows.columns)
    keys = rows.groupBy(KEY).agg(F.count("*").alias("n"), F.expr(f"count_if({gap})").alias("gaps"))
    return by_date(keys, surplus="sum(n) - count(*)", keys="count(*)", gaps="count_if(gaps > 0)")


def measured(spark: SparkSession, bronze: Path, out: Path) -> Figures:  # long: a list of scans
    """All figures of the gate's rules and tests, of every extract date."""
    tables = {
        "silver": spark.read.format("delta").load(str(out / "silver" / "customers")),
        "rejects": spark.read.format("delta").load(str(out / "silver" / "rejected_rows")),
        "features": spark.read.parquet(str(out / "audit" / "customer_features")),
        "labels": spark.read.parquet(str(out / "audit" / "churn_labels")),
    }
    rows = spark.read.parquet(str(bronze)).withColumnRenamed("_extract_date", "extract_date")
    bins = {
        f"bin {feature} {n}": f"count_if({condition})"
        for feature, conditions in drift_bins().items()
        for n, condition in enumerate(conditions)
    }
    sums = [f"{' + '.join(names)} = 1" for names in one_hot_groups().values()]
    odd = "abs(total_charges - tenure * monthly_charges) > 0.2 * tenure * monthly_charges"
    duplicate = "reasons[0].code = 'exact_duplicate'"
    sides = [
        tables[name].select(*KEY, F.lit(name).alias("side")) for name in ("features", "labels")
    ]
    pairs = sides[0].union(sides[1]).groupBy(KEY).agg(F.expr("count(distinct side)").alias("sides"))
    parts = [
        by_date(rows, bronze_rows="count(*)"),
        by_date(tables["silver"], silver="count(*)", against_rules=all_hold(silver_conditions())),
        by_date(
            tables["rejects"],
            rejected=f"count_if(not ({duplicate}))",
            duplicates=f"count_if({duplicate})",
            unreasoned="count_if(size(reasons) = 0)",
        ),
        by_date(
            tables["features"],
            features="count(*)",
            odd=f"avg(cast({odd} as int))",
            one_hot=all_hold(sums),
            features_held=all_hold(held_by("customer_features")),
            **bins,
        ),
        by_date(
            tables["labels"],
            labels="count(churned)",
            label_rows="count(*)",
            churn_rate="avg(churned)",
            labels_held=all_hold(held_by("churn_labels")),
        ),
        by_date(pairs, one_sided="count_if(sides != 2)"),
        *(
            {
                day: {f"{name} {figure}": value for figure, value in figures.items()}
                for day, figures in faulty_keys(tables[name]).items()
            }
            for name in TABLES
        ),
    ]
    days = sorted(parts[0])
    return {day: {k: v for part in parts for k, v in part.get(day, {}).items()} for day in days}


def counted(found: Mapping[str, Any]) -> Counted:
    """What was counted of one extract date, as the gate takes it."""
    return Counted(
        bronze_rows=found["bronze_rows"],
        silver_rows=found["silver"],
        rejected_rows=found.get("rejected", 0),
        exact_duplicates=found.get("duplicates", 0),
        feature_rows=found["features"],
        customers=found["features keys"],
        label_rows=found["label_rows"],
        labelled_customers=found["labels keys"],
        labels=found["labels"],
        customers_against_rules=found["against_rules"],
        churn_rate=found["churn_rate"],
        share_of_odd_totals=found["odd"],
    )


def red_tests(found: Mapping[str, Any]) -> list[str]:
    """The names of the tests that a load fails."""
    names = ["one_hot", "features_held", "labels_held", "one_sided", "unreasoned"]
    names += [f"{table} {what}" for table in TABLES for what in ("surplus", "gaps")]
    return [name for name in names if found.get(name)]


def judged(day: date, found: Mapping[str, Any]) -> Judged:
    """What was measured of an extract, as the gate takes it."""
    bins = {
        feature: [found[f"bin {feature} {n}"] for n in range(len(conditions))]
        for feature, conditions in drift_bins().items()
    }
    return Judged(day, found["bronze_rows"], counted(found).figures(), bins, red_tests(found))


def publish(day: date, out: Path) -> None:
    """Move the candidates of an extract to where they are read."""
    for table in ("customer_features", "churn_labels"):
        folder = f"{table}/extract_date={day}"
        (out / "gold" / table).mkdir(parents=True, exist_ok=True)
        shutil.move(out / "audit" / folder, out / "gold" / folder)


def validate(spark: SparkSession, bronze: Path, out: Path) -> bool:
    """Judge every extract, keep the verdicts, publish what passed; whether all did."""
    done = True
    verdicts: list[dict[str, Any]] = []
    passed: Judged | None = None
    for day, found in measured(spark, bronze, out).items():
        load = judged(day, found)
        verdicts += (rows := judgements(load, passed))
        if not load.red_tests and all(row["verdict"] != "failed" for row in rows):
            publish(day, out)
            passed = load
        else:
            print(day, *load.red_tests, file=sys.stderr)
            done = False
    spark.createDataFrame(
        verdicts,
        "extract_date date, rule string, severity string, figure double, threshold double, "
        "verdict string",
    ).coalesce(1).write.format("delta").save(str(out / "audit" / "gate_results"))
    for table in ("customer_features", "churn_labels"):
        published = spark.read.parquet(str(out / "gold" / table))
        faulty = faulty_keys(published)
        assert not any(each["surplus"] or each["gaps"] for each in faulty.values()), table
    return done


def main(bronze: Path, out: Path, step: str | None = None) -> int:
    """All steps from bronze on, or one; the exit code."""
    spark = session()
    done = True
    if step == "read":
        read(spark, bronze, out)
    if step in (None, "clean"):
        clean(spark, bronze, out)
    if step in (None, "engineer"):
        engineer(spark, out)
    if step in (None, "validate"):
        done = validate(spark, bronze, out)
    spark.stop()
    return 0 if done else REFUSED


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4]))
