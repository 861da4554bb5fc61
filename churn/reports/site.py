"""The site: front page, dbt docs, the reports they lead to, as static files."""

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
    report_of,
)
from lakehouse import spark_server
from lakehouse.atomic_write import atomic_write
from lakehouse.dbt_runner import run_dbt_command
from lakehouse.process import Say
from lakehouse.settings import Settings

# What dbt writes into the head of its page, and what this project's page has there.
BRANDING = {
    "<title>dbt Docs</title>": "<title>Telco churn: tables and lineage</title>",
    # An address that dbt's own build has left unfilled.
    "${require('./assets/favicons/favicon.ico')}": "data:,",
}


def build_site(settings: Settings, say: Say) -> Path:
    """Build the site and return its folder; it needs no server to be read."""
    spark_server.ensure(settings, say)
    say("building the dbt docs")
    run_dbt_command(settings, ["docs", "generate", "--static"])
    built = (settings.home / "dbt" / "static_index.html").read_text()
    for theirs, ours in BRANDING.items():
        built = built.replace(theirs, ours)
    _write(settings.home / SITE / DBT_DOCS, built)
    say("writing the front page")
    with spark_server.session(settings) as spark:
        return write_front_page(settings, spark).parent


def write_front_page(settings: Settings, spark: SparkSession) -> Path:
    """The front page as things stand, and the pages of runs and models that it leads to.

    Cheap, so that every run leaves it up to date; the dbt docs stay as they were.
    """
    from churn.reports.front_page_data import gather

    data, site = gather(settings, spark), settings.home / SITE
    runs, models = settings.home / "runs", settings.home / "models"
    kept = {report_of(each): runs / each / REPORT for each in data.reports.values()}
    kept |= {evaluation_of(each): models / each / EVALUATION for each in data.evaluated}
    _keep(site, kept)
    return _write(site / "index.html", front_page(data))


def _keep(site: Path, kept: Mapping[str, Path]) -> None:
    """Have these pages below `runs` and `models`, by their place in the site, and no others."""
    for old in [*site.glob("runs/*"), *site.glob("models/*")]:
        if not any(place.startswith(f"{old.parent.name}/{old.name}/") for place in kept):
            shutil.rmtree(old, ignore_errors=True)
    for place, page in kept.items():
        target = site / place
        if not target.exists() or target.stat().st_mtime != page.stat().st_mtime:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as draft:
                shutil.copy2(page, draft)


def _write(path: Path, page: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft:
        draft.write_text(page)
    return path
