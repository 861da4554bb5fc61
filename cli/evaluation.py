"""The champion's full evaluation, as data, as lines for people and as a page with plots."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli import job
from cli.front_page import EVALUATION
from cli.progress import Steps
from cli.report import count, decimal, page, percent
from cli.tracked import follow_registry
from lakehouse.run_lock import run_lock
from lakehouse.settings import Settings
from lakehouse.whole_files import written_whole
from trainer import registry
from trainer.assessment import FIGURES

if TYPE_CHECKING:  # draws, which takes a second to import
    from cli.plots import Plot

NAMES = {
    "roc_auc": ("ROC-AUC", "how often a leaver is ranked above a stayer; .5 is chance"),
    "pr_auc": ("PR-AUC", "how many of those named first do leave, over all depths"),
    "brier": ("Brier score", "squared error of the probability; lower is better"),
    "accuracy": ("Accuracy", "right at the threshold"),
    "f1": ("F1", "balance of recall and precision at the threshold"),
}


def evaluation(settings: Settings, steps: Steps, again: bool) -> dict[str, Any]:
    """Figures of the champion: its record's, and the full evaluation; the page is written too.

    Raises:
        lakehouse.errors.Unusable: no model was trained yet.
    """
    record, evaluated = job.evaluate_only(settings, steps, again)
    figures = {**record.summary(), **evaluated}
    path = registry.folder(settings) / record.version / EVALUATION
    if not path.exists() or steps.seconds:
        with written_whole(path) as draft:
            draft.write_text(page("evaluation.html.j2", _views(figures)))
        with run_lock(settings, "churn evaluate", steps.say):
            follow_registry(settings, steps)
    return {**figures, "page": str(path)}


def evaluation_lines(figures: dict[str, Any]) -> list[str]:
    """Tables for people."""
    found, best = figures["cross_validated"], figures["threshold"]["best"]
    lines = [
        f"model {figures['version']}: {figures['kind']}",
        f"label: {figures['label']['reason']}",
        "",
        f"{'':<12}{'mean':>9}  {'95 % interval':<18}{'hold-out':>9}",
    ]
    lines += [
        f"{name:<12}{found[name]['mean']:>9.4f}  "
        f"{found[name]['low']:.4f} to {found[name]['high']:.4f}  {figures['holdout'][name]:>9.4f}"
        for name in FIGURES
    ]
    lines.append("")
    lines += [
        f"against {name}: ROC-AUC {base['roc_auc']:.4f}, Brier {base['brier']:.4f}"
        for name, base in figures["baselines"].items()
    ]
    lines.append(
        f"worth approaching: from {best['threshold']:.2f} on, {best['approached']:.0%} of the "
        f"customers, {best['gain']:,.0f} per 1,000 customers"
    )
    flagged = [each for each in figures["slices"] if each["flagged"]]
    lines += [
        f"slice {each['slice']}, {each['group']}: says {each['predicted']:.1%}, "
        f"{each['observed']:.1%} left"
        for each in flagged
    ] or ["no slice is off by more than the declared gap"]
    lines += [
        f"behaviour: {each['what']} moves the probability by {each['shift']:+.3f} on average, "
        f"at most {each['at_most']:g} was declared"
        for each in figures["behaviour"]
        if not each["holds"]
    ]
    leaks = [each["feature"] for each in figures["leaks"]["found"]]
    lines.append(f"leaks: {', '.join(leaks) or 'none found'}")
    if "page" in figures:
        lines.append(f"page: {figures['page']}")
    return lines


# --- page ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A line of a table: its name, what it means, its cells; `flag` sets it apart."""

    name: str
    meaning: str
    cells: tuple[str, ...]
    flag: bool = False


def _views(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        "figures": figures,
        "scores": list(_scores(figures)),
        "slices": list(_slices(figures)),
        "grid": list(_grid(figures)),
        "plots": list(_plots(figures)),
        "count": count,
    }


def _scores(figures: dict[str, Any]) -> Iterator[Row]:
    temporal = figures["temporal"] or {}
    for key, (name, meaning) in NAMES.items():
        found = figures["cross_validated"][key]
        yield Row(
            name,
            meaning,
            (
                decimal(found["mean"]),
                f"{decimal(found['low'])} to {decimal(found['high'])}",
                decimal(found["deviation_of_folds"]),
                *(decimal(base[key]) for base in figures["baselines"].values()),
                decimal(figures["holdout"][key]),
                decimal(temporal[key]) if temporal else "–",
            ),
        )


def _slices(figures: dict[str, Any]) -> Iterator[Row]:
    for each in figures["slices"]:
        yield Row(
            f"{each['slice']}: {each['group']}",
            f"{count(each['rows'])} customers",
            (
                percent(each["observed"]),
                percent(each["predicted"]),
                f"{each['gap'] * 100:+.1f}",
                percent(each["found"]),
                decimal(each["roc_auc"]),
                decimal(each["brier"]),
            ),
            each["flagged"],
        )


def _grid(figures: dict[str, Any]) -> Iterator[Row]:
    for each in figures["grid"]:
        cells = tuple(decimal(each[key], 4) for key in ("roc_auc", "pr_auc", "brier"))
        yield Row(each["parameters"], "", cells)


def _plots(figures: dict[str, Any]) -> "Iterator[Plot]":
    yield _against_rules(figures)
    yield _by_customers(figures)
    yield _calibration(figures)
    yield _by_cost(figures)
    yield _down_the_list(figures)
    yield _strongest(figures)


def _against_rules(figures: dict[str, Any]) -> "Plot":
    from cli.plots import Bar, Plot, bars

    title, model = "Against simple rules", figures["cross_validated"]["roc_auc"]["mean"]
    named = {figures["kind"].replace("_", " "): model}
    named |= {name: base["roc_auc"] for name, base in figures["baselines"].items()}
    rows = [Bar(name, roc_auc, decimal(roc_auc)) for name, roc_auc in named.items()]
    return Plot(
        title,
        "ROC-AUC of the model, of the contract alone and of the share of leavers, which knows "
        "nothing. The line is chance.",
        bars("baselines", title, rows, 1.0, 0.5),
    )


def _by_customers(figures: dict[str, Any]) -> "Plot":
    from cli.plots import Line, Plot, lines

    title = "More customers, better model?"
    points = [(each["rows_learned_from"], each["roc_auc"]) for each in figures["learning_curve"]]
    return Plot(
        title,
        "ROC-AUC by the number of customers learned from. Where the line is flat, more of the same "
        "data will not help.",
        lines("learning", title, [Line("", points, "o")], ("customers learned from", "ROC-AUC")),
    )


def _calibration(figures: dict[str, Any]) -> "Plot":
    from cli.plots import Line, Plot, lines

    title, found = "Does the probability hold?", figures["calibration"]
    points = [(each["predicted"], each["observed"]) for each in found["bins"]]
    return Plot(
        title,
        "Ten equal groups of customers by probability: what the model said, and what share left. "
        f"On average it is {percent(found['expected_error'])} off. Stretching the probabilities "
        f"would {'' if found['recalibration_helps'] else 'not '}help.",
        lines(
            "calibration",
            title,
            [Line("as it should be", [(0, 0), (1, 1)], ""), Line("the model", points, "o")],
            ("probability the model gives", "share that left"),
            shares=(True, True),
        ),
    )


def _by_cost(figures: dict[str, Any]) -> "Plot":
    from cli.plots import Line, Plot, lines

    title, cost = "Whom is it worth approaching?", figures["threshold"]
    best = cost["best"]
    points = [(each["threshold"], each["gain"]) for each in cost["curve"]]
    return Plot(
        title,
        f"What a campaign brings for every 1,000 customers if all from this probability on are "
        f"approached: {decimal(cost['contact'], 0)} a contact, {percent(cost['kept'], 0)} of the "
        f"leavers stay. Best from {best['threshold']:.2f} on: {percent(best['approached'], 0)} of "
        f"the customers, {count(best['gain'])}.",
        lines(
            "cost",
            title,
            [Line("", points, "", (best["threshold"], best["gain"]))],
            ("approached from this probability on", "gain per 1,000 customers"),
            shares=(True, False),
        ),
    )


def _down_the_list(figures: dict[str, Any]) -> "Plot":
    from cli.plots import Line, Plot, lines

    title, deciles = "How far down the list?", figures["deciles"]
    gained = [(0.0, 0.0), *((each["decile"] / 10, each["gain"]) for each in deciles)]
    return Plot(
        title,
        "Share of all leavers who are found if this share of the customers is approached, those at "
        f"highest risk first. The first tenth holds {deciles[0]['lift']:.1f} times as many as a "
        "tenth by chance.",
        lines(
            "gain",
            title,
            [Line("by chance", [(0, 0), (1, 1)], ""), Line("the model", gained, "o")],
            ("customers approached", "leavers found"),
            shares=(True, True),
        ),
    )


def _strongest(figures: dict[str, Any]) -> "Plot":
    from cli.plots import Bar, Plot, bars

    title = "Does a feature know too much?"
    strongest = [
        Bar(each["feature"].replace("_", " "), each["roc_auc"], decimal(each["roc_auc"]))
        for each in figures["leaks"]["strongest"][:6]
    ]
    return Plot(
        title,
        "How well the strongest features rank the customers by themselves. At the line and beyond, "
        "a feature would have been written after the customer had left.",
        bars("leaks", title, strongest, 1.0, 0.85),
    )
