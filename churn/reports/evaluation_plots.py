"""Draw the plots of an evaluation's page. Importing this loads matplotlib, so import it late."""

from collections.abc import Iterator
from typing import Any

from churn.reports.plots import Bar, Line, Plot, bars, lines
from churn.reports.report import count, decimal, percent


def plots(figures: dict[str, Any]) -> Iterator[Plot]:
    """Yield the plots in reading order."""
    yield _against_rules(figures)
    yield _by_customers(figures)
    yield _calibration(figures)
    yield _by_cost(figures)
    yield _down_the_list(figures)
    yield _strongest(figures)


def _against_rules(figures: dict[str, Any]) -> Plot:
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


def _by_customers(figures: dict[str, Any]) -> Plot:
    title = "More customers, better model?"
    points = [(each["rows_learned_from"], each["roc_auc"]) for each in figures["learning_curve"]]
    return Plot(
        title,
        "ROC-AUC by the number of customers learned from. Where the line is flat, more of the same "
        "data will not help.",
        lines("learning", title, [Line("", points, "o")], ("customers learned from", "ROC-AUC")),
    )


def _calibration(figures: dict[str, Any]) -> Plot:
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


def _by_cost(figures: dict[str, Any]) -> Plot:
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


def _down_the_list(figures: dict[str, Any]) -> Plot:
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


def _strongest(figures: dict[str, Any]) -> Plot:
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
