"""Compare two runs: rows, features, verdicts and metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql.connect.session import SparkSession

from churn.provenance import load_state
from churn.provenance.extract_rows import find_rows
from churn.provenance.run_history import read_summary
from lakehouse import spark_server, spark_session
from lakehouse.process import Log
from lakehouse.settings import Settings
from lakehouse.sql import query

NAMES_SHOWN = 5
# A feature without any changed value is displayed from this shift on, in standard deviations.
SHIFT_SHOWN = 0.05
NOTABLE = {"failed", "warned", "expected", "pending", "superseded", None}
COUNTS = ("bronze", "exact_duplicates", "rejected", "silver", "gold", "scored")
METRICS = ("roc_auc", "pr_auc", "accuracy", "f1", "brier")
# One pass over both extracts, regardless of the number of features.
COMPARED = """
with

paired as (

    select
        {key},
        {pairs}

    from ({before}) as rows_before

    full outer join ({after}) as rows_after
        on rows_before.customer_id = rows_after.customer_id

),

final as (

    select
        count(before) as customers_before,
        count(after) as customers_after,
        count_if(after is null) as gone,
        count_if(before is null) as come,
        count_if(before is not null and after is not null and not before <=> after) as changed,
        slice(sort_array(collect_set(if(after is null, customer_id, null))), 1, {named})
            as named_gone,
        slice(sort_array(collect_set(if(before is null, customer_id, null))), 1, {named})
            as named_come,
        array({figures}) as figures

    from paired

)

select * from final
"""
KEY = "coalesce(rows_before.customer_id, rows_after.customer_id) as customer_id"
PAIRS = """
if(rows_before.customer_id is null, null, struct({before})) as before,
if(rows_after.customer_id is null, null, struct({after})) as after
"""
FEATURE_STATISTICS = """
named_struct(
    'feature', '{name}',
    'changed', count_if(
        before is not null and after is not null and not before.{name} <=> after.{name}
    ),
    'mean_before', avg(before.{name}),
    'mean_after', avg(after.{name}),
    'shift', try_divide(avg(after.{name}) - avg(before.{name}), stddev(before.{name}))
)
"""


def diff(settings: Settings, first: str, second: str, log: Log) -> dict[str, Any]:
    """Compare the second run with the first.

    Args:
        settings: The settings of this CHURN_HOME.
        first: Name of the first run.
        second: Name of the second run.
        log: Callback for progress messages.

    Returns:
        The result as printed by `churn diff --json`. `rows` and `features` compare the published
        rows, or the gate's candidates if a load was refused or has been replaced since; `drift` is
        the population stability index of the monitored features; `shift` is in standard deviations
        of the first run; `unknown` names what can't be compared, and why.

    Raises:
        InvalidInputError: There is no such run.
    """
    from feature_repo.feature_definitions import read_feature_columns

    summaries = [read_summary(settings, run_id) for run_id in (first, second)]
    features = [feature.name for feature in read_feature_columns()]
    batches = [summary["batch_id"] for summary in summaries]
    spark_server.ensure_running(settings, log)
    with spark_session.session(settings) as spark:
        return {
            "runs": [_describe_run(summary) for summary in summaries],
            "counts": _compare_values(
                *(summary.get("counts", {}) for summary in summaries), names=COUNTS
            ),
            **_compare_rows(spark, batches, features),
            "drift": _measure_drift(spark, batches),
            "verdicts": _compare_verdicts(spark, batches),
            "model": _compare_models(*(summary.get("model", {}) for summary in summaries)),
        }


def _describe_run(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "run_id": summary["run_id"],
        "workbook": summary["workbook"]["path"],
        "sha256": summary["workbook"]["sha256"],
        "extract_date": summary["extract_date"],
        "batch_id": summary["batch_id"],
        "verdict": summary["gate"]["verdict"],
        "model": summary.get("model", {}).get("version"),
        # Of a run that changed nothing: the run that wrote the report of its load.
        "report_run": summary.get("report_run"),
    }


def _compare_values(
    before: Mapping[str, Any], after: Mapping[str, Any], *, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return each value before and after, and the difference if both exist."""
    changes = {}
    for name in names:
        was, now = before.get(name), after.get(name)
        change = None if was is None or now is None else now - was
        changes[name] = {"before": was, "after": now, "change": change}
    return changes


def _compare_rows(
    spark: SparkSession, batches: Sequence[str], features: Sequence[str]
) -> dict[str, Any]:
    features_of = [find_rows(spark, batch, "customer_features") for batch in batches]
    labels_of = [find_rows(spark, batch, "churn_labels") for batch in batches]
    gone = [
        batch for batch, *rows in zip(batches, features_of, labels_of, strict=True) if None in rows
    ]
    if gone:
        why = (
            f"the rows of load {' and of '.join(gone)} were replaced in gold and tidied away; "
            "bronze still has them: `churn reproduce` rebuilds a run from it"
        )
        return {"rows": None, "features": [], "labels": None, "unknown": why}
    before, after = (rows.sql for rows in features_of if rows)
    compared = query(spark, _comparison(before, after, features))[0]
    before, after = (rows.sql for rows in labels_of if rows)
    labels = query(spark, _comparison(before, after, ["churned"]))[0]["figures"][0]
    return {
        "rows": {
            "from": [rows.location for rows in features_of if rows],
            "customers": [compared["customers_before"], compared["customers_after"]],
            "gone": compared["gone"],
            "new": compared["come"],
            "changed": compared["changed"],
            "some_gone": compared["named_gone"],
            "some_new": compared["named_come"],
        },
        "features": sorted(
            compared["figures"],
            key=lambda feature: (-feature["changed"], -abs(feature["shift"] or 0)),
        ),
        "labels": labels,
        "unknown": None,
    }


def _comparison(before: str, after: str, names: Sequence[str]) -> str:
    """Return the query that compares two extracts in the named columns."""
    structs = {
        side: ", ".join(f"rows_{side}.{name}" for name in names) for side in ("before", "after")
    }
    return COMPARED.format(
        key=KEY,
        pairs=PAIRS.format(**structs),
        before=before,
        after=after,
        named=NAMES_SHOWN,
        figures=", ".join(FEATURE_STATISTICS.format(name=name) for name in names),
    )


def _measure_drift(spark: SparkSession, batches: Sequence[str]) -> dict[str, float]:
    """Return the stability index of each feature that the gate monitors, largest first."""
    from trainer.monitoring import read_profiles, stability_index

    of_load = read_profiles(spark, batches)
    before, after = (of_load.get(batch, {}) for batch in batches)
    indexes = {name: stability_index(after[name], before[name]) for name in before if name in after}
    return dict(sorted(indexes.items(), key=lambda item: -item[1]))


def _compare_verdicts(spark: SparkSession, batches: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rules with different verdicts."""
    sides = [
        {row["rule"]: row for row in load_state.gate_results(spark, batch)} for batch in batches
    ]
    differences = []
    for rule in sorted({*sides[0], *sides[1]}):
        pair = [side.get(rule, {}) for side in sides]
        if pair[0].get("verdict") != pair[1].get("verdict"):
            verdicts = {
                when: {"verdict": result.get("verdict"), "figure": result.get("figure")}
                for when, result in zip(("before", "after"), pair, strict=True)
            }
            differences.append({"rule": rule, **verdicts})
    return differences


def _compare_models(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    holdouts = before.get("holdout", {}), after.get("holdout", {})
    return {
        "versions": [before.get("version"), after.get("version")],
        "kinds": [before.get("kind"), after.get("kind")],
        "metrics": _compare_values(before, after, names=METRICS),
        "holdout": _compare_values(*holdouts, names=METRICS),
    }


def format_diff(result: Mapping[str, Any]) -> list[str]:
    """Format the comparison as lines of text, the largest differences first."""
    lines = [
        f"{sign} {run['run_id']}  extract of {run['extract_date']}, {run['verdict']}, "
        f"model {run['model'] or 'none'}, {run['workbook']}"
        + (f" (changed nothing after run {run['report_run']})" if run["report_run"] else "")
        for sign, run in zip("−+", result["runs"], strict=True)
    ]
    lines += ["", "rows", *_format_rows(result)]
    lines += ["", "features", *_format_features(result)]
    lines += ["", "verdicts", *_format_verdicts(result["verdicts"])]
    return [*lines, "", "model", *_format_model(result["model"])]


def _format_rows(result: Mapping[str, Any]) -> list[str]:
    lines = [
        f"  {name.replace('_', ' '):<18}{change['before']:>9,} → {change['after']:,}"
        for name, change in result["counts"].items()
        if None not in (change["before"], change["after"])
    ]
    if (rows := result["rows"]) is None:
        return [*lines, f"  {result['unknown']}"]
    for name in ("gone", "new"):
        some = f"  {', '.join(rows[f'some_{name}'])}" if rows[name] else ""
        more = ", …" if rows[name] > NAMES_SHOWN else ""
        lines.append(f"  {name:<18}{rows[name]:>9,} customers{some}{more}")
    lines.append(f"  {'changed':<18}{rows['changed']:>9,} customers who are in both")
    labels = result["labels"]
    return [
        *lines,
        f"  {'churned':<18}{labels['mean_before']:>9.1%} → {labels['mean_after']:.1%}, "
        f"{labels['changed']:,} labels changed",
    ]


def _format_features(result: Mapping[str, Any]) -> list[str]:
    lines = []
    for feature in result["features"]:
        shift = abs(feature["shift"] or 0)
        if feature["changed"] or shift >= SHIFT_SHOWN:
            means = f"mean {feature['mean_before']:.4g} → {feature['mean_after']:.4g}"
            drift = result["drift"].get(feature["feature"])
            lines.append(
                f"  {feature['feature']:<42}{feature['changed']:>8,} changed  {means:<26} "
                f"shift {feature['shift'] or 0:+.2f} sd"
                + ("" if drift is None else f", stability index {drift:.3f}")
            )
    if others := len(result["features"]) - len(lines):
        lines.append(
            f"  {others} others: no customer's value changed, shift below {SHIFT_SHOWN} sd"
        )
    worst = next(iter(result["drift"].items()), None)
    if worst:
        lines.append(f"  the most moved: {worst[0]}, stability index {worst[1]:.3f}")
    return lines or ["  no difference"]


def _format_verdicts(verdicts: Sequence[Mapping[str, Any]]) -> list[str]:
    sides = [{verdict["before"]["verdict"], verdict["after"]["verdict"]} for verdict in verdicts]
    lines = [
        f"  {verdict['rule']:<42}{_format_verdict(verdict['before'])} → "
        f"{_format_verdict(verdict['after'])}"
        for verdict, verdicts_of in zip(verdicts, sides, strict=True)
        if verdicts_of & NOTABLE
    ]
    if others := len(verdicts) - len(lines):
        lines.append(f"  {others} rules passed that had nothing to be compared with in the other")
    return lines or ["  no difference"]


def _format_verdict(side: Mapping[str, Any]) -> str:
    figure = "" if side["figure"] is None else f" ({side['figure']:.4g})"
    return f"{side['verdict'] or 'not judged'}{figure}"


def _format_model(model: Mapping[str, Any]) -> list[str]:
    if None in model["versions"]:
        return ["  one of the runs came to no model"]
    lines = [
        f"  {model['versions'][0]} ({model['kinds'][0]}) → "
        f"{model['versions'][1]} ({model['kinds'][1]})"
    ]
    return lines + [
        f"  {name:<18}{change['before']:>9.4f} → {change['after']:.4f} ({change['change']:+.4f})"
        for name, change in model["metrics"].items()
        if change["change"] is not None
    ]
