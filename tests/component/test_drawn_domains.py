"""Drawn domains with drawn workbooks: features and rejects equal a reference in pandas.

The SQL is that of a build, compiled by dbt for the domain, over the sheet as the loader reads it.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from drawn_domains import ROWS_DRAWN, draw_domain, draw_rows, with_dates, write_files
from environments import CompletedRun

from churn.pipeline.score_file import CLEANED, COMPOSED, FEATURES, LOADS, ROWS, SUBMITTED
from churn.provenance.compiled_sql import compose
from lakehouse import spark_session
from lakehouse.dbt_runner import compile_models
from lakehouse.domain import read_domain
from lakehouse.sql import bind
from seeds_loader.reader.sandbox import read_workbook

SEEDS = [*range(3), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 60))]


@pytest.mark.parametrize("seed", SEEDS)
def test_features_and_rejects_are_those_of_the_reference(
    completed_run: CompletedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    drawn = draw_domain(seed)
    write_files(drawn, tmp_path / "domain")
    sheet, expected = draw_rows(drawn)
    workbook = tmp_path / "drawn.csv"
    sheet.to_csv(workbook, index=False)
    monkeypatch.setenv("CHURN_DOMAIN", str(tmp_path / "domain"))
    assert read_domain().folder == tmp_path / "domain"
    settings = completed_run.home.settings_in(tmp_path / "home")
    # dbt runs in this process, and takes its settings from the environment.
    password = {"CHURN_SPARK_PASSWORD": settings.spark_password or ""}
    for name, value in {**settings.for_dbt(), **password}.items():
        monkeypatch.setenv(name, str(tmp_path / "domain") if name == "CHURN_DOMAIN" else value)
    settings = replace(settings, domain=str(tmp_path / "domain"))
    extract = read_workbook(workbook, tolerant=True)
    models = compile_models(settings, COMPOSED)
    with spark_session.session(settings) as spark:
        spark.createDataFrame(extract.table).createOrReplaceTempView(SUBMITTED)
        rows = bind(ROWS.format(label=""), file="drawn.csv", sha256="", sheet="")
        found = spark.sql(compose(models, FEATURES, rows, LOADS)).toArrow().to_pylist()
        rejected = spark.sql(compose(models, CLEANED[0], rows, LOADS)).toArrow().to_pylist()
    times = {"customer_id", "event_timestamp", "created_timestamp", "extract_date"}
    times |= {"batch_id", "built_at"}
    features = {
        row["customer_id"]: {name: float(row[name]) for name in row.keys() - times} for row in found
    }
    assert features.keys() == expected.keys()
    if found:
        expected = with_dates(drawn, expected, found[0]["extract_date"])
    for customer, values in expected.items():
        assert features[customer] == values, customer
    assert len(rejected) == ROWS_DRAWN - len(expected)
    assert all(row["reasons"] for row in rejected)
