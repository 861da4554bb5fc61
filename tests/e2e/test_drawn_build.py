"""Drawn domains, built as a whole: gold equals a reference in pandas in every column."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from drawn_domains import ROWS_DRAWN, draw_domain, draw_rows, with_dates, write_files
from environments import Environments

from lakehouse import spark_session
from lakehouse.sql import query

SEEDS = range(5, 12)
DAY = date(2025, 3, 1)
TIMES = {"customer_id", "event_timestamp", "created_timestamp", "extract_date"}


def loosen_gate(folder: Path) -> None:
    """Let a load of few rows pass, of which many have faults."""
    file = folder / "rules.yml"
    declared: dict[str, Any] = yaml.safe_load(file.read_text())
    rules = declared["gate_rules"]
    rules["minimum_customers"]["at_least"] = 1
    rules["reject_share_below_limit"]["at_most"] = 1
    rules["churn_rate_not_too_high"]["at_most"] = 1
    rules["churn_rate_not_too_low"]["at_least"] = 0
    file.write_text(yaml.safe_dump(declared, sort_keys=False))


# CI builds another company's domain as a whole, and compares drawn ones in test_drawn_domains.py.
@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_gold_is_that_of_the_reference(
    environments: Environments, tmp_path: Path, seed: int
) -> None:
    drawn = draw_domain(seed)
    write_files(drawn, tmp_path / "domain")
    loosen_gate(tmp_path / "domain")
    sheet, expected = draw_rows(drawn)
    workbook = tmp_path / "drawn.csv"
    sheet.to_csv(workbook, index=False)
    home = environments.new(f"drawn-{seed}")
    home.environ["CHURN_DOMAIN"] = str(tmp_path / "domain")
    home.churn("ingest", workbook, "--extract-date", DAY)
    home.churn("build")
    with spark_session.session(home.settings) as spark:
        gold = query(spark, "select * from gold.customer_features")
        labels = query(spark, "select customer_id, churned from gold.churn_labels")
        rejected = query(spark, "select _row_number, reasons from silver.rejected_rows")
    found = {
        row["customer_id"]: {name: float(row[name]) for name in row.keys() - TIMES} for row in gold
    }
    assert found == with_dates(drawn, expected, DAY)
    assert {row["extract_date"] for row in gold} == {DAY}
    gone = {row["Key"]: row["Gone"].strip().casefold() == "yes" for _, row in sheet.iterrows()}
    assert {row["customer_id"]: row["churned"] == 1 for row in labels} == {
        customer: gone[customer] for customer in expected
    }
    assert len(rejected) == ROWS_DRAWN - len(expected)
    assert all(row["reasons"] for row in rejected)
