"""State in words what a rule of the gate checks, for readers who do not know its name."""

from churn.reports.report import gate_figure
from lakehouse.domain import Domain

# What a rule on drift checks; the gate generates these rules from the declared features.
DRIFT_RULE = "drift_of_"
DRIFT = "the customers resemble those of the extract before in “{}”"


def format_statement(rule: str, threshold: float | None, domain: Domain) -> str:
    """Return what a rule checks, as the end of "We checked that …".

    Args:
        rule: Name of the rule.
        threshold: Its threshold in the verdict, which may be another than the one declared now.
        domain: The domain that declares the rule.

    Returns:
        The statement; empty if the domain does not declare the rule, or its metric has none.
    """
    feature = rule.partition(DRIFT_RULE)[2]
    if feature:
        return DRIFT.format(feature.replace("_", " "))
    declared = domain.rules.gate_rules.get(rule)
    metric = domain.gate_metrics.get(declared.metric) if declared else None
    if declared is None or metric is None:
        return ""
    text = metric.statement
    if not isinstance(text, str):
        text = text.get("at_most" if declared.at_least is None else "at_least", "")
    return text.replace("{limit}", _format_limit(threshold, metric.unit))


def describe_rule(rule: str, domain: Domain) -> str:
    """Return what a rule checks with its declared threshold; empty if it is not declared."""
    declared = domain.rules.gate_rules.get(rule)
    limits = (declared.at_least, declared.at_most) if declared else ()
    return format_statement(rule, next((each for each in limits if each is not None), None), domain)


def _format_limit(threshold: float | None, unit: str) -> str:
    if threshold is None or unit != "share":
        return gate_figure(threshold, unit)
    return f"{round(abs(threshold) * 100, 4):g}%"
