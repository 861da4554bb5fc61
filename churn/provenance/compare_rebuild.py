"""Compare the rebuild of a past run with the results of that run."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from pyspark.sql.connect.session import SparkSession

from churn.provenance import load_state
from churn.provenance.extract_rows import Kind, find_rows
from lakehouse.amounts import format_number
from lakehouse.settings import Settings
from lakehouse.sql import Rows, literal, query_if_exists
from seeds_loader.bronze_reader import LoadRow
from trainer import registry

if TYPE_CHECKING:
    import pyarrow as pa

TOLERANCE = 1e-9
KINDS: tuple[Kind, ...] = ("customer_features", "churn_labels")
# `created_timestamp` identifies the build that wrote the row and differs between builds.
BUILD_TIME = "created_timestamp"
ERASED_MODEL = "the model: its figures of the time include customers who were erased since"
COUNTS = ("bronze", "exact_duplicates", "rejected", "silver", "gold")


@dataclass(frozen=True)
class PastRun:
    """Known facts about the run: its summary, the loads up to it in order, the content of gold.

    `published` maps each extract date that was published at the time to its load, `approvals` each
    approved load to its approved rules.
    """

    summary: Mapping[str, Any]
    loads: Sequence[LoadRow]
    published: Mapping[date, str]
    approvals: Mapping[str, Rows] = field(default_factory=dict)


def compare(
    settings: Settings, past: PastRun, live: SparkSession, rebuilt: SparkSession, scratch: Settings
) -> dict[str, Any]:
    """Compare gold, counts, verdict and model metrics, and describe the differences.

    Args:
        settings: The settings of this CHURN_HOME.
        past: The known facts about the run.
        live: A session on this lake.
        rebuilt: A session on the rebuilt lake.
        scratch: The settings of the rebuilt lake.

    Returns:
        The result as printed by `churn reproduce --json`; "identical" is true only if everything
        could be compared and nothing differs.
    """
    gold, unknown = _compare_gold(past, live, rebuilt)
    load_now = load_state.load_state(rebuilt, past.summary["batch_id"])
    model = _compare_model(settings, past.summary, scratch)
    erased = count_erased_since(past)
    if erased:
        # The figures of the time include customers who are no longer stored.
        unknown += [ERASED_MODEL] if model["differences"] else []
        model = {**model, "differences": []}
    differences = [
        *_describe_gold(past, rebuilt, gold),
        *_describe_load(past.summary, load_now, erased.get(past.summary["batch_id"], 0)),
        *model["differences"],
    ]
    return {
        # Results that could not be compared do not count as identical.
        "identical": not differences and not unknown,
        "erased_rows": sum(erased.values()),
        "differences": differences,
        "unknown": unknown,
        "warnings": model["warnings"],
        "loads": len(past.loads),
        "gold": gold,
        "model": {key: model[key] for key in ("version", "rebuilt", "figures", "largest")},
    }


def _compare_gold(
    past: PastRun, live: SparkSession, rebuilt: SparkSession
) -> tuple[list[dict[str, Any]], list[str]]:
    """Compare each extract date of the time, table by table; also return what is unavailable."""
    results, unknown = [], []
    for day, batch_id in past.published.items():
        for kind in KINDS:
            expected = find_rows(live, batch_id, kind)
            if expected is None:
                unknown.append(f"gold.{kind} of {day}: replaced since, and tidied away")
                continue
            now = f"select * from gold.{kind} where extract_date = {literal(day)}"
            difference = compare_tables(
                live.sql(expected.sql).toArrow(), rebuilt.sql(now).toArrow()
            )
            results.append(
                {
                    "table": f"gold.{kind}",
                    "extract_date": day.isoformat(),
                    "compared_with": expected.location,
                    **difference,
                }
            )
    return results, unknown


def compare_tables(expected: "pa.Table", now: "pa.Table") -> dict[str, Any]:
    """Return how two extracts differ: customers, and values by column.

    Args:
        expected: The rows of the past run.
        now: The rebuilt rows; only their columns are compared.

    Returns:
        Counts of rows, columns, missing and surplus customers, and differing values by column.
    """
    columns = [name for name in now.column_names if name != BUILD_TIME]
    expected = expected.select(columns).sort_by("customer_id")
    now = now.select(columns).sort_by("customer_id")
    same: dict[str, Any] = {"rows": now.num_rows, "columns": len(columns), "differing": {}}
    if now.equals(expected):
        return {**same, "missing": 0, "surplus": 0}
    ids = [set(table["customer_id"].to_pylist()) for table in (expected, now)]
    missing, surplus = len(ids[0] - ids[1]), len(ids[1] - ids[0])
    both = expected.join(now, "customer_id", right_suffix="__now", join_type="inner").to_pylist()
    counts = {
        name: sum(row[name] != row[f"{name}__now"] for row in both)
        for name in columns
        if name != "customer_id"
    }
    differing = {name: count for name, count in counts.items() if count}
    return {**same, "differing": differing, "missing": missing, "surplus": surplus}


def _describe_gold(
    past: PastRun, rebuilt: SparkSession, gold: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    published = query_if_exists(
        rebuilt, "gold.publications", "select distinct extract_date from gold.publications"
    )
    for day in sorted({row["extract_date"] for row in published} ^ past.published.keys()):
        was = (
            "was published then and is not now"
            if day in past.published
            else "was not published then"
        )
        yield f"the extract of {day} {was}"
    for table in gold:
        where = f"{table['table']} of {table['extract_date']}"
        if table["missing"] or table["surplus"]:
            yield (
                f"{where}: {format_number(table['missing'], 'customer')} missing, "
                f"{table['surplus']} too many"
            )
        for name, count in table["differing"].items():
            yield f"{where}: {name} differs for {format_number(count, 'customer')}"


def count_erased_since(past: PastRun) -> dict[str, int]:
    """Return the rows that were erased after the run, by batch id.

    Only the number of the run's own load is known exactly: its summary has the rows of that time.
    """
    erased = {load.batch_id: load.erased_rows for load in past.loads if load.erased_rows}
    own = past.summary["batch_id"]
    bronze = past.summary["counts"].get("bronze")
    now = next((load.row_count for load in past.loads if load.batch_id == own), None)
    if own in erased and bronze is not None and now is not None:
        erased[own] = bronze - now
    return {batch: rows for batch, rows in erased.items() if rows}


def _describe_load(
    summary: Mapping[str, Any], now: load_state.LoadState, erased: int
) -> Iterator[str]:
    if summary["gate"]["verdict"] != now.verdict:
        yield f"the gate's verdict was {summary['gate']['verdict']} and is {now.verdict}"
    counts = {**(now.counts or {}), "gold": now.published}
    for name in COUNTS:
        was = summary["counts"].get(name)
        # Of the rows that were erased since, each count lacks at most all.
        if was is not None and not was - erased <= (counts.get(name) or 0) <= was:
            yield f"{name}: there were {was} rows and are {counts.get(name)}"


def _compare_model(
    settings: Settings, summary: Mapping[str, Any], scratch: Settings
) -> dict[str, Any]:
    """Compare the model metrics in the run's summary with those of the model trained now."""
    model = summary.get("model")
    versions = registry.versions(scratch)
    record = registry.read_record(scratch, versions[-1]) if model and versions else None
    if model is None or record is None:
        missing = ["no model was trained"] if model else []
        return {
            "version": model and model["version"],
            "rebuilt": None,
            "figures": 0,
            "largest": 0.0,
            "differences": missing,
            "warnings": [],
        }
    was, now = dict(iterate_metrics(model)), dict(iterate_metrics(record.summary()))
    off = {name: abs(now.get(name, math.inf) - value) for name, value in was.items()}
    differences = [
        f"model: {name} was {was[name]!r} and is {now.get(name)!r}"
        for name in was
        if not off[name] <= TOLERANCE
    ]
    if record.version != model["version"]:
        differences.append(
            f"model: the version was {model['version']} and is {record.version}: other loads, "
            "features or parameters"
        )
    return {
        "version": model["version"],
        "rebuilt": record.version,
        "figures": len(was),
        "largest": max(off.values(), default=0.0),
        "differences": differences,
        "warnings": _warn_of_other_commit(registry.read_record(settings, model["version"]), record),
    }


def iterate_metrics(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of a model's summary by dotted name.

    Numbers about the model that it was compared with are left out.
    """
    for name, value in values.items():
        if isinstance(value, Mapping) and name not in ("promotion", "label"):
            yield from iterate_metrics(value, f"{path}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{path}{name}", float(value)


def _warn_of_other_commit(was: Any, now: Any) -> list[str]:
    """Return a warning if the records name different commits of the project."""
    commits = [
        (getattr(record, "lineage", None) or {}).get("code", {}).get("commit")
        for record in (was, now)
    ]
    if None in commits or commits[0] == commits[1]:
        return []
    return [f"the run was made by commit {commits[0]}, this by {commits[1]}"]
