"""Remove data that is old and no longer referenced. Bronze is kept forever."""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyspark.sql.connect.session import SparkSession

from churn.operations import airflow_server as airflow
from churn.pipeline.context import writer_session
from churn.pipeline.mlflow_sync import adopt_alias, sync_registry
from lakehouse import online_store, spark_process
from lakehouse.metastore_snapshot import list_delta_tables
from lakehouse.progress import Step, Steps, format_bytes
from lakehouse.settings import Settings
from lakehouse.sql import query_if_exists
from lakehouse.storage import path_from_describe
from trainer import registry

STEPS = 6
DAY = 24 * 3600
# Without bronze: it is the only copy of the source.
VACUUMED = ("silver", "audit", "gold")
# A reader or writer may use a version of a table for this long; Delta's own limit.
LEAST_DAYS = 7
# Delta lists a table's files in as many tasks as this option sets; the default is ten thousand.
LISTING = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
LISTERS = 4


@dataclass(frozen=True)
class Removed:
    """Items of one kind that were, or would be, removed; `names` only if they are informative."""

    kind: str
    count: int
    bytes: int
    names: Sequence[str] = field(default=())


def clean_up(settings: Settings, days: int, dry_run: bool, steps: Steps) -> list[Removed]:
    """Remove what has not changed for `days`; with `dry_run` only find it.

    Args:
        settings: The settings of this CHURN_HOME.
        days: Minimum age in days. Superseded files of tables are kept at least `LEAST_DAYS` days.
        dry_run: Whether to only find what would be removed.
        steps: Progress display with `STEPS` steps.

    Returns:
        What was, or would be, removed: one entry per kind.

    Raises:
        lakehouse.errors.UnavailableError: A service does not respond, or another run has the
            lock of the lake.
    """
    before = time.time() - days * DAY
    removed = []
    with writer_session(settings, "churn cleanup", steps) as spark:
        if not dry_run:  # a version that a person asks for is not removed
            adopt_alias(settings, steps.log)
        kinds: dict[str, Callable[[Step], Removed]] = {
            "tables": lambda step: _vacuum(settings, spark, days, dry_run, step),
            "logs": lambda _: _remove_logs(settings, before, dry_run),
            "runs": lambda _: _remove_runs(settings, spark, before, dry_run),
            "models": lambda _: _remove_models(settings, spark, before, dry_run),
        }
        for name, work in kinds.items():
            with steps.step(name) as step:
                found = work(step)
                step.outcome = f"{found.count:,} {found.kind}, {format_bytes(found.bytes)}"
                removed.append(found)
        if not dry_run:
            sync_registry(settings, steps)
    return removed


def format_removed(removed: Iterable[Removed], dry_run: bool) -> list[str]:
    """Format what was removed as lines of text."""
    verb = "would remove" if dry_run else "removed"
    return [
        f"{verb} {each.count:,} {each.kind}, {each.bytes:,} bytes"
        + (f": {', '.join(each.names)}" if each.names else "")
        for each in removed
    ]


def _vacuum(
    settings: Settings, spark: SparkSession, days: int, dry_run: bool, step: Step
) -> Removed:
    """Remove files of Delta tables that belong to no version of the last days."""
    spark.conf.set(LISTING, LISTERS)
    order = f"retain {max(days, LEAST_DAYS) * 24} hours"
    lake_files = settings.lake.files
    tables = list_delta_tables(spark, VACUUMED)
    count = size = 0
    touched = []
    for number, table in enumerate(tables):
        step.advance(number, len(tables), table)
        rows = spark.sql(f"vacuum {table} {order} dry run").toArrow().to_pylist()
        found = lake_files.get_file_info([path_from_describe(row["path"]) for row in rows])
        files = [each for each in found if each.is_file]
        if not files:
            continue
        if not dry_run:
            spark.sql(f"vacuum {table} {order}")
        touched.append(table)
        count += len(files)
        size += sum(each.size for each in files)
    return Removed("superseded files of tables", count, size, touched)


def _remove_logs(settings: Settings, before: float, dry_run: bool) -> Removed:
    """Remove log files that have not changed since `before`, except those of running servers."""
    folder = settings.home / "logs"
    services = [
        spark_process.service(settings),
        online_store.service(settings),
        *airflow.services(settings).values(),
    ]
    in_use = {each.log for each in services if each.find() is not None}
    old = [path for path in _files(folder) if path not in in_use and path.stat().st_mtime < before]
    size = sum(path.stat().st_size for path in old)
    if not dry_run:
        for path in old:
            path.unlink()
            _remove_empty(path.parent, folder)
    return Removed("log files", len(old), size)


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder below `top` if it is empty, then each parent that this leaves empty."""
    while folder != top and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _remove_runs(settings: Settings, spark: SparkSession, before: float, dry_run: bool) -> Removed:
    """Remove folders of runs, except the latest one and those that a table refers to."""
    folder = settings.home / "runs"
    runs = sorted((each for each in folder.glob("*") if each.is_dir()), key=_last_write)
    needed = _find_published_runs(spark)
    loads = _find_silver_loads(spark)
    old = [
        each
        for each in runs[:-1]
        if _last_write(each) < before
        and each.name not in needed
        and _read_batch_id(each) not in loads
    ]
    return _remove_folders("runs", old, dry_run, shutil.rmtree)


def _find_published_runs(spark: SparkSession) -> set[str]:
    """Return the runs that published, to which `churn trace` refers."""
    rows = query_if_exists(spark, "gold.publications", "select run_id from gold.publications")
    return {row["run_id"] for row in rows}


def _find_silver_loads(spark: SparkSession) -> set[str]:
    """Return the loads with rows in silver; `churn rejects --run` needs their run's summary."""
    return {
        row["batch_id"]
        for table in ("silver.customers", "silver.rejected_rows")
        for row in query_if_exists(
            spark, table, f"select distinct _batch_id as batch_id from {table}"
        )
    }


def _read_batch_id(run: Path) -> str | None:
    summary = run / "summary.json"
    return json.loads(summary.read_text()).get("batch_id") if summary.exists() else None


def _remove_models(
    settings: Settings, spark: SparkSession, before: float, dry_run: bool
) -> Removed:
    """Remove model versions except the champion, the previous one, and those scored in gold."""
    scores = "select distinct model_version from gold.churn_scores"
    scored = {row["model_version"] for row in query_if_exists(spark, "gold.churn_scores", scores)}
    now = registry.read_champion_history(settings)
    kept = {now.version, *now.before[-1:], *scored} if now else scored
    old = [
        registry.folder(settings) / version
        for version in registry.versions(settings)
        if version not in kept and _last_write(registry.folder(settings) / version) < before
    ]
    return _remove_folders(
        "model versions", old, dry_run, lambda each: registry.remove(settings, each.name)
    )


def _remove_folders(
    kind: str, folders: Sequence[Path], dry_run: bool, remove: Callable[[Path], object]
) -> Removed:
    size = sum(path.stat().st_size for folder in folders for path in _files(folder))
    if not dry_run:
        for folder in folders:
            remove(folder)
    return Removed(kind, len(folders), size, [each.name for each in folders])


def _last_write(folder: Path) -> float:
    """Return the time of the latest write in a folder, in seconds since 1970."""
    return max((each.stat().st_mtime for each in (_files(folder) or [folder])), default=0.0)


def _files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.is_file())
