"""Return the champion's full evaluation as data, format it as text, and write its page."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from churn.pipeline import commands
from churn.pipeline.mlflow_sync import sync_registry
from churn.reports.front_page import EVALUATION
from churn.reports.report import count, decimal, format_signed, money, page, percent
from churn.reports.site import write_front_page
from lakehouse import spark_session
from lakehouse.atomic_write import atomic_write
from lakehouse.progress import Steps
from lakehouse.run_lock import run_lock
from lakehouse.sample_home import is_sample
from lakehouse.settings import Settings
from trainer import registry
from trainer.full_evaluation import METRIC_NAMES

NAMES = {
    "roc_auc": ("ROC-AUC", "how often a leaver is ranked above a stayer; 0.5 is chance"),
    "pr_auc": (
        "PR-AUC",
        "how many of those at highest risk do leave, averaged over all lengths of the list",
    ),
    "brier": ("Brier score", "squared error of the probability; lower is better"),
    "accuracy": ("Accuracy", "share of customers who are classified correctly at the threshold"),
    "f1": ("F1", "balance of recall and precision at the threshold"),
    "top_decile_lift": (
        "Lift",
        "leavers in the tenth at highest risk, in comparison with an average tenth",
    ),
    "maximum_profit": ("Maximum profit", "per customer, at the best threshold"),
    "expected_maximum_profit": (
        "Expected maximum profit",
        "per customer, over the acceptance rates that are plausible",
    ),
}


AMOUNTS = ("maximum_profit", "expected_maximum_profit")


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
    learned = {"rows": record.rows, "extract_date": record.extract_date}
    figures = {
        **record.summary(),
        **evaluated,
        "learned_from": {**learned, "label": record.label["reason"]},
    }
    path = registry.folder(settings) / record.version / EVALUATION
    if not path.exists() or steps.seconds:
        with atomic_write(path) as draft:
            draft.write_text(page("evaluation.html.j2", _views(figures), is_sample(settings)))
        with run_lock(settings, "churn evaluate", steps.log):
            sync_registry(settings, steps)
    if steps.seconds:
        # The front page links to the evaluation; the server runs after an evaluation.
        with spark_session.session(settings) as spark:
            write_front_page(settings, spark)
    return {**figures, "page": str(path)}


def format_evaluation(  # long: a line for each finding
    figures: dict[str, Any],
) -> list[str]:
    """Format the evaluation as lines of text."""
    metrics = figures["cross_validated"]
    lines = [
        f"model {figures['version']}: {figures['kind']}",
        f"evaluated on: {figures['training_set']['rows']:,} rows, extracts up to "
        f"{figures['training_set']['extract_date']}",
        f"label: {figures['label']['reason']}",
        *_format_difference(figures),
        "",
        f"{'':<24}{'mean':>9}  95% interval",
    ]
    for name in METRIC_NAMES:
        metric = metrics[name]
        interval = f"{metric['low']:.4f} to {metric['high']:.4f}"
        lines.append(f"{name:<24}{metric['mean']:>9.4f}  {interval}")
    worth = figures["profit"]
    lines += [
        "",
        f"profit: {money(worth['expected_maximum_profit'], 2)} expected per customer; "
        f"{money(worth['maximum_profit'], 2)} if {percent(worth['maximum_profit_share'], 0)} of "
        f"the customers are contacted; lift of the first tenth {worth['top_decile_lift']:.2f}",
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
            f"customers, {money(best['gain'])} per 1,000 customers"
        )
    lines += [
        f"slice {group['slice']}, {group['group']}: says {group['predicted']:.1%}, "
        f"{group['observed']:.1%} left"
        for group in figures["slices"]
        if group["flagged"]
    ] or ["no slice is off by more than the declared gap"]
    lines += [
        f"behaviour: {check['what']} moves the probability by "
        f"{format_signed(check['shift'], 3)} on average, at most {check['at_most']:g} was declared"
        for check in figures["behaviour"]
        if not check["holds"]
    ]
    lines += _format_time(figures.get("time"))
    leaks = ", ".join(leak["feature"] for leak in figures["leaks"]["found"])
    lines.append(f"leaks: {leaks or 'none found'}")
    return [*lines, f"page: {figures['page']}"] if "page" in figures else lines


def _format_difference(figures: dict[str, Any]) -> Iterator[str]:
    """Say that the evaluated data is not what the version learned from, if it is not."""
    if not figures["training_set"]["of_the_version"]:
        learned = figures["learned_from"]
        yield (
            f"the model learned from other data, {learned['rows']:,} rows of the extracts up to "
            f"{learned['extract_date']}, label {learned['label']}: these are the figures of its "
            "recipe, trained again"
        )


def format_months(months: str) -> str:
    """Return a number of months with its unit."""
    return f"{months} month{'' if months == '1' else 's'}"


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
        yield f"risk within {format_months(months)}, predicted / observed by fifth: {said}"


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
        "points": lambda share: format_signed(100 * share, 1),
        "months_of": format_months,
        "columns": list(_name_columns(figures)),
    }


def _name_columns(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the headings of the first table."""
    yield from ("Mean", "95% interval", "From fold to fold")
    yield from (name.capitalize() for name in figures["baselines"])
    if figures["temporal"]:
        yield "Latest extract"


def _scores(figures: dict[str, Any]) -> Iterator[Row]:
    temporal = figures["temporal"]
    for key, (name, meaning) in NAMES.items():
        metric = figures["cross_validated"][key]
        show = _format_profit if key in AMOUNTS else decimal
        yield Row(
            name,
            meaning,
            (
                show(metric["mean"]),
                f"{show(metric['low'])} to {show(metric['high'])}",
                show(metric["deviation_of_folds"]),
                *(show(base[key]) for base in figures["baselines"].values()),
                *([show(temporal[key])] if temporal else []),
            ),
        )


def _format_profit(value: float) -> str:
    return money(value, 2)


def format_terms(terms: dict[str, float]) -> str:
    """Return what the profit is computed from as a sentence."""
    mean = terms["alpha"] / (terms["alpha"] + terms["beta"])
    return (
        f"A customer who stays is worth {money(terms['customer_value'], 2)}, a contact costs "
        f"{money(terms['contact_cost'], 2)}, an accepted offer {money(terms['offer_cost'], 2)}. "
        f"Of the contacted leavers {percent(mean, 0)} accept on average "
        f"(Beta({terms['alpha']:g}, {terms['beta']:g})), of the others all."
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
                money(each["profit"]),
                money(each["profit_so_far"]),
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
                format_signed(group["gap"] * 100, 1),
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
