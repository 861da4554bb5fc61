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


def format_expected_change(broken: Rows) -> str:
    """Format the declaration with which the load would pass the rules that compare extracts.

    Returns:
        Text to append to a message; empty if no failed rule compares extracts.
    """
    compared = [result for result in broken if result["compared_with"]]
    if not compared:
        return ""
    return (
        "; where the change is real, declare it in expected_changes of rules.yml of the domain: "
        f'{{extract_date: "{compared[0]["extract_date"]}", '
        f"rules: [{', '.join(result['rule'] for result in compared)}], reason: why it is expected}}"
    )
