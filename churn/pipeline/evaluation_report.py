"""Return the champion's full evaluation as data, format it as text, and write its page."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from churn.pipeline import commands
from churn.pipeline.mlflow_sync import sync_registry
from churn.reports.front_page import EVALUATION
from churn.reports.report import count, decimal, page, percent
from lakehouse.atomic_write import atomic_write
from lakehouse.progress import Steps
from lakehouse.run_lock import run_lock
from lakehouse.sample_home import is_sample
from lakehouse.settings import Settings
from trainer import registry
from trainer.full_evaluation import METRIC_NAMES

NAMES = {
    "roc_auc": ("ROC-AUC", "how often a leaver is ranked above a stayer; .5 is chance"),
    "pr_auc": ("PR-AUC", "how many of those named first do leave, over all depths"),
    "brier": ("Brier score", "squared error of the probability; lower is better"),
    "accuracy": ("Accuracy", "right at the threshold"),
    "f1": ("F1", "balance of recall and precision at the threshold"),
    "top_decile_lift": (
        "Lift",
        "leavers in the tenth at highest risk, against all tenths",
    ),
    "maximum_profit": ("Maximum profit", "per customer, at the best threshold"),
    "expected_maximum_profit": (
        "Expected maximum profit",
        "per customer, over the acceptance rates that are plausible",
    ),
}


def evaluate_champion(settings: Settings, steps: Steps, force: bool) -> dict[str, Any]:
    """Return the metrics of the champion's record and full evaluation, and write the page.

    Args:
        settings: The settings of this CHURN_HOME.
        steps: Progress display.
        force: Whether to repeat an evaluation that exists already.

    Returns:
        The metrics, and the path of the page under "page".

    Raises:
        lakehouse.errors.InvalidInputError: No model was trained yet.
    """
    record, evaluated = commands.evaluate(settings, force, steps)
    figures = {**record.summary(), **evaluated}
    path = registry.folder(settings) / record.version / EVALUATION
    if not path.exists() or steps.seconds:
        with atomic_write(path) as draft:
            draft.write_text(page("evaluation.html.j2", _views(figures), is_sample(settings)))
        with run_lock(settings, "churn evaluate", steps.log):
            sync_registry(settings, steps)
    return {**figures, "page": str(path)}


def format_evaluation(  # long: a line for each finding
    figures: dict[str, Any],
) -> list[str]:
    """Format the evaluation as lines of text."""
    metrics = figures["cross_validated"]
    lines = [
        f"model {figures['version']}: {figures['kind']}",
        f"label: {figures['label']['reason']}",
        "",
        f"{'':<24}{'mean':>9}  {'95% interval':<20}{'hold-out':>9}",
    ]
    for name in METRIC_NAMES:
        metric = metrics[name]
        interval = f"{metric['low']:.4f} to {metric['high']:.4f}"
        lines.append(
            f"{name:<24}{metric['mean']:>9.4f}  {interval:<20}"
            f"{decimal(figures['holdout'][name], 4):>9}"
        )
    worth = figures["profit"]
    lines += [
        "",
        f"profit: {worth['expected_maximum_profit']:,.2f} expected per customer; "
        f"{worth['maximum_profit']:,.2f} if {percent(worth['maximum_profit_share'], 0)} of the "
        f"customers are contacted; lift of the first tenth {worth['top_decile_lift']:.2f}",
        "",
    ]
    lines += [
        f"against {name}: ROC-AUC {base['roc_auc']:.4f}, Brier {base['brier']:.4f}"
        for name, base in figures["baselines"].items()
    ]
    if figures["threshold"]:
        best = figures["threshold"]["best"]
        lines.append(
            f"worth approaching: from {best['threshold']:.2f} on, {best['approached']:.0%} of the "
            f"customers, {best['gain']:,.0f} per 1,000 customers"
        )
    lines += [
        f"slice {group['slice']}, {group['group']}: says {group['predicted']:.1%}, "
        f"{group['observed']:.1%} left"
        for group in figures["slices"]
        if group["flagged"]
    ] or ["no slice is off by more than the declared gap"]
    lines += [
        f"behaviour: {check['what']} moves the probability by {check['shift']:+.3f} on average, "
        f"at most {check['at_most']:g} was declared"
        for check in figures["behaviour"]
        if not check["holds"]
    ]
    lines += _format_time(figures.get("time"))
    leaks = ", ".join(leak["feature"] for leak in figures["leaks"]["found"])
    lines.append(f"leaks: {leaks or 'none found'}")
    return [*lines, f"page: {figures['page']}"] if "page" in figures else lines


def _format_time(time: dict[str, Any] | None) -> Iterator[str]:
    """Format what the evaluation says about the time until customers leave."""
    if not time:
        return
    yield f"time until leaving: {time['basis']}"
    for name, title in (("c_index", "C-index"), ("integrated_brier", "integrated Brier score")):
        ours, cox, average = (time[name][key] for key in ("hazard", "cox", "kaplan_meier"))
        yield f"{title} {ours:.4f}; Cox {cox:.4f}; average customer {average:.4f}"
    for months, fifths in time["calibration"].items():
        said = ", ".join(f"{each['predicted']:.1%} / {each['observed']:.1%}" for each in fifths)
        yield f"risk within {months} months, predicted / observed by fifth: {said}"


# --- page ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """Row of a table: name, explanation and cells; `flag` highlights it."""

    name: str
    meaning: str
    cells: tuple[str, ...]
    flag: bool = False


def _views(figures: dict[str, Any]) -> dict[str, Any]:
    # This module imports the plotting library, which takes a second.
    from churn.reports.evaluation_plots import plots

    return {
        "figures": figures,
        "scores": list(_scores(figures)),
        "slices": list(_slices(figures)),
        "deciles": list(_deciles(figures)),
        "terms": format_terms(figures["profit"]["terms"]),
        "grid": list(_grid(figures)),
        "plots": list(plots(figures)),
        "count": count,
    }


def _scores(figures: dict[str, Any]) -> Iterator[Row]:
    temporal = figures["temporal"] or {}
    for key, (name, meaning) in NAMES.items():
        metric = figures["cross_validated"][key]
        yield Row(
            name,
            meaning,
            (
                decimal(metric["mean"]),
                f"{decimal(metric['low'])} to {decimal(metric['high'])}",
                decimal(metric["deviation_of_folds"]),
                *(decimal(base[key]) for base in figures["baselines"].values()),
                decimal(figures["holdout"][key]),
                decimal(temporal[key]) if temporal else "–",
            ),
        )


def format_terms(terms: dict[str, float]) -> str:
    """Return what the profit is computed from as a sentence."""
    mean = terms["alpha"] / (terms["alpha"] + terms["beta"])
    return (
        f"A customer who stays is worth {terms['customer_value']:,g}, a contact costs "
        f"{terms['contact_cost']:,g}, an accepted offer {terms['offer_cost']:,g}. Of the contacted "
        f"leavers {percent(mean, 0)} accept on average (Beta({terms['alpha']:g}, "
        f"{terms['beta']:g})), of the others all."
    )


def _deciles(figures: dict[str, Any]) -> Iterator[Row]:
    for each in figures["deciles"]:
        yield Row(
            f"Tenth {each['decile']}",
            f"{count(each['customers'])} customers",
            (
                count(each["leavers"]),
                decimal(each["lift"], 2),
                percent(each["gain"]),
                decimal(each["profit"], 0),
                decimal(each["profit_so_far"], 0),
            ),
        )


def _slices(figures: dict[str, Any]) -> Iterator[Row]:
    for group in figures["slices"]:
        yield Row(
            f"{group['slice']}: {group['group']}",
            f"{count(group['rows'])} customers",
            (
                percent(group["observed"]),
                percent(group["predicted"]),
                f"{group['gap'] * 100:+.1f}",
                percent(group["found"]),
                decimal(group["roc_auc"]),
                decimal(group["brier"]),
            ),
            group["flagged"],
        )


def _grid(figures: dict[str, Any]) -> Iterator[Row]:
    for candidate in figures["grid"]:
        cells = tuple(decimal(candidate[key], 4) for key in ("roc_auc", "pr_auc", "brier"))
        yield Row(candidate["parameters"], "", cells)
