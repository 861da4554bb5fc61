"""Explain how cells became values of silver, why rows were rejected, and what changed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seeds_loader.contract import Column, Contract
from seeds_loader.reject_messages import Reason, format_reasons

# Rules of the contract that change a value. "coded" applies to every flag; the others deserve
# attention.
TRIMMED, SPELLED, CODED, NUMBER = "trimmed", "spelled", "coded", "number"
DAYS = "days_since"
BLANK_IS_ZERO, BLANK_IS_DECLARED = "blank_is_zero", "blank_is_declared"


def find_standardised_cells(
    cells: Mapping[str, str | None], silver: Mapping[str, Any], contract: Contract
) -> Iterator[dict[str, Any]]:
    """Yield the cells whose value in silver differs from the sheet, with the applied rules."""
    for column in contract.columns:
        cell, value = cells.get(column.name), silver.get(column.silver)
        rules = _applied_rules(column, cell, value)
        if rules:
            yield {
                "column": column.name,
                "cell": cell,
                "silver_column": column.silver,
                "value": value,
                "rules": rules,
            }


def _applied_rules(column: Column, cell: str | None, value: Any) -> list[str]:
    text = (cell or "").strip()
    if not text:
        meaning = BLANK_IS_DECLARED if column.blank_as is not None else BLANK_IS_ZERO
        return [meaning] if value is not None else []
    rules = [TRIMMED] if text != cell else []
    if column.type == "flag":
        rules.append(CODED)
    elif column.type == "days_since":
        rules.append(DAYS)
    elif column.type == "category" and text != value:
        rules.append(SPELLED)
    elif column.type in ("integer", "number") and text not in (str(value), f"{value:g}"):
        rules.append(NUMBER)
    return rules


def explain_rejection(
    reasons: Sequence[Mapping[str, Any]],
    cells: Mapping[str, str | None],
    contract: Contract,
    words: Mapping[str, str],
    kept_row: int | None = None,
) -> list[str]:
    """Return the reasons of a rejected row, one sentence each."""
    named = [Reason(each["code"], each["column_name"], each["value"]) for each in reasons]
    return list(format_reasons(named, cells, contract, words, kept_row))


def find_changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> dict[str, dict[str, Any]]:
    """Return the values that differ, by name, before and after; empty if one side is missing."""
    if before is None or after is None:
        return {}
    return {
        name: {"before": before.get(name), "after": value}
        for name, value in after.items()
        if before.get(name) != value
    }
