"""Format the gate's results for people: messages, notifications and the summary use these texts."""

from typing import Any

from lakehouse.sql import Rows


def format_refused_load(broken: Rows) -> str:
    """Format a refused load: workbook, extract date, and a line for each rule that failed."""
    lines = "".join(f"\n        {format_rule(result)}" for result in broken)
    return f"{broken[0]['source_file']}, extract of {broken[0]['extract_date']}:{lines}"


def format_rule(result: dict[str, Any]) -> str:
    """Format a rule that failed: value, threshold, baseline, description and details."""
    value = "no figure" if result["figure"] is None else f"{result['figure']:.4g}"
    baseline = result["compared_with"]
    return (
        f"{result['rule']}: {value} against {result['threshold']:g}"
        + (f", compared with the extract of {baseline}" if baseline else "")
        + (f". {description}" if (description := result["description"]) else "")
        + (f" {details}" if (details := result.get("details")) else "")
    )


def format_approver(result: dict[str, Any]) -> str:
    """Format who approved a rule's value; the reason is free text, and not for notifications."""
    return f" Approved by {result['approver']}." if result.get("approver") else ""


def can_approve(broken: Rows) -> bool:
    """Return whether a person may approve all values: each has to be one of a comparison.

    What a load has to fulfil on its own is no matter of expectation.
    """
    return bool(broken) and all(
        result["compared_with"] and result["figure"] is not None for result in broken
    )


def format_expected_change(broken: Rows) -> str:
    """Format how the load would pass the rules that compare extracts: approved, or declared.

    Returns:
        Text to append to a message; empty if no failed rule compares extracts.
    """
    compared = [result for result in broken if result["compared_with"]]
    if not compared:
        return ""
    approve = (
        f"approve it with `churn approve {broken[0]['batch_id']} --reason TEXT`, or "
        if can_approve(broken)
        else ""
    )
    return (
        f"; where the change is real, {approve}declare it in expected_changes of rules.yml of the "
        "domain: "
        f'{{extract_date: "{compared[0]["extract_date"]}", '
        f"rules: [{', '.join(result['rule'] for result in compared)}], reason: why it is expected}}"
    )
