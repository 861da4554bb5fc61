"""Collect the front page's data: runs, the gate's log, the counts, and the models' records."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql.connect.session import SparkSession

from churn.provenance.campaign_records import list_campaigns
from churn.provenance.run_history import LIST, read_json_or_empty
from churn.reports.front_page import (
    DBT_DOCS,
    EVALUATION,
    REPORT,
    Extract,
    FrontPage,
    Model,
    Run,
    Service,
)
from churn.reports.gate_statements import describe_rule
from feature_repo.label_texts import describe_limit
from lakehouse import sequences, sites
from lakehouse.domain import read_domain
from lakehouse.navigation import SITE
from lakehouse.sample_home import command_of, is_sample
from lakehouse.sequences import query_sequence
from lakehouse.settings import Settings
from lakehouse.sql import Rows, query_if_exists, run_together
from trainer import registry
from trainer.decisions import FILE as PROMOTION

LOADS = """
    select batch_id, extract_date, bronze_rows, silver_rows, rejected_rows, exact_duplicates
    from silver.load_counts
    inner join {rows} as loads using (batch_id, extract_date)
    qualify row_number() over (
        partition by extract_date order by loads.load_number desc, loads._loaded_at desc
    ) = 1
    order by extract_date
"""
PUBLICATIONS = "select batch_id, customers from gold.publications"
# One line per load with its latest evaluation: the failed rules, and the features' largest drift.
EVALUATIONS = """
    select
        batch_id,
        last_one.verdict,
        array_sort(collect_list(rule) filter (where results.verdict = 'failed')) as failed,
        array_sort(
            collect_list(rule) filter (where results.verdict in ('warned', 'expected'))
        ) as warned,
        max(figure) filter (where rule like 'drift_of_%') as drift,
        max_by(rule, figure) filter (where rule like 'drift_of_%') as drifted,
        max(threshold) filter (where rule like 'unusual_drift_of_%') as warn_above,
        max(threshold) filter (where rule like 'drift_of_%') as error_above
    from audit.load_verdicts as last_one
    inner join audit.gate_results as results using (batch_id, judged_at)
    group by batch_id, last_one.verdict
"""


def gather(settings: Settings, spark: SparkSession) -> FrontPage:
    """Read the current data of the front page; all of it may be empty."""
    extracts = _extracts(spark)
    named = {rule for each in extracts for rule in (*each.failed, *each.warned)}
    runs = _runs(settings.home / "runs")
    return FrontPage(
        runs=runs,
        extracts=extracts,
        rule_texts={rule: describe_rule(rule, read_domain()) for rule in named},
        models=_models(settings),
        services=tuple(
            Service(site.name, site.port(settings), site.start) for site in sites.OTHERS
        ),
        command=command_of(settings),
        example_id=_hide_id(read_domain().report.example_id),
        has_dbt_docs=(settings.home / SITE / DBT_DOCS).is_file(),
        campaigns=tuple(reversed(list_campaigns(spark))),
        is_sample=is_sample(settings),
    )


def _hide_id(example: str) -> str:
    """Return how an id looks without naming a customer: digits as 0, letters as X."""
    return re.sub(r"[^\W\d_]", "X", re.sub(r"\d", "0", example))


def _runs(folder: Path) -> tuple[Run, ...]:
    """Return the completed runs, including refused ones, earliest first."""
    return tuple(
        Run(
            summary,
            has_report=(path.parent / REPORT).is_file(),
            has_list=(path.parent / LIST).is_file(),
        )
        for path in sorted(folder.glob("*/summary.json"))
        if (summary := read_json_or_empty(path)).get("run_id") == path.parent.name
    )


def _extracts(spark: SparkSession) -> tuple[Extract, ...]:
    """Return the latest load of every extract date, earliest date first."""
    if not spark.catalog.tableExists("silver.load_counts"):
        return ()
    rows = run_together(
        {
            "loads": partial(query_sequence, spark, sequences.LOADS, LOADS),
            "evaluations": partial(query_if_exists, spark, "audit.gate_results", EVALUATIONS),
            "published": partial(query_if_exists, spark, "gold.publications", PUBLICATIONS),
        }
    )
    judged, published = _index_by_load(rows["evaluations"]), _index_by_load(rows["published"])
    return tuple(
        _extract(load, judged.get(load["batch_id"], {}), published.get(load["batch_id"], {}))
        for load in rows["loads"]
    )


def _index_by_load(rows: Rows) -> dict[str, dict[str, Any]]:
    return {row["batch_id"]: row for row in rows}


def _extract(
    load: Mapping[str, Any], judged: Mapping[str, Any], published: Mapping[str, Any]
) -> Extract:
    return Extract(
        extract_date=load["extract_date"],
        rows=load["bronze_rows"],
        customers=load["silver_rows"],
        rejected=load["rejected_rows"],
        exact_duplicates=load["exact_duplicates"],
        verdict=judged.get("verdict", "pending"),
        published=published.get("customers"),
        failed=tuple(judged.get("failed", ())),
        warned=tuple(judged.get("warned", ())),
        drift=judged.get("drift"),
        drifted=(judged.get("drifted") or "").removeprefix("drift_of_"),
        drift_bounds=(judged.get("warn_above"), judged.get("error_above")),
    )


def _models(settings: Settings) -> tuple[Model, ...]:
    """Return the model versions, earliest first."""
    champion = registry.champion_version(settings)
    records = [registry.read_record(settings, version) for version in registry.versions(settings)]
    return tuple(
        Model(
            version=record.version,
            kind=record.kind,
            extract_date=record.extract_date,
            roc_auc=record.metrics["roc_auc"],
            brier=record.metrics["brier"],
            holdout=record.holdout,
            is_champion=record.version == champion,
            promotion=read_json_or_empty(registry.folder(settings) / record.version / PROMOTION),
            has_evaluation=(registry.folder(settings) / record.version / EVALUATION).is_file(),
            limit=describe_limit(record.label),
        )
        for record in sorted(filter(None, records), key=lambda model: model.created)
    )
