"""Draw the plots of an evaluation's page. Importing this loads matplotlib, so import it late."""

from collections.abc import Iterator
from typing import Any

from churn.reports.plots import Bar, Line, Plot, draw_bars, draw_lines
from churn.reports.report import decimal, money, percent
from lakehouse.domain import read_domain
from trainer.retention_campaign import ASSUMED


def plots(figures: dict[str, Any]) -> Iterator[Plot]:
    """Yield the plots in reading order."""
    yield _draw_baselines(figures)
    yield _draw_learning_curve(figures)
    yield _draw_calibration(figures)
    if figures["threshold"]:
        yield _draw_gain_by_threshold(figures)
    yield _draw_cumulative_gain(figures)
    if "profit" in figures:  # evaluations from before it was measured lack it
        yield _draw_profit(figures)
    yield _draw_strongest_features(figures)


def _draw_baselines(figures: dict[str, Any]) -> Plot:
    title, model = "Against simple rules", figures["cross_validated"]["roc_auc"]["mean"]
    named = {figures["kind"].replace("_", " "): model}
    named |= {name: base["roc_auc"] for name, base in figures["baselines"].items()}
    rows = [Bar(name, roc_auc, decimal(roc_auc)) for name, roc_auc in named.items()]
    return Plot(
        title,
        "ROC-AUC of the model and of simple rules; the share of leavers knows nothing. The line is "
        "chance.",
        draw_bars("baselines", title, rows, 1.0, 0.5),
    )


def _draw_learning_curve(figures: dict[str, Any]) -> Plot:
    title = "More customers, better model?"
    points = [(point["rows_learned_from"], point["roc_auc"]) for point in figures["learning_curve"]]
    return Plot(
        title,
        "ROC-AUC by the number of customers learned from. Where the line is flat, more of the same "
        "data will not help.",
        draw_lines(
            "learning", title, [Line("", points, "o")], ("customers learned from", "ROC-AUC")
        ),
    )


def _draw_calibration(figures: dict[str, Any]) -> Plot:
    title, calibration = "Does the probability hold?", figures["calibration"]
    points = [(part["predicted"], part["observed"]) for part in calibration["bins"]]
    return Plot(
        title,
        "Ten equal groups of customers by probability: what the model said, and what share left. "
        f"On average it is {percent(calibration['expected_error'])} off. Stretching the "
        f"probabilities would {'' if calibration['recalibration_helps'] else 'not '}help.",
        draw_lines(
            "calibration",
            title,
            [Line("as it should be", [(0, 0), (1, 1)], ""), Line("the model", points, "o")],
            ("probability the model gives", "share that left"),
            shares=(True, True),
        ),
    )


def _draw_gain_by_threshold(figures: dict[str, Any]) -> Plot:
    title, cost = "Whom is it worth approaching?", figures["threshold"]
    best = cost["best"]
    points = [(point["threshold"], point["gain"]) for point in cost["curve"]]
    return Plot(
        title,
        f"What a campaign brings for every 1,000 customers if all from this probability on are "
        f"approached: {money(cost['contact'], 2)} a contact, {percent(cost['kept'], 0)} of the "
        f"leavers stay ({cost.get('effect', ASSUMED)}). Best from {best['threshold']:.2f} on: "
        f"{percent(best['approached'], 0)} of the customers, {money(best['gain'])}.",
        draw_lines(
            "cost",
            title,
            [Line("", points, "", (best["threshold"], best["gain"]))],
            ("approached from this probability on", _label_amounts("gain per 1,000 customers")),
            shares=(True, False),
        ),
    )


def _draw_cumulative_gain(figures: dict[str, Any]) -> Plot:
    title, deciles = "How far down the list?", figures["deciles"]
    gained = [(0.0, 0.0), *((decile["decile"] / 10, decile["gain"]) for decile in deciles)]
    return Plot(
        title,
        "Share of all leavers who are found if this share of the customers is approached, those at "
        f"highest risk first. The first tenth holds {deciles[0]['lift']:.1f} times as many as a "
        "tenth by chance.",
        draw_lines(
            "gain",
            title,
            [Line("by chance", [(0, 0), (1, 1)], ""), Line("the model", gained, "o")],
            ("customers approached", "leavers found"),
            shares=(True, True),
        ),
    )


def _draw_profit(figures: dict[str, Any]) -> Plot:
    title, deciles, worth = "What is the list worth?", figures["deciles"], figures["profit"]
    profits = [(0.0, 0.0), *((each["decile"] / 10, each["profit_so_far"]) for each in deciles)]
    return Plot(
        title,
        "Expected profit if this share of the customers is contacted, those at highest risk first. "
        f"At best {money(worth['maximum_profit'], 2)} per customer, with "
        f"{percent(worth['maximum_profit_share'], 0)} of them contacted.",
        draw_lines(
            "profit",
            title,
            [Line("", profits, "o", max(profits, key=lambda point: point[1]))],
            ("customers contacted", _label_amounts("expected profit")),
            shares=(True, False),
        ),
    )


def _label_amounts(label: str) -> str:
    """Return the label of an axis of amounts, with the domain's currency if it declares one."""
    currency = read_domain().report.currency
    return f"{label}, {currency}" if currency else label


def _draw_strongest_features(figures: dict[str, Any]) -> Plot:
    title = "Does a feature know too much?"
    strongest = [
        Bar(feature["feature"].replace("_", " "), feature["roc_auc"], decimal(feature["roc_auc"]))
        for feature in figures["leaks"]["strongest"][:6]
    ]
    return Plot(
        title,
        "How well the strongest features rank the customers by themselves. At the line and beyond, "
        "a feature would have been written after the customer had left.",
        draw_bars("leaks", title, strongest, 1.0, 0.85),
    )
