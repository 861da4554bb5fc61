"""Decide what readers may see of a table: mask the columns that the contract marks as personal."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lakehouse.dbt_project import snake_case
from lakehouse.domain import ID, Domain
from lakehouse.sql import literal

# What the team writes about a customer may be anything.
FREE_TEXT = frozenset({"note"})


@dataclass(frozen=True)
class Masks:
    """What readers don't see.

    Attributes:
        columns: Columns that are null, in every table.
        reasons: Reasons of a score that are left out, because their text has a personal value.
        has_personal_id: Whether ids are replaced by pseudonyms.
    """

    columns: frozenset[str]
    reasons: frozenset[str]
    has_personal_id: bool


def read_masks(domain: Domain) -> Masks:
    """Return the masks that a domain's contract declares.

    A feature that is computed from a personal column is personal as well.
    """
    personal = [column for column in domain.contract.columns.values() if column.personal]
    names = {column.name for column in personal if column.name != ID}
    features = names | {
        f"{column.name}_{snake_case(category)}"
        for column in personal
        for category in column.categories
    }
    for name, feature in domain.features.derived_features.items():
        if _uses(feature.expression, features):
            features.add(name)
    reasons = {
        name
        for name, terms in domain.features.reasons.items()
        if name in features or features & {*terms.inputs, *terms.words}
    }
    has_personal_id = any(column.name == ID for column in personal)
    return Masks(frozenset(features), frozenset(reasons | features), has_personal_id)


def _uses(expression: str, names: Iterable[str]) -> bool:
    return any(re.search(rf"\b{re.escape(name)}\b", expression) for name in names)


def mask_column(masks: Masks, name: str, data_type: str, key: str) -> str:
    """Return the SQL expression for a column of a table.

    Args:
        masks: What readers don't see.
        name: The column.
        data_type: Its type in Spark's SQL.
        key: The secret from which pseudonyms are computed.
    """
    if name in masks.columns | FREE_TEXT:
        return f"cast(null as {data_type})"
    if name == ID and masks.has_personal_id:
        return f"sha2(concat({literal(key)}, {ID}), 256)"
    if name == "reasons":
        return mask_reasons(masks)
    return f"`{name}`"


def mask_reasons(masks: Masks) -> str:
    """Return the SQL expression for the reasons of a score that readers see."""
    hidden = ", ".join(map(literal, sorted(masks.reasons))) or "''"
    return f"filter(reasons, reason -> reason.feature not in ({hidden}))"
