"""Build the site as static files: front page, dbt docs, and the linked reports."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from pyspark.sql.connect.session import SparkSession

from churn.reports.front_page import (
    DBT_DOCS,
    EVALUATION,
    REPORT,
    SITE,
    evaluation_of,
    front_page,
    list_of,
    report_of,
)
from churn.reports.report import LIST
from lakehouse import spark_server, spark_session
from lakehouse.atomic_write import atomic_write
from lakehouse.dbt_runner import run_dbt_command
from lakehouse.process import Log
from lakehouse.sample_home import NOTE, is_sample
from lakehouse.settings import Settings

# Parts of the head of dbt's page, and their replacements in this project's page.
BRANDING = {
    "<title>dbt Docs</title>": "<title>Telco churn: tables and lineage</title>",
    # A placeholder that dbt's own build has not filled.
    "${require('./assets/favicons/favicon.ico')}": "data:,",
}
# Marks dbt's own page; its content is drawn by a script.
SAMPLE_STYLE = (
    f'<style>body::before {{ content: "{NOTE}"; position: fixed; inset: 0 0 auto; z-index: 9999; '
    "padding: 2px; background: #fdf0d5; color: #7a4d00; text-align: center; font-weight: 600; }"
    "</style>"
)


def build_site(settings: Settings, log: Log) -> Path:
    """Build the site and return its folder; the pages work without a server."""
    spark_server.ensure_running(settings, log)
    log("building the dbt docs")
    run_dbt_command(settings, ["docs", "generate", "--static"])
    built = (settings.home / "dbt" / "static_index.html").read_text()
    for theirs, ours in BRANDING.items():
        built = built.replace(theirs, ours)
    if is_sample(settings):
        built = built.replace("</head>", f"{SAMPLE_STYLE}</head>", 1)
    _write(settings.home / SITE / DBT_DOCS, built)
    log("writing the front page")
    with spark_session.session(settings) as spark:
        return write_front_page(settings, spark).parent


def write_front_page(settings: Settings, spark: SparkSession) -> Path:
    """Write the front page with current data, and the pages of runs and models that it links to.

    This is fast enough for every run to update the page; the dbt docs are not rebuilt.

    Returns:
        The path of the front page.
    """
    from churn.reports.front_page_data import gather

    data, site = gather(settings, spark), settings.home / SITE
    runs, models = settings.home / "runs", settings.home / "models"
    pages = {report_of(run_id): runs / run_id / REPORT for run_id in data.reports.values()}
    pages |= {list_of(run_id): runs / run_id / LIST for run_id in data.reports.values()}
    pages |= {
        evaluation_of(version): models / version / EVALUATION for version in data.evaluated_models
    }
    _sync_pages(site, pages)
    return _write(site / "index.html", front_page(data))


def _sync_pages(site: Path, pages: Mapping[str, Path]) -> None:
    """Copy these pages, keyed by their path in the site, and remove all other runs and models."""
    for old in [*site.glob("runs/*"), *site.glob("models/*")]:
        if not any(path.startswith(f"{old.parent.name}/{old.name}/") for path in pages):
            shutil.rmtree(old, ignore_errors=True)
    for path, page in pages.items():
        target = site / path
        # A run of an earlier version has no list, and a list must not be older than its report.
        if not page.exists():
            target.unlink(missing_ok=True)
        elif not target.exists() or target.stat().st_mtime != page.stat().st_mtime:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as draft:
                shutil.copy2(page, draft)


def _write(path: Path, page: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft:
        draft.write_text(page)
    return path
